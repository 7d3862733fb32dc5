//! Pull requests: a branch that is to be merged into another, with words about it.
//!
//! The record is lakeFS's, in the repository's partition; the entry of the partition `pulls`
//! that names the newest request of two branches is written for it alone.
//!
//! A request is merged in two steps: the merge, then its record. A server that dies in between
//! leaves a request that is open and merged; merging it again finds the merge and goes
//! on from there. Merged is final.

use base::{OffsetDateTime, Page};
use bytes::Bytes;
use graveler::{CommitId, LogRequest, MergeParams, MergeStrategy, Repository};
use kv::{Op, Predicate};
use tracing::{info, instrument};

use crate::limits::check_pull;
use crate::pull_records::{PullData, RECORDS, index_op, record_key};
use crate::retention::check_writable;
use crate::{Catalog, Error, Result};

/// How often a record is changed by compare-and-set before giving up.
const MAX_TRIES: usize = 10;
/// How many records a listing reads in one round trip.
const LIST_PAGE: usize = 100;
/// How far back on the destination a merge is looked for that the record does not know of.
const MAX_COMMITS_LOOKED_AT: usize = 1_000;
/// How far the clocks of two servers may be apart.
const CLOCK_SKEW: std::time::Duration = std::time::Duration::from_secs(60);

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStatus {
    Open,
    /// Closed without a merge; may be opened again.
    Closed,
    /// Final.
    Merged,
}

/// A request to merge a branch into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Those of later seconds sort first.
    pub id: String,
    pub status: PullStatus,
    pub title: String,
    pub description: String,
    /// Who opened it.
    pub author: String,
    pub source_branch: String,
    pub destination_branch: String,
    pub created_at: OffsetDateTime,
    /// When it was closed or merged.
    pub closed_at: Option<OffsetDateTime>,
    /// The commit that the merge made.
    pub merged_commit: Option<CommitId>,
}

/// What to open.
#[derive(Debug, Clone)]
pub struct NewPullRequest {
    pub title: String,
    pub description: String,
    pub author: String,
    pub source_branch: String,
    pub destination_branch: String,
}

/// What to change; none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct PullRequestUpdate {
    pub title: Option<String>,
    pub description: Option<String>,
    pub status: Option<PullStatus>,
}

/// Which requests to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullFilter {
    All,
    Open,
    /// Closed or merged.
    Closed,
}

impl PullFilter {
    fn takes(self, status: PullStatus) -> bool {
        match self {
            Self::All => true,
            Self::Open => status == PullStatus::Open,
            Self::Closed => status != PullStatus::Open,
        }
    }
}

impl Catalog {
    /// Opens a request. Two branches may have several.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for one branch with itself and for too much text; a branch is not
    /// found; read-only.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn create_pull_request(
        &self,
        repository: &Repository,
        new: NewPullRequest,
    ) -> Result<PullRequest> {
        check_writable(repository)?;
        check_pull(&new.title, &new.description)?;
        if new.source_branch == new.destination_branch {
            return Err(Error::InvalidValue(
                "source and destination branches are the same: name two".to_owned(),
            ));
        }
        self.branch(repository, &new.source_branch).await?;
        self.branch(repository, &new.destination_branch).await?;
        let now = self.shared.clock.now();
        let pull = PullRequest {
            id: self.shared.ids.descending_run_id(now),
            status: PullStatus::Open,
            title: new.title,
            description: new.description,
            author: new.author,
            source_branch: new.source_branch,
            destination_branch: new.destination_branch,
            created_at: now,
            closed_at: None,
            merged_commit: None,
        };
        let partition = Bytes::from(repository.partition());
        let (key, value) = (record_key(&pull.id), PullData::encode(&pull));
        let ops = vec![
            Op::Set {
                partition: partition.clone(),
                key: key.clone(),
                value: value.clone(),
                predicate: Some(Predicate::Absent),
            },
            index_op(repository, &pull),
        ];
        if let Err(error) = self.shared.kv.batch(ops).await
            && !self.is_stored(&partition, &key, &value).await
        {
            return Err(error.into());
        }
        info!(repo.id = %repository.id, "opened pull request {}", pull.id);
        Ok(pull)
    }

    /// A request.
    ///
    /// # Errors
    /// [`Error::NoSuchPullRequest`]; [`Error::InvalidValue`] for what can't be an id.
    pub async fn pull_request(&self, repository: &Repository, id: &str) -> Result<PullRequest> {
        Ok(self.stored_pull(repository, id).await?.0)
    }

    /// Requests by id (newest first) from `after` (exclusive) whose ids start with `prefix`.
    ///
    /// # Errors
    /// The record store's.
    pub async fn list_pull_requests(
        &self,
        repository: &Repository,
        filter: PullFilter,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<PullRequest>> {
        let mut page: Page<PullRequest> = Page::empty();
        let (partition, first) = (repository.partition(), format!("{RECORDS}{prefix}"));
        // The least key greater than that of `after`.
        let mut start = first.clone().max(format!("{RECORDS}{after}\0"));
        if limit == 0 {
            return Ok(page);
        }
        loop {
            let read = self
                .shared
                .kv
                .scan(partition.as_bytes(), start.as_bytes(), LIST_PAGE)
                .await?;
            let is_last = read.len() < LIST_PAGE;
            for entry in read {
                if !entry.key.starts_with(first.as_bytes()) {
                    return Ok(page);
                }
                let pull = PullData::decode(entry.value)?;
                start = format!("{RECORDS}{}\0", pull.id);
                if !filter.takes(pull.status) {
                    continue;
                }
                if page.results.len() == limit {
                    page.has_more = true;
                    page.next_offset = page.results.last().map_or(String::new(), |p| p.id.clone());
                    return Ok(page);
                }
                page.results.push(pull);
            }
            if is_last {
                break;
            }
        }
        Ok(page)
    }

    /// Changes text or status. One that is merged keeps its status.
    ///
    /// # Errors
    /// [`Error::NoSuchPullRequest`]; [`Error::InvalidValue`] for a status that it can't have, and for too
    /// much text; [`Error::PullRequestBusy`]; read-only.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn update_pull_request(
        &self,
        repository: &Repository,
        id: &str,
        update: PullRequestUpdate,
    ) -> Result<PullRequest> {
        check_writable(repository)?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        check_pull(&text(&update.title), &text(&update.description))?;
        self.change_pull(repository, id, |pull| {
            if let Some(title) = &update.title {
                pull.title.clone_from(title);
            }
            if let Some(description) = &update.description {
                pull.description.clone_from(description);
            }
            match update.status {
                Some(status) if status != pull.status => pull.turn(status, self.shared.clock.now()),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Merges the source branch into the destination, and marks the request as merged.
    ///
    /// A request whose branch was merged since it was opened, by whomever, is marked with that merge.
    ///
    /// # Errors
    /// [`Error::NoSuchPullRequest`]; [`Error::InvalidValue`] if it is not open; as of
    /// [`Catalog::merge`], which leave it open; [`Error::PullRequestBusy`] and the record store's may
    /// come after the merge: call again.
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
        self.see_through(async move { catalog.merge_open_pull(&repository, &id, committer).await })
            .await
    }

    async fn merge_open_pull(
        &self,
        repository: &Repository,
        id: &str,
        committer: String,
    ) -> Result<CommitId> {
        let pull = self.pull_request(repository, id).await?;
        if pull.status != PullStatus::Open {
            return Err(pull.cannot("be merged"));
        }
        // A branch, whatever else may have got the name of one that was deleted.
        self.branch(repository, &pull.source_branch).await?;
        let params = MergeParams {
            committer,
            message: String::new(),
            metadata: std::collections::BTreeMap::new(),
            strategy: MergeStrategy::None,
            squash: false,
            force: false,
            allow_empty: false,
        };
        let merged = self
            .merge(
                repository,
                &pull.source_branch,
                &pull.destination_branch,
                params,
            )
            .await;
        let commit_id = match merged {
            Err(Error::Engine(graveler::Error::NoChanges)) => self
                .merge_of(repository, &pull)
                .await?
                .ok_or(graveler::Error::NoChanges)?,
            merged => merged?.commit_id,
        };
        // It is merged, whoever closed it meanwhile.
        self.change_pull(repository, id, |pull| {
            if pull.status != PullStatus::Merged {
                pull.status = PullStatus::Merged;
                pull.closed_at = Some(self.shared.clock.now());
                pull.merged_commit = Some(commit_id.clone());
            }
            Ok(())
        })
        .await?;
        info!(repo.id = %repository.id, "merged pull request {id} as {commit_id}");
        Ok(commit_id)
    }

    /// The commit on the destination that merged what the source holds now, after the request was opened.
    async fn merge_of(
        &self,
        repository: &Repository,
        pull: &PullRequest,
    ) -> Result<Option<CommitId>> {
        let source = self.branch(repository, &pull.source_branch).await?;
        let destination = self.branch(repository, &pull.destination_branch).await?;
        let request = LogRequest {
            from: destination.record.commit_id,
            first_parent: true,
            since: None,
            stop_at: None,
        };
        let mut log = self.graveler.log(repository, request).await?;
        for _ in 0..MAX_COMMITS_LOOKED_AT {
            let Some(commit) = log.next().await? else {
                break;
            };
            if commit.parents.get(1) == Some(&source.record.commit_id) {
                let later = commit.creation_date + CLOCK_SKEW >= pull.created_at;
                return Ok(later.then_some(commit.id));
            }
        }
        Ok(None)
    }

    async fn stored_pull(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<(PullRequest, Predicate)> {
        if base::run_id_time(id).is_none() {
            return Err(Error::InvalidValue(format!(
                "pull request id {id:?} is invalid: it has 20 characters of 0-9a-v"
            )));
        }
        let partition = repository.partition();
        let stored = self
            .shared
            .kv
            .get(partition.as_bytes(), &record_key(id))
            .await?;
        let stored = stored.ok_or_else(|| Error::NoSuchPullRequest(id.to_owned()))?;
        Ok((PullData::decode(stored.value)?, stored.predicate))
    }

    /// Changes a record by compare-and-set.
    async fn change_pull(
        &self,
        repository: &Repository,
        id: &str,
        change: impl Fn(&mut PullRequest) -> Result<()> + Send,
    ) -> Result<PullRequest> {
        let partition = Bytes::from(repository.partition());
        let key = record_key(id);
        for _ in 0..MAX_TRIES {
            let (before, predicate) = self.stored_pull(repository, id).await?;
            let mut pull = before.clone();
            change(&mut pull)?;
            if pull == before {
                return Ok(pull);
            }
            let value = PullData::encode(&pull);
            let kv = &self.shared.kv;
            match kv.set_if(&partition, &key, value.clone(), predicate).await {
                Ok(()) => return Ok(pull),
                Err(kv::Error::PredicateFailed { .. }) => {}
                Err(error) => {
                    return match self.is_stored(&partition, &key, &value).await {
                        true => Ok(pull),
                        false => Err(error.into()),
                    };
                }
            }
        }
        Err(Error::PullRequestBusy(id.to_owned()))
    }

    /// Whether a write took effect whose acknowledgement did not come.
    async fn is_stored(&self, partition: &[u8], key: &[u8], value: &Bytes) -> bool {
        let stored = self.shared.kv.get(partition, key).await;
        matches!(stored, Ok(Some(stored)) if stored.value == *value)
    }
}

impl PullRequest {
    /// Takes another status, as its people ask for it.
    fn turn(&mut self, to: PullStatus, now: OffsetDateTime) -> Result<()> {
        match (self.status, to) {
            (PullStatus::Open, PullStatus::Closed) => self.closed_at = Some(now),
            (PullStatus::Closed, PullStatus::Open) => self.closed_at = None,
            (PullStatus::Merged, _) => return Err(self.cannot("get another status")),
            _ => {
                return Err(Error::InvalidValue(format!(
                    "pull request {} becomes merged by being merged",
                    self.id
                )));
            }
        }
        self.status = to;
        Ok(())
    }

    fn cannot(&self, what: &str) -> Error {
        let status = match self.status {
            PullStatus::Open => "open",
            PullStatus::Closed => "closed: open it again first",
            PullStatus::Merged => "merged, which is final",
        };
        Error::InvalidValue(format!(
            "bad pull request status: {} cannot {what}, it is {status}",
            self.id
        ))
    }
}
