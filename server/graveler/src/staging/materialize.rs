//! Stores trees of staged changes in the background, so that reads need not walk the changes.
//!
//! A read merges a branch's staged rows with the head's tree, row by row: after a hundred thousand
//! staged deletions, a page of a listing reads a hundred thousand rows. Sealed tokens no longer
//! change (a late write to one is repeated in a newer one, see [`crate::change`]). The tree that
//! they make of the head's tree can therefore be stored once, as a commit would store it, and reads
//! merge only newer tokens with it. The tree is remembered in memory; no record names it.
//!
//! ```text
//! branch   staging   sealed newest .. oldest   head
//!          \________________/ \_____________________/
//!             read as rows       one stored tree
//! ```
//!
//! A tree is used only if the branch still has its head, and its sealed tokens as the oldest ones.
//! After a commit, a merge or a reset it no longer matches.
//!
//! Work is proportional to use: a tree is made once reads have skipped enough rows, and again once
//! they have skipped a share of the last tree's cost. All this work is therefore at most
//! [`WORK_PER_ROW`] times the work of the reads that caused it. Deletions count like skipped rows
//! once no more of them arrive, so that the next listing finds a tree and the next commit reuses it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StagedChanges;
use crate::engine::Engine;
use crate::{
    Branch, BranchId, BranchRecord, CommitId, Error, MetaRangeId, Options, Repository, Result,
    StagingToken,
};

/// Maximum number of branches remembered; the least recently read is forgotten first.
const MAX_BRANCHES: u64 = 1_000;
/// Maximum number of trees that one server makes concurrently. Further requests are dropped; a later
/// read repeats them.
const MAX_AT_A_TIME: usize = 2;
/// Maximum number of rows read and written for a tree, per row that reads skipped since the last one.
const WORK_PER_ROW: u64 = 4;
/// Factor by which a failure raises the threshold for the next attempt.
const AFTER_FAILURE: u64 = 8;
/// How often at most a branch is checked for being quiet. If deletions never stop, only reads trigger
/// the work.
const MAX_QUIET_CHECKS: usize = 60;

type Key = (String, BranchId);

/// The tree that some sealed tokens make of a head's tree.
#[derive(Debug, PartialEq, Eq)]
struct Materialized {
    head: MetaRangeId,
    /// Newest first, never empty.
    tokens: Vec<StagingToken>,
    tree: MetaRangeId,
    /// Whether a commit would make the same tree. For equal identities a commit keeps the head's
    /// bytes, while reads return the staged ones.
    matches_commit: bool,
}

impl Materialized {
    /// The sealed tokens of a branch that are not in the tree; `None` if the tree does not belong to
    /// this state of the branch.
    fn newer<'r>(
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
struct SkippedRows {
    count: u64,
    threshold: u64,
}

#[derive(Debug)]
struct BranchState {
    latest: Mutex<Option<Arc<Materialized>>>,
    skipped: Mutex<SkippedRows>,
    is_working: AtomicBool,
    /// Keys deleted since a task last waited for deletions to stop.
    deleted: AtomicU64,
    is_waiting: AtomicBool,
}

/// The trees of the branches that this server reads, and the work on them.
#[derive(Debug)]
pub(crate) struct Materializer {
    branches: Cache<Key, Arc<BranchState>>,
    slots: Arc<Semaphore>,
    /// See `Options::materialize_after_rows`.
    after_rows: u64,
    /// See `Options::materialize_when_quiet`.
    when_quiet: Duration,
}

/// Permission to work on one branch, until dropped.
struct Working {
    branch: Arc<BranchState>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Working {
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

    fn latest(&self, repository: &Repository, branch: &BranchId) -> Option<Arc<Materialized>> {
        let state = self
            .branches
            .get(&(repository.partition(), branch.clone()))?;
        let latest = state.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.clone()
    }

    fn state(&self, repository: &Repository, branch: &BranchId) -> Arc<BranchState> {
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

    /// Counts deletions. Returns the branch if they are many and no task waits for their end yet.
    fn note_deletions(
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
    fn add_skipped(&self, state: &Arc<BranchState>, rows: u64) -> Option<Working> {
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
        Some(Working {
            branch: Arc::clone(state),
            _slot: slot,
        })
    }
}

impl BranchState {
    /// Waits until nothing was deleted for `quiet`. Returns `false` if that did not happen within
    /// [`MAX_QUIET_CHECKS`] intervals.
    async fn wait_until_quiet(&self, quiet: Duration) -> bool {
        let mut before = self.deleted.load(Ordering::Relaxed);
        let mut looks = tokio::time::interval(quiet);
        looks.tick().await;
        for _ in 0..MAX_QUIET_CHECKS {
            looks.tick().await;
            let now = self.deleted.load(Ordering::Relaxed);
            if now == before {
                return true;
            }
            before = now;
        }
        false
    }

    fn set_threshold(&self, threshold: impl FnOnce(u64) -> u64) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.threshold = threshold(skipped.threshold);
    }
}

impl Engine {
    /// The tokens and the tree that a read of the branch merges.
    pub(crate) async fn layers(&self, repository: &Repository, branch: &Branch) -> Result<Layers> {
        let BranchRecord {
            commit_id,
            staging_token,
            sealed_tokens,
            ..
        } = &branch.record;
        let head = self.tree_of(repository, commit_id).await?;
        if let Some(latest) = self.materializer.latest(repository, &branch.id)
            && let Some(newer) = latest.newer(&head, sealed_tokens)
        {
            return Ok(Layers {
                tokens: std::iter::once(staging_token)
                    .chain(newer)
                    .cloned()
                    .collect(),
                tree: latest.tree.clone(),
            });
        }
        Ok(Layers {
            tokens: branch.record.tokens().cloned().collect(),
            tree: head,
        })
    }

    /// Whether any tree is remembered for the branch, even an outdated one.
    pub(crate) fn is_materialized(&self, repository: &Repository, branch: &BranchId) -> bool {
        self.materializer.latest(repository, branch).is_some()
    }

    /// The tree that a commit of exactly these sealed tokens would make, if it is remembered.
    pub(crate) fn materialized_commit(
        &self,
        repository: &Repository,
        branch: &BranchId,
        head: &MetaRangeId,
        sealed: &[StagingToken],
    ) -> Option<MetaRangeId> {
        let latest = self.materializer.latest(repository, branch)?;
        let is_all = latest.newer(head, sealed)?.is_empty();
        (is_all && latest.matches_commit).then(|| latest.tree.clone())
    }

    /// Counts staged rows that a read skipped, and starts making a tree when one is due. Returns at
    /// once.
    pub(crate) fn note_skipped_rows(
        self: &Arc<Self>,
        repository: &Repository,
        branch: &BranchId,
        rows: u64,
    ) {
        // Making a tree seals the branch, which a read-only repository does not allow.
        if repository.read_only {
            return;
        }
        let state = self.materializer.state(repository, branch);
        let Some(working) = self.materializer.add_skipped(&state, rows) else {
            return;
        };
        let (engine, repository, branch) = (Arc::clone(self), repository.clone(), branch.clone());
        tokio::spawn(async move {
            engine.work(&repository, &branch, &working.branch).await;
        });
    }

    /// Counts deleted keys, and starts making a tree once they are many and no more arrive. Returns
    /// at once.
    pub(crate) fn note_deletions(
        self: &Arc<Self>,
        repository: &Repository,
        branch: &BranchId,
        keys: u64,
    ) {
        if repository.read_only {
            return;
        }
        let Some(state) = self.materializer.note_deletions(repository, branch, keys) else {
            return;
        };
        let (engine, repository, branch) = (Arc::clone(self), repository.clone(), branch.clone());
        tokio::spawn(async move {
            let before = engine.head(&repository, &branch).await;
            let is_quiet = state.wait_until_quiet(engine.materializer.when_quiet).await;
            let working = match is_quiet {
                true => {
                    engine
                        .work_if_idle(&repository, &branch, &state, before)
                        .await
                }
                false => None,
            };
            state.deleted.store(0, Ordering::Relaxed);
            state.is_waiting.store(false, Ordering::Release);
            if let Some(working) = working {
                engine.work(&repository, &branch, &working.branch).await;
            }
        });
    }

    /// Returns a permit to make the tree of many deletions, if the head is still `before`. Otherwise
    /// most of them were committed, and the rest does not justify a tree.
    async fn work_if_idle(
        &self,
        repository: &Repository,
        branch: &BranchId,
        state: &Arc<BranchState>,
        before: Option<CommitId>,
    ) -> Option<Working> {
        let is_there = before.is_some() && before == self.head(repository, branch).await;
        let rows = state.deleted.load(Ordering::Relaxed);
        is_there
            .then(|| self.materializer.add_skipped(state, rows))
            .flatten()
    }

    /// The branch's head; `None` if it cannot be read.
    async fn head(&self, repository: &Repository, branch: &BranchId) -> Option<CommitId> {
        let branch = self.refs.branch(repository, branch).await.ok()?;
        Some(branch.record.commit_id)
    }

    async fn work(&self, repository: &Repository, branch: &BranchId, state: &BranchState) {
        let least = self.materializer.after_rows;
        match self.materialize(repository, branch, state).await {
            Ok(cost_rows) => state.set_threshold(|_| least.max(cost_rows / WORK_PER_ROW)),
            // The branch or repository was deleted meanwhile.
            Err(Error::NotFound { .. } | Error::InDeletion(_)) => {}
            Err(error) => {
                state.set_threshold(|due| due.saturating_mul(AFTER_FAILURE));
                tracing::warn!(repo.id = %repository.id, branch.id = %branch, error = &error as &dyn std::error::Error, "failed to store a tree of the staged changes of {branch}; listing it stays slow for now");
            }
        }
    }

    /// Makes the tree of a branch's staged changes and remembers it. Returns the number of rows read
    /// and written.
    async fn materialize(
        &self,
        repository: &Repository,
        branch: &BranchId,
        state: &BranchState,
    ) -> Result<u64> {
        match self.sealed_to_read(repository, branch).await? {
            Some(record) => {
                self.materialize_sealed(repository, branch, record, state)
                    .await
            }
            None => Ok(0),
        }
    }

    /// Seals the staged changes. `None`: there are none, or another change of the branch came first.
    async fn sealed_to_read(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<Option<BranchRecord>> {
        let now = self.repository(&repository.id).await?;
        if now.read_only || now.instance_uid != repository.instance_uid {
            return Ok(None);
        }
        let _turn = self.queue.turn(repository, branch).await?;
        let at = self.refs.branch(repository, branch).await?;
        let at = self.seal(repository, branch, at).await?;
        Ok(at
            .map(|at| at.record)
            .filter(|record| !record.sealed_tokens.is_empty()))
    }

    /// Makes the tree of the sealed tokens, and remembers it if the branch still has them and the
    /// same head.
    async fn materialize_sealed(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: BranchRecord,
        state: &BranchState,
    ) -> Result<u64> {
        let tokens = record.sealed_tokens;
        let head = self.tree_of(repository, &record.commit_id).await?;
        let changes = Box::new(StagedChanges::new(&self.kv, &tokens));
        let namespace = &repository.storage_namespace;
        let applied = self
            .committed
            .apply_as_staged(namespace, &head, changes)
            .await?;
        let materialized = Materialized {
            head,
            tokens,
            tree: applied.tree,
            matches_commit: applied.bytes_only == 0,
        };
        // If tokens left the branch, they may have been emptied while they were read.
        let record = self.refs.branch(repository, branch).await?.record;
        let head = self.tree_of(repository, &record.commit_id).await?;
        if materialized.newer(&head, &record.sealed_tokens).is_some() {
            *state.latest.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Arc::new(materialized));
        }
        Ok(applied.cost_rows)
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

/// Single steps of the work.
#[cfg(test)]
impl Engine {
    pub(crate) async fn seal_for_tests(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> BranchRecord {
        let sealed = self.sealed_to_read(repository, branch).await;
        sealed
            .expect("the store is sound")
            .expect("there is something staged")
    }

    pub(crate) async fn materialize_for_tests(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: BranchRecord,
    ) {
        let state = self.materializer.state(repository, branch);
        self.materialize_sealed(repository, branch, record, &state)
            .await
            .expect("the store is sound");
    }

    /// Whether deletions that arrived while the head was `before` would start work.
    pub(crate) async fn would_work_when_idle(
        &self,
        repository: &Repository,
        branch: &BranchId,
        before: &CommitId,
    ) -> bool {
        let state = self.materializer.state(repository, branch);
        let before = Some(before.clone());
        self.work_if_idle(repository, branch, &state, before)
            .await
            .is_some()
    }

    /// The number of rows that reads must skip before the next tree.
    pub(crate) fn skipped_rows_threshold(&self, repository: &Repository, branch: &BranchId) -> u64 {
        let state = self.materializer.state(repository, branch);
        let skipped = state.skipped.lock().expect("nobody panics");
        skipped.threshold
    }
}
