//! Branch protection: what it blocks and allows, how rules change, and when they apply.

use std::sync::Arc;

use bytes::Bytes;
use kv::Store;
use kv::testing::{Faults, FaultyStore};

use crate::testing::{Lake, branch};
use crate::{BranchProtection, Condition, Error, Kind, Result};

const STORED_AT: &[u8] = b"settings/protected_branches";
/// A rule for `main`, as lakeFS stores it.
const MAIN_ONLY: &[u8] = b"\x0a\x0c\x0a\x04main\x12\x04\x0a\x02\x00\x01";

async fn protect(lake: &Lake, patterns: &str) -> Result<()> {
    protect_if(lake, patterns, None).await
}

async fn protect_if(lake: &Lake, patterns: &str, if_tag: Option<&str>) -> Result<()> {
    let patterns: Vec<String> = patterns.split_whitespace().map(str::to_owned).collect();
    lake.graveler
        .set_branch_protection(&lake.repo, &patterns, if_tag)
        .await
}

async fn rules(lake: &Lake) -> BranchProtection {
    lake.graveler.branch_protection(&lake.repo).await.unwrap()
}

/// Stores a record of rules directly.
async fn store(lake: &Lake, record: &[u8]) {
    let (partition, record) = (lake.repo.partition(), Bytes::copy_from_slice(record));
    lake.kv
        .set(partition.as_bytes(), STORED_AT, record)
        .await
        .unwrap();
}

async fn write(lake: &Lake, on: &str) -> Result<()> {
    lake.set(on, "k", "v", Condition::Always).await
}

/// The same lake on another server, whose records are in `kv`.
fn server_on(lake: &Lake, kv: Arc<dyn Store>) -> Lake {
    Lake {
        graveler: lake.graveler.on_store_for_tests(&kv),
        kv,
        ..lake.clone()
    }
}

#[tokio::test]
async fn protected_branch_refuses_writes_deletions_and_commits() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    protect(&lake, "ma* release-?").await.unwrap();
    for refused in [
        write(&lake, "main").await,
        lake.delete("main", "a").await,
        lake.commit("main", "x").await.map(|_| ()),
        lake.graveler
            .check_unprotected(&lake.repo, &branch("main"))
            .await,
    ] {
        match refused {
            Err(Error::Protected { branch, .. }) => assert_eq!(branch, "main"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        lake.show("main").await,
        "a=1",
        "the branch must stay unchanged"
    );
}

#[tokio::test]
async fn protected_branch_allows_merges() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "before").await.unwrap();
    protect(&lake, "ma* release-?").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "b=2").await;
    lake.commit("dev", "allowed").await.unwrap();
    lake.merge("dev", "main").await.unwrap();
    assert_eq!(lake.show("main").await, "a=1 b=2");
}

#[tokio::test]
async fn protected_branch_can_be_created_and_deleted() {
    let lake = Lake::new().await;
    protect(&lake, "ma* release-?").await.unwrap();
    lake.branch_from("release-1", "main").await;
    write(&lake, "release-1").await.unwrap_err();
    lake.delete_branch("release-1").await.unwrap();
}

/// Stores a rule for `ma*` as lakeFS does, which blocks staged writes and commits.
async fn lake_with_stored_rule() -> Lake {
    let lake = Lake::new().await;
    store(&lake, b"\x0a\x0b\x0a\x03ma*\x12\x04\x0a\x02\x00\x01").await;
    lake
}

#[tokio::test]
async fn stored_rule_blocks_writes_and_commits() {
    let lake = lake_with_stored_rule().await;
    for refused in [
        write(&lake, "main").await,
        lake.commit("main", "x").await.map(|_| ()),
    ] {
        let is_protected = matches!(refused, Err(Error::Protected { .. }));
        assert!(is_protected, "{refused:?}");
    }
}

#[tokio::test]
async fn stored_rule_allows_merges_and_commits_to_other_branches() {
    let lake = lake_with_stored_rule().await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    lake.commit("dev", "allowed").await.unwrap();
    lake.merge("dev", "main").await.unwrap();
}

#[tokio::test]
async fn changed_rules_apply_at_once_on_the_same_server() {
    let lake = Lake::new().await;
    write(&lake, "main").await.unwrap();
    protect(&lake, "main").await.unwrap();
    write(&lake, "main").await.unwrap_err();
    protect(&lake, "dev").await.unwrap();
    write(&lake, "main").await.unwrap();
    lake.graveler
        .add_protected_pattern(&lake.repo, "main")
        .await
        .unwrap();
    write(&lake, "main").await.unwrap_err();
    lake.graveler
        .remove_protected_pattern(&lake.repo, "main")
        .await
        .unwrap();
    write(&lake, "main").await.unwrap();
}

#[tokio::test]
async fn repository_without_rules_has_the_empty_tag() {
    let none = rules(&Lake::new().await).await;
    assert_eq!((none.patterns.len(), none.tag.as_str()), (0, ""));
}

#[tokio::test]
async fn rules_are_stored_once_each_in_the_form_of_lakefs() {
    let lake = Lake::new().await;
    protect(&lake, "main main").await.unwrap();
    let partition = lake.repo.partition();
    let stored = lake.kv.get(partition.as_bytes(), STORED_AT).await.unwrap();
    assert_eq!(stored.unwrap().value, MAIN_ONLY);
}

#[tokio::test]
async fn rules_of_lakefs_are_read_with_their_order_and_tag() {
    let lake = Lake::new().await;
    // Written and tagged by lakeFS 1.84, in its own order.
    let theirs = b"\n\x11\n\trelease-*\x12\x04\n\x02\x00\x01\n\x0c\n\x04main\x12\x04\n\x02\x00\x01";
    store(&lake, theirs).await;
    let read = rules(&lake).await;
    assert_eq!(read.patterns, ["release-*", "main"]);
    assert_eq!(
        read.tag,
        "88c8fe9500f463d9d66181ebc7ac6050d653cfed594b1e743e218efd7e783949"
    );
}

/// An empty list of rules is an empty record. Its tag differs from that of a missing record.
#[tokio::test]
async fn removed_rules_have_a_tag_that_allows_a_change() {
    let lake = Lake::new().await;
    protect(&lake, "main").await.unwrap();
    protect(&lake, "").await.unwrap();
    let removed = rules(&lake).await;
    assert!(removed.patterns.is_empty() && !removed.tag.is_empty());
    protect_if(&lake, "main", Some(&removed.tag)).await.unwrap();
}

#[tokio::test]
async fn rule_for_one_action_blocks_only_that_action() {
    let lake = Lake::new().await;
    // A rule that only blocks commits to `main`, as older versions of lakeFS could make.
    let commits_only = b"\x0a\x0b\x0a\x04main\x12\x03\x0a\x01\x01";
    store(&lake, commits_only).await;
    write(&lake, "main").await.unwrap();
    lake.commit("main", "x").await.unwrap_err();
    // Adding another rule leaves it unchanged.
    lake.graveler
        .add_protected_pattern(&lake.repo, "x")
        .await
        .unwrap();
    write(&lake, "main").await.unwrap();
    lake.commit("main", "x").await.unwrap_err();
}

#[tokio::test]
async fn stale_tag_is_refused() {
    let lake = Lake::new().await;
    for stale in ["stale", &"0".repeat(64)] {
        assert!(matches!(
            protect_if(&lake, "x", Some(stale)).await,
            Err(Error::Stale(_))
        ));
    }
    protect_if(&lake, "main", Some("")).await.unwrap();
    assert!(matches!(
        protect_if(&lake, "x", Some("")).await,
        Err(Error::Stale(_))
    ));
    let first = rules(&lake).await.tag;
    protect_if(&lake, "dev", Some(&first)).await.unwrap();
    assert!(matches!(
        protect_if(&lake, "x", Some(&first)).await,
        Err(Error::Stale(_))
    ));
    assert_eq!(rules(&lake).await.patterns, ["dev"]);
}

#[tokio::test]
async fn invalid_rules_change_nothing() {
    let lake = Lake::new().await;
    protect(&lake, "main").await.unwrap();
    let many = (0..3_000).map(|n| format!("branch-{n}")).collect();
    let malformed = vec!["dev".to_owned(), "[a".to_owned()];
    for (invalid, is_advised, words) in [
        (malformed, false, "pattern \"[a\""),
        (many, true, "bytes"),
        (vec![String::new()], true, "it is empty"),
    ] {
        let changed = lake
            .graveler
            .set_branch_protection(&lake.repo, &invalid, None);
        let refused = changed.await.unwrap_err();
        assert!(
            match &refused {
                Error::Advised { problem, .. } => is_advised && problem.contains(words),
                Error::InvalidValue(problem) => !is_advised && problem.contains(words),
                _ => false,
            },
            "{refused:?}"
        );
        assert_eq!(rules(&lake).await.patterns, ["main"]);
    }
}

/// lakeFS stores malformed patterns. They match nothing, and the other rules still apply.
#[tokio::test]
async fn stored_malformed_pattern_matches_nothing() {
    let lake = Lake::new().await;
    let malformed = b"\x0a\x0a\x0a\x02[a\x12\x04\x0a\x02\x00\x01";
    store(&lake, &[&malformed[..], MAIN_ONLY].concat()).await;
    write(&lake, "main").await.unwrap_err();
    lake.branch_from("a", "main").await;
    write(&lake, "a").await.unwrap();
}

#[tokio::test]
async fn adding_or_removing_a_rule_twice_fails() {
    let lake = Lake::new().await;
    let (graveler, repo) = (&lake.graveler, &lake.repo);
    graveler.add_protected_pattern(repo, "main").await.unwrap();
    assert!(matches!(
        graveler.add_protected_pattern(repo, "main").await,
        Err(Error::NotUnique {
            kind: Kind::ProtectionRule,
            ..
        })
    ));
    graveler.add_protected_pattern(repo, "dev").await.unwrap();
    assert_eq!(rules(&lake).await.patterns, ["main", "dev"]);
    graveler
        .remove_protected_pattern(repo, "main")
        .await
        .unwrap();
    assert!(matches!(
        graveler.remove_protected_pattern(repo, "main").await,
        Err(Error::NotFound {
            kind: Kind::ProtectionRule,
            ..
        })
    ));
    assert_eq!(rules(&lake).await.patterns, ["dev"]);
}

#[tokio::test]
async fn concurrently_added_rules_are_all_stored() {
    let lake = Lake::new().await;
    let yielding = Faults {
        yields: 128,
        ..Faults::default()
    };
    let yielding = server_on(
        &lake,
        Arc::new(FaultyStore::new(Arc::clone(&lake.kv), 7, yielding)),
    );
    let patterns = ["a", "b", "c", "d", "e"];
    let adding =
        patterns.map(|pattern| yielding.graveler.add_protected_pattern(&lake.repo, pattern));
    for added in futures::future::join_all(adding).await {
        added.unwrap();
    }
    let mut there = rules(&lake).await.patterns;
    there.sort_unstable();
    assert_eq!(there, patterns);
}

#[tokio::test]
async fn lost_acknowledgement_of_a_rule_change_is_no_error() {
    let lake = Lake::new().await;
    let lost_acknowledgements = Faults {
        after_write: 255,
        ..Faults::default()
    };
    let server = server_on(
        &lake,
        Arc::new(FaultyStore::new(
            Arc::clone(&lake.kv),
            7,
            lost_acknowledgements,
        )),
    );
    protect(&server, "main").await.unwrap();
    let tag = rules(&server).await.tag;
    protect_if(&server, "dev", Some(&tag)).await.unwrap();
    assert_eq!(rules(&lake).await.patterns, ["dev"]);
}

#[tokio::test]
async fn read_only_repository_refuses_rule_changes() {
    let mut lake = Lake::new().await;
    protect(&lake, "main").await.unwrap();
    lake.repo.read_only = true;
    assert!(matches!(protect(&lake, "x").await, Err(Error::ReadOnly(_))));
    let (graveler, repo) = (&lake.graveler, &lake.repo);
    for refused in [
        graveler.add_protected_pattern(repo, "x").await,
        graveler.remove_protected_pattern(repo, "main").await,
    ] {
        assert!(matches!(refused, Err(Error::ReadOnly(_))));
    }
    assert_eq!(rules(&lake).await.patterns, ["main"]);
}
