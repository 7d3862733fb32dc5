//! Tasks and uploads that start while another server deletes their repository leave no records behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::testing::{FaultSchedule, Turn};
use catalog::testing::{TestCatalog, commit_params, merge_params};
use catalog::{
    Catalog, CompletedPart, Error, ObjectTarget, PartInfo, Repository, Result, TaskKind,
    UploadOptions, from_bytes,
};
use kv::Store;
use kv::testing::{Faults, FaultyStore};

const BEGINNINGS: &[&str] = &[
    "dump",
    "collection",
    "commit",
    "merge",
    "upload",
    "whole upload",
];

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

async fn begin(server: &Catalog, repository: &Repository, what: &str) -> Result<()> {
    match what {
        "dump" => server.submit_dump(repository).await.map(drop),
        "collection" => server
            .submit_task::<Nothing, _>(repository, TaskKind::PREPARE_GC_COMMITS, |_| async {
                Ok(Nothing {})
            })
            .await
            .map(drop),
        "commit" => {
            let params = commit_params("one");
            server
                .submit_commit(repository, "dev", params)
                .await
                .map(drop)
        }
        "merge" => server
            .submit_merge(repository, "dev", "main", merge_params())
            .await
            .map(drop),
        "upload" => {
            let to = ObjectTarget {
                repository,
                branch: "main",
                path: "big",
            };
            let options = UploadOptions::default();
            server.create_multipart(to, &options).await.map(drop)
        }
        "whole upload" => {
            let to = ObjectTarget {
                repository,
                branch: "main",
                path: "whole",
            };
            let options = UploadOptions::default();
            let id = server.create_multipart(to, &options).await?.upload_id;
            let PartInfo { number, etag, .. } = server
                .put_part(to, &id, 1, from_bytes("part".into()))
                .await?;
            let parts = [CompletedPart { number, etag }];
            server
                .complete_multipart(to, &id, &parts, false)
                .await
                .map(drop)
        }
        other => panic!("{other}"),
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        // The record was deleted with the repository.
        Error::NoSuchUpload(_) | Error::InDeletion(_) | Error::NotFound { .. }
    )
}

/// At a given scheduling turn, another server starts work or deletes the repository.
#[derive(Debug)]
struct OtherServerAt {
    turn: usize,
    turns: AtomicUsize,
    refused: AtomicUsize,
    lake: TestCatalog,
    repository: Repository,
    /// What to start; none to delete the repository.
    begins: Option<&'static str>,
}

impl FaultSchedule for OtherServerAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.turns.fetch_add(1, Ordering::Relaxed) != self.turn {
                return;
            }
            let Some(what) = self.begins else {
                self.lake.delete_repository("lake", false).await.unwrap();
                return;
            };
            if let Err(error) = begin(&self.lake, &self.repository, what).await {
                assert!(is_refusal(&error), "{what}, at turn {}: {error}", self.turn);
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

async fn assert_nothing_is_left(at: &OtherServerAt, what: &str) {
    let partition = at.repository.partition();
    let reflog = format!("weir-reflog-{partition}");
    for records in [
        partition.as_str(),
        &reflog,
        "weir-tasks",
        "weir-task-findings",
        "weir-task-branches",
        "weir-multiparts",
        "weir-multiparts-done",
        "multiparts",
    ] {
        let left = at.lake.records(records).await;
        assert_eq!(left, [""; 0], "{what} at turn {}, {records}", at.turn);
    }
}

/// A server, and a schedule that makes another server act at the given step of it.
async fn with_other_server_at(
    turn: usize,
    begins: Option<&'static str>,
) -> (Arc<OtherServerAt>, Catalog) {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.create_branch(&repository, "dev", "main", false, false, "me")
        .await
        .unwrap();
    lake.put(&repository, "dev", "a", "1").await;
    for what in BEGINNINGS {
        // Ensures that the deletion finds records of each type.
        begin(&lake, &repository, what).await.unwrap();
    }
    let (kv, at) = (
        Arc::<kv::MemoryStore>::clone(&lake.kv),
        Arc::new(OtherServerAt {
            turn,
            turns: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            lake: lake.another_server(),
            repository,
            begins,
        }),
    );
    lake.drain().await;
    let schedule: Arc<dyn FaultSchedule> = Arc::clone(&at) as _;
    let store: Arc<dyn Store> =
        Arc::new(FaultyStore::with_schedule(kv, Faults::default(), schedule));
    let server = lake.with_store(&store);
    (at, server)
}

#[tokio::test]
async fn work_started_during_a_deletion_is_refused_or_deleted() {
    for what in BEGINNINGS {
        let mut refused = 0;
        for turn in 0.. {
            let (at, server) = with_other_server_at(turn, Some(what)).await;
            server.delete_repository("lake", false).await.unwrap();
            at.lake.drain().await;
            if at.turns.load(Ordering::Relaxed) <= turn {
                break;
            }
            assert_nothing_is_left(&at, what).await;
            refused += at.refused.load(Ordering::Relaxed);
        }
        assert!(refused > 5, "{what}: {refused}");
    }
}

#[tokio::test]
async fn no_work_starts_in_a_repository_that_another_server_deleted() {
    for what in BEGINNINGS {
        let mut refused = 0;
        for turn in 0.. {
            let (at, server) = with_other_server_at(turn, None).await;
            let begun = begin(&server, &at.repository, what).await;
            let turns = at.turns.load(Ordering::Relaxed);
            server.drain().await;
            if turns <= turn {
                break;
            }
            if let Err(error) = begun {
                assert!(is_refusal(&error), "{what}, at turn {turn}: {error}");
                refused += 1;
            }
            assert_nothing_is_left(&at, what).await;
        }
        assert!(refused > 1, "{what}: {refused}");
    }
}
