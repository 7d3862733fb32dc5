//! The merge of a pull request.
//!
//! The batch that moves the destination marks the request as merged, on the condition that it is
//! as it was when the merge began: whatever a server dies of, a request is merged and says so, or neither.
//!
//! A request whose branch was merged by hand since it was opened is marked with that merge.

use std::sync::Arc;

use base::Clock;
use bytes::Bytes;
use graveler::{
    BranchId, Commit, CommitId, CommitParticipant, CommitStep, LogRequest, MergeParams,
    MergeStrategy, Operation, RefName, Repository,
};
use kv::{Op, Predicate};
use tracing::{info, instrument};

use crate::pull_records::{PullData, destination_at_opening, record_key};
use crate::pulls::MAX_TRIES;
use crate::retention::check_writable;
use crate::{Catalog, Error, PullRequest, PullStatus, Result};

/// How far back on the destination a merge by hand is looked for.
const MAX_COMMITS_LOOKED_AT: usize = 1_000;

impl Catalog {
    /// Merges the source branch into the destination, and marks the request as merged.
    ///
    /// A request whose branch was merged since it was opened, by whomever, is marked with that
    /// merge, also if the branch is deleted by now.
    ///
    /// # Errors
    /// [`Error::NoSuchPullRequest`]; [`Error::PullRequestStatus`] if it is not open; as of
    /// [`Catalog::merge`], which leave it open; [`Error::PullRequestBusy`] if it is changed all the
    /// time: nothing moved.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn merge_pull_request(
        &self,
        repository: &Repository,
        id: &str,
        committer: &str,
    ) -> Result<CommitId> {
        check_writable(repository)?;
        let (catalog, repository) = (self.clone(), repository.clone());
        let (id, committer) = (id.to_owned(), committer.to_owned());
        self.see_through(async move {
            let commit = catalog.merge_pull(&repository, &id, &committer).await?;
            info!(repo.id = %repository.id, "merged pull request {id} as {commit}");
            Ok(commit)
        })
        .await
    }

    async fn merge_pull(
        &self,
        repository: &Repository,
        id: &str,
        committer: &str,
    ) -> Result<CommitId> {
        for _ in 0..MAX_TRIES {
            let (pull, unchanged) = self.stored_pull(repository, id).await?;
            if pull.status != PullStatus::Open {
                return Err(pull.cannot("be merged"));
            }
            // A branch, whatever else may have got the name of one that was deleted.
            let source = match self.branch(repository, &pull.source_branch).await {
                Ok(source) => source.record.commit_id,
                Err(missing @ Error::Engine(graveler::Error::NotFound { .. })) => {
                    let deleted = self.deleted_head(repository, &pull.source_branch).await?;
                    return match deleted {
                        Some(source) => self.mark_merged(repository, &pull, &source, missing).await,
                        None => Err(missing),
                    };
                }
                Err(error) => return Err(error),
            };
            let note = MergeNote {
                partition: Bytes::from(repository.partition()),
                pull,
                unchanged,
                clock: Arc::clone(&self.shared.clock),
            };
            let merged = self
                .graveler
                .merge_with(
                    repository,
                    &BranchId::parse(&note.pull.destination_branch)?,
                    &note.pull.source_branch,
                    plain_merge(committer),
                    self.hooks.as_ref(),
                    &note,
                )
                .await;
            match merged {
                Ok(merged) => return Ok(merged.commit_id),
                Err(none @ graveler::Error::NoChanges(_)) => {
                    let pull = &note.pull;
                    return self
                        .mark_merged(repository, pull, &source, none.into())
                        .await;
                }
                // The request was changed meanwhile: it may be closed now.
                Err(graveler::Error::ConcurrentChange(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::PullRequestBusy(id.to_owned()))
    }

    /// Marks a request with the merge that someone else made of its source; `otherwise`: there is none.
    async fn mark_merged(
        &self,
        repository: &Repository,
        pull: &PullRequest,
        source: &CommitId,
        otherwise: Error,
    ) -> Result<CommitId> {
        let Some(merge) = self.merge_of(repository, pull, source).await? else {
            return Err(otherwise);
        };
        self.change_pull(repository, &pull.id, |pull| match pull.status {
            PullStatus::Open => {
                *pull = pull.merged_as(&merge, self.shared.clock.as_ref());
                Ok(())
            }
            PullStatus::Closed => Err(pull.cannot("be merged")),
            PullStatus::Merged => Ok(()),
        })
        .await?;
        Ok(merge)
    }

    /// The commit that merged `source` into the destination after the request was opened.
    async fn merge_of(
        &self,
        repository: &Repository,
        pull: &PullRequest,
        source: &CommitId,
    ) -> Result<Option<CommitId>> {
        let destination = self.branch(repository, &pull.destination_branch).await?;
        let head = destination.record.commit_id;
        let is_merge = |commit: &Commit| commit.parents.get(1) == Some(source);
        let Some(merge) = self.first_on(repository, head, is_merge).await? else {
            return Ok(None);
        };
        let kv = self.shared.kv.as_ref();
        let is_later = match destination_at_opening(kv, repository, &pull.id).await? {
            Some(opening) => {
                // What lies so far back that it was not reached may have been there.
                let is_it = |commit: &Commit| commit.generation <= merge.generation;
                let there = self.first_on(repository, opening, is_it).await?;
                there.is_some_and(|commit| commit.id != merge.id)
            }
            None => merge.creation_date >= pull.created_at,
        };
        Ok(is_later.then_some(merge.id))
    }

    /// The newest commit of a branch, by first parents from `head`, that is one of those sought;
    /// none within [`MAX_COMMITS_LOOKED_AT`].
    async fn first_on(
        &self,
        repository: &Repository,
        head: CommitId,
        is_sought: impl Fn(&Commit) -> bool,
    ) -> Result<Option<Commit>> {
        let request = LogRequest {
            from: head,
            first_parent: true,
            since: None,
            stop_at: None,
        };
        let mut log = self.graveler.log(repository, request).await?;
        for _ in 0..MAX_COMMITS_LOOKED_AT {
            match log.next().await? {
                Some(commit) if is_sought(&commit) => return Ok(Some(commit)),
                Some(_) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// The head that a branch had when it was deleted, if the reflog's newest entry of it tells.
    async fn deleted_head(
        &self,
        repository: &Repository,
        branch: &str,
    ) -> Result<Option<CommitId>> {
        let branch = RefName::Branch(BranchId::parse(branch)?);
        let newest = self.reflog(repository, Some(&branch), "", 1).await?;
        let newest = newest.results.into_iter().next();
        Ok(newest
            .filter(|entry| entry.operation == Operation::Delete)
            .and_then(|entry| entry.from))
    }
}

/// A merge without a strategy, by the message that merges have.
fn plain_merge(committer: &str) -> MergeParams {
    MergeParams {
        committer: committer.to_owned(),
        message: String::new(),
        metadata: std::collections::BTreeMap::new(),
        strategy: MergeStrategy::None,
        squash: false,
        force: false,
        allow_empty: false,
    }
}

impl PullRequest {
    fn merged_as(&self, commit: &CommitId, clock: &dyn Clock) -> Self {
        Self {
            status: PullStatus::Merged,
            closed_at: Some(clock.now()),
            merged_commit: Some(commit.clone()),
            ..self.clone()
        }
    }
}

/// Marks a request as merged in the batch that its merge lands in.
#[derive(Debug)]
struct MergeNote {
    partition: Bytes,
    pull: PullRequest,
    /// That the request is still as it is here.
    unchanged: Predicate,
    clock: Arc<dyn Clock>,
}

impl CommitParticipant for MergeNote {
    fn ops(&self, commit: &Commit) -> Vec<Op> {
        let merged = self.pull.merged_as(&commit.id, self.clock.as_ref());
        vec![Op::Set {
            partition: self.partition.clone(),
            key: record_key(&self.pull.id),
            value: PullData::encode(&merged),
            predicate: Some(self.unchanged.clone()),
        }]
    }

    fn on_step(&self, _step: CommitStep) {}
}
