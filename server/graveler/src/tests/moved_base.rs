//! Heads that move while hooks judge a change, without affecting the new tree.
//!
//! The hooks must judge again, since a verdict also depends on the tree before the change: its action
//! files judge the change, and the changed objects are those that differ from it.

use std::sync::Mutex;

use async_trait::async_trait;

use crate::testing::{Lake, branch, committing, merging, picking, reverting};
use crate::{
    CommitParams, Event, EventKind, HookOutcome, Hooks, MergeParams, MergeStrategy, NoHooks,
    Rejection, RevertParams,
};

/// What another server does to main.
#[derive(Debug, Clone, Copy)]
enum OtherServerChange {
    Commits(&'static str),
    Deletes(&'static str),
    ResetsTo(&'static str),
}

/// Hooks during which another server moves the head once.
#[derive(Debug)]
struct MovingHooks {
    server: Lake,
    other_change: Mutex<Option<OtherServerChange>>,
    /// The trees before and after the change, each time the hooks judged it.
    judged: Mutex<Vec<[String; 2]>>,
    /// The trees before the change, each time the prepare-commit hooks ran.
    prepared: Mutex<Vec<String>>,
    /// The commits that the hooks judged, where an event has its id.
    commits: Mutex<Vec<String>>,
}

impl MovingHooks {
    fn new(lake: &Lake, change: OtherServerChange) -> Self {
        Self {
            server: lake.other_server(),
            other_change: Mutex::new(Some(change)),
            judged: Mutex::default(),
            prepared: Mutex::default(),
            commits: Mutex::default(),
        }
    }

    /// Asserts that the hooks judged twice: the same new tree, first on the old base, then on the
    /// parent of the commit that landed.
    async fn assert_judged_again(&self) {
        let judged = self.judged.lock().unwrap().clone();
        let [[old_base, first], [base, second]] = judged.as_slice() else {
            panic!("the hooks must judge twice: {judged:?}");
        };
        assert_eq!(first, second, "the new tree must stay the same");
        assert_ne!(old_base, base);
        let prepared = self.prepared.lock().unwrap().clone();
        let is_commit = !prepared.is_empty();
        assert!(!is_commit || prepared == [old_base.clone(), base.clone()]);
        let landed = self.server.head("main").await;
        assert_eq!(landed.meta_range_id.as_str(), second);
        let graveler = &self.server.graveler;
        let parent = graveler
            .get_commit(&self.server.repo, &landed.parents[0])
            .await
            .unwrap();
        assert_eq!(parent.meta_range_id.as_str(), base);
    }
}

#[async_trait]
impl Hooks for MovingHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        let base = event.base().unwrap();
        let Some(candidate) = event.candidate() else {
            self.prepared.lock().unwrap().push(base.to_string());
            return Ok(HookOutcome::default());
        };
        self.judged
            .lock()
            .unwrap()
            .push([base.to_string(), candidate.to_string()]);
        let commit = event.commit_id().map(ToString::to_string);
        self.commits.lock().unwrap().extend(commit);
        let other_change = self.other_change.lock().unwrap().take();
        let server = &self.server;
        match other_change {
            Some(OtherServerChange::Commits(changes)) => {
                server.put("main", changes).await;
                server.commit("main", "other server").await.unwrap();
            }
            Some(OtherServerChange::Deletes(keys)) => {
                server.delete("main", keys).await.unwrap();
                server.commit("main", "other server").await.unwrap();
            }
            Some(OtherServerChange::ResetsTo(reference)) => {
                server.hard_reset("main", reference).await.unwrap();
            }
            None => {}
        }
        Ok(HookOutcome::ran())
    }

    async fn after(&self, _event: Event) {}
}

/// A lake where a commit on `dev` deletes the gate of `main`.
async fn gate_deleted_on_dev() -> Lake {
    let lake = Lake::new().await;
    lake.put("main", "a=1 gate=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.delete("dev", "gate").await.unwrap();
    lake.commit("dev", "without the gate").await.unwrap();
    lake
}

#[tokio::test]
async fn merge_is_judged_again() {
    let lake = gate_deleted_on_dev().await;
    let hooks = MovingHooks::new(&lake, OtherServerChange::Commits("gate=2"));
    let params = MergeParams {
        strategy: MergeStrategy::SourceWins,
        ..merging()
    };
    lake.merge_with("dev", "main", params, &hooks)
        .await
        .unwrap();
    hooks.assert_judged_again().await;
}

#[tokio::test]
async fn commit_of_a_given_tree_is_judged_again() {
    let lake = gate_deleted_on_dev().await;
    let hooks = MovingHooks::new(&lake, OtherServerChange::Commits("gate=2"));
    let params = CommitParams {
        source_metarange: Some(lake.head("dev").await.meta_range_id),
        ..committing("the tree of dev")
    };
    lake.graveler
        .commit(&lake.repo, &branch("main"), params, &hooks)
        .await
        .unwrap();
    hooks.assert_judged_again().await;
}

#[tokio::test]
async fn commit_of_staged_changes_is_judged_again() {
    let lake = Lake::new().await;
    lake.put("main", "gate=1").await;
    lake.commit("main", "strict").await.unwrap();
    lake.put("main", "gate=2").await;
    lake.commit("main", "lenient").await.unwrap();
    lake.delete("main", "gate").await.unwrap();
    lake.put("main", "bad=1").await;
    let hooks = MovingHooks::new(&lake, OtherServerChange::ResetsTo("main~1"));
    lake.graveler
        .commit(
            &lake.repo,
            &branch("main"),
            committing("without the gate"),
            &hooks,
        )
        .await
        .unwrap();
    hooks.assert_judged_again().await;
}

#[tokio::test]
async fn revert_is_judged_again() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.put("main", "gate=1").await;
    lake.commit("main", "gate").await.unwrap();
    let hooks = MovingHooks::new(&lake, OtherServerChange::Deletes("gate"));
    let params = RevertParams {
        allow_empty: true,
        ..reverting()
    };
    lake.revert_with("main", "main", params, &hooks)
        .await
        .unwrap();
    hooks.assert_judged_again().await;
}

#[tokio::test]
async fn cherry_pick_is_judged_again() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "bad=1 gate=1").await;
    lake.commit("dev", "gate").await.unwrap();
    let hooks = MovingHooks::new(&lake, OtherServerChange::Commits("gate=1"));
    lake.pick_with("main", "dev", picking(), &hooks)
        .await
        .unwrap();
    hooks.assert_judged_again().await;
}

/// Hooks judge the commit that lands. If the head moves to another commit with the same tree, the new
/// commit has another parent and therefore another id.
#[tokio::test]
async fn commit_with_another_parent_is_judged_again() {
    let lake = gate_deleted_on_dev().await;
    let empty = CommitParams {
        allow_empty: true,
        ..committing("empty")
    };
    lake.graveler
        .commit(&lake.repo, &branch("main"), empty, &NoHooks)
        .await
        .unwrap();
    let hooks = MovingHooks::new(&lake, OtherServerChange::ResetsTo("main~1"));
    lake.merge_with("dev", "main", merging(), &hooks)
        .await
        .unwrap();
    let judged = hooks.commits.lock().unwrap().clone();
    assert_eq!(judged.len(), 2);
    assert_eq!(judged[1], lake.head("main").await.id.to_string());
}

/// A service that prepares a commit may commit to the same branch. Its commit does not wait for the one
/// that is being prepared.
#[tokio::test]
async fn branch_can_be_changed_while_a_commit_is_prepared_again() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.put("main", "b=1").await;
    lake.commit("main", "head").await.unwrap();
    lake.put("main", "c=1").await;
    let hooks = PreparingHooks {
        lake: lake.clone(),
        prepared: Mutex::default(),
    };
    lake.graveler
        .commit(&lake.repo, &branch("main"), committing("ours"), &hooks)
        .await
        .unwrap();
    assert_eq!(*hooks.prepared.lock().unwrap(), 3);
    assert_eq!(lake.show("main@").await, "a=1 c=1 d=1 e=1");
}

/// Hooks that change the branch while they prepare its commit. They use the same server, on which changes of a branch
/// take turns.
#[derive(Debug)]
struct PreparingHooks {
    lake: Lake,
    prepared: Mutex<u32>,
}

#[async_trait]
impl Hooks for PreparingHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind() == EventKind::PrepareCommit {
            let run = {
                let mut prepared = self.prepared.lock().unwrap();
                *prepared += 1;
                *prepared
            };
            match run {
                1 => self.lake.hard_reset("main", "main~1").await.unwrap(),
                2 => {
                    self.lake.put("main", "d=1").await;
                    self.lake.commit("main", "by the service").await.unwrap();
                    self.lake.put("main", "e=1").await;
                }
                _ => {}
            }
        }
        Ok(HookOutcome::ran())
    }

    async fn after(&self, _event: Event) {}
}
