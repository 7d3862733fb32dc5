//! Operations that make and read commits.

use std::sync::Arc;

use crate::commit_participant::{CommitParticipant, NoParticipant};
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
    /// Commits the staged changes.
    ///
    /// # Errors
    /// [`crate::Error::NoChanges`] if nothing is staged (unless allowed), [`crate::Error::Rejected`]
    /// if a hook refuses.
    pub async fn commit(
        &self,
        repository: &Repository,
        branch: &BranchId,
        params: CommitParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.commit_with(repository, branch, params, hooks, &NoParticipant)
            .await
    }

    /// Like [`Self::commit`], and adds the participant's writes to the batch that makes the commit
    /// the head.
    ///
    /// # Errors
    /// Also [`crate::Error::ConcurrentChange`] if a predicate of those writes fails; nothing moved.
    pub async fn commit_with(
        &self,
        repository: &Repository,
        branch: &BranchId,
        params: CommitParams,
        hooks: &dyn Hooks,
        participant: &dyn CommitParticipant,
    ) -> Result<Commit> {
        self.engine
            .commit(repository, branch, params, hooks, participant)
            .await
    }

    /// Reverts the commit that `reference` names, in a new commit.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] and others as with [`Self::merge`];
    /// [`crate::Error::ParentRequired`] for a merge commit without a parent number;
    /// [`crate::Error::NoChanges`] if the branch no longer has the commit's changes (unless allowed).
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

    /// Applies the change of the commit that `reference` names, in a new commit. Commits even if the
    /// branch already has the change.
    ///
    /// # Errors
    /// As with [`Self::merge`]; [`crate::Error::CherryPickParentRequired`] for a merge commit without
    /// a parent number.
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

    /// Discards uncommitted changes. A scope in which nothing is staged is not an error.
    ///
    /// # Errors
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

    /// Moves a branch's head to the commit that `reference` names. Staged changes stay staged.
    ///
    /// # Errors
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

    /// Stores the record of a commit that another server made; no branch moves.
    ///
    /// # Errors
    /// [`crate::Error::WrongCommitId`] if the id does not match the content;
    /// [`crate::Error::InvalidValue`] if a parent or the tree is missing; [`crate::Error::NotUnique`]
    /// if the commit is recorded already.
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

    /// The commit with this id, or the only one whose id starts with it.
    pub async fn get_commit(&self, repository: &Repository, id: &CommitId) -> Result<Commit> {
        self.engine.get_commit(repository, id).await
    }

    /// Commits in log order, read as the caller asks for them.
    pub async fn log(&self, repository: &Repository, request: LogRequest) -> Result<CommitLog> {
        CommitLog::new(Arc::clone(&self.engine), repository.clone(), request).await
    }

    /// Whether a commit changed one of `keys`, or any key below one of `prefixes`, compared with its
    /// first parent.
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
