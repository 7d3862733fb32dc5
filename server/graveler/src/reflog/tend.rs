//! Keeps the reflog bounded: staged changes are kept for a while, entries for longer, and no more
//! of them than so many.
//!
//! Ids carry their time, so what is too old is the end of the folder of all entries, and nothing else is read
//! for it. To count takes the keys of all of them; their references are gone through only where there are
//! more entries than one may have.
//!
//! Each step can be cut short and repeated, on several servers at once: what an entry keeps is
//! taken from it by compare-and-set, together with its retirement, so that no token is both
//! brought back and emptied.

use std::time::Duration;

use bytes::Bytes;
use kv::Op;

use super::{KEPT, PAGE, StoredEntry, TIMELINE, let_go_ops, nanos, reflog_partition};
use crate::engine::Engine;
use crate::records::{BRANCHES, Stored as _, TAGS};
use crate::refs::Listing;
use crate::staging::retire_op;
use crate::{ReflogEntry, Repository, Result};

/// How many entries are kept, however young.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxEntries {
    /// Of one branch or tag.
    pub per_reference: usize,
    /// Of one repository, of however many branches and tags.
    pub per_repository: usize,
}

pub(crate) const MAX_ENTRIES: MaxEntries = MaxEntries {
    per_reference: 10_000,
    per_repository: 1_000_000,
};

impl Engine {
    /// Retires staged changes that entries of any repository have kept for long enough. Gives
    /// the number of these entries.
    pub(crate) async fn retire_kept(&self) -> Result<usize> {
        let mut retired = 0;
        let mut after = String::new();
        loop {
            let page = self.repositories_after(&after).await?;
            for repository in &page.results {
                retired += self.retire_kept_in(repository).await?;
            }
            if !page.has_more {
                return Ok(retired);
            }
            after = page.next_offset;
        }
    }

    /// Forgets entries that are too old or too many. Gives their number.
    pub(crate) async fn prune_reflog(&self, max: MaxEntries) -> Result<usize> {
        let mut pruned = 0;
        let mut after = String::new();
        loop {
            let page = self.repositories_after(&after).await?;
            for repository in &page.results {
                pruned += self.prune_in(repository, max).await?;
            }
            if !page.has_more {
                return Ok(pruned);
            }
            after = page.next_offset;
        }
    }

    async fn repositories_after(&self, after: &str) -> Result<base::Page<Repository>> {
        let range = Listing {
            prefix: "",
            after,
            limit: PAGE,
        };
        self.list_repositories(range, "", |_| true).await
    }

    async fn retire_kept_in(&self, repository: &Repository) -> Result<usize> {
        let partition = reflog_partition(repository);
        let due = self.ago(self.keep_staged);
        let mut retired = 0;
        let mut start = KEPT.as_bytes().to_vec();
        loop {
            let rows = self.kv.scan(&partition, &start, PAGE).await?;
            let full = rows.len() == PAGE;
            for row in rows {
                if kept_since(&row.key).is_none_or(|since| since > due) {
                    return Ok(retired);
                }
                start = [row.key.as_ref(), &[0]].concat();
                retired += usize::from(self.let_go(repository, &row.value).await?);
            }
            if !full {
                return Ok(retired);
            }
        }
    }

    /// Retires what the entry below `key` keeps. False: an undo came first.
    async fn let_go(&self, repository: &Repository, key: &Bytes) -> Result<bool> {
        let Some(stored) = self.kv.get(&reflog_partition(repository), key).await? else {
            return Ok(false);
        };
        let stored = StoredEntry {
            entry: ReflogEntry::decode(stored.value)?,
            predicate: stored.predicate,
        };
        let mut ops = let_go_ops(repository, &stored);
        ops.extend(stored.entry.kept_tokens.iter().map(retire_op));
        match self.kv.batch(ops).await {
            Ok(()) => {
                self.janitor.retire(stored.entry.kept_tokens);
                Ok(true)
            }
            Err(kv::Error::PredicateFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn prune_in(&self, repository: &Repository, max: MaxEntries) -> Result<usize> {
        let due = self.ago(self.keep_reflog);
        let oldest = format!("{TIMELINE}{:016x}", !due).into_bytes();
        let mut pruned = self.prune_from(repository, &oldest).await?;
        let (left, beyond) = self.prune_beyond(repository, max.per_repository).await?;
        pruned += beyond;
        if left > max.per_reference {
            for folder in [BRANCHES, TAGS] {
                pruned += self
                    .prune_crowded(repository, folder, max.per_reference)
                    .await?;
            }
        }
        Ok(pruned)
    }

    /// Forgets the entries from this place of the timeline on: that one and all that are older.
    async fn prune_from(&self, repository: &Repository, start: &[u8]) -> Result<usize> {
        let partition = reflog_partition(repository);
        let mut pruned = 0;
        loop {
            let mut rows = self.kv.scan(&partition, start, PAGE).await?;
            rows.retain(|row| row.key.starts_with(TIMELINE.as_bytes()));
            // Behind the timeline lies what is not forgotten here.
            let full = rows.len() == PAGE;
            let keys: Vec<Bytes> = rows.into_iter().map(|row| row.value).collect();
            pruned += keys.len();
            let stored = self.kv.get_many(&partition, &keys).await?;
            let values = stored.into_iter().map(|stored| stored.map(|it| it.value));
            self.forget(repository, keys.into_iter().zip(values))
                .await?;
            if !full {
                return Ok(pruned);
            }
        }
    }

    /// Forgets the oldest entries, if there are more than so many. Gives how many are left, and were forgotten.
    async fn prune_beyond(&self, repository: &Repository, max: usize) -> Result<(usize, usize)> {
        let partition = reflog_partition(repository);
        let mut start = TIMELINE.as_bytes().to_vec();
        let mut left = 0;
        loop {
            let rows = self.kv.scan(&partition, &start, PAGE).await?;
            let full = rows.len() == PAGE;
            for row in rows {
                if !row.key.starts_with(TIMELINE.as_bytes()) {
                    return Ok((left, 0));
                }
                if left == max {
                    return Ok((left, self.prune_from(repository, &row.key).await?));
                }
                left += 1;
                start = [row.key.as_ref(), &[0]].concat();
            }
            if !full {
                return Ok((left, 0));
            }
        }
    }

    /// Walks all entries below `folder`, reference by reference, newest first, and forgets those beyond so many.
    async fn prune_crowded(
        &self,
        repository: &Repository,
        folder: &str,
        max: usize,
    ) -> Result<usize> {
        let partition = reflog_partition(repository);
        let mut pruned = 0;
        let mut start = folder.as_bytes().to_vec();
        let (mut reference, mut entries) = (Bytes::new(), 0);
        loop {
            let rows = self.kv.scan(&partition, &start, PAGE).await?;
            let mut more = rows.len() == PAGE;
            let mut beyond = Vec::new();
            for row in rows {
                let Some(of) = reference_of(&row.key, folder) else {
                    more = false;
                    break;
                };
                start = [row.key.as_ref(), &[0]].concat();
                if of != reference {
                    (reference, entries) = (of, 0);
                }
                entries += 1;
                if entries > max {
                    beyond.push((row.key, Some(row.value)));
                }
            }
            pruned += beyond.len();
            self.forget(repository, beyond.into_iter()).await?;
            if !more {
                return Ok(pruned);
            }
        }
    }

    /// Removes entries, by key and what is stored there, and retires what they keep.
    async fn forget(
        &self,
        repository: &Repository,
        entries: impl Iterator<Item = (Bytes, Option<Bytes>)> + Send,
    ) -> Result<()> {
        let partition = reflog_partition(repository);
        let mut ops = Vec::new();
        for (key, value) in entries {
            if let Some(value) = value
                && ReflogEntry::decode(value)?.keeps_staged()
            {
                self.let_go(repository, &key).await?;
            }
            let id = key.iter().rposition(|&byte| byte == b'/');
            let id = id.map_or(&key[..], |slash| &key[slash + 1..]);
            let told = Bytes::from([TIMELINE.as_bytes(), id].concat());
            for key in [key, told] {
                ops.push(Op::Delete {
                    partition: partition.clone(),
                    key,
                });
            }
        }
        if !ops.is_empty() {
            self.kv.batch(ops).await?;
        }
        Ok(())
    }

    /// Removes the reflog of a repository whose branches are gone; what its entries kept is retired.
    pub(crate) async fn forget_reflog(&self, repository: &Repository) -> Result<()> {
        let partition = reflog_partition(repository);
        loop {
            let page = self.kv.scan(&partition, KEPT.as_bytes(), PAGE).await?;
            let kept: Vec<_> = page
                .into_iter()
                .filter(|row| row.key.starts_with(KEPT.as_bytes()))
                .collect();
            if kept.is_empty() {
                break;
            }
            let entries: Vec<Bytes> = kept.iter().map(|row| row.value.clone()).collect();
            let mut tokens = Vec::new();
            for entry in self
                .kv
                .get_many(&partition, &entries)
                .await?
                .into_iter()
                .flatten()
            {
                tokens.extend(ReflogEntry::decode(entry.value)?.kept_tokens);
            }
            let mut ops: Vec<Op> = tokens.iter().map(retire_op).collect();
            ops.extend(kept.into_iter().map(|row| Op::Delete {
                partition: partition.clone(),
                key: row.key,
            }));
            self.kv.batch(ops).await?;
            self.janitor.retire(tokens);
        }
        Ok(self.kv.delete_partition(&partition).await?)
    }

    /// The instant of so long ago, in nanoseconds since 1970.
    fn ago(&self, age: Duration) -> u64 {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        nanos(self.clock.now()).saturating_sub(age)
    }
}

/// The time in the key of what an entry keeps; none behind the last such key.
fn kept_since(key: &[u8]) -> Option<u64> {
    let rest = std::str::from_utf8(key.strip_prefix(KEPT.as_bytes())?).ok()?;
    u64::from_str_radix(rest.split('/').next()?, 16).ok()
}

/// The reference's folder of an entry's key; none behind the last key below `folder`.
fn reference_of(key: &Bytes, folder: &str) -> Option<Bytes> {
    if !key.starts_with(folder.as_bytes()) {
        return None;
    }
    let slash = key.iter().rposition(|&byte| byte == b'/')?;
    Some(key.slice(..=slash))
}
