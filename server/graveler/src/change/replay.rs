//! Applies the difference between two trees to a branch, as one commit with one parent.
//!
//! Revert replays the difference from a commit to its parent. Cherry-pick replays the difference from the parent to the
//! commit.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base::OffsetDateTime;

use super::{Candidate, Change, NewCommit, Target};
use crate::checks::generation_after;
use crate::committed::Merged;
use crate::{
    After, Commit, CommitId, CommitProposal, Error, EventDetails, Graveler, LandedCommit,
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
    pub date: OffsetDateTime,
    /// Whether to commit even if the head's tree would not change.
    pub allow_empty: bool,
    pub events: ReplayEvents,
}

/// Constructors of the events of a replay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayEvents {
    pub pre: fn(CommitProposal) -> EventDetails,
    pub post: fn(After<LandedCommit>) -> EventDetails,
}

#[async_trait]
impl Change for Replay {
    fn operation(&self) -> Operation {
        self.operation
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
        let merged = self.replayed(engine, repository, &head.meta_range_id, before);
        let merged = merged.await?;
        Ok(Some(Candidate {
            at,
            head,
            tree: merged.tree.clone(),
            merged: Some(merged),
        }))
    }

    fn commit(&self, candidate: &Candidate) -> Commit {
        candidate.commit(NewCommit {
            committer: &self.committer,
            message: &self.message,
            metadata: &self.metadata,
            date: self.date,
            parents: vec![candidate.head.id.clone()],
            generation: generation_after([candidate.head.as_ref()]),
        })
    }

    fn pre_event(&self, proposal: CommitProposal, _id: &CommitId) -> EventDetails {
        (self.events.pre)(proposal)
    }

    fn post_event(&self, landed: After<LandedCommit>) -> EventDetails {
        (self.events.post)(landed)
    }
}

impl Replay {
    /// Applies the difference to the head's tree. `before` is the previous attempt's result.
    async fn replayed(
        &self,
        engine: &Graveler,
        repository: &Repository,
        head: &MetaRangeId,
        before: Option<&Merged>,
    ) -> Result<Merged> {
        let merged = engine
            .committed
            .merge_incrementally(
                &repository.storage_namespace,
                before,
                &self.from,
                &self.to,
                head,
                MergeStrategy::None,
            )
            .await?;
        let namespace = &repository.storage_namespace;
        if !self.allow_empty
            && engine
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
}

impl Graveler {
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
