//! Commits the staged changes of a branch, or a given tree.
//!
//! Hooks run outside of every compare-and-set. They run again only if a retry produces a different
//! tree. If a hook refuses, the staged changes stay (in a sealed token, which makes no difference to
//! reads).

use std::collections::BTreeMap;

use base::OffsetDateTime;

use crate::commit_participant::{CommitParticipant, CommitStep};
use crate::engine::{Engine, check_read_only, count_retry, generation_after};
use crate::ident::commit_id;
use crate::landing::{Attempt, MAX_TRIES, Verdict};
use crate::protection::Blocked;
use crate::staging::StagedChanges;
use crate::{
    After, BranchId, BranchRecord, Commit, CommitId, CommitParams, CommitPreparation,
    CommitProposal, Draft, Error, EventDetails, Hooks, LandedCommit, MetaRangeId, Operation,
    Repository, Result,
};

/// The version of commits made here: the first parent is the branch that was committed to.
pub(crate) const COMMIT_VERSION: i32 = 1;

impl Engine {
    pub(crate) async fn commit(
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
        self.run_prepare_hooks(repository, branch, &first.record, &params, date, hooks)
            .await?;

        let mut verdict: Option<Verdict> = None;
        for attempt in 0..MAX_TRIES {
            let mut turn = self.queue.turn(repository, branch).await?;
            let Some((work, tree)) = self.seal_and_build(repository, branch, &params).await? else {
                continue;
            };
            participant.on_step(CommitStep::Built);
            let mut commit = new_commit(NewCommit {
                committer: params.committer.clone(),
                message: params.message.clone(),
                metadata: params.metadata.clone(),
                date,
                tree: tree.clone(),
                parents: vec![work.head.id.clone()],
                generation: generation_after([work.head.as_ref()]),
            });
            if verdict.as_ref().is_none_or(|verdict| verdict.tree != tree) {
                let details = EventDetails::PreCommit(proposal(branch, &commit, &work.head));
                let event = self.event(repository, &params.committer, details);
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
            participant.on_step(CommitStep::Judged);
            let operation = Operation::Commit;
            let landing = self
                .land(
                    repository,
                    branch,
                    &work.at,
                    &mut commit,
                    operation,
                    participant,
                )
                .await?;
            if landing.end(turn) {
                let change = landed(branch, &commit, &work.head);
                let details = EventDetails::PostCommit(after(change, verdict));
                let event = self.event(repository, &params.committer, details);
                self.run_post_hooks(hooks, event).await;
                return Ok(commit);
            }
            count_retry("commit");
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    /// Runs the prepare-commit hooks, before anything is sealed or built.
    async fn run_prepare_hooks(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: &BranchRecord,
        params: &CommitParams,
        date: OffsetDateTime,
        hooks: &dyn Hooks,
    ) -> Result<()> {
        let head = self.refs.commit(repository, &record.commit_id).await?;
        let draft = Draft {
            message: params.message.clone(),
            committer: params.committer.clone(),
            metadata: params.metadata.clone(),
            creation_date: date,
            meta_range_id: head.meta_range_id.clone(),
            parents: vec![head.id.clone()],
            version: COMMIT_VERSION,
        };
        let details = EventDetails::PrepareCommit(CommitPreparation {
            branch: branch.clone(),
            draft,
        });
        let event = self.event(repository, &params.committer, details);
        self.run_pre_hooks(hooks, &event).await.map(drop)
    }

    /// Seals the staged changes and computes the tree of their commit. `None`: the branch changed;
    /// start over.
    async fn seal_and_build(
        &self,
        repository: &Repository,
        branch: &BranchId,
        params: &CommitParams,
    ) -> Result<Option<(Attempt, MetaRangeId)>> {
        let read_at = self.clock.now();
        let at = self.refs.branch(repository, branch).await?;
        let Some(at) = self.seal(repository, branch, at).await? else {
            return Ok(None);
        };
        let head = self.refs.commit(repository, &at.record.commit_id).await?;
        let work = Attempt { at, head };
        match self.tree_to_commit(repository, branch, &work, params).await {
            Err(Error::NoChanges(_))
                if !self
                    .is_branch_unchanged(repository, branch, &work.at.record, read_at)
                    .await? =>
            {
                Ok(None)
            }
            tree => Ok(Some((work, tree?))),
        }
    }

    /// Computes the tree of a commit on top of the head.
    async fn tree_to_commit(
        &self,
        repository: &Repository,
        branch: &BranchId,
        work: &Attempt,
        params: &CommitParams,
    ) -> Result<MetaRangeId> {
        let namespace = &repository.storage_namespace;
        let head_tree = &work.head.meta_range_id;
        let sealed = &work.at.record.sealed_tokens;
        let tree = match &params.source_metarange {
            Some(tree) => {
                if self.is_dirty(repository, &work.at.record).await? {
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
                let changes = Box::new(StagedChanges::new(&self.kv, sealed));
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

/// The content of a commit that has no id yet.
#[derive(Debug)]
pub(crate) struct NewCommit {
    pub committer: String,
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    pub date: OffsetDateTime,
    pub tree: MetaRangeId,
    pub parents: Vec<CommitId>,
    pub generation: i32,
}

/// Builds a commit and computes its id from its content.
pub(crate) fn new_commit(new: NewCommit) -> Commit {
    let mut commit = Commit {
        id: CommitId::trusted(""),
        committer: new.committer,
        message: new.message,
        creation_date: new.date,
        meta_range_id: new.tree,
        metadata: new.metadata,
        parents: new.parents,
        version: COMMIT_VERSION,
        generation: new.generation,
    };
    commit.id = commit_id(&commit);
    commit
}

/// The commit as hooks see it.
fn draft_of(commit: &Commit) -> Draft {
    Draft {
        message: commit.message.clone(),
        committer: commit.committer.clone(),
        metadata: commit.metadata.clone(),
        creation_date: commit.creation_date,
        meta_range_id: commit.meta_range_id.clone(),
        parents: commit.parents.clone(),
        version: commit.version,
    }
}

/// What hooks see of a commit before it becomes the branch's head.
pub(crate) fn proposal(branch: &BranchId, commit: &Commit, head: &Commit) -> CommitProposal {
    CommitProposal {
        branch: branch.clone(),
        draft: draft_of(commit),
        base: head.meta_range_id.clone(),
    }
}

/// What hooks see of a commit that became the branch's head; `head` is the one before.
pub(crate) fn landed(branch: &BranchId, commit: &Commit, head: &Commit) -> LandedCommit {
    LandedCommit {
        branch: branch.clone(),
        commit_id: commit.id.clone(),
        draft: draft_of(commit),
        base: head.meta_range_id.clone(),
    }
}

/// The change as a post-event reports it.
pub(crate) fn after<T>(change: T, verdict: Option<Verdict>) -> After<T> {
    After {
        pre_run_id: verdict.and_then(|verdict| verdict.run_id),
        change,
    }
}
