//! Pull requests: proposals to merge one branch into another, with title and description.
//!
//! The record has lakeFS's format and is in the repository's partition. lakeFS also keeps an index in the
//! partition `pulls`, which names the newest request of two branches. Weir writes this index but never reads it.
//! Weir's own partition `weir-pulls` stores the destination's head when a request was opened.
//!
//! The status "merged" is final. `pull_merge.rs` merges requests.

use base::{OffsetDateTime, Page};
use bytes::Bytes;
use graveler::Repository;
use kv::{Op, Predicate};
use tracing::{info, instrument};

use crate::limits::{PageRoom, check_pull};
use crate::pull_records::{PullData, RECORDS, index_op, opening_op, record_key};
use crate::retention::check_writable;
use crate::{Catalog, Error, PullRequest, PullStatus, Result};

/// The maximum number of attempts of a compare-and-set of a record.
pub(crate) const MAX_ATTEMPTS: usize = 10;
/// How many records a listing reads in one round trip.
const LIST_PAGE: usize = 100;

/// The maximum number of records that one page of a listing reads, because most may not match the filter.
const MAX_PULLS_SCANNED: usize = 10_000;

/// A pull request to open.
#[derive(Debug, Clone)]
pub struct NewPullRequest {
    pub title: String,
    pub description: String,
    pub author: String,
    pub source_branch: String,
    pub destination_branch: String,
}

/// Fields to change. A field that is none keeps its value.
#[derive(Debug, Clone, Default)]
pub struct PullRequestUpdate {
    pub title: Option<String>,
    pub description: Option<String>,
    pub status: Option<PullStatus>,
}

/// Which pull requests to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullFilter {
    All,
    Open,
    /// Closed or merged.
    Closed,
}

impl PullFilter {
    fn matches(self, status: PullStatus) -> bool {
        match self {
            Self::All => true,
            Self::Open => status == PullStatus::Open,
            Self::Closed => status != PullStatus::Open,
        }
    }
}

impl Catalog {
    /// Opens a pull request. Two branches can have several open requests.
    ///
    /// # Errors
    /// [`Error::SameBranches`]; [`Error::InvalidValue`] if title or description are too long; branch not found;
    /// read-only.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn create_pull_request(
        &self,
        repository: &Repository,
        new: NewPullRequest,
    ) -> Result<PullRequest> {
        check_writable(repository)?;
        check_pull(&new.title, &new.description)?;
        if new.source_branch == new.destination_branch {
            return Err(Error::SameBranches);
        }
        self.reader().branch(repository, &new.source_branch).await?;
        let destination = self
            .reader()
            .branch(repository, &new.destination_branch)
            .await?;
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
            opening_op(repository, &pull.id, &destination.record.commit_id),
        ];
        match self.graveler.write_unless_deleted(repository, ops).await {
            // A failed write may still have taken effect; read the record to find out.
            Err(graveler::Error::Kv(_)) if self.is_stored(&partition, &key, &value).await => {}
            written => written?,
        }
        info!(repo.id = %repository.id, "opened pull request {}", pull.id);
        Ok(pull)
    }

    /// A pull request by id.
    ///
    /// # Errors
    /// [`Error::NoSuchPullRequest`]; [`Error::InvalidPullRequestId`].
    pub async fn pull_request(&self, repository: &Repository, id: &str) -> Result<PullRequest> {
        Ok(self.stored_pull(repository, id).await?.0)
    }

    /// Pull requests whose ids start with `prefix`, newest first, after the id `after` (exclusive).
    ///
    /// A page ends early after [`MAX_PULLS_SCANNED`] records. Such a page may be empty although more requests follow.
    ///
    /// # Errors
    /// Any error of the record store.
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
        // The smallest key greater than that of `after`.
        let mut start = first
            .clone()
            .max(format!("{RECORDS}{after}\0"))
            .into_bytes();
        if limit == 0 {
            return Ok(page);
        }
        let mut room = PageRoom::new(limit);
        let mut scanned = 0;
        let mut after_last_result = Vec::new();
        loop {
            let read = self
                .shared
                .kv
                .scan(partition.as_bytes(), &start, LIST_PAGE)
                .await?;
            let read = read.within(first.as_bytes());
            for entry in read.entries {
                let pull = PullData::decode(entry.value)?;
                let matches = filter.matches(pull.status);
                let is_full = matches && !room.take(pull.title.len() + pull.description.len());
                if is_full || scanned == MAX_PULLS_SCANNED {
                    page.has_more = true;
                    page.next_offset = id_before(if is_full { &after_last_result } else { &start });
                    return Ok(page);
                }
                // Continue from the key, not from the id in the record: if they differ, the listing could read the same
                // records forever.
                start = [entry.key.as_ref(), b"\0"].concat();
                scanned += 1;
                if matches {
                    after_last_result.clone_from(&start);
                    page.results.push(pull);
                }
            }
            match read.next {
                Some(next) => start = next.into(),
                None => return Ok(page),
            }
        }
    }

    /// Changes title, description or status. The status of a merged request cannot change.
    ///
    /// # Errors
    /// [`Error::NoSuchPullRequest`]; [`Error::PullRequestStatus`] for a forbidden status change;
    /// [`Error::InvalidValue`] if title or description are too long; [`Error::PullRequestBusy`]; read-only.
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
                Some(status) if status != pull.status => {
                    pull.set_status(status, self.shared.clock.now())
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// The record of a pull request, and a predicate that holds while it is unchanged.
    pub(crate) async fn stored_pull(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<(PullRequest, Predicate)> {
        if base::run_id_time(id).is_none() {
            return Err(Error::InvalidPullRequestId(id.to_owned()));
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

    /// Changes a record by compare-and-set, with retries.
    pub(crate) async fn change_pull(
        &self,
        repository: &Repository,
        id: &str,
        change: impl Fn(&mut PullRequest) -> Result<()> + Send,
    ) -> Result<PullRequest> {
        let partition = Bytes::from(repository.partition());
        let key = record_key(id);
        for _ in 0..MAX_ATTEMPTS {
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

    /// Whether a write took effect although it returned an error.
    async fn is_stored(&self, partition: &[u8], key: &[u8], value: &Bytes) -> bool {
        let stored = self.shared.kv.get(partition, key).await;
        matches!(stored, Ok(Some(stored)) if stored.value == *value)
    }
}

/// The id of the record whose key directly precedes `start`.
fn id_before(start: &[u8]) -> String {
    let id = start.strip_suffix(b"\0").unwrap_or(start);
    let id = id.strip_prefix(RECORDS.as_bytes()).unwrap_or(id);
    String::from_utf8_lossy(id).into_owned()
}

impl PullRequest {
    /// Opens or closes the request. Only a merge sets the status "merged".
    fn set_status(&mut self, to: PullStatus, now: OffsetDateTime) -> Result<()> {
        match (self.status, to) {
            (PullStatus::Open, PullStatus::Closed) => self.closed_at = Some(now),
            (PullStatus::Closed, PullStatus::Open) => self.closed_at = None,
            (PullStatus::Merged, _) => return Err(self.cannot("change its status")),
            _ => {
                return Err(Error::InvalidValue(format!(
                    "pull request {} cannot be set to merged: merge it instead",
                    self.id
                )));
            }
        }
        self.status = to;
        Ok(())
    }

    pub(crate) fn cannot(&self, what: &str) -> Error {
        let status = match self.status {
            PullStatus::Open => "open",
            PullStatus::Closed => "closed: reopen it first",
            PullStatus::Merged => "merged, which is final",
        };
        Error::PullRequestStatus(format!("{} cannot {what}, it is {status}", self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestCatalog;

    fn pull(id: &str, status: PullStatus) -> PullRequest {
        PullRequest {
            id: id.to_owned(),
            status,
            title: String::new(),
            description: String::new(),
            author: "me".to_owned(),
            source_branch: "dev".to_owned(),
            destination_branch: "main".to_owned(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            closed_at: None,
            merged_commit: None,
        }
    }

    /// Stores records under keys that need not match their ids.
    async fn store(lake: &TestCatalog, repository: &Repository, records: &[(String, PullRequest)]) {
        let ops = records.iter().map(|(key, pull)| Op::Set {
            partition: Bytes::from(repository.partition()),
            key: record_key(key),
            value: PullData::encode(pull),
            predicate: None,
        });
        let ops: Vec<_> = ops.collect();
        for ops in ops.chunks(500) {
            lake.shared.kv.batch(ops.to_vec()).await.expect("in memory");
        }
    }

    /// Pages through a listing. Returns the number of pages and the ids.
    async fn walk(
        lake: &TestCatalog,
        repository: &Repository,
        limit: usize,
    ) -> (usize, Vec<String>) {
        let (mut found, mut after) = (Vec::new(), String::new());
        for pages in 1..10 {
            let page = lake
                .list_pull_requests(repository, PullFilter::Open, "", &after, limit)
                .await
                .expect("in memory");
            found.extend(page.results.into_iter().map(|pull| pull.id));
            if !page.has_more {
                return (pages, found);
            }
            after = page.next_offset;
        }
        panic!("the listing does not end: {found:?}");
    }

    /// Guards against a bug: one call scanned all records if the filter skipped them.
    #[tokio::test]
    async fn page_ends_early_after_many_skipped_records() {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let last = MAX_PULLS_SCANNED + 1;
        let records: Vec<_> = (0..=last)
            .map(|n| match n == last {
                true => (format!("{n:020}"), pull("open", PullStatus::Open)),
                false => (format!("{n:020}"), pull("closed", PullStatus::Closed)),
            })
            .collect();
        store(&lake, &repository, &records).await;
        let page = lake
            .list_pull_requests(&repository, PullFilter::Open, "", "", 10)
            .await
            .expect("in memory");
        assert!(page.results.is_empty() && page.has_more);
        assert_eq!(page.next_offset, format!("{:020}", MAX_PULLS_SCANNED - 1));
        let found = walk(&lake, &repository, 10).await;
        assert_eq!(found, (2, vec!["open".to_owned()]));
    }

    /// Guards against a bug: the next page started at the id in the record, so the same page was returned forever.
    #[tokio::test]
    async fn record_with_a_wrong_id_does_not_repeat_a_page() {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let records = [("b", "a"), ("c", "c")];
        let records = records.map(|(key, id)| (key.to_owned(), pull(id, PullStatus::Open)));
        store(&lake, &repository, &records).await;
        let found = walk(&lake, &repository, 1).await;
        assert_eq!(found, (2, vec!["a".to_owned(), "c".to_owned()]));
    }
}
