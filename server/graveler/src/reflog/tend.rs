//! Keeps the reflog bounded: staged changes are kept for a while, entries for longer.
//!
//! Each step can be cut short and repeated, on several servers at once: what an entry keeps is
//! taken from it by compare-and-set, together with its retirement, so that no token is both
//! brought back and emptied.

use std::time::Duration;

use bytes::Bytes;
use kv::Op;

use super::{KEPT, PAGE, StoredEntry, TIMELINE, let_go_ops, made_at, nanos, reflog_partition};
use crate::engine::Engine;
use crate::records::{BRANCHES, Stored as _, TAGS};
use crate::refs::Listing;
use crate::staging::retire_op;
use crate::{ReflogEntry, Repository, Result};

/// How many entries of one reference are kept, however young.
const MAX_ENTRIES_PER_REFERENCE: usize = 10_000;

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

    /// Forgets entries that are too old, or of a reference with too many. Gives their number.
    pub(crate) async fn prune_reflog(&self) -> Result<usize> {
        let mut pruned = 0;
        let mut after = String::new();
        loop {
            let page = self.repositories_after(&after).await?;
            for repository in &page.results {
                for folder in [BRANCHES, TAGS] {
                    pruned += self
                        .prune_in(repository, folder, MAX_ENTRIES_PER_REFERENCE)
                        .await?;
                }
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

    /// Walks all entries below `folder`, reference by reference, newest first.
    pub(crate) async fn prune_in(
        &self,
        repository: &Repository,
        folder: &str,
        max_entries: usize,
    ) -> Result<usize> {
        let partition = reflog_partition(repository);
        let due = self.ago(self.keep_reflog);
        let mut pruned = 0;
        let mut start = folder.as_bytes().to_vec();
        let (mut reference, mut entries) = (Bytes::new(), 0);
        loop {
            let rows = self.kv.scan(&partition, &start, PAGE).await?;
            let mut more = rows.len() == PAGE;
            let mut ops = Vec::new();
            for row in rows {
                let Some((of, id)) = split(&row.key, folder) else {
                    more = false;
                    break;
                };
                start = [row.key.as_ref(), &[0]].concat();
                if of != reference {
                    (reference, entries) = (of, 0);
                }
                entries += 1;
                let old = made_at(&id).is_some_and(|at| at <= due);
                if !old && entries <= max_entries {
                    continue;
                }
                if ReflogEntry::decode(row.value)?.keeps_staged() {
                    self.let_go(repository, &row.key).await?;
                }
                for key in [row.key, Bytes::from(format!("{TIMELINE}{id}"))] {
                    ops.push(Op::Delete {
                        partition: partition.clone(),
                        key,
                    });
                }
                pruned += 1;
            }
            if !ops.is_empty() {
                self.kv.batch(ops).await?;
            }
            if !more {
                return Ok(pruned);
            }
        }
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

/// The reference's folder and the entry's id; none behind the last key below `folder`.
fn split(key: &Bytes, folder: &str) -> Option<(Bytes, String)> {
    if !key.starts_with(folder.as_bytes()) {
        return None;
    }
    let slash = key.iter().rposition(|&byte| byte == b'/')?;
    let id = std::str::from_utf8(&key[slash + 1..]).ok()?;
    Some((key.slice(..=slash), id.to_owned()))
}
