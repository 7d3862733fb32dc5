//! Commits: those that are made, and those that are there.

use std::sync::Arc;

use crate::receipt::{NoReceipt, Receipt};
use crate::refs::CommitLog;
use crate::reset::ResetBy;
use crate::retention::{KeptCommits, MAX_INDEXED_COMMITS, Retention};
use crate::{
    BranchId, CherryPickParams, Commit, CommitId, CommitParams, Graveler, Hooks, LogRequest,
    Repository, ResetScope, Result, RevertParams,
};

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// Commits what is staged. [`crate::Error::NoChanges`] if that is nothing (unless allowed),
    /// [`crate::Error::Rejected`] if a hook refuses.
    pub async fn commit(
        &self,
        repository: &Repository,
        branch: &BranchId,
        params: CommitParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.commit_with(repository, branch, params, hooks, &NoReceipt)
            .await
    }

    /// Commits, and writes what `receipt` wants in the batch that makes the commit the head.
    /// [`crate::Error::ConcurrentChange`] if a condition of those writes does not hold: nothing moved.
    pub async fn commit_with(
        &self,
        repository: &Repository,
        branch: &BranchId,
        params: CommitParams,
        hooks: &dyn Hooks,
        receipt: &dyn Receipt,
    ) -> Result<Commit> {
        self.engine
            .commit(repository, branch, params, hooks, receipt)
            .await
    }

    /// Takes back what the commit that `reference` names changed, in a new commit. Conflicts as
    /// with [`Self::merge`]; [`crate::Error::ParentRequired`] for a merge without a parent's number,
    /// [`crate::Error::NoChanges`] if there is nothing to take back (unless allowed).
    pub async fn revert(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        params: RevertParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.engine
            .revert(repository, branch, reference, params, hooks)
            .await
    }

    /// Makes the change of the commit that `reference` names, in a new commit, which is made
    /// also if there is nothing to change. Conflicts as with [`Self::merge`].
    pub async fn cherry_pick(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        params: CherryPickParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.engine
            .cherry_pick(repository, branch, reference, params, hooks)
            .await
    }

    /// Throws away uncommitted changes; what is not staged is no error.
    /// [`crate::Error::Protected`] on a protected branch.
    pub async fn reset(
        &self,
        repository: &Repository,
        branch: &BranchId,
        scope: ResetScope,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        self.engine
            .reset(repository, branch, scope, ResetBy { actor, force })
            .await
    }

    /// Moves a branch's head to the commit that `reference` names. What is staged stays staged.
    /// [`crate::Error::Protected`] on a protected branch.
    pub async fn hard_reset(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        self.engine
            .hard_reset(repository, branch, reference, ResetBy { actor, force })
            .await
    }

    /// Records a commit that was made elsewhere; no branch moves. [`crate::Error::InvalidValue`] if its id
    /// is not that of its content, or a parent or its tree is not here; [`crate::Error::NotUnique`] if it is recorded already.
    pub async fn create_commit_record(
        &self,
        repository: &Repository,
        commit: &Commit,
        force: bool,
    ) -> Result<()> {
        self.engine
            .create_commit_record(repository, commit, force)
            .await
    }

    /// The commit of this id, or of the only one that starts so.
    pub async fn get_commit(&self, repository: &Repository, id: &CommitId) -> Result<Commit> {
        self.engine.get_commit(repository, id).await
    }

    /// Commits in the order of the log; the caller stops when it has enough.
    pub async fn log(&self, repository: &Repository, request: LogRequest) -> Result<CommitLog> {
        CommitLog::new(Arc::clone(&self.engine), repository.clone(), request).await
    }

    /// Whether a commit changed one of `keys` or anything below one of `prefixes`, against its first parent.
    pub async fn touches(
        &self,
        repository: &Repository,
        commit: &Commit,
        keys: &[Vec<u8>],
        prefixes: &[Vec<u8>],
    ) -> Result<bool> {
        self.engine
            .touches(repository, commit, keys, prefixes)
            .await
    }

    /// The commits that garbage collection must keep.
    pub async fn kept_commits<'a>(
        &'a self,
        repository: &'a Repository,
        retention: &Retention,
    ) -> Result<KeptCommits<'a>> {
        KeptCommits::open(&self.engine, repository, retention, MAX_INDEXED_COMMITS).await
    }
}
