//! Differences and merges.

use crate::receipt::{NoReceipt, Receipt};
use crate::{
    BranchId, DiffCursor, Graveler, Hooks, MergeBase, MergeOutcome, MergeParams, MetaRangeId,
    Repository, ResolvedRef, Result,
};

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// Uncommitted changes of a branch, in key order.
    pub async fn diff_uncommitted(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<DiffCursor> {
        self.engine.diff_uncommitted(repository, branch).await
    }

    /// Two-dot: what must happen to `left` to become `right`. A branch counts as its
    /// head; `branch$` on the right as the branch with its staged changes.
    pub async fn diff(
        &self,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
        self.engine.diff(repository, left, right).await
    }

    /// Three-dot: what `right` changed since its merge base with `left`; a key both changed is a conflict.
    pub async fn compare(
        &self,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
        self.engine.compare(repository, left, right).await
    }

    /// Between two stored trees.
    pub async fn diff_trees(
        &self,
        repository: &Repository,
        left: &MetaRangeId,
        right: &MetaRangeId,
    ) -> Result<DiffCursor> {
        self.engine
            .committed
            .diff(&repository.storage_namespace, left, right)
            .await
    }

    /// The nearest common ancestor of two references.
    pub async fn find_merge_base(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
    ) -> Result<MergeBase> {
        self.engine
            .find_merge_base(repository, source, destination)
            .await
    }

    /// Merges a reference into a branch. [`crate::Error::DirtyBranch`], [`crate::Error::NoChanges`],
    /// [`crate::Error::Conflict`], [`crate::Error::NoMergeBase`] or [`crate::Error::Rejected`] leave the branch as it was.
    pub async fn merge(
        &self,
        repository: &Repository,
        destination: &BranchId,
        source: &str,
        params: MergeParams,
        hooks: &dyn Hooks,
    ) -> Result<MergeOutcome> {
        self.merge_with(repository, destination, source, params, hooks, &NoReceipt)
            .await
    }

    /// Merges, and writes what `receipt` wants in the batch that makes the commit the head.
    /// [`crate::Error::ConcurrentChange`] if a condition of those writes does not hold: nothing moved.
    pub async fn merge_with(
        &self,
        repository: &Repository,
        destination: &BranchId,
        source: &str,
        params: MergeParams,
        hooks: &dyn Hooks,
        receipt: &dyn Receipt,
    ) -> Result<MergeOutcome> {
        self.engine
            .merge(repository, destination, source, params, hooks, receipt)
            .await
    }
}
