//! An interrupted restore is repeated after others have changed the repository.

use super::dump::{bare, dump, refs, restore};
use super::racing_store::{Moment, RacingStore};
use crate::records::{RESTORES, Stored as _, branch_key, tag_key};
use crate::testing::{Lake, branch, committing};
use crate::{
    Branch, BranchRecord, CommitId, Error, Kind, NoHooks, RefsDump, Repository, RestoreRefs,
    StagingToken, Tag, TagId,
};

async fn begin(lake: &Lake, target: &Repository, dump: &RefsDump) {
    let begun = RestoreRefs {
        dump,
        force: false,
        actor: "tests",
        token: "",
    };
    let engine = &lake.graveler;
    engine.begin_restore(target, &begun).await.unwrap();
}

fn a_branch(name: &str, at: &CommitId) -> Branch {
    Branch {
        id: branch(name),
        record: BranchRecord {
            commit_id: at.clone(),
            staging_token: StagingToken::trusted(format!("{name}:theirs")),
            sealed_tokens: Vec::new(),
            hidden: false,
        },
    }
}

fn a_tag(name: &str, at: &CommitId) -> Tag {
    Tag {
        id: TagId::trusted(name),
        commit_id: at.clone(),
    }
}

async fn set(lake: &Lake, target: &Repository, key: &[u8], value: bytes::Bytes) {
    let partition = target.partition();
    lake.kv.set(partition.as_bytes(), key, value).await.unwrap();
}

/// A lake with a commit and a tag on `main`, its dump, and a bare repository for it.
async fn dumped() -> (Lake, RefsDump, Repository) {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "first").await.unwrap();
    lake.graveler
        .create_tag(
            &lake.repo,
            &TagId::trusted("v1"),
            "main",
            false,
            "me",
            &NoHooks,
        )
        .await
        .unwrap();
    let dump = dump(&lake).await;
    let target = bare(&lake, "target").await;
    (lake, dump, target)
}

#[tokio::test]
async fn restore_refuses_a_branch_that_others_created_at_another_commit() {
    let (lake, dump, target) = dumped().await;
    let head = lake.head("main").await;
    begin(&lake, &target, &dump).await;
    let theirs = a_branch("main", &head.parents[0]);
    set(&lake, &target, &branch_key("main"), theirs.encode()).await;

    let refused = restore(&lake.graveler, &target, &dump).await;
    let Err(Error::MovedOn { problem, advice }) = refused else {
        panic!("{refused:?}");
    };
    for part in [head.id.as_str(), head.parents[0].as_str()] {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    assert!(advice.contains("reset the branch"), "{advice}");
    let main = lake
        .graveler
        .branch(&target, &branch("main"))
        .await
        .unwrap();
    assert_eq!(main, theirs, "the branch must stay unchanged");

    // Follow the advice of the message.
    lake.graveler
        .hard_reset(&target, &branch("main"), head.id.as_str(), false, "me")
        .await
        .unwrap();
    restore(&lake.graveler, &target, &dump).await.unwrap();
    let (then, now) = (
        refs(&lake.graveler, &lake.repo).await,
        refs(&lake.graveler, &target).await,
    );
    assert_eq!(then, now);
}

#[tokio::test]
async fn restore_refuses_a_tag_that_others_created_at_another_commit() {
    let (lake, dump, target) = dumped().await;
    let head = lake.head("main").await;
    begin(&lake, &target, &dump).await;
    let theirs = a_tag("v1", &head.parents[0]);
    set(&lake, &target, &tag_key("v1"), theirs.encode()).await;
    let refused = restore(&lake.graveler, &target, &dump).await;
    assert!(
        matches!(&refused, Err(Error::MovedOn { advice, .. }) if advice.contains("delete the tag")),
        "{refused:?}"
    );
    lake.graveler
        .delete_tag(&target, &theirs.id, false, "me", &NoHooks)
        .await
        .unwrap();
    restore(&lake.graveler, &target, &dump).await.unwrap();
}

#[tokio::test]
async fn repeated_restore_accepts_a_branch_with_new_commits() {
    let (lake, dump, target) = dumped().await;
    restore(&lake.graveler, &target, &dump).await.unwrap();
    // As if the restore had been interrupted at its very end.
    let partition = target.partition();
    lake.kv
        .delete(RESTORES, partition.as_bytes())
        .await
        .unwrap();
    begin(&lake, &target, &dump).await;
    let mut params = committing("later");
    params.allow_empty = true;
    let later = lake
        .graveler
        .commit(&target, &branch("main"), params, &NoHooks)
        .await
        .unwrap();
    restore(&lake.graveler, &target, &dump).await.unwrap();
    let main = lake
        .graveler
        .branch(&target, &branch("main"))
        .await
        .unwrap();
    assert_eq!(main.record.commit_id, later.id);
}

#[tokio::test]
async fn restore_fails_if_a_name_was_taken() {
    for landed in ["before", "between"] {
        let (lake, dump, target) = dumped().await;
        let at = lake.head("main").await.id;
        begin(&lake, &target, &dump).await;
        // A tag with the branch's name, which must be unique.
        let theirs = a_tag("main", &at);
        let landing = vec![kv::Op::Set {
            partition: target.partition().into(),
            key: tag_key("main"),
            value: theirs.encode(),
            predicate: None,
        }];
        let server = match landed {
            "before" => {
                lake.kv.batch(landing).await.unwrap();
                lake.graveler.fork_for_tests()
            }
            // After the check that the name is free.
            _ => {
                let store = RacingStore::store(&lake.kv, Moment::Read("tags/main"), landing);
                lake.graveler.on_store_for_tests(&store)
            }
        };
        let refused = restore(&server, &target, &dump).await;
        assert!(
            matches!(&refused, Err(Error::NotUnique { kind: Kind::Tag, id }) if id == "main"),
            "{landed}: {refused:?}"
        );
        let none = lake.graveler.branch(&target, &branch("main")).await;
        assert!(matches!(none, Err(Error::NotFound { .. })), "{none:?}");
    }
}

/// In lakeFS, a branch and a tag of one name can be created at the same time. A dump with both is
/// restored unchanged.
#[tokio::test]
async fn branch_and_tag_of_the_same_name_in_a_dump_are_restored() {
    let (lake, _, target) = dumped().await;
    let at = lake.head("main").await.id;
    let partition = lake.repo.partition();
    let both = a_tag("main", &at).encode();
    lake.kv
        .set(partition.as_bytes(), &tag_key("main"), both)
        .await
        .unwrap();
    let dump = dump(&lake).await;
    restore(&lake.graveler, &target, &dump).await.unwrap();
    let (then, now) = (
        refs(&lake.graveler, &lake.repo).await,
        refs(&lake.graveler, &target).await,
    );
    assert_eq!(then, now);
}
