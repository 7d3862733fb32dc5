//! Reads of the reflog: for users, for undo and for garbage collection.

use base::{OffsetDateTime, Page};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{KEPT, Reflog, StoredEntry, TIMELINE, entry_key, folder, nanos, reflog_partition};
use crate::model::created_at;
use crate::records::Stored as _;
use crate::refs::{Listing, list};
use crate::{Error, RefName, ReflogEntry, Repository, Result, StagedMove, StagingToken};

/// Length of an entry id: 16 hex digits of time and 20 characters of xid.
const ENTRY_ID_BYTES: usize = 36;
/// Maximum number of entries checked concurrently for empty kept tokens.
const MAX_CONCURRENT_CHECKS: usize = 8;

impl Reflog {
    /// Changes of one reference, or of all, newest first. Includes references that no longer exist.
    ///
    /// Starts after the entry id `after` (exclusive) and returns at most `limit` entries.
    pub(crate) async fn list(
        &self,
        repository: &Repository,
        of: Option<&RefName>,
        after: &str,
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        check_after(after)?;
        let partition = reflog_partition(repository);
        let range = Listing {
            prefix: "",
            after,
            limit,
        };
        let id = |entry: &ReflogEntry| entry.id.clone();
        let page = match of {
            Some(reference) => {
                let kv = self.kv.as_ref();
                list(kv, &partition, &folder(reference), range, id, |_| true).await
            }
            None => self.changes(repository, after, limit).await,
        }?;
        let checks = page
            .results
            .into_iter()
            .map(|entry| self.without_empty_tokens(entry));
        Ok(Page {
            results: stream::iter(checks)
                .buffered(MAX_CONCURRENT_CHECKS)
                .try_collect()
                .await?,
            has_more: page.has_more,
            next_offset: page.next_offset,
        })
    }

    /// The entry, without its kept tokens if all of them are empty: the entry of a deleted branch
    /// keeps the branch's tokens even if nothing was staged.
    pub(crate) async fn without_empty_tokens(&self, mut entry: ReflogEntry) -> Result<ReflogEntry> {
        for token in &entry.kept_tokens {
            if !self.staging.is_empty(token).await? {
                return Ok(entry);
            }
        }
        entry.kept_tokens.clear();
        Ok(entry)
    }

    /// Stored entries of all references, newest first, starting after the entry id `after`.
    pub(crate) async fn changes(
        &self,
        repository: &Repository,
        after: &str,
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        let behind: &[u8] = if after.is_empty() { b"" } else { &[0] };
        let start = [TIMELINE.as_bytes(), after.as_bytes(), behind].concat();
        self.timeline(&reflog_partition(repository), &start, limit)
            .await
    }

    /// One stored entry.
    pub(crate) async fn entry(
        &self,
        repository: &Repository,
        reference: &RefName,
        id: &str,
    ) -> Result<Option<StoredEntry>> {
        let key = entry_key(reference, id);
        let stored = self.kv.get(&reflog_partition(repository), &key).await?;
        stored
            .map(|stored| {
                Ok(StoredEntry {
                    entry: ReflogEntry::decode(stored.value)?,
                    predicate: stored.predicate,
                })
            })
            .transpose()
    }

    /// Stored entries of all references, newest first, starting at the key `start`. Entries that
    /// are pruned concurrently are left out.
    async fn timeline(
        &self,
        partition: &Bytes,
        start: &[u8],
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        let page = self.kv.scan(partition, start, limit + 1).await?;
        let page = page.within(TIMELINE.as_bytes());
        let mut rows = page.entries;
        let has_more = rows.len() > limit || page.next.is_some();
        rows.truncate(limit);
        let next_offset = match rows.last() {
            Some(row) if has_more => String::from_utf8_lossy(&row.key[TIMELINE.len()..]).into(),
            _ => String::new(),
        };
        let keys: Vec<Bytes> = rows.into_iter().map(|row| row.value).collect();
        let mut results = Vec::with_capacity(keys.len());
        for entry in self
            .kv
            .get_many(partition, &keys)
            .await?
            .into_iter()
            .flatten()
        {
            results.push(ReflogEntry::decode(entry.value)?);
        }
        Ok(Page {
            results,
            has_more,
            next_offset,
        })
    }

    /// Staged changes that left their branch and are kept for an undo, oldest first, at most
    /// `limit`.
    ///
    /// Each item is its position and the tokens. `from` is the position to start at, inclusive;
    /// empty means the oldest. `next_offset` is the position at which the next page starts.
    pub(crate) async fn kept_staged(
        &self,
        repository: &Repository,
        from: &str,
        limit: usize,
    ) -> Result<Page<(String, Vec<StagingToken>)>> {
        let partition = reflog_partition(repository);
        let start = format!("{KEPT}{from}").into_bytes();
        let page = self.kv.scan(&partition, &start, limit).await?;
        let page = page.within(KEPT.as_bytes());
        let rows = page.entries;
        let position = |key: &Bytes| String::from_utf8_lossy(&key[KEPT.len()..]).into_owned();
        let keys: Vec<Bytes> = rows.iter().map(|row| row.value.clone()).collect();
        let entries = self.kv.get_many(&partition, &keys).await?;
        let mut kept = Vec::with_capacity(rows.len());
        for (row, entry) in rows.iter().zip(entries) {
            // An entry that was just pruned keeps nothing.
            let tokens = match entry {
                Some(entry) => ReflogEntry::decode(entry.value)?.kept_tokens,
                None => Vec::new(),
            };
            kept.push((position(&row.key), tokens));
        }
        Ok(Page {
            results: kept,
            has_more: page.next.is_some(),
            next_offset: page.next.as_ref().map(position).unwrap_or_default(),
        })
    }

    /// Reference changes since `since`, newest first, with the staged changes that each moved.
    ///
    /// Examines `limit` reflog entries, starting at the entry `from`, inclusive; empty means the
    /// newest. `next_offset` is the last examined entry, so consecutive pages share one entry.
    pub(crate) async fn staged_moves(
        &self,
        repository: &Repository,
        since: OffsetDateTime,
        from: &str,
        limit: usize,
    ) -> Result<Page<StagedMove>> {
        let partition = reflog_partition(repository);
        let start = format!("{TIMELINE}{from}").into_bytes();
        let page = self.timeline(&partition, &start, limit).await?;
        let since = nanos(since);
        let examined = page.results.len();
        let results: Vec<_> = page
            .results
            .into_iter()
            .take_while(|entry| created_at(&entry.id).is_some_and(|at| at >= since))
            .map(StagedMove::of)
            .collect();
        Ok(Page {
            has_more: page.has_more && results.len() == examined,
            results,
            next_offset: page.next_offset,
        })
    }
}

/// Refuses an offset that is not an entry id, since the page would start at an arbitrary place.
fn check_after(after: &str) -> Result<()> {
    let is_id = after.len() == ENTRY_ID_BYTES
        && after
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    if after.is_empty() || is_id {
        return Ok(());
    }
    let shown: String = after.chars().take(ENTRY_ID_BYTES).collect();
    Err(Error::with_advice(
        format!("{shown:?} is not a reflog entry"),
        "pass the `next_offset` of the previous page as `after`",
    ))
}
