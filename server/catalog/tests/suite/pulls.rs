//! Pull requests: opening, changing, listing and closing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::testing::{FaultSchedule, Turn};
use catalog::testing::{TestCatalog, creation};
use catalog::{
    Catalog, Error, NewPullRequest, PullFilter, PullRequest, PullRequestUpdate, PullStatus,
    Repository,
};
use kv::Store;
use kv::testing::{Faults, FaultyStore};

pub(super) fn new(source: &str, destination: &str) -> NewPullRequest {
    NewPullRequest {
        title: "one".to_owned(),
        description: "text".to_owned(),
        author: "me".to_owned(),
        source_branch: source.to_owned(),
        destination_branch: destination.to_owned(),
    }
}

pub(super) fn status(status: PullStatus) -> PullRequestUpdate {
    PullRequestUpdate {
        status: Some(status),
        ..PullRequestUpdate::default()
    }
}

pub(super) fn title(title: &str) -> PullRequestUpdate {
    PullRequestUpdate {
        title: Some(title.to_owned()),
        ..PullRequestUpdate::default()
    }
}

/// A repository with `main` and a branch `dev` that is one commit ahead.
pub(super) async fn lake() -> (TestCatalog, Repository) {
    prepare(TestCatalog::new()).await
}

pub(super) async fn prepare(lake: TestCatalog) -> (TestCatalog, Repository) {
    let repository = lake.repository("lake").await;
    lake.create_branch(&repository, "dev", "main", false, false, "me")
        .await
        .unwrap();
    change(&lake, &repository, "a").await;
    (lake, repository)
}

/// Commits an object to `dev`.
pub(super) async fn change(lake: &TestCatalog, repository: &Repository, path: &str) {
    lake.put(repository, "dev", path, "1").await;
    lake.commit(repository, "dev", path).await;
}

pub(super) async fn open(lake: &TestCatalog, repository: &Repository) -> PullRequest {
    lake.create_pull_request(repository, new("dev", "main"))
        .await
        .unwrap()
}

pub(super) fn faulty(lake: &TestCatalog, faults: Faults) -> Catalog {
    let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(kv, 7, faults));
    lake.with_store(&store)
}

#[track_caller]
pub(super) fn assert_invalid<T: std::fmt::Debug>(outcome: catalog::Result<T>, words: &str) {
    match outcome {
        Err(
            refused @ (Error::InvalidValue(_)
            | Error::InvalidPullRequestId(_)
            | Error::SameBranches
            | Error::PullRequestStatus(_)),
        ) => assert!(refused.to_string().contains(words), "{refused}"),
        other => panic!("{words}: {other:?}"),
    }
}

#[tokio::test]
async fn request_is_opened_renamed_and_merged() {
    let (lake, repository) = lake().await;
    let opened = open(&lake, &repository).await;
    assert_eq!(opened.status, PullStatus::Open);
    assert_eq!(
        lake.pull_request(&repository, &opened.id).await.unwrap(),
        opened
    );
    lake.update_pull_request(&repository, &opened.id, title("renamed"))
        .await
        .unwrap();

    lake.clock.advance(Duration::from_secs(5));
    let merge = lake
        .merge_pull_request(&repository, &opened.id, "merger")
        .await
        .unwrap();
    assert_eq!(lake.paths(&repository, "main").await, "a");
    let head = lake
        .catalog
        .reader()
        .commit(&repository, "main")
        .await
        .unwrap();
    assert_eq!(head.id, merge);
    assert_eq!(head.message, "Merge 'dev' into 'main'");
    assert_eq!(head.committer, "merger");

    let merged = lake.pull_request(&repository, &opened.id).await.unwrap();
    let expected = PullRequest {
        status: PullStatus::Merged,
        title: "renamed".to_owned(),
        closed_at: Some(opened.created_at + Duration::from_secs(5)),
        merged_commit: Some(merge),
        ..opened
    };
    assert_eq!(merged, expected);
}

#[tokio::test]
async fn merged_request_cannot_be_merged_reopened_or_closed() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    lake.merge_pull_request(&repository, &id, "merger")
        .await
        .unwrap();
    assert_invalid(
        lake.merge_pull_request(&repository, &id, "me").await,
        "bad pull request status",
    );
    for other in [PullStatus::Open, PullStatus::Closed] {
        assert_invalid(
            lake.update_pull_request(&repository, &id, status(other))
                .await,
            "merged, which is final",
        );
    }
}

#[tokio::test]
async fn merged_request_can_be_renamed() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    lake.merge_pull_request(&repository, &id, "merger")
        .await
        .unwrap();
    let renamed = lake
        .update_pull_request(&repository, &id, title("done"))
        .await
        .unwrap();
    assert_eq!(
        (renamed.status, renamed.title.as_str()),
        (PullStatus::Merged, "done")
    );
}

#[tokio::test]
async fn closed_request_must_be_reopened_before_the_merge() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    let closed = lake
        .update_pull_request(&repository, &id, status(PullStatus::Closed))
        .await
        .unwrap();
    assert!(closed.closed_at.is_some());
    assert_invalid(
        lake.merge_pull_request(&repository, &id, "me").await,
        "reopen it first",
    );
    assert_invalid(
        lake.update_pull_request(&repository, &id, status(PullStatus::Merged))
            .await,
        "merge it instead",
    );
    // Closing a closed request does not change its closing time.
    lake.clock.advance(Duration::from_secs(5));
    let again = lake
        .update_pull_request(&repository, &id, status(PullStatus::Closed))
        .await
        .unwrap();
    assert_eq!(again, closed);
    let opened = lake
        .update_pull_request(&repository, &id, status(PullStatus::Open))
        .await
        .unwrap();
    assert_eq!((opened.status, opened.closed_at), (PullStatus::Open, None));
    lake.merge_pull_request(&repository, &id, "me")
        .await
        .unwrap();
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let (lake, repository) = lake().await;
    assert_invalid(
        lake.create_pull_request(&repository, new("dev", "dev"))
            .await,
        "are the same",
    );
    for (source, destination) in [("none", "main"), ("dev", "none")] {
        assert!(matches!(
            lake.create_pull_request(&repository, new(source, destination))
                .await,
            Err(Error::NotFound { .. })
        ));
    }
    let long = "x".repeat(catalog::MAX_PULL_DESCRIPTION_BYTES + 1);
    for bad in [
        NewPullRequest {
            title: long.clone(),
            ..new("dev", "main")
        },
        NewPullRequest {
            description: long.clone(),
            ..new("dev", "main")
        },
    ] {
        assert_invalid(lake.create_pull_request(&repository, bad).await, "at most");
    }
    let id = open(&lake, &repository).await.id;
    assert_invalid(
        lake.update_pull_request(&repository, &id, title(&long))
            .await,
        "at most",
    );
    assert_invalid(lake.pull_request(&repository, "none").await, "invalid");
    assert!(matches!(
        lake.pull_request(&repository, "4oojt2hksdudq1pb8vhg").await,
        Err(Error::NoSuchPullRequest(_))
    ));
}

#[tokio::test]
async fn requests_are_listed_newest_first_in_pages() {
    let (lake, repository) = lake().await;
    let mut ids = Vec::new();
    for n in 0..250 {
        let pull = open(&lake, &repository).await;
        if n % 2 == 0 {
            lake.update_pull_request(&repository, &pull.id, status(PullStatus::Closed))
                .await
                .unwrap();
        }
        ids.insert(0, pull.id);
        lake.clock.advance(Duration::from_secs(1));
    }
    lake.merge_pull_request(&repository, &ids[0], "me")
        .await
        .unwrap();

    let walk = async |filter, limit| {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = lake
                .list_pull_requests(&repository, filter, "", &after, limit)
                .await
                .unwrap();
            assert!(page.results.len() <= limit);
            found.extend(page.results.iter().map(|pull| pull.id.clone()));
            if !page.has_more {
                return found;
            }
            assert_eq!(found.last(), Some(&page.next_offset));
            after = page.next_offset;
        }
    };
    assert_eq!(walk(PullFilter::All, 70).await, ids);
    assert_eq!(walk(PullFilter::All, 125).await, ids);
    let (open, closed) = (
        walk(PullFilter::Open, 30).await,
        walk(PullFilter::Closed, 1_000).await,
    );
    assert_eq!((open.len(), closed.len()), (124, 126));
    assert_eq!(closed[0], ids[0], "merged requests count as closed");
    assert!(open.iter().all(|id| !closed.contains(id)));
    let one = lake
        .list_pull_requests(&repository, PullFilter::All, &ids[7], "", 10)
        .await
        .unwrap();
    assert_eq!(one.results.len(), 1);
}

#[tokio::test]
async fn concurrent_updates_are_all_kept() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    let yielding = faulty(
        &lake,
        Faults {
            yields: 128,
            ..Faults::default()
        },
    );
    let updates = [
        title("renamed"),
        PullRequestUpdate {
            description: Some("more".to_owned()),
            ..PullRequestUpdate::default()
        },
        status(PullStatus::Closed),
    ];
    let updates = updates.map(|update| yielding.update_pull_request(&repository, &id, update));
    for updated in futures::future::join_all(updates).await {
        updated.unwrap();
    }
    let pull = lake.pull_request(&repository, &id).await.unwrap();
    assert_eq!(
        (pull.title.as_str(), pull.description.as_str(), pull.status),
        ("renamed", "more", PullStatus::Closed)
    );
}

#[tokio::test]
async fn write_with_lost_acknowledgement_succeeds() {
    let (lake, repository) = lake().await;
    let server = faulty(
        &lake,
        Faults {
            after_write: 255,
            ..Faults::default()
        },
    );
    let opened = server
        .create_pull_request(&repository, new("dev", "main"))
        .await
        .unwrap();
    server
        .update_pull_request(&repository, &opened.id, title("renamed"))
        .await
        .unwrap();
    let pull = lake.pull_request(&repository, &opened.id).await.unwrap();
    assert_eq!(pull.title, "renamed");
}

/// Another server deletes the repository at one step of this server.
#[derive(Debug)]
struct DeletedAt(usize, AtomicUsize, TestCatalog);

impl FaultSchedule for DeletedAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.1.fetch_add(1, Ordering::Relaxed) == self.0 {
                self.2.delete_repository("lake", false).await.unwrap();
            }
        })
    }
}

#[tokio::test]
async fn no_request_is_opened_in_a_deleted_repository() {
    let mut refused = 0;
    for turn in 0.. {
        let (lake, repository) = lake().await;
        let schedule = Arc::new(DeletedAt(turn, AtomicUsize::new(0), lake.clone()));
        let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
        let store = FaultyStore::with_schedule(kv, Faults::default(), Arc::clone(&schedule) as _);
        let store: Arc<dyn Store> = Arc::new(store);
        let server = lake.with_store(&store);
        let opened = server.create_pull_request(&repository, new("dev", "main"));
        refused += usize::from(opened.await.is_err());
        if schedule.1.load(Ordering::Relaxed) <= turn {
            break;
        }
        for partition in [repository.partition().as_str(), "pulls"] {
            let left = lake.records(partition).await;
            assert!(left.is_empty(), "deleted at turn {turn}: {left:?}");
        }
    }
    assert!(refused > 4, "{refused}");
}

#[tokio::test]
async fn newest_request_of_two_branches_is_indexed_for_lakefs() {
    let (lake, repository) = lake().await;
    open(&lake, &repository).await;
    let newest = open(&lake, &repository).await.id;
    let key = format!("repos/{}/dev/main", repository.partition());
    let indexed = lake.kv.get(b"pulls", key.as_bytes()).await.unwrap();
    assert_eq!(
        indexed.unwrap().value,
        [b"\x0a\x14", newest.as_bytes()].concat()
    );
}

#[tokio::test]
async fn read_only_repository_refuses_new_requests() {
    let lake = TestCatalog::new();
    let mut request = creation("lake");
    request.read_only = true;
    let repository = lake.create_repository(request).await.unwrap();
    let id = "4oojt2hksdudq1pb8vhg";
    for refused in [
        lake.create_pull_request(&repository, new("dev", "main"))
            .await
            .map(|_| ()),
        lake.update_pull_request(&repository, id, title("x"))
            .await
            .map(|_| ()),
        lake.merge_pull_request(&repository, id, "me")
            .await
            .map(|_| ()),
    ] {
        assert!(matches!(refused, Err(Error::ReadOnly(_))));
    }
}
