//! Servers that race for a branch's head: the loser repeats some work and hooks, and the winner backs
//! off.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base::testing::{FaultSchedule, Turn};
use kv::Store;
use kv::testing::{Faults, FaultyStore};

use super::undo::entries;
use crate::testing::{Lake, branch, committing, merging};
use crate::{
    Error, Event, EventKind, HookOutcome, Hooks, MergeParams, MergeStrategy, NoHooks, Operation,
    Rejection,
};

/// Hooks during which another server commits. Each time a merge is judged, it commits the next set of
/// changes.
#[derive(Debug)]
struct CommittingHooks {
    server: Lake,
    commits: Mutex<Vec<&'static str>>,
    /// The candidate trees that were judged.
    judged: Mutex<Vec<String>>,
}

impl CommittingHooks {
    fn new(server: Lake, commits: &[&'static str]) -> Self {
        Self {
            server,
            commits: Mutex::new(commits.iter().rev().copied().collect()),
            judged: Mutex::default(),
        }
    }
}

#[async_trait]
impl Hooks for CommittingHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind() == EventKind::PreMerge {
            let candidate = event.candidate().unwrap().to_string();
            self.judged.lock().unwrap().push(candidate);
            let next = self.commits.lock().unwrap().pop();
            if let Some(changes) = next {
                self.server.put("main", changes).await;
                self.server
                    .graveler
                    .commit(
                        &self.server.repo,
                        &branch("main"),
                        committing("other server"),
                        &NoHooks,
                    )
                    .await
                    .unwrap();
            }
        }
        Ok(HookOutcome::ran())
    }

    async fn after(&self, _event: Event) {}
}

async fn diverged() -> Lake {
    let lake = Lake::new().await;
    lake.put("main", "a=1 b=1 c=1 d=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "b=2 n=2").await;
    lake.commit("dev", "theirs").await.unwrap();
    lake.put("main", "c=3").await;
    lake.commit("main", "ours").await.unwrap();
    lake
}

#[tokio::test]
async fn merge_that_loses_the_race_is_rebased() {
    let lake = diverged().await;
    let hooks = CommittingHooks::new(lake.other_server(), &["d=4", "e=5"]);
    lake.merge_with("dev", "main", merging(), &hooks)
        .await
        .unwrap();
    assert_eq!(lake.show("main@").await, "a=1 b=2 c=3 d=4 e=5 n=2");
    let head = lake.head("main").await;
    assert_eq!(head.parents[1], lake.head("dev").await.id);
    let judged = hooks.judged.lock().unwrap().clone();
    assert_eq!(judged.len(), 3, "the hooks must judge each candidate");
    assert_eq!(judged[2], head.meta_range_id.to_string());
}

#[tokio::test]
async fn concurrent_change_of_the_same_key_conflicts() {
    let lake = diverged().await;
    let hooks = CommittingHooks::new(lake.other_server(), &["b=9"]);
    let refused = lake.merge_with("dev", "main", merging(), &hooks).await;
    assert!(
        matches!(&refused, Err(Error::Conflict { keys, count: 1 }) if keys == &[b"b".to_vec()]),
        "{refused:?}"
    );
    assert_eq!(lake.show("main@").await, "a=1 b=9 c=3 d=1");
}

#[tokio::test]
async fn concurrent_change_of_the_same_key_loses_if_the_source_wins() {
    let lake = diverged().await;
    let hooks = CommittingHooks::new(lake.other_server(), &["b=8 d=8"]);
    let params = MergeParams {
        strategy: MergeStrategy::SourceWins,
        ..merging()
    };
    lake.merge_with("dev", "main", params, &hooks)
        .await
        .unwrap();
    assert_eq!(lake.show("main@").await, "a=1 b=2 c=3 d=8 n=2");
}

/// The other server makes the same change as the merge. The candidate is rebased, and the change is
/// kept.
#[tokio::test]
async fn equal_concurrent_change_is_no_conflict() {
    let lake = diverged().await;
    let hooks = CommittingHooks::new(lake.other_server(), &["b=2 n=2"]);
    lake.merge_with("dev", "main", merging(), &hooks)
        .await
        .unwrap();
    assert_eq!(lake.show("main@").await, "a=1 b=2 c=3 d=1 n=2");
}

/// Hooks during which another server seals the staged changes and has its commit refused.
#[derive(Debug)]
struct SealingHooks(Lake);

#[async_trait]
impl Hooks for SealingHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind() == EventKind::PreCommit {
            self.0.put("main", "z=1").await;
            let (repo, main) = (&self.0.repo, branch("main"));
            let graveler = &self.0.graveler;
            let refused = graveler.commit(repo, &main, committing("other server"), &RefusingHooks);
            refused.await.unwrap_err();
        }
        Ok(HookOutcome::ran())
    }

    async fn after(&self, _event: Event) {}
}

#[derive(Debug)]
pub(super) struct RefusingHooks;

#[async_trait]
impl Hooks for RefusingHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        match event.kind() {
            EventKind::PreCommit => Err(Box::new(Rejection {
                run_id: event.run_id.clone(),
                kind: event.kind(),
                message: "refused".into(),
                hint: None,
                invalid_actions: false,
                findings: Vec::new(),
            })),
            _ => Ok(HookOutcome::default()),
        }
    }

    async fn after(&self, _event: Event) {}
}

/// Without the backoff, a server whose attempts take longer would lose every race.
#[tokio::test]
async fn winner_of_a_race_backs_off_before_the_next_permit() {
    let lake = Lake::new().await;
    let (repo, main) = (&lake.repo, branch("main"));
    let sealing = SealingHooks(lake.other_server());
    for (hooks, waits) in [(&NoHooks as &dyn Hooks, false), (&sealing, true)] {
        lake.put("main", if waits { "a=2" } else { "a=1" }).await;
        let graveler = &lake.graveler;
        let landed = graveler.commit(repo, &main, committing("ours"), hooks);
        landed.await.unwrap();
        let mut next = Box::pin(graveler.queue.acquire(repo, &main));
        let permit = futures::poll!(&mut next);
        assert_eq!(permit.is_pending(), waits);
        if waits {
            drop(next.await.unwrap());
        }
    }
    assert_eq!(lake.show("main@").await, "a=2");
}

/// At one turn of the store, another server commits.
#[derive(Debug)]
struct CommittingAt {
    turn: usize,
    turns: AtomicUsize,
    other: Lake,
}

impl FaultSchedule for CommittingAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.turns.fetch_add(1, Ordering::Relaxed) == self.turn {
                self.other.put("main", "late=1").await;
                self.other.commit("main", "other server").await.unwrap();
            }
        })
    }
}

/// `main~1` is one commit before the head that the reset moves, so a commit that lands meanwhile is not
/// dropped by a reset to the grandparent.
#[tokio::test]
async fn hard_reset_to_a_relative_reference_discards_one_commit() {
    for turn in 0.. {
        let lake = Lake::new().await;
        for change in ["a=1", "a=2", "a=3"] {
            lake.put("main", change).await;
            lake.commit("main", change).await.unwrap();
        }
        lake.put("main", "staged=1").await;
        let schedule = Arc::new(CommittingAt {
            turn,
            turns: AtomicUsize::new(0),
            other: lake.other_server(),
        });
        let kv = Arc::clone(&lake.kv);
        let dynamic = Arc::clone(&schedule) as _;
        let racing: Arc<dyn Store> =
            Arc::new(FaultyStore::with_schedule(kv, Faults::default(), dynamic));
        let server = Lake {
            graveler: lake.graveler.on_store_for_tests(&racing),
            ..lake.clone()
        };
        server.hard_reset("main", "main~1").await.unwrap();
        let entries = entries(&lake, "main").await;
        let reset = entries
            .iter()
            .find(|entry| entry.operation == Operation::HardReset);
        let reset = reset.unwrap();
        let from = reset.from.as_ref().unwrap().to_string();
        let dropped = lake
            .graveler
            .resolve(&lake.repo, &format!("{from}~1"))
            .await;
        assert_eq!(reset.to, Some(dropped.unwrap().commit_id), "turn {turn}");
        if schedule.turns.load(Ordering::Relaxed) <= turn {
            assert!(turn > 5, "a reset has more than five turns");
            return;
        }
    }
}
