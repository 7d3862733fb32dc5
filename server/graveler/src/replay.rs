//! Applies the difference between two trees to a branch, as one commit with one parent.
//!
//! Revert replays the difference from a commit to its parent, cherry-pick the one from the parent to
//! the commit. As in a merge, the result is computed first, then judged by the hooks, and then the
//! head moves. If another change moves the head in between, the result is rebased onto the new head,
//! and hooks run again only if that changes the tree.

use std::collections::BTreeMap;

use crate::commit::{NewCommit, after, landed, new_commit, proposal};
use crate::commit_participant::NoParticipant;
use crate::committed::Merged;
use crate::engine::{Engine, count_retry, generation_after};
use crate::landing::{MAX_TRIES, Verdict};
use crate::{
    After, BranchId, Commit, CommitProposal, Error, EventDetails, Hooks, LandedCommit,
    MergeStrategy, MetaRangeId, Operation, Repository, Result,
};

/// A difference between two trees, and the commit that applies it.
#[derive(Debug)]
pub(crate) struct Replay {
    pub operation: Operation,
    /// The tree where the difference starts.
    pub from: MetaRangeId,
    /// The tree where the difference ends.
    pub to: MetaRangeId,
    pub committer: String,
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    /// Whether to commit even if the head already has the change.
    pub allow_empty: bool,
    pub events: ReplayEvents,
}

/// How the events of a replay are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayEvents {
    pub pre: fn(CommitProposal) -> EventDetails,
    pub post: fn(After<LandedCommit>) -> EventDetails,
}

impl Engine {
    pub(crate) async fn replay(
        &self,
        repository: &Repository,
        branch: &BranchId,
        change: Replay,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        let date = self.clock.now();
        let ReplayEvents { pre, post } = change.events;
        let mut verdict: Option<Verdict> = None;
        let mut merged: Option<Merged> = None;
        for attempt in 0..MAX_TRIES {
            let mut turn = self.queue.turn(repository, branch).await?;
            let Some(work) = self.clean_destination(repository, branch).await? else {
                continue;
            };
            let before = merged.take();
            let candidate = self
                .replayed(repository, &work.head.meta_range_id, &change, before)
                .await?;
            let tree = merged.insert(candidate).tree.clone();
            let mut commit = new_commit(NewCommit {
                committer: change.committer.clone(),
                message: change.message.clone(),
                metadata: change.metadata.clone(),
                date,
                tree: tree.clone(),
                parents: vec![work.head.id.clone()],
                generation: generation_after([work.head.as_ref()]),
            });
            if verdict.as_ref().is_none_or(|verdict| verdict.tree != tree) {
                let details = pre(proposal(branch, &commit, &work.head));
                let event = self.event(repository, &change.committer, details);
                let run_id;
                (run_id, turn) = self
                    .run_hooks_with_turn(
                        repository,
                        branch,
                        turn,
                        attempt,
                        self.run_pre_hooks(hooks, &event),
                    )
                    .await?;
                verdict = Some(Verdict { tree, run_id });
            }
            let landing = self
                .land(
                    repository,
                    branch,
                    &work.at,
                    &mut commit,
                    change.operation,
                    &NoParticipant,
                )
                .await?;
            if landing.end(turn) {
                let landed = landed(branch, &commit, &work.head);
                let event = self.event(repository, &change.committer, post(after(landed, verdict)));
                self.run_post_hooks(hooks, event).await;
                return Ok(commit);
            }
            count_retry("replay");
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    /// Applies the difference to the head's tree. `before` is the previous attempt's result.
    async fn replayed(
        &self,
        repository: &Repository,
        head: &MetaRangeId,
        change: &Replay,
        before: Option<Merged>,
    ) -> Result<Merged> {
        let merged = self
            .committed
            .merge_incrementally(
                &repository.storage_namespace,
                before.as_ref(),
                &change.from,
                &change.to,
                head,
                MergeStrategy::None,
            )
            .await?;
        let namespace = &repository.storage_namespace;
        if !change.allow_empty
            && self
                .committed
                .is_same(namespace, &merged.tree, head)
                .await?
        {
            return Err(Error::NoChanges(
                "the branch no longer has the changes of that commit".to_owned(),
            ));
        }
        Ok(merged)
    }

    /// The metarange id of a commit's parent, counted from 1.
    pub(crate) async fn parent_tree(
        &self,
        repository: &Repository,
        commit: &Commit,
        number: usize,
    ) -> Result<MetaRangeId> {
        let parent = number
            .checked_sub(1)
            .and_then(|index| commit.parents.get(index));
        let Some(parent) = parent else {
            return Err(Error::NoSuchParent {
                commit: commit.id.to_string(),
                number,
                parents: commit.parents.len(),
            });
        };
        self.tree_of(repository, parent).await
    }
}
