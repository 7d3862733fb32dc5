//! Tests commits, merges, dumps and restores as tasks, and their takeover when servers die.

mod stops;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{ManualClock, SeededIds};
use futures::TryStreamExt as _;
use graveler::{
    Commit, CommitId, CreateRepository, Event, EventKind, Graveler, HookOutcome, Hooks, NoHooks,
    Options, Rejection, Repository,
};
use kv::testing::{Faults, FaultyStore};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::{Conflicts, HEARTBEAT_TIMEOUT, MAX_ATTEMPTS, TASK_RETENTION, TaskStatus};
use crate::testing::{TestCatalog, commit_params, creation, merge_params};
use crate::{Catalog, LogQuery, Reader};

/// Hooks that block changes with the message "slow" until the test opens the gate, and reject those with "bad".
#[derive(Debug)]
struct Gate {
    entered: Semaphore,
    permits: Semaphore,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self {
            entered: Semaphore::new(0),
            permits: Semaphore::new(0),
        })
    }

    async fn wait_until_entered(&self) {
        self.entered.acquire().await.expect("open").forget();
    }

    fn let_through(&self, number: usize) {
        self.permits.add_permits(number);
    }
}

#[async_trait]
impl Hooks for Gate {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        let message = event.commit().map_or("", |commit| &commit.message);
        let is_pre_hook = matches!(event.kind(), EventKind::PreCommit | EventKind::PreMerge);
        if is_pre_hook && message == "slow" {
            self.entered.add_permits(1);
            self.permits.acquire().await.expect("open").forget();
        }
        if is_pre_hook && message == "bad" {
            return Err(Box::new(Rejection {
                run_id: event.run_id.clone(),
                kind: event.kind(),
                message: "refused: bad".into(),
                hint: None,
                invalid_actions: false,
                findings: Vec::new(),
            }));
        }
        Ok(HookOutcome::default())
    }

    async fn after(&self, _event: Event) {}
}

fn hooks_at(gate: &Arc<Gate>) -> impl FnOnce(&Reader) -> Arc<dyn Hooks> {
    let gate = Arc::clone(gate);
    move |_| gate
}

/// Waits until a server runs no tasks.
async fn wait_until_idle(server: &Catalog) {
    server.shared.pending.wait_until_idle().await;
}

/// Advances the clock until servers without heartbeats count as dead, then lets `server` recover their tasks.
async fn recover_with(lake: &TestCatalog, server: &Catalog) {
    lake.clock.advance(HEARTBEAT_TIMEOUT);
    server.recover_tasks().await.unwrap();
}

async fn messages(lake: &Catalog, repository: &Repository) -> Vec<String> {
    let query = LogQuery {
        after: String::new(),
        amount: 1_000,
        objects: Vec::new(),
        prefixes: Vec::new(),
        limit: false,
        first_parent: false,
        since: None,
        stop_at: None,
    };
    let log = lake.reader().log(repository, "main", &query).await.unwrap();
    log.results
        .into_iter()
        .map(|commit| commit.message)
        .collect()
}

fn failure_message<I: std::fmt::Debug>(status: &TaskStatus<I>) -> &str {
    assert!(status.done && status.info.is_none(), "{status:?}");
    &status.failure.as_ref().expect("a failure").message
}

fn result<I: std::fmt::Debug>(status: TaskStatus<I>) -> I {
    assert!(status.done && status.failure.is_none(), "{status:?}");
    status.info.expect("a result")
}

#[tokio::test]
async fn commit_task_makes_the_commit() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let requested_at = lake.shared.clock.now();
    let id = lake
        .submit_commit(&repository, "main", commit_params("one"))
        .await
        .unwrap();
    wait_until_idle(&lake).await;
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert_eq!(status.progress, 3);
    let made: Commit = result(status);
    assert_eq!(
        made,
        lake.catalog
            .reader()
            .commit(&repository, "main")
            .await
            .unwrap()
    );
    assert_eq!(
        (made.message.as_str(), made.creation_date),
        ("one", requested_at)
    );
    assert_eq!(lake.records("weir-tasks").await, [""; 0]);
}

#[tokio::test]
async fn merge_task_makes_the_merge() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    branch(&lake, &repository, "dev").await;
    lake.put(&repository, "dev", "a", "1").await;
    lake.commit(&repository, "dev", "one").await;
    let id = lake
        .submit_merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    wait_until_idle(&lake).await;
    let made: CommitId = result(
        lake.merge_status(&repository, "dev", "main", &id)
            .await
            .unwrap(),
    );
    let head = lake
        .catalog
        .reader()
        .commit(&repository, "main")
        .await
        .unwrap();
    assert_eq!(
        (made, head.message.as_str()),
        (head.id, "Merge 'dev' into 'main'")
    );
    assert_eq!(lake.read(&repository, "main", "a").await, "1");
}

#[tokio::test]
async fn task_that_cannot_start_is_refused_and_leaves_no_record() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    for (branch, message) in [("no-such", "m".to_owned()), ("main", "m".repeat(100_000))] {
        lake.submit_commit(&repository, branch, commit_params(&message))
            .await
            .unwrap_err();
    }
    lake.submit_merge(&repository, "no-such", "main", merge_params())
        .await
        .unwrap_err();
    assert_eq!(lake.records("weir-tasks").await, [""; 0]);
}

#[tokio::test]
async fn commit_without_changes_fails_in_the_status() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let empty = lake
        .submit_commit(&repository, "main", commit_params("empty"))
        .await
        .unwrap();
    wait_until_idle(&lake).await;
    let status = lake
        .commit_status(&repository, "main", &empty)
        .await
        .unwrap();
    assert!(
        failure_message(&status).starts_with("no changes"),
        "{status:?}"
    );
}

#[tokio::test]
async fn rejection_by_a_hook_is_in_the_status() {
    let gate = Gate::closed();
    let lake = TestCatalog::with_hooks(hooks_at(&gate));
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let bad = lake
        .submit_commit(&repository, "main", commit_params("bad"))
        .await
        .unwrap();
    wait_until_idle(&lake).await;
    let status = lake.commit_status(&repository, "main", &bad).await.unwrap();
    assert_eq!(
        (failure_message(&status), status.progress),
        ("refused: bad", 1)
    );
}

#[tokio::test]
async fn conflicts_of_a_merge_are_in_the_status() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    lake.commit(&repository, "main", "base").await;
    branch(&lake, &repository, "dev").await;
    for branch in ["main", "dev"] {
        lake.put(&repository, branch, "a", branch).await;
        lake.commit(&repository, branch, branch).await;
    }
    let conflict = lake
        .submit_merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    wait_until_idle(&lake).await;
    let status = lake
        .merge_status(&repository, "dev", "main", &conflict)
        .await
        .unwrap();
    assert!(
        failure_message(&status).starts_with("conflict found"),
        "{status:?}"
    );
    let conflicts = status.failure.and_then(|failure| failure.conflicts);
    let found = Conflicts {
        keys: vec![b"a".to_vec()],
        count: 1,
    };
    assert_eq!(
        conflicts,
        Some(found),
        "the same conflicts as the synchronous merge reports"
    );
}

async fn branch(lake: &Catalog, repository: &Repository, name: &str) {
    lake.create_branch(repository, name, "main", false, false, "me")
        .await
        .unwrap();
}

#[tokio::test]
async fn slow_hooks_of_a_task_do_not_block_other_commits() {
    let gate = Gate::closed();
    let lake = TestCatalog::with_hooks(hooks_at(&gate));
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = lake
        .submit_commit(&repository, "main", commit_params("slow"))
        .await
        .unwrap();
    gate.wait_until_entered().await;
    lake.put(&repository, "main", "b", "2").await;
    lake.commit(&repository, "main", "quick").await;
    gate.let_through(2);
    // The quick commit has all changes, so the task finds none.
    wait_until_idle(&lake).await;
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert!(
        failure_message(&status).starts_with("no changes"),
        "{status:?}"
    );
    assert_eq!(
        messages(&lake, &repository).await,
        ["quick", "Repository created"]
    );
}

/// Starts a commit on a server that dies while hooks run. Returns the task id.
async fn commit_on_dying_server(lake: &TestCatalog, repository: &Repository) -> String {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::closed();
    let server = lake.another_server_with_hooks(hooks_at(&gate));
    let repository = repository.clone();
    let id = runtime
        .spawn(async move {
            let params = commit_params("slow");
            let id = server.submit_commit(&repository, "main", params).await;
            gate.wait_until_entered().await;
            id.unwrap()
        })
        .await
        .unwrap();
    runtime.shutdown_background();
    id
}

#[tokio::test]
async fn another_server_takes_over_the_commit_of_a_dead_server() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let requested_at = lake.shared.clock.now();
    let id = commit_on_dying_server(&lake, &repository).await;
    lake.recover_tasks().await.unwrap();
    assert!(
        !lake
            .commit_status(&repository, "main", &id)
            .await
            .unwrap()
            .done
    );

    recover_with(&lake, &lake).await;
    wait_until_idle(&lake).await;
    let made = result(lake.commit_status(&repository, "main", &id).await.unwrap());
    assert_eq!(made.creation_date, requested_at);
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
}

#[tokio::test]
async fn slow_server_does_not_repeat_a_commit_that_was_taken_over() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let gate = Gate::closed();
    let slow = lake.another_server_with_hooks(hooks_at(&gate));
    let id = slow
        .submit_commit(&repository, "main", commit_params("slow"))
        .await
        .unwrap();
    gate.wait_until_entered().await;
    recover_with(&lake, &lake).await;
    wait_until_idle(&lake).await;
    let made = result(lake.commit_status(&repository, "main", &id).await.unwrap());

    // Now the branch has a change that the slow server could commit.
    lake.put(&repository, "main", "b", "2").await;
    gate.let_through(10);
    wait_until_idle(&slow).await;
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
    assert_eq!(lake.paths(&repository, &made.id.to_string()).await, "a");
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert_eq!(result(status), made);
}

#[tokio::test]
async fn server_that_lost_its_task_does_not_commit_before_the_new_owner() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let (first_gate, second_gate) = (Gate::closed(), Gate::closed());
    let first = lake.another_server_with_hooks(hooks_at(&first_gate));
    let second = lake.another_server_with_hooks(hooks_at(&second_gate));
    let id = first
        .submit_commit(&repository, "main", commit_params("slow"))
        .await
        .unwrap();
    first_gate.wait_until_entered().await;
    recover_with(&lake, &second).await;
    second_gate.wait_until_entered().await;

    first_gate.let_through(10);
    wait_until_idle(&first).await;
    assert_eq!(messages(&lake, &repository).await, ["Repository created"]);
    assert!(
        !lake
            .commit_status(&repository, "main", &id)
            .await
            .unwrap()
            .done
    );
    second_gate.let_through(10);
    wait_until_idle(&second).await;
    result(lake.commit_status(&repository, "main", &id).await.unwrap());
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
}

#[tokio::test]
async fn task_that_crashes_servers_fails_after_the_last_attempt() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = commit_on_dying_server(&lake, &repository).await;
    for _ in 1..MAX_ATTEMPTS {
        lake.clock.advance(HEARTBEAT_TIMEOUT);
        let runtime = Runtime::new().unwrap();
        let gate = Gate::closed();
        let server = lake.another_server_with_hooks(hooks_at(&gate));
        runtime
            .spawn(async move {
                server.recover_tasks().await.unwrap();
                gate.wait_until_entered().await;
            })
            .await
            .unwrap();
        runtime.shutdown_background();
    }
    recover_with(&lake, &lake).await;
    wait_until_idle(&lake).await;
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert!(
        failure_message(&status).contains("(attempt 3 of 3)"),
        "{status:?}"
    );
    assert_eq!(messages(&lake, &repository).await, ["Repository created"]);
}

/// A server of the same installation that accesses records through `kv`.
fn server_on(lake: &TestCatalog, kv: Arc<dyn kv::Store>, seed: u64) -> Catalog {
    let clock = Arc::<ManualClock>::clone(&lake.clock);
    let ids = Arc::new(SeededIds::new(seed, Arc::<ManualClock>::clone(&clock)));
    let block = Arc::<block::MemoryStore>::clone(&lake.block);
    let graveler = Graveler::new(
        Arc::clone(&kv),
        Arc::<block::MemoryStore>::clone(&block),
        Arc::<ManualClock>::clone(&clock),
        Arc::<SeededIds>::clone(&ids),
        Options::default(),
    );
    let reader = Reader::new(graveler, block);
    Catalog::new(reader, kv, Arc::new(NoHooks), clock, ids)
}

#[tokio::test]
async fn status_says_whether_the_commit_landed_despite_store_failures() {
    let (mut successes, mut failures) = (0, 0);
    for seed in 0..50 {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        lake.put(&repository, "main", "a", "1").await;
        let faults = Faults {
            read: 8,
            before_write: 25,
            after_write: 50,
            yields: 50,
        };
        let store = FaultyStore::new(Arc::<kv::MemoryStore>::clone(&lake.kv), seed, faults);
        let faulty = server_on(&lake, Arc::new(store), seed + 1_000);
        let params = || commit_params("once");
        let Ok(id) = faulty.submit_commit(&repository, "main", params()).await else {
            // The task may have been stored nevertheless. Then recovery must end it.
            recover_with(&lake, &lake).await;
            wait_until_idle(&lake).await;
            assert_eq!(lake.records("weir-tasks").await, [""; 0], "seed {seed}");
            continue;
        };
        wait_until_idle(&faulty).await;
        lake.put(&repository, "main", "b", "2").await;
        recover_with(&lake, &lake).await;
        wait_until_idle(&lake).await;
        let status = lake.commit_status(&repository, "main", &id).await.unwrap();
        assert!(status.done, "seed {seed}: {status:?}");
        let commits = messages(&lake, &repository).await;
        let commits = commits.iter().filter(|m| *m == "once").count();
        match status.failure {
            None => {
                assert_eq!(commits, 1, "seed {seed}");
                successes += 1;
            }
            Some(failure) => {
                assert_eq!(commits, 0, "seed {seed}: {failure:?}");
                failures += 1;
            }
        }
    }
    assert!(
        successes > 10 && failures > 5,
        "{successes} successes, {failures} failures"
    );
}

/// A repository with a commit on `main`, and a bare one in the same namespace.
async fn original_and_bare() -> (TestCatalog, Repository, Commit, Repository) {
    let lake = TestCatalog::new();
    let original = lake.repository("lake").await;
    lake.put(&original, "main", "a", "1").await;
    let head = lake.commit(&original, "main", "one").await;
    let bare = CreateRepository {
        storage_namespace: original.storage_namespace.clone(),
        bare: true,
        ..creation("bare")
    };
    let bare = lake.create_repository(bare).await.unwrap();
    (lake, original, head, bare)
}

#[tokio::test]
async fn dump_runs_as_a_task_and_writes_a_manifest() {
    let (lake, original, ..) = original_and_bare().await;
    let id = lake.submit_dump(&original).await.unwrap();
    assert!(id.starts_with("DR"));
    wait_until_idle(&lake).await;
    let status = lake.dump_status(&original, &id).await.unwrap();
    // One branch and two commits.
    assert_eq!(status.progress, 3);
    let dump = result(status);
    let manifest = lake
        .reader()
        .get_internal(&original, "refs_manifest.json")
        .await;
    let manifest: Vec<_> = manifest.unwrap().unwrap().try_collect().await.unwrap();
    let expected = format!(
        "{{\n  \"branches_meta_range_id\": \"{}\",\n  \"commits_meta_range_id\": \"{}\",\n  \"tags_meta_range_id\": \"{}\"\n}}",
        dump.branches, dump.commits, dump.tags
    );
    assert_eq!(String::from_utf8(manifest.concat()).unwrap(), expected);
}

#[tokio::test]
async fn restore_runs_as_a_task() {
    let (lake, original, head, bare) = original_and_bare().await;
    let dump = lake.dump_refs(&original).await.unwrap();
    let id = lake
        .submit_restore(&bare, &dump, false, "tests")
        .await
        .unwrap();
    assert!(id.starts_with("RR"));
    wait_until_idle(&lake).await;
    result(lake.restore_status(&bare, &id).await.unwrap());
    assert_eq!(
        lake.catalog.reader().commit(&bare, "main").await.unwrap(),
        head
    );
    assert_eq!(lake.read(&bare, "main", "a").await, "1");
}

#[tokio::test]
async fn restore_into_a_repository_that_is_not_bare_is_refused() {
    let (lake, original, ..) = original_and_bare().await;
    let dump = lake.dump_refs(&original).await.unwrap();
    let id = lake
        .submit_restore(&original, &dump, false, "tests")
        .await
        .unwrap();
    wait_until_idle(&lake).await;
    let status = lake.restore_status(&original, &id).await.unwrap();
    let not_bare = "can only restore into a bare repository";
    assert!(failure_message(&status).starts_with(not_bare), "{status:?}");
    let synchronous = lake.restore_refs(&original, &dump, false, "tests").await;
    let synchronous = synchronous.unwrap_err();
    assert!(
        matches!(&synchronous, crate::Error::NotBare(_)),
        "{synchronous}"
    );
    assert_eq!(
        lake.dump_refs(&original).await.unwrap().commits,
        dump.commits
    );
}

#[tokio::test]
async fn record_of_a_restore_expires() {
    let (lake, original, _head, bare) = original_and_bare().await;
    let dump = lake.dump_refs(&original).await.unwrap();
    let id = lake
        .submit_restore(&bare, &dump, false, "tests")
        .await
        .unwrap();
    wait_until_idle(&lake).await;
    lake.restore_status(&bare, &id).await.unwrap();
    lake.clock.advance(TASK_RETENTION + Duration::from_secs(1));
    lake.prune_tasks().await.unwrap();
    lake.restore_status(&bare, &id).await.unwrap_err();
}
