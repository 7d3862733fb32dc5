//! Undo with concurrent changes and on failing stores: nothing is lost.

use std::sync::Arc;

use kv::testing::{Faults, FaultyStore};
use kv::{MemoryStore, Store};

use super::undo::{entries, lake_on, on};
use crate::testing::{branch, committing, value};
use crate::{Condition, Error, NoHooks, Operation, UndoParams};

/// The commit lands on top of the undo, or the undo is refused, or it undoes the commit. No order loses
/// a staged write, or undoes a change other than the chosen one.
#[tokio::test]
async fn concurrent_commit_and_undo_lose_nothing() {
    for seed in 0..60 {
        let inner: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let lake = lake_on(Arc::clone(&inner)).await;
        let before = lake.head("main").await.id;
        let merged = lake.merge("dev", "main").await.unwrap().commit_id;
        let faults = Faults {
            yields: 128,
            ..Faults::default()
        };
        let yielding: Arc<dyn Store> = Arc::new(FaultyStore::new(inner, seed, faults));
        let (one, other) = (
            lake.graveler.on_store_for_tests(&yielding),
            lake.graveler.on_store_for_tests(&yielding),
        );
        lake.put("main", "c=3").await;
        let (main, of) = (branch("main"), on("main"));
        let params = UndoParams::default();
        let (commit, undone, write) = tokio::join!(
            one.commit(&lake.repo, &main, committing("c"), &NoHooks),
            other.undo(&lake.repo, &of, &params),
            lake.graveler.set(
                &lake.repo,
                &main,
                b"d",
                value("4"),
                Condition::Always,
                false
            ),
        );
        write.unwrap();
        let head = lake.head("main").await;
        match (&commit, &undone) {
            (Ok(commit), Ok(undone)) if undone.commit_id == before => {
                assert_eq!(
                    (&head.id, &head.parents),
                    (&commit.id, &vec![before]),
                    "{seed}"
                );
                assert_eq!(lake.show("main").await, "a=1 c=3 d=4");
            }
            // The undo chose the commit.
            (Ok(commit), Ok(undone)) => {
                assert_eq!(undone.entry.to.as_ref(), Some(&commit.id), "{seed}");
                assert_eq!(head.id, merged);
            }
            (Ok(commit), Err(Error::MovedOn { .. })) => {
                assert_eq!(
                    (&head.id, &head.parents),
                    (&commit.id, &vec![merged]),
                    "{seed}"
                );
                assert_eq!(lake.show("main").await, "a=2 b=2 c=3 d=4");
            }
            other => panic!("{seed}: {other:?}"),
        }
    }
}

/// Deletes and restores a branch repeatedly on a store that loses acknowledgements. The answers must
/// match the stored state, and no staged change may be lost.
#[tokio::test]
async fn lost_acknowledgements_lose_no_staged_changes() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let lake = lake_on(Arc::clone(&inner)).await;
    lake.put("dev", "c=3").await;
    let faults = Faults {
        before_write: 60,
        after_write: 90,
        ..Faults::default()
    };
    let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(inner, 7, faults));
    let graveler = lake.graveler.on_store_for_tests(&faulty);
    let (repo, dev) = (&lake.repo, branch("dev"));
    let (mut lost, mut done) = (0, 0);
    for _ in 0..100 {
        let deleted = graveler
            .delete_branch(repo, &dev, false, "tester", &NoHooks)
            .await;
        let there = lake.graveler.branch(repo, &dev).await.is_ok();
        assert_eq!(deleted.is_err(), there, "{deleted:?}");
        if there {
            continue;
        }
        loop {
            let undone = graveler
                .undo(repo, &on("dev"), &UndoParams::default())
                .await;
            let there = lake.graveler.branch(repo, &dev).await.is_ok();
            assert_eq!(undone.is_ok(), there, "{undone:?}");
            if there {
                done += 1;
                break;
            }
            lost += 1;
        }
        assert_eq!(lake.show("dev").await, "a=2 b=2 c=3");
    }
    assert!(done > 20 && lost > 5, "{done} {lost}");
    let log = entries(&lake, "dev").await;
    let undos = log.iter().filter(|e| e.operation == Operation::Undo);
    assert_eq!(undos.count(), done);
}
