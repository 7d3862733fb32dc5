//! Merging pull requests: through the request, without the request, and with hooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::testing::{FaultSchedule, Turn};
use catalog::testing::{TestCatalog, merge_params};
use catalog::{Error, PullRequest, PullRequestUpdate, PullStatus, Repository};
use graveler::{EventKind, HookOutcome, Hooks, Rejection};
use kv::Store;
use kv::testing::{Faults, FaultyStore};
use tokio::sync::Semaphore;

use super::pulls::{assert_invalid, change, lake, new, open, prepare, status, title};

#[tokio::test]
async fn merge_and_status_change_are_atomic() {
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
        let faulty = lake.with_store(&store);
        let outcome = faulty.merge_pull_request(&repository, &id, "me").await;

        let pull = lake.pull_request(&repository, &id).await.unwrap();
        let head = lake
            .catalog
            .reader()
            .commit(&repository, "main")
            .await
            .unwrap();
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

/// Hooks that block merges until released.
#[derive(Debug)]
struct Gate {
    entered: Semaphore,
    free: Semaphore,
}

#[async_trait::async_trait]
impl Hooks for Gate {
    async fn before(&self, event: &graveler::Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind() == EventKind::PreMerge {
            self.entered.add_permits(1);
            self.free.acquire().await.unwrap().forget();
        }
        Ok(HookOutcome::default())
    }

    async fn after(&self, _: graveler::Event) {}
}

/// Merges a request that is changed while its hooks run.
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
async fn request_closed_while_hooks_run_is_not_merged() {
    let (lake, repository, outcome, pull) = merged_while(status(PullStatus::Closed)).await;
    assert_invalid(outcome, "reopen it first");
    assert_eq!(
        (pull.status, pull.merged_commit),
        (PullStatus::Closed, None)
    );
    assert_eq!(lake.paths(&repository, "main").await, "");
}

#[tokio::test]
async fn texts_changed_while_hooks_run_are_kept() {
    let (lake, repository, outcome, pull) = merged_while(title("renamed")).await;
    outcome.unwrap();
    assert_eq!(
        (pull.status, pull.title.as_str()),
        (PullStatus::Merged, "renamed")
    );
    assert_eq!(lake.paths(&repository, "main").await, "a");
}

#[tokio::test]
async fn merge_without_the_request_is_found_after_the_branch_was_deleted() {
    let (lake, repository) = lake().await;
    let [merged, not_merged] = [
        open(&lake, &repository).await.id,
        open(&lake, &repository).await.id,
    ];
    let delete = async || lake.delete_branch(&repository, "dev", false, "me").await;
    delete().await.unwrap();
    let gone = lake.merge_pull_request(&repository, &merged, "me").await;
    assert!(
        matches!(gone, Err(Error::NotFound { .. })),
        "the branch was not merged: {gone:?}"
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

    // The last head of the branch was not merged.
    lake.create_branch(&repository, "dev", "main", false, false, "me")
        .await
        .unwrap();
    change(&lake, &repository, "b").await;
    delete().await.unwrap();
    let gone = lake.merge_pull_request(&repository, &not_merged, "me");
    let gone = gone.await;
    assert!(matches!(gone, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn merge_made_just_before_the_request_does_not_count() {
    let (lake, repository) = lake().await;
    let merge = lake
        .merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap()
        .commit_id;
    // The first request is opened in the second of the merge; the second one is opened one commit after the merge.
    for path in ["b", "c"] {
        let pull = open(&lake, &repository).await;
        let refused = lake.merge_pull_request(&repository, &pull.id, "me").await;
        assert!(matches!(refused, Err(Error::NoChanges(_))), "{refused:?}");
        lake.put(&repository, "main", path, "1").await;
        lake.commit(&repository, "main", path).await;
    }

    // Requests opened by lakeFS have no record of the destination's head, so the creation times decide.
    let theirs = open(&lake, &repository).await.id;
    for opening in lake.records("weir-pulls").await {
        lake.kv
            .delete(b"weir-pulls", opening.as_bytes())
            .await
            .unwrap();
    }
    let refused = lake.merge_pull_request(&repository, &theirs, "me").await;
    assert!(matches!(refused, Err(Error::NoChanges(_))));
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
async fn merge_without_the_request_is_found() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    let merge = lake
        .merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap()
        .commit_id;
    // Later commits follow the merge, one of them with an old date.
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
async fn request_without_changes_is_not_merged() {
    let (lake, repository) = lake().await;
    lake.merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    lake.create_branch(&repository, "same", "main", false, false, "me")
        .await
        .unwrap();
    lake.clock.advance(Duration::from_secs(3_600));
    // `dev` was merged before the request was opened; `same` has no changes.
    for source in ["dev", "same"] {
        let pull = lake
            .create_pull_request(&repository, new(source, "main"))
            .await
            .unwrap();
        assert!(matches!(
            lake.merge_pull_request(&repository, &pull.id, "me").await,
            Err(Error::NoChanges(_))
        ));
        let pull = lake.pull_request(&repository, &pull.id).await.unwrap();
        assert_eq!(pull.status, PullStatus::Open);
    }
    // The request can be merged once the branch has changes.
    let pull = open(&lake, &repository).await;
    change(&lake, &repository, "b").await;
    lake.merge_pull_request(&repository, &pull.id, "me")
        .await
        .unwrap();
    assert_eq!(lake.paths(&repository, "main").await, "a b");
}

#[tokio::test]
async fn conflict_leaves_the_request_open() {
    let (lake, repository) = lake().await;
    let id = open(&lake, &repository).await.id;
    lake.put(&repository, "main", "a", "other").await;
    lake.commit(&repository, "main", "other").await;
    assert!(matches!(
        lake.merge_pull_request(&repository, &id, "me").await,
        Err(Error::Conflict { .. })
    ));
    let pull = lake.pull_request(&repository, &id).await.unwrap();
    assert_eq!((pull.status, pull.merged_commit), (PullStatus::Open, None));
}

/// Hooks that reject every merge.
#[derive(Debug)]
struct NoMerges;

#[async_trait::async_trait]
impl Hooks for NoMerges {
    async fn before(&self, event: &graveler::Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind() != EventKind::PreMerge {
            return Ok(HookOutcome::default());
        }
        Err(Box::new(Rejection {
            run_id: event.run_id.clone(),
            kind: event.kind(),
            message: "not today".to_owned(),
            hint: None,
            invalid_actions: false,
            findings: Vec::new(),
        }))
    }

    async fn after(&self, _: graveler::Event) {}
}

#[tokio::test]
async fn rejection_by_a_hook_leaves_the_request_open() {
    let (lake, repository) = prepare(TestCatalog::with_hooks(|_| Arc::new(NoMerges))).await;
    let id = open(&lake, &repository).await.id;
    assert!(matches!(
        lake.merge_pull_request(&repository, &id, "me").await,
        Err(Error::Rejected(_))
    ));
    let pull = lake.pull_request(&repository, &id).await.unwrap();
    assert_eq!(pull.status, PullStatus::Open);
    assert_eq!(lake.paths(&repository, "main").await, "");
}

/// Replaces the branch `dev` by a tag of that name at a given turn of the store.
#[derive(Debug)]
struct ReplaceBranchByTag {
    lake: TestCatalog,
    repository: Repository,
    turns_left: AtomicUsize,
}

impl FaultSchedule for ReplaceBranchByTag {
    fn should_fail(&self, _rate: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.turns_left.fetch_sub(1, Ordering::Relaxed) == 1 {
                let (lake, repository) = (&self.lake, &self.repository);
                let deleted = lake.delete_branch(repository, "dev", false, "me").await;
                deleted.unwrap();
                let tagged = lake.create_tag(repository, "dev", "other", false, "me");
                tagged.await.unwrap();
            }
        })
    }
}

/// Guards against a bug: after the source branch was checked, its name was resolved as any reference. If the branch was
/// deleted in between, a tag of that name was merged.
#[tokio::test]
async fn tag_with_the_name_of_the_source_branch_is_never_merged() {
    let mut merged = 0;
    for turn in 1..=60 {
        let (lake, repository) = lake().await;
        lake.create_branch(&repository, "other", "main", false, false, "me")
            .await
            .unwrap();
        lake.put(&repository, "other", "wrong", "1").await;
        lake.commit(&repository, "other", "wrong").await;
        let id = open(&lake, &repository).await.id;
        let schedule = Arc::new(ReplaceBranchByTag {
            lake: lake.clone(),
            repository: repository.clone(),
            turns_left: AtomicUsize::new(turn),
        });
        let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
        let store = FaultyStore::with_schedule(kv, Faults::default(), schedule);
        let store: Arc<dyn Store> = Arc::new(store);
        let outcome = lake
            .with_store(&store)
            .merge_pull_request(&repository, &id, "me")
            .await;
        let paths = lake.paths(&repository, "main").await;
        assert!(!paths.contains("wrong"), "turn {turn}: {outcome:?}");
        if outcome.is_ok() {
            assert_eq!(paths, "a", "turn {turn}");
            let head = lake.catalog.reader().commit(&repository, "main").await;
            assert_eq!(head.unwrap().message, "Merge 'dev' into 'main'");
            merged += 1;
        }
    }
    assert!((10..60).contains(&merged), "{merged}");
}
