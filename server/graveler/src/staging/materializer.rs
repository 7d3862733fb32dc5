//! Remembers the stored trees of staged changes, and decides when a branch needs the next one.
//!
//! `materialize.rs` makes the trees.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::MissedTickBehavior;

use crate::{BranchId, MetaRangeId, Options, Repository, StagingToken};

/// Maximum number of branches remembered; the least recently used one is forgotten first.
const MAX_BRANCHES: u64 = 1_000;
/// Maximum number of trees that one server makes concurrently. Further requests are dropped; a
/// later read repeats them.
const MAX_AT_A_TIME: usize = 2;
/// Maximum number of checks whether a branch is quiet. If deletions never stop, only reads trigger
/// a tree.
const MAX_QUIET_CHECKS: usize = 60;

type Key = (String, BranchId);

/// A stored tree: some sealed tokens of a branch applied to its head's tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Materialized {
    /// The head's tree.
    pub(super) head: MetaRangeId,
    /// Newest first, never empty.
    pub(super) tokens: Vec<StagingToken>,
    pub(super) tree: MetaRangeId,
    /// Whether a commit would make the same tree. If a staged value has the head's identity, a
    /// commit keeps the head's data, while reads return the staged data.
    pub(super) matches_commit: bool,
}

impl Materialized {
    /// The sealed tokens of a branch that are not in the tree; `None` if the tree does not belong
    /// to this state of the branch.
    pub(super) fn newer<'r>(
        &self,
        head: &MetaRangeId,
        sealed: &'r [StagingToken],
    ) -> Option<&'r [StagingToken]> {
        (self.head == *head)
            .then(|| sealed.strip_suffix(self.tokens.as_slice()))
            .flatten()
    }
}

/// The staged rows that reads have skipped since the last tree, and how many trigger the next one.
#[derive(Debug)]
pub(super) struct SkippedRows {
    count: u64,
    pub(super) threshold: u64,
}

#[derive(Debug)]
pub(super) struct BranchState {
    pub(super) latest: Mutex<Option<Arc<Materialized>>>,
    pub(super) skipped: Mutex<SkippedRows>,
    is_working: AtomicBool,
    /// Number of keys deleted since a task last finished waiting for deletions to stop.
    pub(super) deleted: AtomicU64,
    /// Whether a task waits for deletions to stop.
    pub(super) is_waiting: AtomicBool,
}

/// The state of the branches that this server reads or deletes from, and the slots for making
/// trees.
#[derive(Debug)]
pub(crate) struct Materializer {
    branches: Cache<Key, Arc<BranchState>>,
    slots: Arc<Semaphore>,
    /// See `Options::materialize_after_rows`.
    pub(super) after_rows: u64,
    /// See `Options::materialize_when_quiet`.
    pub(super) when_quiet: Duration,
}

/// Permission to make the tree of one branch, until dropped.
pub(super) struct WorkPermit {
    pub(super) branch: Arc<BranchState>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for WorkPermit {
    fn drop(&mut self) {
        self.branch.is_working.store(false, Ordering::Release);
    }
}

/// What a read merges: tokens on top of a tree.
#[derive(Debug)]
pub(crate) struct Layers {
    /// Newest first.
    pub tokens: Vec<StagingToken>,
    pub tree: MetaRangeId,
}

impl Materializer {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            branches: Cache::builder()
                .max_capacity(MAX_BRANCHES)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            slots: Arc::new(Semaphore::new(MAX_AT_A_TIME)),
            after_rows: options.materialize_after_rows.max(1),
            when_quiet: options.materialize_when_quiet,
        }
    }

    /// The number of skipped rows after which a read reports them.
    pub(crate) fn after_rows(&self) -> u64 {
        self.after_rows
    }

    pub(super) fn latest(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Option<Arc<Materialized>> {
        let state = self
            .branches
            .get(&(repository.partition(), branch.clone()))?;
        let latest = state.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.clone()
    }

    pub(super) fn state(&self, repository: &Repository, branch: &BranchId) -> Arc<BranchState> {
        let key = (repository.partition(), branch.clone());
        self.branches.get_with(key, || {
            Arc::new(BranchState {
                latest: Mutex::default(),
                skipped: Mutex::new(SkippedRows {
                    count: 0,
                    threshold: self.after_rows,
                }),
                is_working: AtomicBool::new(false),
                deleted: AtomicU64::new(0),
                is_waiting: AtomicBool::new(false),
            })
        })
    }

    /// Counts deletions. Returns the branch's state if there are many and no task waits for their
    /// end yet.
    pub(super) fn note_deletions(
        &self,
        repository: &Repository,
        branch: &BranchId,
        keys: u64,
    ) -> Option<Arc<BranchState>> {
        if self.when_quiet.is_zero() {
            return None;
        }
        let state = self.state(repository, branch);
        let deleted = state.deleted.fetch_add(keys, Ordering::Relaxed) + keys;
        (deleted >= self.after_rows && !state.is_waiting.swap(true, Ordering::AcqRel))
            .then_some(state)
    }

    /// Counts rows that a read skipped. Returns a permit if a tree is due and a slot is free.
    pub(super) fn add_skipped(&self, state: &Arc<BranchState>, rows: u64) -> Option<WorkPermit> {
        let mut skipped = state.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.count = skipped.count.saturating_add(rows);
        if skipped.count < skipped.threshold {
            return None;
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        if state.is_working.swap(true, Ordering::AcqRel) {
            return None;
        }
        skipped.count = 0;
        drop(skipped);
        Some(WorkPermit {
            branch: Arc::clone(state),
            _slot: slot,
        })
    }
}

impl BranchState {
    /// Waits until nothing was deleted for `quiet`. Returns `false` if that did not happen within
    /// [`MAX_QUIET_CHECKS`] intervals.
    pub(super) async fn wait_until_quiet(&self, quiet: Duration) -> bool {
        let mut before = self.deleted.load(Ordering::Relaxed);
        let mut checks = tokio::time::interval(quiet);
        // After a late check, the next one must not follow at once.
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick completes at once.
        checks.tick().await;
        for _ in 0..MAX_QUIET_CHECKS {
            checks.tick().await;
            let now = self.deleted.load(Ordering::Relaxed);
            if now == before {
                return true;
            }
            before = now;
        }
        false
    }

    pub(super) fn set_threshold(&self, threshold: impl FnOnce(u64) -> u64) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.threshold = threshold(skipped.threshold);
    }
}

#[cfg(test)]
impl Materializer {
    /// Waits until no tree is being made.
    pub(crate) async fn settled(&self) {
        let all = u32::try_from(MAX_AT_A_TIME).expect("a few");
        let _places = self.slots.acquire_many(all).await.expect("never closed");
    }

    /// Whether a task waits for deletions on the branch to stop.
    pub(crate) fn waits(&self, repository: &Repository, branch: &BranchId) -> bool {
        self.state(repository, branch)
            .is_waiting
            .load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{BranchState, MAX_QUIET_CHECKS, Materializer};
    use crate::Options;
    use crate::testing::{branch, repository};

    /// Longer than the 5 ms by which a tokio interval lets a tick be late.
    const QUIET: Duration = Duration::from_millis(10);

    fn state() -> Arc<BranchState> {
        let materializer = Materializer::new(&Options::default());
        materializer.state(&repository("lake"), &branch("main"))
    }

    /// Deletes a key, and lets more than a quiet interval pass before the next poll.
    async fn delete_and_wait(state: &BranchState) {
        state.deleted.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep_until(Instant::now() + 2 * QUIET).await;
    }

    #[tokio::test]
    async fn branch_is_quiet_only_after_an_interval_without_deletions() {
        let state = state();
        let mut quiet = Box::pin(state.wait_until_quiet(QUIET));
        assert!(futures::poll!(&mut quiet).is_pending());
        for _ in 0..10 {
            delete_and_wait(&state).await;
            assert!(futures::poll!(&mut quiet).is_pending());
        }
        assert!(quiet.await);
    }

    #[tokio::test]
    async fn wait_ends_if_deletions_never_stop() {
        let state = state();
        let mut quiet = Box::pin(state.wait_until_quiet(QUIET));
        // The first poll may come before the first tick.
        for _ in 0..MAX_QUIET_CHECKS + 2 {
            if let Poll::Ready(is_quiet) = futures::poll!(&mut quiet) {
                return assert!(!is_quiet);
            }
            delete_and_wait(&state).await;
        }
        panic!("the wait must end");
    }
}
