//! Staged changes that an undo restores, and how long they are kept.

use std::sync::Arc;
use std::time::Duration;

use kv::MemoryStore;

use super::undo::{lake_with_dev, newest, on, undo, wait_and_retire};
use crate::testing::{Lake, branch, committing};
use crate::{Error, Kind, NoHooks, Operation, Options};

/// A lake with the hidden branch `quiet`, which has staged changes in a sealed and in a writable token:
/// `a` deleted, `b=3 c=4`.
async fn lake_with_quiet() -> Lake {
    let lake = lake_with_dev().await;
    lake.graveler
        .create_branch(
            &lake.repo,
            &branch("quiet"),
            "dev",
            true,
            false,
            "tester",
            &NoHooks,
        )
        .await
        .unwrap();
    lake.put("quiet", "b=3 c=3").await;
    // A refused commit leaves a sealed token; later changes are above it.
    let refusing = crate::testing::Recorder::refusing(crate::EventKind::PreCommit);
    let refused = lake.commit_with("quiet", committing("no"), &refusing).await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    lake.put("quiet", "c=4").await;
    lake.delete("quiet", "a").await.unwrap();
    lake
}

#[tokio::test]
async fn deletion_of_a_branch_keeps_its_tokens() {
    let lake = lake_with_quiet().await;
    let retired = lake.retired_tokens().await;
    lake.delete_branch("quiet").await.unwrap();
    assert_eq!(lake.retired_tokens().await, retired);
}

#[tokio::test]
async fn deleted_branch_is_restored_with_its_staged_changes() {
    let lake = lake_with_quiet().await;
    let quiet = branch("quiet");
    let before = lake.graveler.branch(&lake.repo, &quiet).await.unwrap();
    lake.delete_branch("quiet").await.unwrap();
    let undone = undo(&lake, &on("quiet"), None).await.unwrap();
    assert_eq!(undone.entry.operation, Operation::Delete);
    assert!(undone.restored_staged);
    let after = lake.graveler.branch(&lake.repo, &quiet).await.unwrap();
    assert_eq!(after.record.commit_id, before.record.commit_id);
    assert!(after.record.hidden);
    assert_eq!(lake.show("quiet").await, "b=3 c=4");
}

/// The restored branch is an ordinary branch: its changes are not retired later.
#[tokio::test]
async fn restored_changes_can_be_committed() {
    let lake = lake_with_quiet().await;
    lake.delete_branch("quiet").await.unwrap();
    undo(&lake, &on("quiet"), None).await.unwrap();
    wait_and_retire(&lake).await;
    lake.commit("quiet", "after all").await.unwrap();
    assert_eq!(lake.show("quiet@").await, "b=3 c=4");
}

#[tokio::test]
async fn staged_changes_are_kept_for_a_limited_time() {
    let lake = lake_with_dev().await;
    let retired = lake.retired_tokens().await;
    lake.put("dev", "c=3").await;
    lake.delete_branch("dev").await.unwrap();
    lake.clock
        .advance(Options::default().keep_staged - Duration::from_secs(1));
    assert_eq!(lake.graveler.retire_kept().await.unwrap(), 0);
    lake.clock.advance(Duration::from_secs(1));
    assert_eq!(lake.graveler.retire_kept().await.unwrap(), 1);
    assert_eq!(lake.retired_tokens().await, retired + 1);
    assert_eq!(
        lake.graveler.retire_kept().await.unwrap(),
        0,
        "each is retired once"
    );

    let undone = undo(&lake, &on("dev"), None).await.unwrap();
    assert!(!undone.restored_staged);
    assert_eq!(lake.show("dev").await, "a=2 b=2");
}

#[tokio::test]
async fn zero_keep_staged_keeps_nothing() {
    let options = Options {
        keep_staged: Duration::ZERO,
        ..Options::default()
    };
    let lake = Lake::with(Arc::new(MemoryStore::default()), "lake", options).await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    lake.delete_branch("dev").await.unwrap();
    assert_eq!(lake.retired_tokens().await, 1);
    assert!(!undo(&lake, &on("dev"), None).await.unwrap().restored_staged);
    assert_eq!(lake.show("dev").await, "");
}

#[tokio::test]
async fn deleting_a_repository_retires_kept_changes() {
    let lake = lake_with_dev().await;
    lake.put("dev", "c=3").await;
    let tokens = lake
        .graveler
        .branch(&lake.repo, &branch("dev"))
        .await
        .unwrap();
    lake.delete_branch("dev").await.unwrap();
    lake.graveler
        .delete_repository(&lake.repo.id, false)
        .await
        .unwrap();
    let token = tokens.record.staging_token.to_string();
    let recorded = lake
        .kv
        .get(b"cleanup-tokens", token.as_bytes())
        .await
        .unwrap();
    assert!(recorded.is_some(), "the token must be retired");
    let partition = format!("weir-reflog-{}", lake.repo.partition());
    let left = lake.kv.scan(partition.as_bytes(), b"", 9).await.unwrap();
    assert_eq!(left.entries, []);
    let late = undo(&lake, &on("dev"), None).await;
    assert!(
        matches!(
            late,
            Err(Error::NotFound {
                kind: Kind::ReflogEntry,
                ..
            })
        ),
        "{late:?}"
    );
}

#[tokio::test]
async fn undo_of_a_reset_fails_once_nothing_is_kept() {
    let lake = lake_with_dev().await;
    lake.put("dev", "a=5").await;
    lake.reset("dev", "*").await.unwrap();
    assert_eq!(wait_and_retire(&lake).await, 1);
    let late = undo(&lake, &on("dev"), None).await;
    assert!(
        matches!(&late, Err(Error::InvalidValue(why)) if why.contains("nothing to undo")),
        "{late:?}"
    );
}

/// A deleted branch keeps its token even if the token is empty. `keeps_staged` must say whether it has
/// changes.
#[tokio::test]
async fn keeps_staged_is_false_for_empty_tokens() {
    for (staged, is_kept) in [("nothing", false), ("a write", true), ("a deletion", true)] {
        let lake = lake_with_dev().await;
        match staged {
            "a write" => lake.put("dev", "c=3").await,
            "a deletion" => lake.delete("dev", "a").await.unwrap(),
            _ => {}
        }
        lake.delete_branch("dev").await.unwrap();
        let of = on("dev");
        for listed in [None, Some(&of)] {
            let page = lake.graveler.reflog(&lake.repo, listed, "", 1_000).await;
            let entries = page.unwrap().results;
            assert_eq!(entries[0].keeps_staged(), is_kept, "{staged}");
            assert!(entries[1..].iter().all(|entry| !entry.keeps_staged()));
        }
        for id in [None, Some(newest(&lake, &of).await)] {
            let entry = lake
                .graveler
                .entry_to_undo(&lake.repo, &of, id.as_deref())
                .await;
            assert_eq!(entry.unwrap().keeps_staged(), is_kept, "{staged}");
        }
        let undone = undo(&lake, &of, None).await.unwrap();
        assert_eq!(undone.restored_staged, is_kept, "{staged}");
        assert_eq!(undone.entry.keeps_staged(), is_kept, "{staged}");
    }
}
