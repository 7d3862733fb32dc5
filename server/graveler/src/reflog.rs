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

mod read;
mod record;
mod refusal;
mod tend;
mod undo;

pub(crate) use self::tend::MAX_ENTRIES;
#[cfg(test)]
pub(crate) use self::tend::MaxEntries;
use base::OffsetDateTime;
use bytes::Bytes;
use kv::{Op, Predicate};

use crate::engine::Engine;
use crate::records::{BRANCHES, Stored as _, TAGS};
use crate::staging::retire_op;
use crate::{
    BranchId, CommitId, Operation, RefName, ReflogEntry, Repository, Result, StagingToken, TagId,
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
/// How many entries are read at a time.
pub(crate) const PAGE: usize = 500;

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

    /// Sorts before every id that was made earlier.
    fn new_reflog_id(&self) -> String {
        // The second part tells apart what one instant of one server, or of two, made.
        let nanos = nanos(self.clock.now());
        format!("{:016x}{}", !nanos, self.ids.descending_data_id())
    }
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
pub(crate) fn made_at(id: &str) -> Option<u64> {
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
