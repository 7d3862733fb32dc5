//! Merges a reference into a branch.
//!
//! The result is worked out first, judged by the hooks next, and moves the head
//! last. Whoever loses the race for the head carries its merge over to the new
//! head; hooks are asked again only if the merged tree is another one.

use std::sync::Arc;

use crate::commit::{NewCommit, describe_landed, draft_of, new_commit};
use crate::committed::Merged;
use crate::engine::{Engine, check_read_only, count_retry, generation_after};
use crate::landing::{Attempt, MAX_TRIES, Verdict};
use crate::receipt::{Receipt, Step};
use crate::{
    BranchId, Commit, Error, EventKind, Hooks, MergeBase, MergeOutcome, MergeParams, MergeStrategy,
    Operation, Repository, Result, TreeSource,
};

/// The key of a merge commit's metadata that tells the strategy.
const STRATEGY_KEY: &str = ".lakefs.merge.strategy";

impl Engine {
    pub(crate) async fn find_merge_base(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
    ) -> Result<MergeBase> {
        let source = self.refs.resolve_commit(repository, source).await?;
        let destination = self.refs.resolve_commit(repository, destination).await?;
        let base = self
            .refs
            .merge_base(repository, &source, &destination)
            .await?;
        Ok(MergeBase {
            source,
            destination,
            base,
        })
    }

    pub(crate) async fn merge(
        &self,
        repository: &Repository,
        destination: &BranchId,
        source: &str,
        params: MergeParams,
        hooks: &dyn Hooks,
        receipt: &dyn Receipt,
    ) -> Result<MergeOutcome> {
        check_read_only(repository, params.force)?;
        self.refs.branch(repository, destination).await?;
        let source_id = self.refs.resolve_commit(repository, source).await?;
        let source_commit = self.refs.commit(repository, &source_id).await?;
        let date = self.clock.now();
        let mut metadata = params.metadata.clone();
        metadata.insert(
            STRATEGY_KEY.to_owned(),
            strategy_name(params.strategy).to_owned(),
        );
        let message = if params.message.is_empty() {
            format!("Merge '{source}' into '{destination}'")
        } else {
            params.message.clone()
        };

        let mut verdict: Option<Verdict> = None;
        let mut merged: Option<Merged> = None;
        for attempt in 0..MAX_TRIES {
            let mut turn = self.queue.turn(repository, destination).await?;
            let Some(work) = self.clean_destination(repository, destination).await? else {
                continue;
            };
            let before = merged.take();
            let candidate = self
                .merged(repository, &source_commit, &work.head, &params, before)
                .await?
                .ok_or_else(|| nothing_to_merge(source, destination, params.squash))?;
            let tree = merged.insert(candidate).tree.clone();
            receipt.reached(Step::Built);
            let mut parents = vec![work.head.id.clone()];
            if !params.squash {
                parents.push(source_id.clone());
            }
            let mut commit = new_commit(NewCommit {
                committer: params.committer.clone(),
                message: message.clone(),
                metadata: metadata.clone(),
                date,
                tree: tree.clone(),
                parents,
                generation: generation_after([work.head.as_ref(), source_commit.as_ref()]),
            });
            let mut event = self.event(repository, EventKind::PreMerge, &params.committer);
            event.branch = Some(destination.clone());
            event.merge_source = Some(source.to_owned());
            event.source = Some(source_commit.meta_range_id.clone());
            if verdict.as_ref().is_none_or(|verdict| verdict.tree != tree) {
                event.source_ref = source_id.to_string();
                event.commit_id = Some(commit.id.clone());
                event.commit = Some(draft_of(&commit));
                event.actions_from = TreeSource::MetaRange(source_commit.meta_range_id.clone());
                event.candidate = Some(tree.clone());
                event.base = Some(work.head.meta_range_id.clone());
                let run_id;
                (run_id, turn) = self
                    .in_turn(
                        repository,
                        destination,
                        turn,
                        attempt,
                        self.ask(hooks, &event),
                    )
                    .await?;
                verdict = Some(Verdict { tree, run_id });
            }
            receipt.reached(Step::Judged);
            let operation = Operation::Merge;
            let landing = self
                .land(
                    repository,
                    destination,
                    &work.at,
                    &mut commit,
                    operation,
                    receipt,
                )
                .await?;
            if landing.end(turn) {
                event.kind = EventKind::PostMerge;
                event.time = self.clock.now();
                event.run_id = self.ids.descending_run_id(event.time);
                describe_landed(&mut event, &commit, &work.head, verdict);
                self.tell(hooks, event).await;
                return Ok(MergeOutcome {
                    commit_id: commit.id,
                });
            }
            count_retry("merge");
        }
        Err(Error::TooManyTries(format!("branch {destination}")))
    }

    /// The destination with all that is staged sealed and known to make no
    /// difference, so that the merge may drop it: a leftover that equals the old
    /// head would otherwise undo what is merged. None: the branch changed, look again.
    pub(crate) async fn clean_destination(
        &self,
        repository: &Repository,
        destination: &BranchId,
    ) -> Result<Option<Attempt>> {
        let dirty = || Error::DirtyBranch(destination.to_string());
        let before = self.refs.branch(repository, destination).await?;
        if self.is_dirty(repository, &before.record).await? {
            return Err(dirty());
        }
        let checked = before.record.sealed_tokens.clone();
        let Some(at) = self.seal(repository, destination, before).await? else {
            return Ok(None);
        };
        // A write may have come between the look and the seal.
        if at.record.sealed_tokens != checked && self.is_dirty(repository, &at.record).await? {
            return Err(dirty());
        }
        let head = self.refs.commit(repository, &at.record.commit_id).await?;
        Ok(Some(Attempt { at, head }))
    }

    /// The merge into `destination`; `before` is what the try before this one worked out. None: nothing to
    /// merge, which is not allowed.
    async fn merged(
        &self,
        repository: &Repository,
        source: &Arc<Commit>,
        destination: &Arc<Commit>,
        params: &MergeParams,
        before: Option<Merged>,
    ) -> Result<Option<Merged>> {
        let Some(base) = self
            .refs
            .merge_base(repository, &source.id, &destination.id)
            .await?
        else {
            return Err(Error::NoMergeBase(
                source.id.to_string(),
                destination.id.to_string(),
            ));
        };
        let base = self.tree_of(repository, &base).await?;
        let (source, destination) = (&source.meta_range_id, &destination.meta_range_id);
        // Clients of lakeFS know `force` as allowing it too.
        let is_empty_allowed = params.allow_empty || params.force;
        if source.is_same_tree(&base) && !is_empty_allowed {
            return Ok(None);
        }
        let merged = self
            .committed
            .merge_again(
                &repository.storage_namespace,
                before.as_ref(),
                &base,
                source,
                destination,
                params.strategy,
            )
            .await?;
        // With two parents it tells that the source is merged, whatever came of it; squashed, nothing.
        let namespace = &repository.storage_namespace;
        if params.squash
            && !is_empty_allowed
            && self
                .committed
                .is_same(namespace, &merged.tree, destination)
                .await?
        {
            return Ok(None);
        }
        Ok(Some(merged))
    }
}

fn nothing_to_merge(source: &str, destination: &BranchId, squash: bool) -> Error {
    let why = match squash {
        false => format!("everything of '{source}' is merged"),
        true => format!("what is committed on '{source}' leaves '{destination}' as it is"),
    };
    Error::NoChanges(why)
}

fn strategy_name(strategy: MergeStrategy) -> &'static str {
    match strategy {
        MergeStrategy::None => "default",
        MergeStrategy::DestWins => "dest-wins",
        MergeStrategy::SourceWins => "source-wins",
    }
}
