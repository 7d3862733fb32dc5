//! Commits the staged changes of a branch, or a given tree.
//!
//! If a hook refuses, the changes stay staged. They are then in a sealed token, which reads treat
//! like any other.

use async_trait::async_trait;
use base::OffsetDateTime;

use super::{COMMIT_VERSION, Candidate, Change, NewCommit, Target};
use crate::checks::{check_read_only, generation_after};
use crate::commit_participant::{CommitParticipant, NoParticipant};
use crate::committed::Merged;
use crate::protection::Blocked;
use crate::{
    After, BranchId, BranchRecord, Commit, CommitId, CommitParams, CommitPreparation,
    CommitProposal, Draft, Error, EventDetails, Graveler, Hooks, LandedCommit, MetaRangeId,
    Operation, Repository, Result,
};

/// A commit of staged changes or of a given tree.
#[derive(Debug)]
struct NewTree {
    params: CommitParams,
    date: OffsetDateTime,
}

#[async_trait]
impl Change for NewTree {
    fn operation(&self) -> Operation {
        Operation::Commit
    }

    async fn candidate(
        &self,
        engine: &Graveler,
        target: Target<'_>,
        _before: Option<&Merged>,
    ) -> Result<Option<Candidate>> {
        engine.seal_and_build(target, &self.params).await
    }

    fn preparation(&self, branch: &BranchId, head: &Commit) -> Option<CommitPreparation> {
        let params = &self.params;
        Some(CommitPreparation {
            branch: branch.clone(),
            draft: Draft {
                message: params.message.clone(),
                committer: params.committer.clone(),
                metadata: params.metadata.clone(),
                creation_date: self.date,
                meta_range_id: head.meta_range_id.clone(),
                parents: vec![head.id.clone()],
                version: COMMIT_VERSION,
            },
        })
    }

    fn commit(&self, candidate: &Candidate) -> Commit {
        candidate.commit(NewCommit {
            committer: &self.params.committer,
            message: &self.params.message,
            metadata: &self.params.metadata,
            date: self.date,
            parents: vec![candidate.head.id.clone()],
            generation: generation_after([candidate.head.as_ref()]),
        })
    }

    fn pre_event(&self, proposal: CommitProposal, _id: &CommitId) -> EventDetails {
        EventDetails::PreCommit(proposal)
    }

    fn post_event(&self, landed: After<LandedCommit>) -> EventDetails {
        EventDetails::PostCommit(landed)
    }
}

impl Graveler {
    /// Commits the staged changes, or the tree in `params`.
    ///
    /// # Errors
    /// [`crate::Error::NoChanges`] if the tree would not change (unless allowed);
    /// [`crate::Error::DirtyBranch`] if changes are staged besides a given tree;
    /// [`crate::Error::Protected`] on a protected branch; [`crate::Error::Rejected`] if a hook
    /// refuses.
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
        check_read_only(repository, params.force)?;
        let first = self.refs.branch(repository, branch).await?;
        self.protection
            .check(repository, branch, Blocked::Commit)
            .await?;
        let date = params.date.unwrap_or_else(|| self.clock.now());
        let head = self
            .refs
            .commit(repository, &first.record.commit_id)
            .await?;
        let target = Target { repository, branch };
        let change = NewTree { params, date };
        // Run before anything is sealed, so that the commit contains the changes that the hooks
        // stage.
        if let Some(preparation) = change.preparation(branch, &head) {
            self.prepare(target, preparation, hooks).await?;
        }
        let prepared_on = Some(head.meta_range_id.clone());
        self.apply(target, &change, prepared_on, hooks, participant)
            .await
    }

    /// Seals the staged changes and computes the tree of their commit. `None`: the branch changed;
    /// start over.
    async fn seal_and_build(
        &self,
        target: Target<'_>,
        params: &CommitParams,
    ) -> Result<Option<Candidate>> {
        let Target { repository, branch } = target;
        let read_at = self.clock.now();
        let at = self.refs.branch(repository, branch).await?;
        let Some(at) = self.seal(repository, branch, at).await? else {
            return Ok(None);
        };
        let head = self.refs.commit(repository, &at.record.commit_id).await?;
        let (record, head_tree) = (&at.record, &head.meta_range_id);
        let tree = match self.tree_to_commit(target, record, head_tree, params).await {
            Err(Error::NoChanges(_))
                if !self
                    .is_branch_unchanged(repository, branch, record, read_at)
                    .await? =>
            {
                return Ok(None);
            }
            tree => tree?,
        };
        Ok(Some(Candidate {
            at,
            head,
            tree,
            merged: None,
        }))
    }

    /// Computes the tree of a commit on top of the head.
    async fn tree_to_commit(
        &self,
        target: Target<'_>,
        record: &BranchRecord,
        head_tree: &MetaRangeId,
        params: &CommitParams,
    ) -> Result<MetaRangeId> {
        let Target { repository, branch } = target;
        let namespace = &repository.storage_namespace;
        let sealed = &record.sealed_tokens;
        let tree = match &params.source_metarange {
            Some(tree) => {
                if self.is_dirty(repository, record).await? {
                    return Err(Error::DirtyBranch(branch.to_string()));
                }
                // Reading from the tree proves that it exists.
                self.committed.cursor(namespace, tree).await?.next().await?;
                self.check_object_tree(repository, tree).await?;
                tree.clone()
            }
            None if sealed.is_empty() => head_tree.clone(),
            None if let Some(tree) =
                self.materialized_commit(repository, branch, head_tree, sealed) =>
            {
                tree
            }
            None => {
                let changes = Box::new(self.staging.changes(sealed));
                match self.committed.apply(namespace, head_tree, changes).await? {
                    (_, summary) if summary.is_empty() => head_tree.clone(),
                    (tree, _) => tree,
                }
            }
        };
        if tree.is_same_tree(head_tree) && !params.allow_empty {
            return Err(Error::NoChanges("nothing is staged".to_owned()));
        }
        Ok(tree)
    }
}
