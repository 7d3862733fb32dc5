//! Commits, merges, dumps and restores as tasks, and what becomes of them when servers die.

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

use super::work::Work;
use super::{Conflicts, DEAD_AFTER, KEPT_FOR, MAX_ATTEMPTS, TaskKind, TaskStatus};
use crate::testing::{TestCatalog, commit_params, creation, merge_params};
use crate::{Catalog, LogQuery, Reader};

/// Hooks that hold up what is said to be slow, until a place is free, and refuse what is bad.
#[derive(Debug)]
struct Gate {
    entered: Semaphore,
    free: Semaphore,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self {
            entered: Semaphore::new(0),
            free: Semaphore::new(0),
        })
    }

    async fn is_entered(&self) {
        self.entered.acquire().await.expect("open").forget();
    }

    fn let_through(&self, number: usize) {
        self.free.add_permits(number);
    }
}

#[async_trait]
impl Hooks for Gate {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        let message = event.commit.as_ref().map_or("", |commit| &commit.message);
        let judged = matches!(event.kind, EventKind::PreCommit | EventKind::PreMerge);
        if judged && message == "slow" {
            self.entered.add_permits(1);
            self.free.acquire().await.expect("open").forget();
        }
        if judged && message == "bad" {
            return Err(Box::new(Rejection {
                run_id: event.run_id.clone(),
                kind: event.kind,
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

fn gated(gate: &Arc<Gate>) -> impl FnOnce(&Reader) -> Arc<dyn Hooks> {
    let gate = Arc::clone(gate);
    move |_| gate
}

/// Waits until no task of a server is worked on.
async fn idle(server: &Catalog) {
    server.shared.pending.none().await;
}

/// Moves the clock until who does not beat is dead, and lets a server take over.
async fn look_after(lake: &TestCatalog, server: &Catalog) {
    lake.clock.advance(DEAD_AFTER);
    server.look_after_tasks().await.unwrap();
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
    let log = lake.log(repository, "main", &query).await.unwrap();
    log.results
        .into_iter()
        .map(|commit| commit.message)
        .collect()
}

fn failed<I: std::fmt::Debug>(status: &TaskStatus<I>) -> &str {
    assert!(status.done && status.info.is_none(), "{status:?}");
    &status.failure.as_ref().expect("a failure").message
}

fn succeeded<I: std::fmt::Debug>(status: TaskStatus<I>) -> I {
    assert!(status.done && status.failure.is_none(), "{status:?}");
    status.info.expect("a result")
}

#[tokio::test]
async fn a_commit_is_made_by_its_task() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let asked_at = lake.shared.clock.now();
    let id = lake
        .submit_commit(&repository, "main", commit_params("one"))
        .await
        .unwrap();
    idle(&lake).await;
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert_eq!(status.progress, 3);
    let made: Commit = succeeded(status);
    assert_eq!(
        made,
        lake.catalog.commit(&repository, "main").await.unwrap()
    );
    assert_eq!(
        (made.message.as_str(), made.creation_date),
        ("one", asked_at)
    );
    assert_eq!(lake.records("weir-tasks").await, [""; 0]);
}

#[tokio::test]
async fn a_merge_is_made_by_its_task() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    branch(&lake, &repository, "dev").await;
    lake.put(&repository, "dev", "a", "1").await;
    lake.commit(&repository, "dev", "one").await;
    let id = lake
        .submit_merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    idle(&lake).await;
    let made: CommitId = succeeded(
        lake.merge_status(&repository, "dev", "main", &id)
            .await
            .unwrap(),
    );
    let head = lake.catalog.commit(&repository, "main").await.unwrap();
    assert_eq!(
        (made, head.message.as_str()),
        (head.id, "Merge 'dev' into 'main'")
    );
    assert_eq!(lake.read(&repository, "main", "a").await, "1");
}

#[tokio::test]
async fn what_fails_at_once_is_refused_and_what_fails_later_is_told_by_the_task() {
    let gate = Gate::closed();
    let lake = TestCatalog::with_hooks(gated(&gate));
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

    let empty = lake
        .submit_commit(&repository, "main", commit_params("empty"))
        .await
        .unwrap();
    idle(&lake).await;
    let status = lake
        .commit_status(&repository, "main", &empty)
        .await
        .unwrap();
    assert!(failed(&status).starts_with("no changes"), "{status:?}");

    lake.put(&repository, "main", "a", "1").await;
    let bad = lake
        .submit_commit(&repository, "main", commit_params("bad"))
        .await
        .unwrap();
    idle(&lake).await;
    let status = lake.commit_status(&repository, "main", &bad).await.unwrap();
    assert_eq!((failed(&status), status.progress), ("refused: bad", 1));

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
    idle(&lake).await;
    let status = lake
        .merge_status(&repository, "dev", "main", &conflict)
        .await
        .unwrap();
    assert!(failed(&status).starts_with("conflict found"), "{status:?}");
    let conflicts = status.failure.and_then(|failure| failure.conflicts);
    let found = Conflicts {
        keys: vec![b"a".to_vec()],
        count: 1,
    };
    assert_eq!(
        conflicts,
        Some(found),
        "as the merge itself would have told"
    );
}

async fn branch(lake: &Catalog, repository: &Repository, name: &str) {
    lake.create_branch(repository, name, "main", false, false, "me")
        .await
        .unwrap();
}

#[tokio::test]
async fn hooks_of_a_task_may_take_long_and_hold_nobody_up() {
    let gate = Gate::closed();
    let lake = TestCatalog::with_hooks(gated(&gate));
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = lake
        .submit_commit(&repository, "main", commit_params("slow"))
        .await
        .unwrap();
    gate.is_entered().await;
    lake.put(&repository, "main", "b", "2").await;
    lake.commit(&repository, "main", "quick").await;
    gate.let_through(2);
    // Everything was in the quick commit.
    idle(&lake).await;
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert!(failed(&status).starts_with("no changes"), "{status:?}");
    assert_eq!(
        messages(&lake, &repository).await,
        ["quick", "Repository created"]
    );
}

/// A server that dies while hooks look at a commit.
async fn dies_in_hooks(lake: &TestCatalog, repository: &Repository) -> String {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::closed();
    let server = lake.another_server_with_hooks(gated(&gate));
    let repository = repository.clone();
    let id = runtime
        .spawn(async move {
            let params = commit_params("slow");
            let id = server.submit_commit(&repository, "main", params).await;
            gate.is_entered().await;
            id.unwrap()
        })
        .await
        .unwrap();
    runtime.shutdown_background();
    id
}

#[tokio::test]
async fn another_server_makes_the_commit_of_one_that_died() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let asked_at = lake.shared.clock.now();
    let id = dies_in_hooks(&lake, &repository).await;
    lake.look_after_tasks().await.unwrap();
    assert!(
        !lake
            .commit_status(&repository, "main", &id)
            .await
            .unwrap()
            .done
    );

    look_after(&lake, &lake).await;
    idle(&lake).await;
    let made = succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());
    assert_eq!(made.creation_date, asked_at);
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
}

#[tokio::test]
async fn a_server_that_was_only_slow_does_not_commit_a_second_time() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let gate = Gate::closed();
    let slow = lake.another_server_with_hooks(gated(&gate));
    let id = slow
        .submit_commit(&repository, "main", commit_params("slow"))
        .await
        .unwrap();
    gate.is_entered().await;
    look_after(&lake, &lake).await;
    idle(&lake).await;
    let made = succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());

    // There is something that it could commit now.
    lake.put(&repository, "main", "b", "2").await;
    gate.let_through(10);
    idle(&slow).await;
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
    assert_eq!(lake.paths(&repository, &made.id.to_string()).await, "a");
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert_eq!(succeeded(status), made);
}

#[tokio::test]
async fn a_server_that_lost_its_task_does_not_commit_before_the_one_that_took_it() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let (first_gate, second_gate) = (Gate::closed(), Gate::closed());
    let first = lake.another_server_with_hooks(gated(&first_gate));
    let second = lake.another_server_with_hooks(gated(&second_gate));
    let id = first
        .submit_commit(&repository, "main", commit_params("slow"))
        .await
        .unwrap();
    first_gate.is_entered().await;
    look_after(&lake, &second).await;
    second_gate.is_entered().await;

    first_gate.let_through(10);
    idle(&first).await;
    assert_eq!(messages(&lake, &repository).await, ["Repository created"]);
    assert!(
        !lake
            .commit_status(&repository, "main", &id)
            .await
            .unwrap()
            .done
    );
    second_gate.let_through(10);
    idle(&second).await;
    succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
}

#[tokio::test]
async fn a_task_that_servers_die_of_is_not_begun_for_ever() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = dies_in_hooks(&lake, &repository).await;
    for _ in 1..MAX_ATTEMPTS {
        lake.clock.advance(DEAD_AFTER);
        let runtime = Runtime::new().unwrap();
        let gate = Gate::closed();
        let server = lake.another_server_with_hooks(gated(&gate));
        runtime
            .spawn(async move {
                server.look_after_tasks().await.unwrap();
                gate.is_entered().await;
            })
            .await
            .unwrap();
        runtime.shutdown_background();
    }
    look_after(&lake, &lake).await;
    idle(&lake).await;
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert!(failed(&status).contains("(attempt 3)"), "{status:?}");
    assert_eq!(messages(&lake, &repository).await, ["Repository created"]);
}

/// A server whose records are in another store.
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
async fn a_store_that_fails_and_loses_answers_never_makes_a_task_lie() {
    let (mut made, mut not_made) = (0, 0);
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
        let shaky = server_on(&lake, Arc::new(store), seed + 1_000);
        let params = || commit_params("once");
        let Ok(id) = shaky.submit_commit(&repository, "main", params()).await else {
            // It may have been noted all the same; then it is no orphan for ever.
            look_after(&lake, &lake).await;
            idle(&lake).await;
            assert_eq!(lake.records("weir-tasks").await, [""; 0], "seed {seed}");
            continue;
        };
        idle(&shaky).await;
        lake.put(&repository, "main", "b", "2").await;
        look_after(&lake, &lake).await;
        idle(&lake).await;
        let status = lake.commit_status(&repository, "main", &id).await.unwrap();
        assert!(status.done, "seed {seed}: {status:?}");
        let commits = messages(&lake, &repository).await;
        let commits = commits.iter().filter(|m| *m == "once").count();
        match status.failure {
            None => {
                assert_eq!(commits, 1, "seed {seed}");
                made += 1;
            }
            Some(failure) => {
                assert_eq!(commits, 0, "seed {seed}: {failure:?}");
                not_made += 1;
            }
        }
    }
    assert!(made > 10 && not_made > 5, "{made} made, {not_made} not");
}

#[tokio::test]
async fn a_dump_and_a_restore_are_tasks() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let head = lake.commit(&repository, "main", "one").await;
    let id = lake.submit_dump(&repository).await.unwrap();
    assert!(id.starts_with("DR"));
    idle(&lake).await;
    let status = lake.dump_status(&repository, &id).await.unwrap();
    // A branch and two commits.
    assert_eq!(status.progress, 3);
    let dump = succeeded(status);
    let manifest = lake.get_internal(&repository, "refs_manifest.json").await;
    let manifest: Vec<_> = manifest.unwrap().unwrap().try_collect().await.unwrap();
    let expected = format!(
        "{{\n  \"branches_meta_range_id\": \"{}\",\n  \"commits_meta_range_id\": \"{}\",\n  \"tags_meta_range_id\": \"{}\"\n}}",
        dump.branches, dump.commits, dump.tags
    );
    assert_eq!(String::from_utf8(manifest.concat()).unwrap(), expected);

    let anew = CreateRepository {
        storage_namespace: repository.storage_namespace.clone(),
        bare: true,
        ..creation("anew")
    };
    let anew = lake.create_repository(anew).await.unwrap();
    let id = lake
        .submit_restore(&anew, &dump, false, "tests")
        .await
        .unwrap();
    assert!(id.starts_with("RR"));
    idle(&lake).await;
    succeeded(lake.restore_status(&anew, &id).await.unwrap());
    assert_eq!(lake.catalog.commit(&anew, "main").await.unwrap(), head);
    assert_eq!(lake.read(&anew, "main", "a").await, "1");

    let again = lake
        .submit_restore(&anew, &dump, false, "tests")
        .await
        .unwrap();
    idle(&lake).await;
    let status = lake.restore_status(&anew, &again).await.unwrap();
    let not_bare = "can only restore into a bare repository";
    assert!(failed(&status).starts_with(not_bare), "{status:?}");
    let synchronous = lake
        .restore_refs(&anew, &dump, false, "tests")
        .await
        .unwrap_err();
    assert!(
        matches!(
            &synchronous,
            crate::Error::Engine(graveler::Error::NotBare(_))
        ),
        "{synchronous}"
    );
    assert_eq!(lake.dump_refs(&anew).await.unwrap().commits, dump.commits);

    lake.clock.advance(KEPT_FOR + Duration::from_secs(1));
    lake.forget_tasks().await.unwrap();
    lake.restore_status(&anew, &id).await.unwrap_err();
}

#[tokio::test]
async fn a_restore_whose_server_died_is_taken_over_wherever_it_was() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    lake.commit(&repository, "main", "one").await;
    let dump = lake.dump_refs(&repository).await.unwrap();
    for seed in 0..40 {
        let anew = CreateRepository {
            storage_namespace: repository.storage_namespace.clone(),
            bare: true,
            ..creation(&format!("anew-{seed}"))
        };
        let anew = lake.create_repository(anew).await.unwrap();
        // Nothing that this server does after its claim is certain to be done or answered.
        let faults = Faults {
            before_write: 100,
            after_write: 100,
            ..Faults::default()
        };
        let store = FaultyStore::new(Arc::<kv::MemoryStore>::clone(&lake.kv), seed, faults);
        let dying = server_on(&lake, Arc::new(store), seed + 1_000);
        let Ok(ticket) = dying
            .shared
            .tasks
            .submit(
                &anew,
                TaskKind::RESTORE_REFS,
                Work::restore(&dump, false, "tests").recipe(),
                None,
            )
            .await
        else {
            continue;
        };
        let token = ticket.id().to_owned();
        let restore = graveler::RestoreRefs {
            dump: &dump,
            force: false,
            actor: "tests",
            token: &token,
        };
        let cut = dying.restore(&anew, &restore, &ticket.progress()).await;
        drop((cut, ticket));
        look_after(&lake, &lake).await;
        idle(&lake).await;
        succeeded(lake.restore_status(&anew, &token).await.unwrap());
        assert_eq!(lake.paths(&anew, "main").await, "a");
    }
}
