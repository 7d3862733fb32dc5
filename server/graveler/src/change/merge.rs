//! Merges a reference into a branch.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base::OffsetDateTime;

use super::{Candidate, Change, NewCommit, Target};
use crate::checks::{check_read_only, generation_after};
use crate::commit_participant::{CommitParticipant, NoParticipant};
use crate::committed::Merged;
use crate::refs::StoredBranch;
use crate::{
    After, BranchId, Commit, CommitId, CommitProposal, Error, EventDetails, Graveler, Hooks,
    LandedCommit, LandedMerge, MergeBase, MergeOutcome, MergeParams, MergeProposal, MergeSource,
    MergeStrategy, Operation, Repository, Result,
};

/// Metadata key of a merge commit that holds the merge strategy.
const STRATEGY_KEY: &str = ".lakefs.merge.strategy";

/// A merge of a commit into a branch.
#[derive(Debug)]
struct Merge {
    /// The source as the user wrote it.
    name: String,
    commit: Arc<Commit>,
    message: String,
    metadata: BTreeMap<String, String>,
    date: OffsetDateTime,
    params: MergeParams,
}

#[async_trait]
impl Change for Merge {
    fn operation(&self) -> Operation {
        Operation::Merge
    }

    async fn candidate(
        &self,
        engine: &Graveler,
        target: Target<'_>,
        before: Option<&Merged>,
    ) -> Result<Option<Candidate>> {
        let Target { repository, branch } = target;
        let Some((at, head)) = engine.clean_destination(repository, branch).await? else {
            return Ok(None);
        };
        let merged = self.merged(engine, repository, &head, before).await?;
        let merged =
            merged.ok_or_else(|| nothing_to_merge(&self.name, branch, self.params.squash))?;
        Ok(Some(Candidate {
            at,
            head,
            tree: merged.tree.clone(),
            merged: Some(merged),
        }))
    }

    fn commit(&self, candidate: &Candidate) -> Commit {
        let head = candidate.head.as_ref();
        let mut parents = vec![head.id.clone()];
        if !self.params.squash {
            parents.push(self.commit.id.clone());
        }
        candidate.commit(NewCommit {
            committer: &self.params.committer,
            message: &self.message,
            metadata: &self.metadata,
            date: self.date,
            parents,
            generation: generation_after([head, self.commit.as_ref()]),
        })
    }

    fn pre_event(&self, proposal: CommitProposal, id: &CommitId) -> EventDetails {
        EventDetails::PreMerge(MergeProposal {
            commit: proposal,
            commit_id: id.clone(),
            source: self.source(),
        })
    }

    fn post_event(&self, landed: After<LandedCommit>) -> EventDetails {
        EventDetails::PostMerge(After {
            pre_run_id: landed.pre_run_id,
            change: LandedMerge {
                commit: landed.change,
                source: self.source(),
            },
        })
    }
}

impl Merge {
    fn source(&self) -> MergeSource {
        MergeSource {
            name: self.name.clone(),
            commit_id: self.commit.id.clone(),
            meta_range_id: self.commit.meta_range_id.clone(),
        }
    }

    /// Merges the source into `destination`. `before` is the previous attempt's result. `None`: the
    /// merge would change nothing, and that is not allowed.
    async fn merged(
        &self,
        engine: &Graveler,
        repository: &Repository,
        destination: &Commit,
        before: Option<&Merged>,
    ) -> Result<Option<Merged>> {
        let (source, params) = (&self.commit, &self.params);
        let Some(base) = engine
            .refs
            .merge_base(repository, &source.id, &destination.id)
            .await?
        else {
            return Err(Error::NoMergeBase(
                source.id.to_string(),
                destination.id.to_string(),
            ));
        };
        let base = engine.tree_of(repository, &base).await?;
        let (source, destination) = (&source.meta_range_id, &destination.meta_range_id);
        // Clients of lakeFS expect `force` to allow an empty merge too.
        let is_empty_allowed = params.allow_empty || params.force;
        if source.is_same_tree(&base) && !is_empty_allowed {
            return Ok(None);
        }
        let merged = engine
            .committed
            .merge_incrementally(
                &repository.storage_namespace,
                before,
                &base,
                source,
                destination,
                params.strategy,
            )
            .await?;
        // A merge commit with two parents records that the source is merged, even if no key
        // changed. A squashed one does not.
        let namespace = &repository.storage_namespace;
        if params.squash
            && !is_empty_allowed
            && engine
                .committed
                .is_same(namespace, &merged.tree, destination)
                .await?
        {
            return Ok(None);
        }
        Ok(Some(merged))
    }
}

impl Graveler {
    /// Resolves two references and finds the nearest common ancestor of their commits.
    pub async fn find_merge_base(
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

    /// Like [`Self::merge`], and adds the participant's writes to the batch that makes the commit
    /// the head.
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
        check_read_only(repository, params.force)?;
        self.refs.branch(repository, destination).await?;
        let commit = self.refs.resolve_commit(repository, source).await?;
        let source = (source, &commit);
        self.merge_commit_with(repository, destination, source, params, hooks, participant)
            .await
    }

    /// Like [`Self::merge_with`], but merges a given commit. The name that the caller resolved to it appears in the message
    /// and in events.
    ///
    /// # Errors
    /// The same as for [`Self::merge_with`].
    pub async fn merge_commit_with(
        &self,
        repository: &Repository,
        destination: &BranchId,
        (name, source): (&str, &CommitId),
        params: MergeParams,
        hooks: &dyn Hooks,
        participant: &dyn CommitParticipant,
    ) -> Result<MergeOutcome> {
        check_read_only(repository, params.force)?;
        let change = Merge {
            commit: self.refs.commit(repository, source).await?,
            name: name.to_owned(),
            message: message_of(&params, name, destination),
            metadata: metadata_of(&params),
            date: self.clock.now(),
            params,
        };
        let target = Target {
            repository,
            branch: destination,
        };
        let commit = self
            .apply(target, &change, None, hooks, participant)
            .await?;
        Ok(MergeOutcome {
            commit_id: commit.id,
        })
    }

    /// Verifies that the destination's staged changes make no difference to its head, and seals
    /// them.
    ///
    /// The merge then drops them. If they stayed, changes that equal the old head would override
    /// merged keys. `None`: the branch changed; start over.
    ///
    /// # Errors
    /// [`Error::DirtyBranch`] if staged changes make a difference.
    pub(crate) async fn clean_destination(
        &self,
        repository: &Repository,
        destination: &BranchId,
    ) -> Result<Option<(StoredBranch, Arc<Commit>)>> {
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
        Ok(Some((at, head)))
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
