//! Reverts a commit: undoes the commit's changes on a branch, in a new commit.
//!
//! A revert is a merge with the commit as base and its parent as source. Later changes of the same
//! keys therefore conflict, and all other changes stay.

use super::Target;
use super::replay::{Replay, ReplayEvents};
use crate::checks::check_read_only;
use crate::commit_participant::NoParticipant;
use crate::{
    BranchId, Commit, Error, EventDetails, Graveler, Hooks, Operation, Repository, Result,
    RevertParams,
};

impl Graveler {
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
        check_read_only(repository, params.force)?;
        self.refs.branch(repository, branch).await?;
        let reverted = self.refs.resolve_commit(repository, reference).await?;
        let reverted = self.refs.commit(repository, &reverted).await?;
        let parent_number = match params.parent_number {
            0 if reverted.parents.len() > 1 => return Err(Error::ParentRequired),
            0 => 1,
            number => number,
        };
        let parent = self
            .parent_tree(repository, &reverted, parent_number)
            .await?;
        let message = if params.message.is_empty() {
            format!("Revert {reference}")
        } else {
            params.message
        };
        let change = Replay {
            operation: Operation::Revert,
            from: reverted.meta_range_id.clone(),
            to: parent,
            committer: params.committer,
            date: self.clock.now(),
            message,
            metadata: params.metadata,
            allow_empty: params.allow_empty,
            events: ReplayEvents {
                pre: EventDetails::PreRevert,
                post: EventDetails::PostRevert,
            },
        };
        let target = Target { repository, branch };
        self.apply(target, &change, None, hooks, &NoParticipant)
            .await
    }
}
