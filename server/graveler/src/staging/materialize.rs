//! Trees of what is staged, worked out beside the requests, so that reads need not walk it.
//!
//! A read lays a branch's staged rows over the head's tree, and passes over each of them: behind
//! a hundred thousand deletions a page of a listing reads a hundred thousand rows. Sealed tokens no
//! longer change (a write that comes late to one is repeated in a newer one, see
//! [`crate::landing`]), so the tree that they make of the head's can be stored once, as a commit
//! would, and reads lay over it only what is newer. It is remembered in memory; no record names it.
//!
//! ```text
//! branch   staging   sealed newest .. oldest   head
//!          \________________/ \_____________________/
//!             read as rows       one stored tree
//! ```
//!
//! A tree is used only if the branch at hand has the head and, as its oldest ones, the sealed tokens
//! that it was made of. After a commit, a merge or a reset it simply does not match any more.
//!
//! Who pays decides: a tree is made once reads have passed over enough rows, and again once they
//! have passed over a share of what the last one cost. So all of this work is at most
//! [`WORK_PER_ROW`] times that of the reads that asked for it. Deletions pay for a tree as reads do,
//! once no more of them come: whoever lists after them finds it, and a commit takes it over.

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

/// Branches that are remembered; those not read for longest are forgotten.
const MAX_BRANCHES: u64 = 1_000;
/// Trees that one server works out at a time. Who asks for more asks again with a later read.
const MAX_AT_A_TIME: usize = 2;
/// Rows read and written for a tree, at most, for each row that reads have passed over since the last one.
const WORK_PER_ROW: u64 = 4;
/// So many times as many rows must be passed over after a failure.
const AFTER_FAILURE: u64 = 8;
/// How often at most is looked whether a branch is quiet; where deletions never cease, reads ask.
const MAX_LOOKS: usize = 60;

type Key = (String, BranchId);

/// The tree that some sealed tokens make of a head's.
#[derive(Debug, PartialEq, Eq)]
struct Materialized {
    head: MetaRangeId,
    /// Newest first, never empty.
    tokens: Vec<StagingToken>,
    tree: MetaRangeId,
    /// Whether a commit would make the same: it keeps the head's bytes where the identity is
    /// the same, reads show those that are staged.
    is_commits: bool,
}

impl Materialized {
    /// The sealed tokens of a branch that are not in the tree; none if it is not a tree of this branch.
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

/// What reads have paid since the last tree, and what the next one takes.
#[derive(Debug)]
struct Account {
    paid_rows: u64,
    due_rows: u64,
}

#[derive(Debug)]
struct OfBranch {
    latest: Mutex<Option<Arc<Materialized>>>,
    account: Mutex<Account>,
    is_working: AtomicBool,
    /// Keys that were deleted since somebody last waited for an end of it.
    deleted: AtomicU64,
    is_waiting: AtomicBool,
}

/// The trees of the branches that this server reads, and the work on them.
#[derive(Debug)]
pub(crate) struct Materializer {
    branches: Cache<Key, Arc<OfBranch>>,
    places: Arc<Semaphore>,
    /// See `Options::materialize_after_rows`.
    after_rows: u64,
    /// See `Options::materialize_when_quiet`.
    when_quiet: Duration,
}

/// Work on one branch, until dropped.
struct Working {
    branch: Arc<OfBranch>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.branch.is_working.store(false, Ordering::Release);
    }
}

/// What a read lays one over the other.
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
            places: Arc::new(Semaphore::new(MAX_AT_A_TIME)),
            after_rows: options.materialize_after_rows.max(1),
            when_quiet: options.materialize_when_quiet,
        }
    }

    /// After so many rows a read says that it passed over them.
    pub(crate) fn after_rows(&self) -> u64 {
        self.after_rows
    }

    fn latest(&self, repository: &Repository, branch: &BranchId) -> Option<Arc<Materialized>> {
        let of = self
            .branches
            .get(&(repository.partition(), branch.clone()))?;
        let latest = of.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.clone()
    }

    fn of(&self, repository: &Repository, branch: &BranchId) -> Arc<OfBranch> {
        let key = (repository.partition(), branch.clone());
        self.branches.get_with(key, || {
            Arc::new(OfBranch {
                latest: Mutex::default(),
                account: Mutex::new(Account {
                    paid_rows: 0,
                    due_rows: self.after_rows,
                }),
                is_working: AtomicBool::new(false),
                deleted: AtomicU64::new(0),
                is_waiting: AtomicBool::new(false),
            })
        })
    }

    /// Notes deletions. The branch, if they are many and nobody waits for their end yet.
    fn deleted(
        &self,
        repository: &Repository,
        branch: &BranchId,
        keys: u64,
    ) -> Option<Arc<OfBranch>> {
        if self.when_quiet.is_zero() {
            return None;
        }
        let of = self.of(repository, branch);
        let deleted = of.deleted.fetch_add(keys, Ordering::Relaxed) + keys;
        (deleted >= self.after_rows && !of.is_waiting.swap(true, Ordering::AcqRel)).then_some(of)
    }

    /// Notes what a read has passed over. The work, if it is due and there is a place for it.
    fn pay(&self, of: &Arc<OfBranch>, rows: u64) -> Option<Working> {
        let mut account = of.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.paid_rows = account.paid_rows.saturating_add(rows);
        if account.paid_rows < account.due_rows {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        if of.is_working.swap(true, Ordering::AcqRel) {
            return None;
        }
        account.paid_rows = 0;
        drop(account);
        Some(Working {
            branch: Arc::clone(of),
            _place: place,
        })
    }
}

impl OfBranch {
    /// Waits until nothing was deleted for `quiet`. False: that did not come.
    async fn quiet(&self, quiet: Duration) -> bool {
        let mut before = self.deleted.load(Ordering::Relaxed);
        let mut looks = tokio::time::interval(quiet);
        looks.tick().await;
        for _ in 0..MAX_LOOKS {
            looks.tick().await;
            let now = self.deleted.load(Ordering::Relaxed);
            if now == before {
                return true;
            }
            before = now;
        }
        false
    }

    fn worked(&self, due_rows: impl FnOnce(u64) -> u64) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.due_rows = due_rows(account.due_rows);
    }
}

impl Engine {
    /// What a read of the branch lays one over the other: what is staged and in no tree yet, and a tree.
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

    /// Whether there is a tree for the branch, of whichever state of it.
    pub(crate) fn is_materialized(&self, repository: &Repository, branch: &BranchId) -> bool {
        self.materializer.latest(repository, branch).is_some()
    }

    /// The tree that a commit of all these sealed tokens makes of the head's, if it is there.
    pub(crate) fn materialized_commit(
        &self,
        repository: &Repository,
        branch: &BranchId,
        head: &MetaRangeId,
        sealed: &[StagingToken],
    ) -> Option<MetaRangeId> {
        let latest = self.materializer.latest(repository, branch)?;
        let is_all = latest.newer(head, sealed)?.is_empty();
        (is_all && latest.is_commits).then(|| latest.tree.clone())
    }

    /// Notes that a read of the branch has passed over so many more staged rows, and has a tree
    /// worked out when that is due. Returns at once.
    pub(crate) fn passed_over(
        self: &Arc<Self>,
        repository: &Repository,
        branch: &BranchId,
        rows: u64,
    ) {
        // Sealing is a change of the branch's record, and there nothing is to change.
        if repository.read_only {
            return;
        }
        let of = self.materializer.of(repository, branch);
        let Some(working) = self.materializer.pay(&of, rows) else {
            return;
        };
        let (engine, repository, branch) = (Arc::clone(self), repository.clone(), branch.clone());
        tokio::spawn(async move {
            engine.work(&repository, &branch, &working.branch).await;
        });
    }

    /// Notes that keys were deleted on a branch, and has a tree worked out when they are many and no
    /// more come. Returns at once.
    pub(crate) fn deleted(self: &Arc<Self>, repository: &Repository, branch: &BranchId, keys: u64) {
        if repository.read_only {
            return;
        }
        let Some(of) = self.materializer.deleted(repository, branch, keys) else {
            return;
        };
        let (engine, repository, branch) = (Arc::clone(self), repository.clone(), branch.clone());
        tokio::spawn(async move {
            let before = engine.head(&repository, &branch).await;
            let is_quiet = of.quiet(engine.materializer.when_quiet).await;
            let working = match is_quiet {
                true => engine.at_rest(&repository, &branch, &of, before).await,
                false => None,
            };
            of.deleted.store(0, Ordering::Relaxed);
            of.is_waiting.store(false, Ordering::Release);
            if let Some(working) = working {
                engine.work(&repository, &branch, &working.branch).await;
            }
        });
    }

    /// The work that many deletions pay for as reads do, if the head is still `before`: else they were committed,
    /// mostly, and what little came since is not worth a tree.
    async fn at_rest(
        &self,
        repository: &Repository,
        branch: &BranchId,
        of: &Arc<OfBranch>,
        before: Option<CommitId>,
    ) -> Option<Working> {
        let is_there = before.is_some() && before == self.head(repository, branch).await;
        let rows = of.deleted.load(Ordering::Relaxed);
        is_there.then(|| self.materializer.pay(of, rows)).flatten()
    }

    /// The head of a branch; none if it can't be told.
    async fn head(&self, repository: &Repository, branch: &BranchId) -> Option<CommitId> {
        let branch = self.refs.branch(repository, branch).await.ok()?;
        Some(branch.record.commit_id)
    }

    async fn work(&self, repository: &Repository, branch: &BranchId, of: &OfBranch) {
        let least = self.materializer.after_rows;
        match self.materialize(repository, branch, of).await {
            Ok(cost_rows) => of.worked(|_| least.max(cost_rows / WORK_PER_ROW)),
            // It went while we worked.
            Err(Error::NotFound { .. } | Error::InDeletion(_)) => {}
            Err(error) => {
                of.worked(|due| due.saturating_mul(AFTER_FAILURE));
                tracing::warn!(repo.id = %repository.id, branch.id = %branch, error = &error as &dyn std::error::Error, "failed to work out the tree of what is staged on {branch}; listings of it stay slow for now");
            }
        }
    }

    /// Works out the tree of all that is staged on a branch, and remembers it. Gives the rows read
    /// and written for it.
    async fn materialize(
        &self,
        repository: &Repository,
        branch: &BranchId,
        of: &OfBranch,
    ) -> Result<u64> {
        match self.sealed_to_read(repository, branch).await? {
            Some(record) => {
                self.materialize_sealed(repository, branch, record, of)
                    .await
            }
            None => Ok(0),
        }
    }

    /// Seals what is staged. None: there is nothing, or someone else changes the branch.
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

    /// Works out the tree of the sealed tokens, and remembers it if they and the head are still the
    /// branch's.
    async fn materialize_sealed(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: BranchRecord,
        of: &OfBranch,
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
            is_commits: applied.restated == 0,
        };
        // Tokens that left the branch may have been emptied while they were read.
        let record = self.refs.branch(repository, branch).await?.record;
        let head = self.tree_of(repository, &record.commit_id).await?;
        if materialized.newer(&head, &record.sealed_tokens).is_some() {
            *of.latest.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Arc::new(materialized));
        }
        Ok(applied.cost_rows)
    }
}

#[cfg(test)]
impl Materializer {
    /// Waits until nothing is worked on.
    pub(crate) async fn settled(&self) {
        let all = u32::try_from(MAX_AT_A_TIME).expect("a few");
        let _places = self.places.acquire_many(all).await.expect("never closed");
    }

    /// Whether somebody waits for the end of deletions on the branch.
    pub(crate) fn waits(&self, repository: &Repository, branch: &BranchId) -> bool {
        self.of(repository, branch)
            .is_waiting
            .load(Ordering::Acquire)
    }
}

/// The work, step by step.
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
        let of = self.materializer.of(repository, branch);
        self.materialize_sealed(repository, branch, record, &of)
            .await
            .expect("the store is sound");
    }

    /// Whether deletions that came while the head was `before` would have a tree worked out.
    pub(crate) async fn would_work_at_rest(
        &self,
        repository: &Repository,
        branch: &BranchId,
        before: &CommitId,
    ) -> bool {
        let of = self.materializer.of(repository, branch);
        let before = Some(before.clone());
        self.at_rest(repository, branch, &of, before)
            .await
            .is_some()
    }

    /// The rows that reads must pass over before the next tree.
    pub(crate) fn due_rows(&self, repository: &Repository, branch: &BranchId) -> u64 {
        let of = self.materializer.of(repository, branch);
        let account = of.account.lock().expect("nobody panics");
        account.due_rows
    }
}
