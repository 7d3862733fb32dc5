//! Merging pull requests.
//!
//! The batch that moves the destination also marks the request as merged. It fails if the request has changed
//! since the merge began. So even if a server dies, either both have happened or neither.
//!
//! If a client merged the source without the request, after the request was opened, the request is marked with
//! that merge commit.

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
use crate::pulls::MAX_ATTEMPTS;
use crate::retention::check_writable;
use crate::{Catalog, Error, PullRequest, PullStatus, Result};

/// How many commits of the destination are searched for a merge that was made without the request.
const MAX_COMMITS_SEARCHED: usize = 1_000;

impl Catalog {
    /// Merges the source branch into the destination and marks the request as merged.
    ///
    /// If a client merged the source without the request, after the request was opened, the request is marked with that
    /// merge commit, even if the source branch was deleted.
    ///
    /// # Errors
    /// [`Error::NoSuchPullRequest`]; [`Error::PullRequestStatus`] if it is not open; those of [`Catalog::merge`], which
    /// leave the request open; [`Error::PullRequestBusy`] if concurrent changes won every attempt. No branch has moved
    /// after an error.
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
        self.run_detached(async move {
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
        for _ in 0..MAX_ATTEMPTS {
            let (pull, unchanged) = self.stored_pull(repository, id).await?;
            if pull.status != PullStatus::Open {
                return Err(pull.cannot("be merged"));
            }
            // Do not resolve the name as a reference, here or in the merge: a tag may have the name of a deleted branch.
            let source = match self.reader().branch(repository, &pull.source_branch).await {
                Ok(source) => source.record.commit_id,
                Err(missing @ Error::NotFound { .. }) => {
                    let deleted = self.deleted_head(repository, &pull.source_branch).await?;
                    return match deleted {
                        Some(source) => self.mark_merged(repository, &pull, &source, missing).await,
                        None => Err(missing),
                    };
                }
                Err(error) => return Err(error),
            };
            let marker = MergeMarker {
                partition: Bytes::from(repository.partition()),
                pull,
                unchanged,
                clock: Arc::clone(&self.shared.clock),
            };
            let merged = self
                .graveler
                .merge_commit_with(
                    repository,
                    &BranchId::parse(&marker.pull.destination_branch)?,
                    (&marker.pull.source_branch, &source),
                    plain_merge(committer),
                    self.hooks.as_ref(),
                    &marker,
                )
                .await;
            match merged {
                Ok(merged) => return Ok(merged.commit_id),
                Err(none @ graveler::Error::NoChanges(_)) => {
                    let pull = &marker.pull;
                    return self
                        .mark_merged(repository, pull, &source, none.into())
                        .await;
                }
                // The request changed during the merge; it may be closed now. Read it again.
                Err(graveler::Error::ConcurrentChange(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::PullRequestBusy(id.to_owned()))
    }

    /// Marks a request as merged by an existing merge commit of its source. Fails with `otherwise` if there is none.
    async fn mark_merged(
        &self,
        repository: &Repository,
        pull: &PullRequest,
        source: &CommitId,
        otherwise: Error,
    ) -> Result<CommitId> {
        let Some(merge) = self.find_merge(repository, pull, source).await? else {
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

    /// Finds the commit that merged `source` into the destination after the request was opened.
    async fn find_merge(
        &self,
        repository: &Repository,
        pull: &PullRequest,
        source: &CommitId,
    ) -> Result<Option<CommitId>> {
        let destination = self
            .reader()
            .branch(repository, &pull.destination_branch)
            .await?;
        let head = destination.record.commit_id;
        let is_merge = |commit: &Commit| commit.parents.get(1) == Some(source);
        let Some(merge) = self.find_first(repository, head, is_merge).await? else {
            return Ok(None);
        };
        let kv = self.shared.kv.as_ref();
        let is_later = match destination_at_opening(kv, repository, &pull.id).await? {
            Some(opening) => {
                // If this search ends at its limit, it is unknown whether the merge came later, so the merge does not
                // count.
                let is_not_newer = |commit: &Commit| commit.generation <= merge.generation;
                let found = self.find_first(repository, opening, is_not_newer).await?;
                found.is_some_and(|commit| commit.id != merge.id)
            }
            None => merge.creation_date >= pull.created_at,
        };
        Ok(is_later.then_some(merge.id))
    }

    /// Finds the newest commit that matches among the first [`MAX_COMMITS_SEARCHED`] first parents, starting at
    /// `head`.
    async fn find_first(
        &self,
        repository: &Repository,
        head: CommitId,
        matches: impl Fn(&Commit) -> bool,
    ) -> Result<Option<Commit>> {
        let request = LogRequest {
            from: head,
            first_parent: true,
            since: None,
            stop_at: None,
        };
        let mut log = self.graveler.log(repository, request).await?;
        for _ in 0..MAX_COMMITS_SEARCHED {
            match log.next().await? {
                Some(commit) if matches(&commit) => return Ok(Some(commit)),
                Some(_) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// The last head of a branch, if the newest reflog entry of its name is its deletion.
    async fn deleted_head(
        &self,
        repository: &Repository,
        branch: &str,
    ) -> Result<Option<CommitId>> {
        let branch = RefName::Branch(BranchId::parse(branch)?);
        let newest = self
            .reader()
            .reflog(repository, Some(&branch), "", 1)
            .await?;
        let newest = newest.results.into_iter().next();
        Ok(newest
            .filter(|entry| entry.operation == Operation::Delete)
            .and_then(|entry| entry.from))
    }
}

/// Merge parameters with the default message and no strategy.
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

/// Marks a request as merged in the batch that moves the destination.
#[derive(Debug)]
struct MergeMarker {
    partition: Bytes,
    pull: PullRequest,
    /// Holds while the stored request equals `pull`.
    unchanged: Predicate,
    clock: Arc<dyn Clock>,
}

impl CommitParticipant for MergeMarker {
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
