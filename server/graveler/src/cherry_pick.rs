//! Cherry-picks a commit: makes on a branch the change that the commit made to its parent.
//!
//! It is a merge with the parent as base and the commit as source, recorded with one
//! parent: the branch's head. The new commit says where it was picked from.

use crate::engine::{Engine, check_read_only};
use crate::replay::Replay;
use crate::{
    BranchId, CherryPickParams, Commit, Error, EventKind, Hooks, Operation, Repository, Result,
};

/// The keys of the metadata that tell of the commit that was picked: its id, and who made it.
const ORIGIN_KEY: &str = "cherry-pick-origin";
const COMMITTER_KEY: &str = "cherry-pick-committer";

impl Engine {
    pub(crate) async fn cherry_pick(
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
            0 if picked.parents.len() > 1 => return Err(Error::ParentToPickRequired),
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
            message: params.message.unwrap_or_else(|| picked.message.clone()),
            metadata,
            // As lakeFS has it: to pick what is there already makes a commit that says so.
            allow_empty: true,
            events: [EventKind::PreCherryPick, EventKind::PostCherryPick],
        };
        self.replay(repository, branch, change, hooks).await
    }
}
