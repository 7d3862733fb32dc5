//! Operations that compare and merge.

use crate::commit_participant::{CommitParticipant, NoParticipant};
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

    /// Two-dot diff: the changes that turn `left` into `right`. A branch means its head; `branch$` on
    /// the right means the branch with its staged changes.
    pub async fn diff(
        &self,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
        self.engine.diff(repository, left, right).await
    }

    /// Three-dot diff: the changes of `right` since its merge base with `left`. A key that both sides
    /// changed is a conflict.
    pub async fn compare(
        &self,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
        self.engine.compare(repository, left, right).await
    }

    /// The difference between two stored trees.
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

    /// Merges a reference into a branch.
    ///
    /// # Errors
    /// [`crate::Error::DirtyBranch`], [`crate::Error::NoChanges`], [`crate::Error::Conflict`],
    /// [`crate::Error::NoMergeBase`] or [`crate::Error::Rejected`]; the branch is then unchanged.
    pub async fn merge(
        &self,
        repository: &Repository,
        destination: &BranchId,
        source: &str,
        params: MergeParams,
        hooks: &dyn Hooks,
    ) -> Result<MergeOutcome> {
        self.merge_with(
            repository,
            destination,
            source,
            params,
            hooks,
            &NoParticipant,
        )
        .await
    }

    /// Like [`Self::merge`], and adds the participant's writes to the batch that makes the commit the
    /// head.
    ///
    /// # Errors
    /// Also [`crate::Error::ConcurrentChange`] if a predicate of those writes fails; nothing moved.
    pub async fn merge_with(
        &self,
        repository: &Repository,
        destination: &BranchId,
        source: &str,
        params: MergeParams,
        hooks: &dyn Hooks,
        participant: &dyn CommitParticipant,
    ) -> Result<MergeOutcome> {
        self.engine
            .merge(repository, destination, source, params, hooks, participant)
            .await
    }
}
