//! Merges a reference into a branch.
//!
//! The merged tree is computed first, then judged by the hooks, and only then does the head move. If
//! another change moves the head in between, the merge is rebased onto the new head. Hooks run again
//! only if that changes the merged tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::commit::{NewCommit, after, landed, new_commit, proposal};
use crate::commit_participant::{CommitParticipant, CommitStep};
use crate::committed::Merged;
use crate::engine::{Engine, check_read_only, count_retry, generation_after};
use crate::landing::{Attempt, MAX_TRIES, Verdict};
use crate::{
    BranchId, Commit, Error, EventDetails, Hooks, LandedMerge, MergeBase, MergeOutcome,
    MergeParams, MergeProposal, MergeSource, MergeStrategy, Operation, Repository, Result,
};

/// Metadata key of a merge commit that holds the merge strategy.
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
        participant: &dyn CommitParticipant,
    ) -> Result<MergeOutcome> {
        check_read_only(repository, params.force)?;
        self.refs.branch(repository, destination).await?;
        let source_id = self.refs.resolve_commit(repository, source).await?;
        let source_commit = self.refs.commit(repository, &source_id).await?;
        let incoming = MergeSource {
            name: source.to_owned(),
            commit_id: source_id.clone(),
            meta_range_id: source_commit.meta_range_id.clone(),
        };
        let date = self.clock.now();
        let message = message_of(&params, source, destination);
        let metadata = metadata_of(&params);

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
            participant.on_step(CommitStep::Built);
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
            if verdict.as_ref().is_none_or(|verdict| verdict.tree != tree) {
                let details = EventDetails::PreMerge(MergeProposal {
                    commit: proposal(destination, &commit, &work.head),
                    commit_id: commit.id.clone(),
                    source: incoming.clone(),
                });
                let event = self.event(repository, &params.committer, details);
                let run_id;
                (run_id, turn) = self
                    .run_hooks_with_turn(
                        repository,
                        destination,
                        turn,
                        attempt,
                        self.run_pre_hooks(hooks, &event),
                    )
                    .await?;
                verdict = Some(Verdict { tree, run_id });
            }
            participant.on_step(CommitStep::Judged);
            let operation = Operation::Merge;
            let landing = self
                .land(
                    repository,
                    destination,
                    &work.at,
                    &mut commit,
                    operation,
                    participant,
                )
                .await?;
            if landing.end(turn) {
                let change = LandedMerge {
                    commit: landed(destination, &commit, &work.head),
                    source: incoming,
                };
                let details = EventDetails::PostMerge(after(change, verdict));
                let event = self.event(repository, &params.committer, details);
                self.run_post_hooks(hooks, event).await;
                return Ok(MergeOutcome {
                    commit_id: commit.id,
                });
            }
            count_retry("merge");
        }
        Err(Error::TooManyTries(format!("branch {destination}")))
    }

    /// Seals the destination's staged changes and verifies that they make no difference to its head.
    ///
    /// The merge may then drop them. Otherwise a leftover that equals the old head would undo what is
    /// merged. `None`: the branch changed; start over.
    ///
    /// # Errors
    /// [`Error::DirtyBranch`] if staged changes make a difference.
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
        // A write may have landed between the check and the seal.
        if at.record.sealed_tokens != checked && self.is_dirty(repository, &at.record).await? {
            return Err(dirty());
        }
        let head = self.refs.commit(repository, &at.record.commit_id).await?;
        Ok(Some(Attempt { at, head }))
    }

    /// Computes the merge into `destination`. `before` is the previous attempt's result. `None`: the
    /// merge would change nothing, and that is not allowed.
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
        // Clients of lakeFS rely on `force` allowing it too.
        let is_empty_allowed = params.allow_empty || params.force;
        if source.is_same_tree(&base) && !is_empty_allowed {
            return Ok(None);
        }
        let merged = self
            .committed
            .merge_incrementally(
                &repository.storage_namespace,
                before.as_ref(),
                &base,
                source,
                destination,
                params.strategy,
            )
            .await?;
        // A merge commit with two parents records that the source is merged, even if no key changed.
        // A squash records nothing.
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

/// The message of a merge commit: the given one, else the default.
fn message_of(params: &MergeParams, source: &str, destination: &BranchId) -> String {
    match params.message.is_empty() {
        true => format!("Merge '{source}' into '{destination}'"),
        false => params.message.clone(),
    }
}

/// The metadata of a merge commit, which includes the strategy.
fn metadata_of(params: &MergeParams) -> BTreeMap<String, String> {
    let mut metadata = params.metadata.clone();
    let strategy = strategy_name(params.strategy).to_owned();
    metadata.insert(STRATEGY_KEY.to_owned(), strategy);
    metadata
}

fn nothing_to_merge(source: &str, destination: &BranchId, squash: bool) -> Error {
    let why = match squash {
        false => format!("'{source}' is already merged"),
        true => format!("the commits of '{source}' would not change '{destination}'"),
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
