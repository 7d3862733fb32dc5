//! Stores trees of staged changes in the background, so that reads need not walk the changes.
//!
//! A read merges a branch's staged rows with the head's tree, row by row: after a hundred thousand
//! staged deletions, a page of a listing reads a hundred thousand rows. Sealed tokens no longer
//! change (a late write to one is not acknowledged but repeated in a newer one, see `area.rs`). The tree that results
//! from applying them to the head's tree can therefore be stored once, as a commit would store it. Reads then merge
//! only newer tokens with this tree. The tree's id is kept in memory; no record names it.
//!
//! ```text
//! branch   staging   sealed newest .. oldest   head
//!          \________________/ \_____________________/
//!             read as rows       one stored tree
//! ```
//!
//! A tree is used only if the branch has the same head, and the tree's tokens are its oldest sealed
//! ones. After a commit, a merge or a reset, this is no longer the case.
//!
//! Work is proportional to use: a tree is made once reads have skipped enough rows, and again once
//! they have skipped a share of the last tree's cost. Apart from the latest tree, all this work is
//! therefore at most [`WORK_PER_ROW`] times the work of the reads that caused it. Deletions count
//! like skipped rows once no more of them arrive, so that the next listing finds a tree and the
//! next commit reuses it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::materializer::{BranchState, Layers, Materialized, WorkPermit};
use crate::{
    Branch, BranchId, BranchRecord, CommitId, Error, Graveler, MetaRangeId, Repository, Result,
    StagingToken,
};

/// Number of rows read and written for a tree, per row that reads must skip before the next tree.
const WORK_PER_ROW: u64 = 4;
/// Factor by which a failure raises the threshold for the next attempt.
const AFTER_FAILURE: u64 = 8;

impl Graveler {
    /// The tokens and the tree that a read of the branch merges: those of the remembered tree if it
    /// matches, otherwise all tokens and the head's tree.
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
    pub(crate) fn note_skipped_rows(&self, repository: &Repository, branch: &BranchId, rows: u64) {
        // Making a tree seals the branch, which a read-only repository does not allow.
        if repository.read_only {
            return;
        }
        let state = self.materializer.state(repository, branch);
        let Some(working) = self.materializer.add_skipped(&state, rows) else {
            return;
        };
        let (engine, repository, branch) = (self.clone(), repository.clone(), branch.clone());
        tokio::spawn(async move {
            engine.work(&repository, &branch, &working.branch).await;
        });
    }

    /// Counts deleted keys, and starts making a tree once there are many and no more arrive.
    /// Returns at once.
    pub(crate) fn note_deletions(&self, repository: &Repository, branch: &BranchId, keys: u64) {
        if repository.read_only {
            return;
        }
        let Some(state) = self.materializer.note_deletions(repository, branch, keys) else {
            return;
        };
        let (engine, repository, branch) = (self.clone(), repository.clone(), branch.clone());
        tokio::spawn(async move {
            let before = engine.head(&repository, &branch).await;
            let is_quiet = state.wait_until_quiet(engine.materializer.when_quiet).await;
            let permit = match is_quiet {
                true => {
                    engine
                        .permit_if_idle(&repository, &branch, &state, before)
                        .await
                }
                false => None,
            };
            state.deleted.store(0, Ordering::Relaxed);
            state.is_waiting.store(false, Ordering::Release);
            if let Some(permit) = permit {
                engine.work(&repository, &branch, &permit.branch).await;
            }
        });
    }

    /// Returns a permit to make a tree after many deletions, if the head is still `before`.
    /// Otherwise most of them were committed, and the rest do not justify a tree.
    async fn permit_if_idle(
        &self,
        repository: &Repository,
        branch: &BranchId,
        state: &Arc<BranchState>,
        before: Option<CommitId>,
    ) -> Option<WorkPermit> {
        let is_same_head = before.is_some() && before == self.head(repository, branch).await;
        let rows = state.deleted.load(Ordering::Relaxed);
        is_same_head
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

    /// Makes the tree of a branch's staged changes and remembers it. Returns the number of rows
    /// read and written.
    async fn materialize(
        &self,
        repository: &Repository,
        branch: &BranchId,
        state: &BranchState,
    ) -> Result<u64> {
        match self.seal_staged(repository, branch).await? {
            Some(record) => {
                self.materialize_sealed(repository, branch, record, state)
                    .await
            }
            None => Ok(0),
        }
    }

    /// Seals the staged changes. `None`: there are none, or another change of the branch came
    /// first.
    async fn seal_staged(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<Option<BranchRecord>> {
        let now = self.repository(&repository.id).await?;
        if now.read_only || now.instance_uid != repository.instance_uid {
            return Ok(None);
        }
        let _permit = self.queue.acquire(repository, branch).await?;
        let at = self.refs.branch(repository, branch).await?;
        let at = self.seal(repository, branch, at).await?;
        Ok(at
            .map(|at| at.record)
            .filter(|record| !record.sealed_tokens.is_empty()))
    }

    /// Makes the tree of the sealed tokens, and remembers it if the branch still has them and the
    /// same head. Returns the number of rows read and written.
    async fn materialize_sealed(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: BranchRecord,
        state: &BranchState,
    ) -> Result<u64> {
        let tokens = record.sealed_tokens;
        let head = self.tree_of(repository, &record.commit_id).await?;
        let changes = Box::new(self.staging.changes(&tokens));
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

/// Single steps of the work.
#[cfg(test)]
impl Graveler {
    pub(crate) async fn seal_for_tests(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> BranchRecord {
        let sealed = self.seal_staged(repository, branch).await;
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
    pub(crate) async fn is_due_when_idle(
        &self,
        repository: &Repository,
        branch: &BranchId,
        before: &CommitId,
    ) -> bool {
        let state = self.materializer.state(repository, branch);
        let before = Some(before.clone());
        self.permit_if_idle(repository, branch, &state, before)
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
