//! Cherry-picks a commit: applies to a branch the change that the commit made to its parent.
//!
//! A cherry-pick is a merge with the parent as base and the commit as source. The new commit has
//! one parent, the branch's head, and its metadata names the original commit and its committer.

use super::Target;
use super::replay::{Replay, ReplayEvents};
use crate::checks::check_read_only;
use crate::commit_participant::NoParticipant;
use crate::{
    BranchId, CherryPickParams, Commit, Error, EventDetails, Graveler, Hooks, Operation,
    Repository, Result,
};

/// Metadata keys of a cherry-pick: the original commit's id and committer.
const ORIGIN_KEY: &str = "cherry-pick-origin";
const COMMITTER_KEY: &str = "cherry-pick-committer";

impl Graveler {
    /// Applies the change of the commit that `reference` names, in a new commit. Commits even if
    /// the branch already has the change.
    ///
    /// # Errors
    /// As with [`Self::merge`]; [`crate::Error::CherryPickParentRequired`] for a merge commit
    /// without a parent number.
    pub async fn cherry_pick(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        params: CherryPickParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        check_read_only(repository, params.force)?;
        self.refs.branch(repository, branch).await?;
        let picked = self.refs.resolve_commit(repository, reference).await?;
        let picked = self.refs.commit(repository, &picked).await?;
        let parent_number = match params.parent_number {
            0 if picked.parents.len() > 1 => return Err(Error::CherryPickParentRequired),
            0 => 1,
            number => number,
        };
        let parent = self.parent_tree(repository, &picked, parent_number).await?;
        let mut metadata = params.metadata.unwrap_or_else(|| picked.metadata.clone());
        metadata.insert(ORIGIN_KEY.to_owned(), picked.id.to_string());
        metadata.insert(COMMITTER_KEY.to_owned(), picked.committer.clone());
        let change = Replay {
            operation: Operation::CherryPick,
            from: parent,
            to: picked.meta_range_id.clone(),
            committer: params.committer,
            date: self.clock.now(),
            message: params.message.unwrap_or_else(|| picked.message.clone()),
            metadata,
            // As in lakeFS, picking a change that the branch already has still makes a commit.
            allow_empty: true,
            events: ReplayEvents {
                pre: EventDetails::PreCherryPick,
                post: EventDetails::PostCherryPick,
            },
        };
        let target = Target { repository, branch };
        self.apply(target, &change, None, hooks, &NoParticipant)
            .await
    }
}
