//! Pull requests: opened, talked about, merged once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::testing::{Fate, Turn};
use catalog::testing::{TestCatalog, creation, merge_params};
use catalog::{
    Catalog, EngineError, Error, NewPullRequest, PullFilter, PullRequest, PullRequestUpdate,
    PullStatus, Repository,
};
use graveler::{EventKind, HookOutcome, Hooks, Rejection};
use kv::Store;
use kv::testing::{Faults, FaultyStore};
use tokio::sync::Semaphore;

fn new(source: &str, destination: &str) -> NewPullRequest {
    NewPullRequest {
        title: "one".to_owned(),
        description: "text".to_owned(),
        author: "me".to_owned(),
        source_branch: source.to_owned(),
        destination_branch: destination.to_owned(),
    }
}

fn status(status: PullStatus) -> PullRequestUpdate {
    PullRequestUpdate {
        status: Some(status),
        ..PullRequestUpdate::default()
    }
}

fn title(title: &str) -> PullRequestUpdate {
    PullRequestUpdate {
        title: Some(title.to_owned()),
        ..PullRequestUpdate::default()
    }
}

/// A repository with `main`, and `dev` that is one commit ahead of it.
async fn lake() -> (TestCatalog, Repository) {
    prepare(TestCatalog::new()).await
}

async fn prepare(lake: TestCatalog) -> (TestCatalog, Repository) {
    let repository = lake.repository("lake").await;
    lake.create_branch(&repository, "dev", "main", false, false, "me")
        .await
        .unwrap();
    change(&lake, &repository, "a").await;
    (lake, repository)
}

/// Commits an object to `dev`.
async fn change(lake: &TestCatalog, repository: &Repository, path: &str) {
    lake.put(repository, "dev", path, "1").await;
    lake.commit(repository, "dev", path).await;
}

async fn open(lake: &TestCatalog, repository: &Repository) -> PullRequest {
    lake.create_pull_request(repository, new("dev", "main"))
        .await
        .unwrap()
}

fn faulty(lake: &TestCatalog, faults: Faults) -> Catalog {
    let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(kv, 7, faults));
    lake.through(&store)
}

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(outcome: catalog::Result<T>, words: &str) {
    match outcome {
        Err(Error::InvalidValue(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{words}: {other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_opened_renamed_and_merged() {
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
    let head = lake.catalog.commit(&repository, "main").await.unwrap();
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

    // Merged is final; words about it are not.
    assert_invalid(
        lake.merge_pull_request(&repository, &merged.id, "me").await,
        "bad pull request status",
    );
    for other in [PullStatus::Open, PullStatus::Closed] {
        assert_invalid(
            lake.update_pull_request(&repository, &merged.id, status(other))
                .await,
            "merged, which is final",
        );
    }
    let renamed = lake
        .update_pull_request(&repository, &merged.id, title("done"))
        .await
        .unwrap();
    assert_eq!(
        (renamed.status, renamed.title.as_str()),
        (PullStatus::Merged, "done")
    );
}

#[tokio::test]
async fn a_closed_request_is_opened_again_before_it_is_merged() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    let closed = lake
        .update_pull_request(&repository, &id, status(PullStatus::Closed))
        .await
        .unwrap();
    assert!(closed.closed_at.is_some());
    assert_invalid(
        lake.merge_pull_request(&repository, &id, "me").await,
        "open it again first",
    );
    assert_invalid(
        lake.update_pull_request(&repository, &id, status(PullStatus::Merged))
            .await,
        "by being merged",
    );
    // Closing it again is no other time of closing.
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
async fn what_cannot_be_a_request_is_refused() {
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
            Err(Error::Engine(EngineError::NotFound { .. }))
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
        assert_invalid(
            lake.create_pull_request(&repository, bad).await,
            "make it at most",
        );
    }
    let id = open(&lake, &repository).await.id;
    assert_invalid(
        lake.update_pull_request(&repository, &id, title(&long))
            .await,
        "make it at most",
    );
    assert_invalid(lake.pull_request(&repository, "none").await, "invalid");
    assert!(matches!(
        lake.pull_request(&repository, "4oojt2hksdudq1pb8vhg").await,
        Err(Error::NoSuchPullRequest(_))
    ));
}

#[tokio::test]
async fn pages_of_requests_newest_first() {
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
    assert_eq!(closed[0], ids[0], "merged is closed");
    assert!(open.iter().all(|id| !closed.contains(id)));
    let one = lake
        .list_pull_requests(&repository, PullFilter::All, &ids[7], "", 10)
        .await
        .unwrap();
    assert_eq!(one.results.len(), 1);
}

#[tokio::test]
async fn a_request_is_merged_and_says_so_or_neither() {
    let (mut merged, mut not_merged) = (0, 0);
    for seed in 0..60 {
        let (lake, repository) = lake().await;
        let id = open(&lake, &repository).await.id;
        let faults = Faults {
            before_write: 60,
            after_write: 60,
            ..Faults::default()
        };
        let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
        let store: Arc<dyn Store> = Arc::new(FaultyStore::new(kv, seed, faults));
        let shaky = lake.through(&store);
        let outcome = shaky.merge_pull_request(&repository, &id, "me").await;

        let pull = lake.pull_request(&repository, &id).await.unwrap();
        let head = lake.catalog.commit(&repository, "main").await.unwrap();
        if head.parents.len() == 2 {
            assert_eq!(
                (pull.status, pull.merged_commit.as_ref()),
                (PullStatus::Merged, Some(&head.id)),
                "seed {seed}: {outcome:?}"
            );
            assert_eq!(outcome.unwrap(), head.id, "seed {seed}");
            merged += 1;
        } else {
            assert_eq!(pull.status, PullStatus::Open, "seed {seed}: {outcome:?}");
            lake.merge_pull_request(&repository, &id, "me")
                .await
                .unwrap();
            not_merged += 1;
        }
    }
    assert!(
        merged > 10 && not_merged > 10,
        "{merged} merged, {not_merged} not"
    );
}

/// Hooks that hold merges up until they are let through.
#[derive(Debug)]
struct Gate {
    entered: Semaphore,
    free: Semaphore,
}

#[async_trait::async_trait]
impl Hooks for Gate {
    async fn before(&self, event: &graveler::Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind == EventKind::PreMerge {
            self.entered.add_permits(1);
            self.free.acquire().await.unwrap().forget();
        }
        Ok(HookOutcome::default())
    }

    async fn after(&self, _: graveler::Event) {}
}

/// What becomes of a merge whose request is changed while its hooks run.
async fn merged_while(
    change: PullRequestUpdate,
) -> (TestCatalog, Repository, catalog::Result<()>, PullRequest) {
    let gate = Arc::new(Gate {
        entered: Semaphore::new(0),
        free: Semaphore::new(0),
    });
    let hooks = Arc::clone(&gate);
    let (lake, repository) = prepare(TestCatalog::with_hooks(move |_| hooks)).await;
    let id = open(&lake, &repository).await.id;
    let merging = tokio::spawn({
        let (lake, repository, id) = (lake.clone(), repository.clone(), id.clone());
        async move { lake.merge_pull_request(&repository, &id, "me").await }
    });
    gate.entered.acquire().await.unwrap().forget();
    lake.update_pull_request(&repository, &id, change)
        .await
        .unwrap();
    gate.free.add_permits(10);
    let outcome = merging.await.unwrap().map(|_| ());
    let pull = lake.pull_request(&repository, &id).await.unwrap();
    (lake, repository, outcome, pull)
}

#[tokio::test]
async fn a_request_that_is_closed_while_hooks_look_at_its_merge_is_not_merged() {
    let (lake, repository, outcome, pull) = merged_while(status(PullStatus::Closed)).await;
    assert_invalid(outcome, "open it again first");
    assert_eq!(
        (pull.status, pull.merged_commit),
        (PullStatus::Closed, None)
    );
    assert_eq!(lake.paths(&repository, "main").await, "");
}

#[tokio::test]
async fn words_that_are_changed_while_hooks_look_at_a_merge_are_kept() {
    let (lake, repository, outcome, pull) = merged_while(title("renamed")).await;
    outcome.unwrap();
    assert_eq!(
        (pull.status, pull.title.as_str()),
        (PullStatus::Merged, "renamed")
    );
    assert_eq!(lake.paths(&repository, "main").await, "a");
}

#[tokio::test]
async fn a_merge_by_hand_is_found_also_when_the_branch_is_gone() {
    let (lake, repository) = lake().await;
    let [merged, not_merged] = [
        open(&lake, &repository).await.id,
        open(&lake, &repository).await.id,
    ];
    let delete = async || lake.delete_branch(&repository, "dev", false, "me").await;
    delete().await.unwrap();
    let gone = lake.merge_pull_request(&repository, &merged, "me").await;
    assert!(
        matches!(gone, Err(Error::Engine(EngineError::NotFound { .. }))),
        "nobody merged it: {gone:?}"
    );

    let undo = graveler::UndoParams::default();
    let dev = graveler::RefName::Branch(graveler::BranchId::parse("dev").unwrap());
    lake.undo(&repository, &dev, undo).await.unwrap();
    let by_hand = lake
        .merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    lake.put(&repository, "main", "later", "1").await;
    lake.commit(&repository, "main", "later").await;
    delete().await.unwrap();
    let found = lake.merge_pull_request(&repository, &merged, "me").await;
    assert_eq!(found.unwrap(), by_hand.commit_id);
    let pull = lake.pull_request(&repository, &merged).await.unwrap();
    assert_eq!(
        (pull.status, pull.merged_commit),
        (PullStatus::Merged, Some(by_hand.commit_id))
    );

    // What the branch held last was not merged.
    lake.create_branch(&repository, "dev", "main", false, false, "me")
        .await
        .unwrap();
    change(&lake, &repository, "b").await;
    delete().await.unwrap();
    let gone = lake.merge_pull_request(&repository, &not_merged, "me");
    let gone = gone.await;
    assert!(matches!(
        gone,
        Err(Error::Engine(EngineError::NotFound { .. }))
    ));
}

#[tokio::test]
async fn a_merge_of_before_the_request_is_not_its_merge_however_shortly_before() {
    let (lake, repository) = lake().await;
    let merge = lake
        .merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap()
        .commit_id;
    // In the same second, and by the next commit.
    for path in ["b", "c"] {
        let pull = open(&lake, &repository).await;
        let refused = lake.merge_pull_request(&repository, &pull.id, "me").await;
        assert!(
            matches!(refused, Err(Error::Engine(EngineError::NoChanges(_)))),
            "{refused:?}"
        );
        lake.put(&repository, "main", path, "1").await;
        lake.commit(&repository, "main", path).await;
    }

    // Requests that a lakeFS opened have no note of where the destination was: the clock decides.
    let theirs = open(&lake, &repository).await.id;
    for note in lake.records("weir-pulls").await {
        lake.kv
            .delete(b"weir-pulls", note.as_bytes())
            .await
            .unwrap();
    }
    let refused = lake.merge_pull_request(&repository, &theirs, "me").await;
    assert!(matches!(
        refused,
        Err(Error::Engine(EngineError::NoChanges(_)))
    ));
    change(&lake, &repository, "d").await;
    let by_hand = lake
        .merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    let found = lake.merge_pull_request(&repository, &theirs, "me").await;
    assert_eq!(found.unwrap(), by_hand.commit_id);
    assert_ne!(by_hand.commit_id, merge);
}

#[tokio::test]
async fn a_merge_by_hand_is_found() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    let merge = lake
        .merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap()
        .commit_id;
    // Others went on, one with a date of long ago.
    lake.put(&repository, "main", "b", "1").await;
    let mut params = catalog::testing::commit_params("old");
    params.date = Some(base::OffsetDateTime::UNIX_EPOCH);
    lake.commit_branch(&repository, "main", params)
        .await
        .unwrap();

    assert_eq!(
        lake.merge_pull_request(&repository, &id, "me")
            .await
            .unwrap(),
        merge
    );
    let pull = lake.pull_request(&repository, &id).await.unwrap();
    assert_eq!(
        (pull.status, pull.merged_commit),
        (PullStatus::Merged, Some(merge))
    );
}

#[tokio::test]
async fn a_request_without_changes_is_not_merged() {
    let (lake, repository) = lake().await;
    lake.merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    lake.create_branch(&repository, "same", "main", false, false, "me")
        .await
        .unwrap();
    lake.clock.advance(Duration::from_secs(3_600));
    // Merged before it was opened, and never changed at all.
    for source in ["dev", "same"] {
        let pull = lake
            .create_pull_request(&repository, new(source, "main"))
            .await
            .unwrap();
        assert!(matches!(
            lake.merge_pull_request(&repository, &pull.id, "me").await,
            Err(Error::Engine(EngineError::NoChanges(_)))
        ));
        let pull = lake.pull_request(&repository, &pull.id).await.unwrap();
        assert_eq!(pull.status, PullStatus::Open);
    }
    // It can be merged once there is something.
    let pull = open(&lake, &repository).await;
    change(&lake, &repository, "b").await;
    lake.merge_pull_request(&repository, &pull.id, "me")
        .await
        .unwrap();
    assert_eq!(lake.paths(&repository, "main").await, "a b");
}

#[tokio::test]
async fn a_conflict_leaves_the_request_open() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    lake.put(&repository, "main", "a", "other").await;
    lake.commit(&repository, "main", "other").await;
    assert!(matches!(
        lake.merge_pull_request(&repository, &id, "me").await,
        Err(Error::Engine(EngineError::Conflict { .. }))
    ));
    let pull = lake.pull_request(&repository, &id).await.unwrap();
    assert_eq!((pull.status, pull.merged_commit), (PullStatus::Open, None));
}

/// Hooks that refuse every merge.
#[derive(Debug)]
struct NoMerges;

#[async_trait::async_trait]
impl Hooks for NoMerges {
    async fn before(&self, event: &graveler::Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind != EventKind::PreMerge {
            return Ok(HookOutcome::default());
        }
        Err(Box::new(Rejection {
            run_id: event.run_id.clone(),
            kind: event.kind,
            message: "not today".to_owned(),
            invalid_actions: false,
            findings: Vec::new(),
        }))
    }

    async fn after(&self, _: graveler::Event) {}
}

#[tokio::test]
async fn a_refusal_of_a_hook_leaves_the_request_open() {
    let (lake, repository) = prepare(TestCatalog::with_hooks(|_| Arc::new(NoMerges))).await;
    let id = open(&lake, &repository).await.id;
    assert!(matches!(
        lake.merge_pull_request(&repository, &id, "me").await,
        Err(Error::Engine(EngineError::Rejected(_)))
    ));
    let pull = lake.pull_request(&repository, &id).await.unwrap();
    assert_eq!(pull.status, PullStatus::Open);
    assert_eq!(lake.paths(&repository, "main").await, "");
}

#[tokio::test]
async fn updates_at_the_same_time_are_all_kept() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    let stirred = faulty(
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
    let updates = updates.map(|update| stirred.update_pull_request(&repository, &id, update));
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
async fn a_record_whose_acknowledgement_is_lost_is_no_failure() {
    let (lake, repository) = lake().await;
    let deaf = faulty(
        &lake,
        Faults {
            after_write: 255,
            ..Faults::default()
        },
    );
    let opened = deaf
        .create_pull_request(&repository, new("dev", "main"))
        .await
        .unwrap();
    deaf.update_pull_request(&repository, &opened.id, title("renamed"))
        .await
        .unwrap();
    let pull = lake.pull_request(&repository, &opened.id).await.unwrap();
    assert_eq!(pull.title, "renamed");
}

/// Another server deletes the repository at one step of what this one does.
#[derive(Debug)]
struct DeletedAt(usize, AtomicUsize, TestCatalog);

impl Fate for DeletedAt {
    fn strikes(&self, _parts: u8) -> bool {
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
async fn no_request_is_opened_in_a_repository_that_is_gone() {
    let mut refused = 0;
    for turn in 0.. {
        let (lake, repository) = lake().await;
        let fate = Arc::new(DeletedAt(turn, AtomicUsize::new(0), lake.clone()));
        let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
        let store = FaultyStore::by_fate(kv, Faults::default(), Arc::clone(&fate) as _);
        let store: Arc<dyn Store> = Arc::new(store);
        let server = lake.through(&store);
        let opened = server.create_pull_request(&repository, new("dev", "main"));
        refused += usize::from(opened.await.is_err());
        if fate.1.load(Ordering::Relaxed) <= turn {
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
async fn the_newest_request_of_two_branches_is_noted_for_lakefs() {
    let (lake, repository) = lake().await;
    open(&lake, &repository).await;
    let newest = open(&lake, &repository).await.id;
    let key = format!("repos/{}/dev/main", repository.partition());
    let noted = lake.kv.get(b"pulls", key.as_bytes()).await.unwrap();
    assert_eq!(
        noted.unwrap().value,
        [b"\x0a\x14", newest.as_bytes()].concat()
    );
}

#[tokio::test]
async fn a_read_only_repository_has_no_new_requests() {
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
        assert!(matches!(
            refused,
            Err(Error::Engine(EngineError::ReadOnly(_)))
        ));
    }
}
