//! Bounds the reflog: limits how long staged changes are kept, and the age and number of entries.
//!
//! Ids descend with time, so outdated entries are at the end of the timeline (`log/`) and are found
//! without reading newer ones. Counting reads the whole timeline, but no entries. The entries of
//! each reference are counted only if the repository has more entries than one reference may have.
//!
//! Each step can be interrupted and repeated, even on several servers at once. One compare-and-set
//! both removes kept tokens from their entry and retires them, so no token is both restored and
//! emptied.

use std::time::Duration;

use bytes::Bytes;
use kv::Op;

use super::{KEPT, PAGE, Reflog, StoredEntry, TIMELINE, nanos, reflog_partition, release_kept_ops};
use crate::records::{BRANCHES, Stored as _, TAGS};
use crate::staging::retire_op;
use crate::{ReflogEntry, Repository, Result};

/// Maximum numbers of entries, regardless of their age.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxEntries {
    /// Of one branch or tag.
    pub per_reference: usize,
    /// Of one repository, over all its branches and tags.
    pub per_repository: usize,
}

pub(crate) const MAX_ENTRIES: MaxEntries = MaxEntries {
    per_reference: 10_000,
    per_repository: 1_000_000,
};

impl Reflog {
    /// Retires tokens that entries of one repository have kept for longer than
    /// `Options::keep_staged`. Returns the number of these entries.
    pub(crate) async fn retire_kept(&self, repository: &Repository) -> Result<usize> {
        let partition = reflog_partition(repository);
        let due = self.time_before_now(self.keep_staged);
        let mut retired = 0;
        let mut next = Some(Bytes::from_static(KEPT.as_bytes()));
        while let Some(start) = next {
            let page = self.kv.scan(&partition, &start, PAGE).await?;
            for row in page.entries {
                if kept_since(&row.key).is_none_or(|since| since > due) {
                    return Ok(retired);
                }
                retired += usize::from(self.retire_kept_by(repository, &row.value).await?);
            }
            next = page.next;
        }
        Ok(retired)
    }

    /// Retires the tokens that the entry at `key` keeps. Returns `false` if the entry is gone or
    /// changed concurrently.
    async fn retire_kept_by(&self, repository: &Repository, key: &Bytes) -> Result<bool> {
        let Some(stored) = self.kv.get(&reflog_partition(repository), key).await? else {
            return Ok(false);
        };
        let stored = StoredEntry {
            entry: ReflogEntry::decode(stored.value)?,
            predicate: stored.predicate,
        };
        let mut ops = release_kept_ops(repository, &stored);
        ops.extend(stored.entry.kept_tokens.iter().map(retire_op));
        match self.kv.batch(ops).await {
            Ok(()) => {
                self.staging.retire(stored.entry.kept_tokens);
                Ok(true)
            }
            Err(kv::Error::PredicateFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes entries of one repository that are too old or too many. Returns their number.
    pub(crate) async fn prune(&self, repository: &Repository, max: MaxEntries) -> Result<usize> {
        let due = self.time_before_now(self.keep_reflog);
        let oldest = format!("{TIMELINE}{:016x}", !due).into_bytes();
        let mut pruned = self.prune_from(repository, &oldest).await?;
        let (left, beyond) = self.prune_excess(repository, max.per_repository).await?;
        pruned += beyond;
        if left > max.per_reference {
            for folder in [BRANCHES, TAGS] {
                pruned += self
                    .prune_references(repository, folder, max.per_reference)
                    .await?;
            }
        }
        Ok(pruned)
    }

    /// Removes the entry at this key of the timeline and all older ones. Returns their number.
    async fn prune_from(&self, repository: &Repository, start: &[u8]) -> Result<usize> {
        let partition = reflog_partition(repository);
        let mut pruned = 0;
        let mut next = Some(Bytes::copy_from_slice(start));
        while let Some(start) = next {
            let page = self.kv.scan(&partition, &start, PAGE).await?;
            let page = page.within(TIMELINE.as_bytes());
            let keys: Vec<Bytes> = page.entries.into_iter().map(|row| row.value).collect();
            pruned += keys.len();
            let stored = self.kv.get_many(&partition, &keys).await?;
            let values = stored.into_iter().map(|stored| stored.map(|it| it.value));
            self.remove_entries(repository, keys.into_iter().zip(values))
                .await?;
            next = page.next;
        }
        Ok(pruned)
    }

    /// Removes the oldest entries if there are more than `max`. Returns how many are left and how
    /// many were removed.
    async fn prune_excess(&self, repository: &Repository, max: usize) -> Result<(usize, usize)> {
        let partition = reflog_partition(repository);
        let mut next = Some(Bytes::from_static(TIMELINE.as_bytes()));
        let mut left = 0;
        while let Some(start) = next {
            let page = self.kv.scan(&partition, &start, PAGE).await?;
            let page = page.within(TIMELINE.as_bytes());
            for row in page.entries {
                if left == max {
                    return Ok((left, self.prune_from(repository, &row.key).await?));
                }
                left += 1;
            }
            next = page.next;
        }
        Ok((left, 0))
    }

    /// Removes, of each reference below `folder`, the oldest entries beyond the newest `max`.
    /// Returns their number.
    async fn prune_references(
        &self,
        repository: &Repository,
        folder: &str,
        max: usize,
    ) -> Result<usize> {
        let partition = reflog_partition(repository);
        let mut pruned = 0;
        let mut next = Some(Bytes::copy_from_slice(folder.as_bytes()));
        let (mut reference, mut entries) = (Bytes::new(), 0);
        while let Some(start) = next {
            let page = self.kv.scan(&partition, &start, PAGE).await?;
            next = page.next;
            let mut beyond = Vec::new();
            for row in page.entries {
                let Some(of) = reference_of(&row.key, folder) else {
                    next = None;
                    break;
                };
                if of != reference {
                    (reference, entries) = (of, 0);
                }
                entries += 1;
                if entries > max {
                    beyond.push((row.key, Some(row.value)));
                }
            }
            pruned += beyond.len();
            self.remove_entries(repository, beyond.into_iter()).await?;
        }
        Ok(pruned)
    }

    /// Removes entries, given as keys and stored values, and retires the tokens they keep.
    async fn remove_entries(
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
                self.retire_kept_by(repository, &key).await?;
            }
            let id = key.iter().rposition(|&byte| byte == b'/');
            let id = id.map_or(&key[..], |slash| &key[slash + 1..]);
            let timeline_key = Bytes::from([TIMELINE.as_bytes(), id].concat());
            for key in [key, timeline_key] {
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

    /// Removes the reflog of a repository whose branches are gone, and retires the tokens that its
    /// entries keep.
    pub(crate) async fn forget(&self, repository: &Repository) -> Result<()> {
        let partition = reflog_partition(repository);
        loop {
            let page = self.kv.scan(&partition, KEPT.as_bytes(), PAGE).await?;
            let kept = page.within(KEPT.as_bytes()).entries;
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
            self.staging.retire(tokens);
        }
        Ok(self.kv.delete_partition(&partition).await?)
    }

    /// The time `age` ago, in nanoseconds since 1970.
    fn time_before_now(&self, age: Duration) -> u64 {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        nanos(self.clock.now()).saturating_sub(age)
    }
}

/// The time in a key of the `kept/` folder; `None` for other keys.
fn kept_since(key: &[u8]) -> Option<u64> {
    let rest = std::str::from_utf8(key.strip_prefix(KEPT.as_bytes())?).ok()?;
    u64::from_str_radix(rest.split('/').next()?, 16).ok()
}

/// The part of an entry's key that names its reference; `None` for keys outside of `folder`.
fn reference_of(key: &Bytes, folder: &str) -> Option<Bytes> {
    if !key.starts_with(folder.as_bytes()) {
        return None;
    }
    let slash = key.iter().rposition(|&byte| byte == b'/')?;
    Some(key.slice(..=slash))
}
