//! Puts the change between two trees on a branch, as one commit with one parent.
//!
//! Revert and cherry-pick are this, the one from a commit back to its parent, the
//! other from the parent to the commit. As with a merge the result is worked out
//! first, judged by the hooks next, and moves the head last; whoever loses the race
//! for the head carries it over to the new head, and hooks are asked again only if the
//! tree is another one.

use std::collections::BTreeMap;

use crate::commit::{NewCommit, describe_landed, draft_of, new_commit};
use crate::committed::Merged;
use crate::engine::{Engine, count_retry, generation_after};
use crate::landing::{MAX_TRIES, Verdict};
use crate::receipt::NoReceipt;
use crate::{
    BranchId, Commit, Error, EventKind, Hooks, MergeStrategy, MetaRangeId, Operation, Repository,
    Result, TreeSource,
};

/// A change, and the commit that makes it.
#[derive(Debug)]
pub(crate) struct Replay {
    pub operation: Operation,
    /// The tree that the change begins at.
    pub from: MetaRangeId,
    /// The tree that it ends at.
    pub to: MetaRangeId,
    pub committer: String,
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    /// Whether a commit is made even if the head has the change already.
    pub allow_empty: bool,
    /// What hooks are asked, and told.
    pub events: [EventKind; 2],
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
        let [pre, post] = change.events;
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
            let mut event = self.event(repository, pre, &change.committer);
            event.branch = Some(branch.clone());
            if verdict.as_ref().is_none_or(|verdict| verdict.tree != tree) {
                event.source_ref = branch.to_string();
                event.commit = Some(draft_of(&commit));
                // Nothing is staged, so the head is the branch.
                event.actions_from = TreeSource::MetaRange(work.head.meta_range_id.clone());
                event.candidate = Some(tree.clone());
                event.base = Some(work.head.meta_range_id.clone());
                let run_id;
                (run_id, turn) = self
                    .in_turn(repository, branch, turn, attempt, self.ask(hooks, &event))
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
                    &NoReceipt,
                )
                .await?;
            if landing.end(turn) {
                event.kind = post;
                event.time = self.clock.now();
                event.run_id = self.ids.descending_run_id(event.time);
                describe_landed(&mut event, &commit, &work.head, verdict);
                self.tell(hooks, event).await;
                return Ok(commit);
            }
            count_retry("replay");
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    /// The head's tree with the change; `before` is what the try before this one worked out.
    async fn replayed(
        &self,
        repository: &Repository,
        head: &MetaRangeId,
        change: &Replay,
        before: Option<Merged>,
    ) -> Result<Merged> {
        let merged = self
            .committed
            .merge_again(
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
                "the branch has nothing left of what that commit changed".to_owned(),
            ));
        }
        Ok(merged)
    }

    /// The tree of a commit's parent, counted from 1.
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
