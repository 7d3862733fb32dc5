//! Servers that are told to stop, tasks that only wait, and records that cannot be read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base::testing::{FaultSchedule, Turn};
use bytes::Bytes;
use graveler::Repository;
use kv::Store as _;
use kv::testing::{Faults, FaultyStore};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::{
    Gate, branch, dies_in_hooks, failed, gated, idle, look_after, messages, server_on, succeeded,
};
use crate::tasks::records::Claim;
use crate::tasks::{DEAD_AFTER, KEPT_FOR, MAX_ATTEMPTS, MAX_RUNNING_TASKS, TaskKind};
use crate::testing::{TestCatalog, commit_params, merge_params};
use crate::{Catalog, Error};

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

/// Takes every place of a server, until the semaphore has a permit for each.
async fn fill(server: &Catalog, repository: &Repository) -> Arc<Semaphore> {
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
async fn servers_that_are_told_to_stop_did_not_die_of_their_tasks() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let mut id = None;
    // One more than deaths are put up with.
    for _ in 0..=MAX_ATTEMPTS {
        let gate = Gate::closed();
        let server = lake.another_server_with_hooks(gated(&gate));
        match id {
            None => {
                let params = commit_params("slow");
                id = Some(server.submit_commit(&repository, "main", params).await);
            }
            // At once: it need not wait until silence is death.
            Some(_) => server.look_after_tasks().await.unwrap(),
        }
        gate.is_entered().await;
        server.hand_over_tasks().await;
        idle(&server).await;
    }
    let id = id.unwrap().unwrap();
    lake.look_after_tasks().await.unwrap();
    idle(&lake).await;
    succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
}

#[tokio::test]
async fn a_stop_takes_back_its_own_attempt_and_no_others() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = dies_in_hooks(&lake, &repository).await;
    for is_stopped in [true, false, true, false] {
        lake.clock.advance(DEAD_AFTER);
        let runtime = Runtime::new().unwrap();
        let gate = Gate::closed();
        let server = lake.another_server_with_hooks(gated(&gate));
        runtime
            .spawn(async move {
                server.look_after_tasks().await.unwrap();
                gate.is_entered().await;
                if is_stopped {
                    server.hand_over_tasks().await;
                }
            })
            .await
            .unwrap();
        runtime.shutdown_background();
    }
    look_after(&lake, &lake).await;
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert!(failed(&status).contains("(attempt 3)"), "{status:?}");
}

#[tokio::test]
async fn nobody_dies_of_a_task_that_only_waits() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let mut id = None;
    for _ in 0..=MAX_ATTEMPTS {
        lake.clock.advance(DEAD_AFTER);
        let runtime = Runtime::new().unwrap();
        let (server, repository, begun) = (lake.another_server(), repository.clone(), id.clone());
        let submitted = runtime.spawn(async move {
            fill(&server, &repository).await;
            if begun.is_some() {
                server.look_after_tasks().await.unwrap();
                return begun;
            }
            let params = commit_params("waits");
            server.submit_commit(&repository, "main", params).await.ok()
        });
        id = submitted.await.unwrap();
        runtime.shutdown_background();
    }
    look_after(&lake, &lake).await;
    idle(&lake).await;
    let id = id.unwrap();
    succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());
}

#[tokio::test]
async fn a_task_that_waited_and_then_began_is_died_of() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let mut id = None;
    for _ in 0..MAX_ATTEMPTS {
        lake.clock.advance(DEAD_AFTER);
        let runtime = Runtime::new().unwrap();
        let gate = Gate::closed();
        let server = lake.another_server_with_hooks(gated(&gate));
        let (repository, begun) = (repository.clone(), id.clone());
        let submitted = runtime.spawn(async move {
            let free = fill(&server, &repository).await;
            let id = match begun {
                None => {
                    let params = commit_params("slow");
                    server.submit_commit(&repository, "main", params).await.ok()
                }
                Some(id) => {
                    server.look_after_tasks().await.unwrap();
                    Some(id)
                }
            };
            free.add_permits(1);
            gate.is_entered().await;
            id
        });
        id = submitted.await.unwrap();
        runtime.shutdown_background();
    }
    look_after(&lake, &lake).await;
    let id = id.unwrap();
    let status = lake.commit_status(&repository, "main", &id).await.unwrap();
    assert!(failed(&status).contains("(attempt 3)"), "{status:?}");
}

#[tokio::test]
async fn a_task_that_was_taken_while_it_waited_is_not_begun() {
    let gate = Gate::closed();
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let waits = lake.another_server_with_hooks(gated(&gate));
    let free = fill(&waits, &repository).await;
    let params = commit_params("slow");
    let id = waits.submit_commit(&repository, "main", params).await;
    look_after(&lake, &lake).await;
    idle(&lake).await;
    free.add_permits(MAX_RUNNING_TASKS);
    idle(&waits).await;
    assert_eq!(gate.entered.available_permits(), 0, "its hooks did not run");
    let id = id.unwrap();
    succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());
}

#[tokio::test]
async fn a_server_that_lost_a_task_and_took_it_again_works_on_it_once() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let (gate, other_gate) = (Gate::closed(), Gate::closed());
    let slow = lake.another_server_with_hooks(gated(&gate));
    let other = lake.another_server_with_hooks(gated(&other_gate));
    let params = commit_params("slow");
    let id = slow.submit_commit(&repository, "main", params).await;
    gate.is_entered().await;
    look_after(&lake, &other).await;
    other_gate.is_entered().await;
    other.hand_over_tasks().await;
    slow.look_after_tasks().await.unwrap();
    gate.is_entered().await;

    // The first run finds out that the task is not its any more; the second goes on.
    gate.let_through(1);
    slow.shared.pending.at_most(1).await;
    let known = slow.shared.tasks.open().tasks.len();
    assert_eq!(known, 1, "the end of the first is not that of the second");
    slow.look_after_tasks().await.unwrap();
    assert_eq!(gate.entered.available_permits(), 0, "no third one");
    gate.let_through(1);
    idle(&slow).await;
    let id = id.unwrap();
    succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());
    assert_eq!(
        messages(&lake, &repository).await,
        ["slow", "Repository created"]
    );
}

/// A server is told to stop at the turn of this number from when it is set.
#[derive(Debug)]
struct StoppedAt {
    turn: usize,
    turns: AtomicUsize,
    server: OnceLock<Catalog>,
    /// Whether what is under way is given up where it waits for the stop, or goes on behind it.
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

/// The commit's attempts behind a stop at that turn, and whether it is anybody's; none if there was no such turn.
async fn stopped_at(turn: usize, is_cut: bool) -> Option<(u32, bool)> {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let fate = Arc::new(StoppedAt {
        turn,
        turns: AtomicUsize::new(0),
        server: OnceLock::new(),
        is_cut,
    });
    let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
    let store = FaultyStore::with_schedule(kv, Faults::default(), Arc::clone(&fate) as _);
    let server = server_on(&lake, Arc::new(store), 7);
    let free = fill(&server, &repository).await;
    let params = commit_params("waits");
    let id = server.submit_commit(&repository, "main", params).await;
    fate.server.set(server.clone()).unwrap();
    free.add_permits(1);
    server.shared.pending.at_most(MAX_RUNNING_TASKS - 1).await;
    if fate.turns.load(Ordering::Relaxed) <= turn {
        return None;
    }
    idle(&server).await;
    let key = format!("{}/{}", repository.partition(), id.unwrap());
    let stored = lake.kv.get(b"weir-tasks", key.as_bytes()).await.unwrap();
    let claim = Claim::parse(stored?.value).unwrap();
    Some((claim.attempt, claim.owner_instance_id.is_empty()))
}

#[tokio::test]
async fn a_stop_just_as_a_task_begins_takes_the_attempt_back() {
    for is_cut in [true, false] {
        let mut given_back = 0;
        for turn in 0.. {
            let Some((attempts, is_free)) = stopped_at(turn, is_cut).await else {
                break;
            };
            assert_eq!(attempts, 0, "at turn {turn}, cut: {is_cut}");
            given_back += usize::from(is_free);
        }
        assert!(given_back > 3, "{given_back}");
    }
}

/// Writes what no version has written where the first record of its kind lies.
async fn spoil(lake: &TestCatalog, partition: &[u8], key: &str) {
    let spoilt = Bytes::from_static(b"\xff");
    lake.kv
        .set(partition, key.as_bytes(), spoilt)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stands_in_no_others_way() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = dies_in_hooks(&lake, &repository).await;
    let partition = repository.partition();
    spoil(&lake, b"weir-tasks", "  first").await;
    spoil(&lake, partition.as_bytes(), "tasks/  first").await;
    spoil(&lake, b"catalog", "instances/  first").await;
    look_after(&lake, &lake).await;
    idle(&lake).await;
    succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());

    lake.clock.advance(KEPT_FOR + Duration::from_secs(1));
    lake.forget_tasks().await.unwrap();
    let forgotten = lake.commit_status(&repository, "main", &id).await;
    assert!(matches!(forgotten, Err(Error::TaskNotFound(_))));
    assert_eq!(lake.records("catalog").await, ["instances/  first"]);
    assert_eq!(lake.records("weir-task-branches").await, [""; 0]);
}

#[tokio::test]
async fn a_server_whose_heartbeat_cannot_be_read_is_dead() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let id = dies_in_hooks(&lake, &repository).await;
    for beat in lake.records("catalog").await {
        spoil(&lake, b"catalog", &beat).await;
    }
    lake.look_after_tasks().await.unwrap();
    idle(&lake).await;
    succeeded(lake.commit_status(&repository, "main", &id).await.unwrap());
}

#[tokio::test]
async fn a_task_is_told_of_to_those_who_name_its_branches() {
    let gate = Gate::closed();
    let lake = TestCatalog::with_hooks(gated(&gate));
    let repository = lake.repository("lake").await;
    branch(&lake, &repository, "dev").await;
    lake.put(&repository, "dev", "a", "1").await;
    let params = commit_params("slow");
    let commit = lake
        .submit_commit(&repository, "dev", params)
        .await
        .unwrap();
    gate.is_entered().await;
    for is_done in [false, true] {
        if is_done {
            gate.let_through(1);
            idle(&lake).await;
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
    idle(&lake).await;
    succeeded(
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

    // Of versions that noted no branches.
    let key = format!("{}/{merge}", repository.partition());
    lake.kv
        .delete(b"weir-task-branches", key.as_bytes())
        .await
        .unwrap();
    succeeded(
        lake.merge_status(&repository, "dev", "main", &merge)
            .await
            .unwrap(),
    );
}
