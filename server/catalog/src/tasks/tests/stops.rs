//! Tests shutdowns, queued tasks, and unreadable records.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base::testing::{FaultSchedule, Turn};
use bytes::Bytes;
use graveler::{CreateRepository, Repository};
use kv::Store as _;
use kv::testing::{CountingStore, Faults, FaultyStore};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::{
    Gate, branch, commit_on_dying_server, failure_message, hooks_at, messages, recover_with,
    result, server_on, wait_until_idle,
};
use crate::tasks::records::Claim;
use crate::tasks::work::Work;
use crate::tasks::{
    HEARTBEAT_TIMEOUT, MAX_ATTEMPTS, MAX_OPEN_TASKS, MAX_RUNNING_TASKS, TASK_RETENTION, TaskKind,
};
use crate::testing::{TestCatalog, commit_params, creation, merge_params};
use crate::{Catalog, Error};

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

/// Starts as many tasks as a server can run. Each permit added to the returned semaphore ends one of them.
async fn occupy(server: &Catalog, repository: &Repository) -> Arc<Semaphore> {
    let free = Arc::new(Semaphore::new(0));
    for _ in 0..MAX_RUNNING_TASKS {
        let free = Arc::clone(&free);
        let kind = TaskKind::PREPARE_GC_COMMITS;
        server
            .submit_task::<Nothing, _>(repository, kind, |_| async move {
                free.acquire().await.expect("open").forget();
                Ok(Nothing {})
            })
            .await
            .unwrap();
    }
    free
}

#[tokio::test]
async fn shutdowns_do_not_count_as_failed_attempts() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let mut id = None;
    // One more shutdown than the number of crashes that fail a task.
    for _ in 0..=MAX_ATTEMPTS {
        let gate = Gate::closed();
        let server = lake.another_server_with_hooks(hooks_at(&gate));
        match id {
            None => {
                let params = commit_params("slow");
                id = Some(server.submit_commit(&repository, "main", params).await);
            }
            // No timeout: a server that shuts down deletes its heartbeat.
            Some(_) => server.recover_tasks().await.unwrap(),
        }
        gate.wait_until_entered().await;
        server.hand_over_tasks().await;
        wait_until_idle(&server).await;
    }
    let id = id.unwrap().unwrap();
    lake.recover_tasks().await.unwrap();
    wait_until_idle(&lake).await;
    result(lake.commit_status(&repository, "main", &id).await.unwrap());
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
}

#[tokio::test]
async fn shutdown_undoes_its_own_attempt_only() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = commit_on_dying_server(&lake, &repository).await;
    for is_stopped in [true, false, true, false] {
        lake.clock.advance(HEARTBEAT_TIMEOUT);
        let runtime = Runtime::new().unwrap();
        let gate = Gate::closed();
        let server = lake.another_server_with_hooks(hooks_at(&gate));
        runtime
            .spawn(async move {
                server.recover_tasks().await.unwrap();
                gate.wait_until_entered().await;
                if is_stopped {
                    server.hand_over_tasks().await;
                }
            })
            .await
            .unwrap();
        runtime.shutdown_background();
    }
    recover_with(&lake, &lake).await;
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert!(
        failure_message(&status).contains("(attempt 3 of 3)"),
        "{status:?}"
    );
}

#[tokio::test]
async fn deaths_while_a_task_is_queued_do_not_count() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let mut id = None;
    for _ in 0..=MAX_ATTEMPTS {
        lake.clock.advance(HEARTBEAT_TIMEOUT);
        let runtime = Runtime::new().unwrap();
        let (server, repository, begun) = (lake.another_server(), repository.clone(), id.clone());
        let submitted = runtime.spawn(async move {
            occupy(&server, &repository).await;
            if begun.is_some() {
                server.recover_tasks().await.unwrap();
                return begun;
            }
            let params = commit_params("waits");
            server.submit_commit(&repository, "main", params).await.ok()
        });
        id = submitted.await.unwrap();
        runtime.shutdown_background();
    }
    recover_with(&lake, &lake).await;
    wait_until_idle(&lake).await;
    let id = id.unwrap();
    result(lake.commit_status(&repository, "main", &id).await.unwrap());
}

#[tokio::test]
async fn deaths_after_a_queued_task_started_count() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let mut id = None;
    for _ in 0..MAX_ATTEMPTS {
        lake.clock.advance(HEARTBEAT_TIMEOUT);
        let runtime = Runtime::new().unwrap();
        let gate = Gate::closed();
        let server = lake.another_server_with_hooks(hooks_at(&gate));
        let (repository, begun) = (repository.clone(), id.clone());
        let submitted = runtime.spawn(async move {
            let free = occupy(&server, &repository).await;
            let id = match begun {
                None => {
                    let params = commit_params("slow");
                    server.submit_commit(&repository, "main", params).await.ok()
                }
                Some(id) => {
                    server.recover_tasks().await.unwrap();
                    Some(id)
                }
            };
            free.add_permits(1);
            gate.wait_until_entered().await;
            id
        });
        id = submitted.await.unwrap();
        runtime.shutdown_background();
    }
    recover_with(&lake, &lake).await;
    let id = id.unwrap();
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert!(
        failure_message(&status).contains("(attempt 3 of 3)"),
        "{status:?}"
    );
}

#[tokio::test]
async fn queued_task_that_was_taken_over_is_not_started() {
    let gate = Gate::closed();
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let waits = lake.another_server_with_hooks(hooks_at(&gate));
    let free = occupy(&waits, &repository).await;
    let params = commit_params("slow");
    let id = waits.submit_commit(&repository, "main", params).await;
    recover_with(&lake, &lake).await;
    wait_until_idle(&lake).await;
    free.add_permits(MAX_RUNNING_TASKS);
    wait_until_idle(&waits).await;
    assert_eq!(gate.entered.available_permits(), 0, "its hooks did not run");
    let id = id.unwrap();
    result(lake.commit_status(&repository, "main", &id).await.unwrap());
}

#[tokio::test]
async fn server_that_lost_and_reclaimed_a_task_runs_it_once() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let (gate, other_gate) = (Gate::closed(), Gate::closed());
    let slow = lake.another_server_with_hooks(hooks_at(&gate));
    let other = lake.another_server_with_hooks(hooks_at(&other_gate));
    let params = commit_params("slow");
    let id = slow.submit_commit(&repository, "main", params).await;
    gate.wait_until_entered().await;
    recover_with(&lake, &other).await;
    other_gate.wait_until_entered().await;
    other.hand_over_tasks().await;
    slow.recover_tasks().await.unwrap();
    gate.wait_until_entered().await;

    // The first run finds that its claim is no longer valid; the second continues.
    gate.let_through(1);
    slow.shared.pending.wait_for_at_most(1).await;
    let known = slow.shared.tasks.open().tasks.len();
    assert_eq!(
        known, 1,
        "the end of the first run must not remove the second"
    );
    slow.recover_tasks().await.unwrap();
    assert_eq!(gate.entered.available_permits(), 0, "no third run");
    gate.let_through(1);
    wait_until_idle(&slow).await;
    let id = id.unwrap();
    result(lake.commit_status(&repository, "main", &id).await.unwrap());
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
}

/// Shuts a server down at a given scheduling turn, counted from when the server is set.
#[derive(Debug)]
struct StoppedAt {
    turn: usize,
    turns: AtomicUsize,
    server: OnceLock<Catalog>,
    /// Whether the shutdown aborts the store operation. Otherwise the operation continues afterwards.
    is_cut: bool,
}

impl FaultSchedule for StoppedAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            let Some(server) = self.server.get() else {
                return;
            };
            if self.turns.fetch_add(1, Ordering::Relaxed) == self.turn {
                let server = server.clone();
                let stop = async move { server.hand_over_tasks().await };
                match self.is_cut {
                    true => tokio::spawn(stop).await.unwrap(),
                    false => stop.await,
                }
            }
        })
    }
}

/// Shuts down at the given turn. Returns the commit's attempts and whether its claim is released, or none if
/// there is no such turn.
async fn stopped_at(turn: usize, is_cut: bool) -> Option<(u32, bool)> {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let schedule = Arc::new(StoppedAt {
        turn,
        turns: AtomicUsize::new(0),
        server: OnceLock::new(),
        is_cut,
    });
    let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
    let store = FaultyStore::with_schedule(kv, Faults::default(), Arc::clone(&schedule) as _);
    let server = server_on(&lake, Arc::new(store), 7);
    let free = occupy(&server, &repository).await;
    let params = commit_params("waits");
    let id = server.submit_commit(&repository, "main", params).await;
    schedule.server.set(server.clone()).unwrap();
    free.add_permits(1);
    server
        .shared
        .pending
        .wait_for_at_most(MAX_RUNNING_TASKS - 1)
        .await;
    if schedule.turns.load(Ordering::Relaxed) <= turn {
        return None;
    }
    wait_until_idle(&server).await;
    let key = format!("{}/{}", repository.partition(), id.unwrap());
    let stored = lake.kv.get(b"weir-tasks", key.as_bytes()).await.unwrap();
    let claim = Claim::parse(stored?.value).unwrap();
    Some((claim.attempt, claim.owner_instance_id.is_empty()))
}

#[tokio::test]
async fn shutdown_during_the_start_of_a_task_undoes_the_attempt() {
    for is_cut in [true, false] {
        let mut released = 0;
        for turn in 0.. {
            let Some((attempts, is_free)) = stopped_at(turn, is_cut).await else {
                break;
            };
            assert_eq!(attempts, 0, "at turn {turn}, cut: {is_cut}");
            released += usize::from(is_free);
        }
        assert!(released > 3, "{released}");
    }
}

/// Guards against a bug: a stopping server accepted tasks, which then waited for another server.
#[tokio::test]
async fn stopping_server_refuses_tasks() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let server = lake.another_server();
    server.drain().await;
    let submitted = server.submit_commit(&repository, "main", commit_params("late"));
    let submitted = submitted.await;
    assert!(matches!(submitted, Err(Error::Stopping)), "{submitted:?}");
    assert_eq!(lake.records("weir-tasks").await, [""; 0]);
}

/// Guards against a bug: a claim that was written after the hand-over kept its owner and its attempt.
#[tokio::test]
async fn shutdown_during_a_submission_releases_the_task() {
    let mut released = 0;
    for turn in 0.. {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        lake.put(&repository, "main", "a", "1").await;
        let gate = Gate::closed();
        let schedule = Arc::new(StoppedAt {
            turn,
            turns: AtomicUsize::new(0),
            server: OnceLock::new(),
            is_cut: false,
        });
        let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
        let store = FaultyStore::with_schedule(kv, Faults::default(), Arc::clone(&schedule) as _);
        let server = server_on(&lake, Arc::new(store), 7);
        schedule.server.set(server.clone()).unwrap();
        let waits = server
            .submit_task::<Nothing, _>(&repository, TaskKind::PREPARE_GC_COMMITS, |_| async move {
                gate.wait_until_entered().await;
                Ok(Nothing {})
            })
            .await;
        if schedule.turns.load(Ordering::Relaxed) <= turn {
            break;
        }
        wait_until_idle(&server).await;
        for key in lake.records("weir-tasks").await {
            let stored = lake.kv.get(b"weir-tasks", key.as_bytes()).await.unwrap();
            let claim = Claim::parse(stored.unwrap().value).unwrap();
            let (owner, attempts) = (claim.owner_instance_id, claim.attempt);
            assert_eq!(
                (owner.as_str(), attempts),
                ("", 0),
                "at turn {turn}: {waits:?}"
            );
            released += 1;
        }
    }
    assert!(released > 0);
}

/// Overwrites a record with bytes that do not parse.
async fn corrupt(lake: &TestCatalog, partition: &[u8], key: &str) {
    let invalid = Bytes::from_static(b"\xff");
    lake.kv
        .set(partition, key.as_bytes(), invalid)
        .await
        .unwrap();
}

#[tokio::test]
async fn unreadable_record_does_not_block_other_tasks() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = commit_on_dying_server(&lake, &repository).await;
    let partition = repository.partition();
    corrupt(&lake, b"weir-tasks", "  first").await;
    corrupt(&lake, partition.as_bytes(), "tasks/  first").await;
    corrupt(&lake, b"catalog", "instances/  first").await;
    recover_with(&lake, &lake).await;
    wait_until_idle(&lake).await;
    result(lake.commit_status(&repository, "main", &id).await.unwrap());

    lake.clock.advance(TASK_RETENTION + Duration::from_secs(1));
    lake.prune_tasks().await.unwrap();
    let forgotten = lake.commit_status(&repository, "main", &id).await;
    assert!(matches!(forgotten, Err(Error::TaskNotFound(_))));
    assert_eq!(lake.records("catalog").await, ["instances/  first"]);
    assert_eq!(lake.records("weir-task-branches").await, [""; 0]);
}

#[tokio::test]
async fn server_with_unreadable_heartbeat_counts_as_dead() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = commit_on_dying_server(&lake, &repository).await;
    for beat in lake.records("catalog").await {
        corrupt(&lake, b"catalog", &beat).await;
    }
    lake.recover_tasks().await.unwrap();
    wait_until_idle(&lake).await;
    result(lake.commit_status(&repository, "main", &id).await.unwrap());
}

#[tokio::test]
async fn status_requires_the_original_branches() {
    let gate = Gate::closed();
    let lake = TestCatalog::with_hooks(hooks_at(&gate));
    let repository = lake.repository("lake").await;
    branch(&lake, &repository, "dev").await;
    lake.put(&repository, "dev", "a", "1").await;
    let params = commit_params("slow");
    let commit = lake
        .submit_commit(&repository, "dev", params)
        .await
        .unwrap();
    gate.wait_until_entered().await;
    for is_done in [false, true] {
        if is_done {
            gate.let_through(1);
            wait_until_idle(&lake).await;
        }
        let status = lake.commit_status(&repository, "dev", &commit).await;
        assert_eq!(status.unwrap().done, is_done);
        let other = lake.commit_status(&repository, "main", &commit).await;
        assert!(matches!(other, Err(Error::TaskNotFound(_))), "{other:?}");
        let other = lake.merge_status(&repository, "", "dev", &commit).await;
        assert!(matches!(other, Err(Error::TaskNotFound(_))), "{other:?}");
    }

    let merge = lake.submit_merge(&repository, "dev", "main", merge_params());
    let merge = merge.await.unwrap();
    wait_until_idle(&lake).await;
    result(
        lake.merge_status(&repository, "dev", "main", &merge)
            .await
            .unwrap(),
    );
    for (source, destination) in [("main", "main"), ("dev", "dev"), ("dev@", "main")] {
        let other = lake.merge_status(&repository, source, destination, &merge);
        let other = other.await;
        assert!(matches!(other, Err(Error::TaskNotFound(_))), "{other:?}");
    }
    let other = lake.commit_status(&repository, "main", &merge).await;
    assert!(matches!(other, Err(Error::TaskNotFound(_))), "{other:?}");

    // Tasks of earlier versions have no record of their branches.
    let key = format!("{}/{merge}", repository.partition());
    lake.kv
        .delete(b"weir-task-branches", key.as_bytes())
        .await
        .unwrap();
    result(
        lake.merge_status(&repository, "dev", "main", &merge)
            .await
            .unwrap(),
    );
}

/// Guards against a bug: a server with the maximum number of tasks tried to take over every orphaned task in every round,
/// and logged a warning for each.
#[tokio::test]
async fn full_server_does_not_try_to_take_over_tasks() {
    const ORPHANS: u64 = 20;
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let runtime = Runtime::new().unwrap();
    let gate = Gate::closed();
    let dying = lake.another_server_with_hooks(hooks_at(&gate));
    let on = repository.clone();
    let submitted = runtime.spawn(async move {
        for _ in 0..ORPHANS {
            let params = commit_params("slow");
            dying.submit_commit(&on, "main", params).await.unwrap();
        }
        gate.wait_until_entered().await;
    });
    submitted.await.unwrap();
    runtime.shutdown_background();

    let inner = Arc::<kv::MemoryStore>::clone(&lake.kv);
    let counting = Arc::new(CountingStore::new(inner));
    let store: Arc<dyn kv::Store> = Arc::<CountingStore>::clone(&counting);
    let full = lake.with_store(&store);
    for _ in 0..MAX_OPEN_TASKS {
        let kind = TaskKind::PREPARE_GC_COMMITS;
        full.submit_task::<Nothing, _>(&repository, kind, |_| std::future::pending())
            .await
            .unwrap();
    }
    counting.take();
    recover_with(&lake, &full).await;
    let reads = counting.take().reads;
    assert!((3..ORPHANS).contains(&reads), "{reads} reads");
    let claims = lake.records("weir-tasks").await;
    assert_eq!(claims.len(), MAX_OPEN_TASKS + ORPHANS as usize);
}

#[tokio::test]
async fn interrupted_restore_is_continued_by_another_server() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    lake.commit(&repository, "main", "one").await;
    let dump = lake.dump_refs(&repository).await.unwrap();
    let mut continued = 0;
    for seed in 0..40 {
        let restored = CreateRepository {
            storage_namespace: repository.storage_namespace.clone(),
            bare: true,
            ..creation(&format!("restored-{seed}"))
        };
        let restored = lake.create_repository(restored).await.unwrap();
        // Any write of this server may fail or lose its acknowledgement.
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
                &restored,
                TaskKind::RESTORE_REFS,
                Work::restore(&dump, false, "tests").to_stored(),
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
        let interrupted = dying.restore(&restored, &restore, &ticket.progress()).await;
        continued += usize::from(interrupted.is_err());
        drop((interrupted, ticket));
        recover_with(&lake, &lake).await;
        wait_until_idle(&lake).await;
        result(lake.restore_status(&restored, &token).await.unwrap());
        assert_eq!(lake.paths(&restored, "main").await, "a");
    }
    assert!(continued >= 5, "only {continued} were interrupted");
}
