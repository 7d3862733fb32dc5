//! The reflog: every change of a branch or tag, who made it, when, from where to where, and why.
//!
//! An entry is written in the batch that changes the reference, so there is none
//! without its change and, where Weir made the change, no change without one: it costs
//! no transaction of its own. lakeFS writes none, so an entry tells
//! what the reference was made then, never what it is now.
//!
//! Entries lie in a partition of their repository's own:
//!
//! ```text
//! branches/NAME/ID, tags/NAME/ID    the entry; ids descend, so a scan gives the newest first
//! log/ID                            the key of the entry: all references together, newest first
//! kept/NANOS/ID                     the key of an entry that keeps staged changes, oldest first
//! ```

mod record;
mod refusal;
mod tend;
mod undo;

use base::{OffsetDateTime, Page};
use bytes::Bytes;
use kv::{Op, Predicate};

use crate::engine::Engine;
use crate::records::{BRANCHES, Stored as _, TAGS};
use crate::refs::{Listing, list};
use crate::staging::retire_op;
use crate::{
    BranchId, CommitId, Error, MovedStaged, Operation, RefName, ReflogEntry, Repository, Result,
    StagingToken, TagId,
};

/// What the name of a repository's partition begins with for its reflog.
const PARTITION_PREFIX: &str = "weir-reflog-";
/// Folders of the partition, beside those of branches and tags.
const TIMELINE: &str = "log/";
const KEPT: &str = "kept/";
/// The reason of an entry is cut to so many bytes: the first line of a commit's message, mostly.
const MAX_REASON_BYTES: usize = 200;
/// The first part of an id: hex digits of the time, counted down.
const ID_NANOS: usize = 16;
/// The length of an entry's id: 16 hex digits of time, 20 of an xid.
const ENTRY_ID_BYTES: usize = 36;

/// How many entries are read at a time.
const PAGE: usize = 500;

/// A change of a reference that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefChange<'a> {
    pub reference: RefTarget<'a>,
    pub operation: Operation,
    /// Who asked for it.
    pub actor: &'a str,
    /// Why: the commit's message, the source as the user named it. Only the first line is kept.
    pub reason: &'a str,
    /// None: the reference did not exist.
    pub from: Option<&'a CommitId>,
    /// None: it no longer exists.
    pub to: Option<&'a CommitId>,
    /// The branch's flag, for a deleted one to come back as it was.
    pub hidden: bool,
    /// Tokens, newest first, that leave the branch with staged changes that were never committed.
    pub discarded: &'a [StagingToken],
}

/// An entry and what a compare-and-set of it compares with.
#[derive(Debug, Clone)]
struct StoredEntry {
    entry: ReflogEntry,
    predicate: Predicate,
}

/// The writes of an entry, and the key by which it is seen afterwards whether they took effect.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub ops: Vec<Op>,
    pub key: Bytes,
}

/// The reference that changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RefTarget<'a> {
    Branch(&'a BranchId),
    Tag(&'a TagId),
}

impl<'a> RefChange<'a> {
    /// A branch whose head moves, and nothing else of it.
    pub(crate) fn head(
        branch: &'a BranchId,
        operation: Operation,
        from: &'a CommitId,
        to: &'a CommitId,
    ) -> Self {
        Self {
            reference: RefTarget::Branch(branch),
            operation,
            actor: "",
            reason: "",
            from: Some(from),
            to: Some(to),
            hidden: false,
            discarded: &[],
        }
    }

    /// The same, told who and why.
    pub(crate) fn by(self, actor: &'a str, reason: &'a str) -> Self {
        Self {
            actor,
            reason,
            ..self
        }
    }
}

impl Engine {
    /// The writes that record a change. They belong into the batch that makes it, behind its
    /// compare-and-set.
    ///
    /// Staged changes that it throws away are kept by the entry for an undo, or retired with the
    /// batch where nothing is kept; in either case [`Engine::discarded`] is to be told after the batch.
    pub(crate) fn reflog_ops(&self, repository: &Repository, change: RefChange<'_>) -> Vec<Op> {
        self.reflog_record(repository, change).ops
    }

    /// [`Engine::reflog_ops`], and what [`Engine::look_for`] wants where the batch fails.
    pub(crate) fn reflog_record(&self, repository: &Repository, change: RefChange<'_>) -> Recorded {
        let entry = self.new_reflog_entry(change);
        let mut ops = entry_ops(repository, &entry);
        if entry.kept_tokens.is_empty() {
            ops.extend(change.discarded.iter().map(retire_op));
        }
        let key = entry_key(&entry.reference, &entry.id);
        Recorded { ops, key }
    }

    /// Looks whether a batch took effect that failed with `error`, by the entry that it writes
    /// below `key`: no other has its id, and it stays whatever becomes of the reference. So no
    /// client is told of the failure of a change that is there.
    ///
    /// # Errors
    /// `error`, if the entry is not there or can't be looked for.
    pub(crate) async fn look_for(
        &self,
        repository: &Repository,
        key: &Bytes,
        error: kv::Error,
    ) -> Result<()> {
        match self.kv.get(&reflog_partition(repository), key).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(error.into()),
        }
    }

    fn new_reflog_entry(&self, change: RefChange<'_>) -> ReflogEntry {
        let keeps = self.keep_staged.as_secs() > 0;
        ReflogEntry {
            id: self.new_reflog_id(),
            reference: change.reference.into(),
            operation: change.operation,
            actor: change.actor.to_owned(),
            time: self.clock.now(),
            reason: first_line(change.reason),
            from: change.from.cloned(),
            to: change.to.cloned(),
            hidden: change.hidden,
            kept_tokens: match keeps {
                true => change.discarded.to_vec(),
                false => Vec::new(),
            },
            undone: None,
            brought_back: Vec::new(),
        }
    }

    /// Has thrown away tokens emptied, if no entry keeps them. To be called when the batch with
    /// their [`Engine::reflog_ops`] took effect.
    pub(crate) fn discarded(&self, tokens: Vec<StagingToken>) {
        if self.keep_staged.as_secs() == 0 {
            self.janitor.retire(tokens);
        }
    }

    /// Entries, newest first: of one reference, or of all.
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
        match of {
            Some(reference) => {
                let kv = self.kv.as_ref();
                list(kv, &partition, &folder(reference), range, id, |_| true).await
            }
            None => self.changes(repository, after, limit).await,
        }
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
    async fn reflog_entry(
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

    /// Sorts before every id that was made earlier.
    fn new_reflog_id(&self) -> String {
        // The second part tells apart what one instant of one server, or of two, made.
        let nanos = nanos(self.clock.now());
        format!("{:016x}{}", !nanos, self.ids.descending_data_id())
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
    Err(Error::InvalidValue(format!(
        "{shown:?} is no entry of the reflog: pass the next_offset of the page before"
    )))
}

/// The partition of a repository's reflog.
pub(crate) fn reflog_partition(repository: &Repository) -> Bytes {
    Bytes::from(format!("{PARTITION_PREFIX}{}", repository.partition()))
}

/// The writes of a new entry and of what points to it.
fn entry_ops(repository: &Repository, entry: &ReflogEntry) -> Vec<Op> {
    let partition = reflog_partition(repository);
    let key = entry_key(&entry.reference, &entry.id);
    let set = |key: Bytes, value: Bytes| Op::Set {
        partition: partition.clone(),
        key,
        value,
        predicate: None,
    };
    let mut ops = vec![
        set(key.clone(), entry.encode()),
        set(Bytes::from(format!("{TIMELINE}{}", entry.id)), key.clone()),
    ];
    if !entry.kept_tokens.is_empty() {
        ops.push(set(kept_key(entry), key));
    }
    ops
}

/// Where the entry lies.
pub(crate) fn entry_key(reference: &RefName, id: &str) -> Bytes {
    Bytes::from(format!("{}{id}", folder(reference)))
}

/// What the keys of a reference's entries begin with. No name has a slash.
fn folder(reference: &RefName) -> String {
    match reference {
        RefName::Branch(branch) => format!("{BRANCHES}{branch}/"),
        RefName::Tag(tag) => format!("{TAGS}{tag}/"),
    }
}

/// Where an entry that keeps staged changes is found by its age.
fn kept_key(entry: &ReflogEntry) -> Bytes {
    Bytes::from(format!("{KEPT}{:016x}/{}", nanos(entry.time), entry.id))
}

/// The writes by which an entry gives up what it keeps, if it still keeps it: whoever brings
/// staged changes back and whoever retires them exclude each other so.
fn let_go_ops(repository: &Repository, stored: &StoredEntry) -> Vec<Op> {
    let entry = &stored.entry;
    if entry.kept_tokens.is_empty() {
        return Vec::new();
    }
    let partition = reflog_partition(repository);
    let without = ReflogEntry {
        kept_tokens: Vec::new(),
        ..entry.clone()
    };
    vec![
        Op::Set {
            partition: partition.clone(),
            key: entry_key(&entry.reference, &entry.id),
            value: without.encode(),
            predicate: Some(stored.predicate.clone()),
        },
        Op::Delete {
            partition,
            key: kept_key(entry),
        },
    ]
}

/// When the entry of this id was made, in nanoseconds since 1970; none if it is no id.
fn made_at(id: &str) -> Option<u64> {
    u64::from_str_radix(id.get(..ID_NANOS)?, 16)
        .ok()
        .map(|nanos| !nanos)
}

fn nanos(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos()).unwrap_or_default()
}

/// Kind and name, for messages.
fn described(reference: &RefName) -> (&'static str, &str) {
    match reference {
        RefName::Branch(branch) => ("branch", branch.as_str()),
        RefName::Tag(tag) => ("tag", tag.as_str()),
    }
}

/// The first line, cut at a character.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut end = line.len().min(MAX_REASON_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line[..end].to_owned()
}

impl From<RefTarget<'_>> for RefName {
    fn from(target: RefTarget<'_>) -> Self {
        match target {
            RefTarget::Branch(branch) => Self::Branch(branch.clone()),
            RefTarget::Tag(tag) => Self::Tag(tag.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_REASON_BYTES, first_line};

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        assert_eq!(first_line("one\ntwo"), "one");
        assert_eq!(first_line(""), "");
        let long = "ä".repeat(MAX_REASON_BYTES);
        assert_eq!(first_line(&long).len(), MAX_REASON_BYTES);
        assert_eq!(first_line(&format!("x{long}")).len(), MAX_REASON_BYTES - 1);
    }
}
