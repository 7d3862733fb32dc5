//! Reads the reflog: for whoever asks what was done, for an undo, for garbage collection.

use base::{OffsetDateTime, Page};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{KEPT, StoredEntry, TIMELINE, entry_key, folder, made_at, nanos, reflog_partition};
use crate::engine::Engine;
use crate::records::Stored as _;
use crate::refs::{Listing, list};
use crate::{Error, MovedStaged, RefName, ReflogEntry, Repository, Result, StagingToken};

/// The length of an entry's id: 16 hex digits of time, 20 of an xid.
const ENTRY_ID_BYTES: usize = 36;
/// How many entries are looked into at a time for whether what they keep is anything.
const LOOKS_AT_ONCE: usize = 8;

impl Engine {
    /// Entries, newest first: of one reference, or of all. What they keep is what an undo would bring back.
    pub(crate) async fn reflog(
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
        let looks = page.results.into_iter().map(|entry| self.exact(entry));
        Ok(Page {
            results: stream::iter(looks)
                .buffered(LOOKS_AT_ONCE)
                .try_collect()
                .await?,
            has_more: page.has_more,
            next_offset: page.next_offset,
        })
    }

    /// The entry without tokens in which nothing is: a deleted branch keeps its own, used or not.
    pub(super) async fn exact(&self, mut entry: ReflogEntry) -> Result<ReflogEntry> {
        for token in &entry.kept_tokens {
            let row = self.kv.scan(token.as_str().as_bytes(), b"", 1).await?;
            if !row.is_empty() {
                return Ok(entry);
            }
        }
        entry.kept_tokens.clear();
        Ok(entry)
    }

    /// Changes of all references, newest first, from behind the entry `after` on; as they are stored.
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

    /// One entry, as it is stored.
    pub(super) async fn reflog_entry(
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

    /// Entries of all references, newest first, from the key `start` on. Those that are pruned at the same time are left out.
    async fn timeline(
        &self,
        partition: &Bytes,
        start: &[u8],
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        let mut rows = self.kv.scan(partition, start, limit + 1).await?;
        rows.retain(|row| row.key.starts_with(TIMELINE.as_bytes()));
        let has_more = rows.len() > limit;
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

    /// Staged changes that entries keep for an undo, oldest first, from `from` on: the place of each
    /// in that order, and its tokens.
    pub(crate) async fn kept_staged(
        &self,
        repository: &Repository,
        from: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<StagingToken>)>> {
        let partition = reflog_partition(repository);
        let start = format!("{KEPT}{from}").into_bytes();
        let mut rows = self.kv.scan(&partition, &start, limit).await?;
        rows.retain(|row| row.key.starts_with(KEPT.as_bytes()));
        let keys: Vec<Bytes> = rows.iter().map(|row| row.value.clone()).collect();
        let entries = self.kv.get_many(&partition, &keys).await?;
        let mut kept = Vec::with_capacity(rows.len());
        for (row, entry) in rows.iter().zip(entries) {
            // One that was pruned just now keeps nothing any more.
            let tokens = match entry {
                Some(entry) => ReflogEntry::decode(entry.value)?.kept_tokens,
                None => Vec::new(),
            };
            let place = String::from_utf8_lossy(&row.key[KEPT.len()..]).into_owned();
            kept.push((place, tokens));
        }
        Ok(kept)
    }

    /// Changes since then, newest first, from the entry `from` on, and the staged changes that each
    /// moved; `limit` of them are looked at. The next offset is the last of their ids.
    pub(crate) async fn moved_staged(
        &self,
        repository: &Repository,
        since: OffsetDateTime,
        from: &str,
        limit: usize,
    ) -> Result<Page<MovedStaged>> {
        let partition = reflog_partition(repository);
        let start = format!("{TIMELINE}{from}").into_bytes();
        let page = self.timeline(&partition, &start, limit).await?;
        let since = nanos(since);
        let looked_at = page.results.len();
        let results: Vec<_> = page
            .results
            .into_iter()
            .take_while(|entry| made_at(&entry.id).is_some_and(|at| at >= since))
            .map(MovedStaged::of)
            .collect();
        Ok(Page {
            has_more: page.has_more && results.len() == looked_at,
            results,
            next_offset: page.next_offset,
        })
    }
}

/// Refuses a page that begins behind what is no entry: it would begin anywhere.
fn check_after(after: &str) -> Result<()> {
    let is_id = after.len() == ENTRY_ID_BYTES
        && after
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    if after.is_empty() || is_id {
        return Ok(());
    }
    let shown: String = after.chars().take(ENTRY_ID_BYTES).collect();
    Err(Error::advised(
        format!("{shown:?} is no entry of the reflog"),
        "pass the `next_offset` of the page before as `after`",
    ))
}
