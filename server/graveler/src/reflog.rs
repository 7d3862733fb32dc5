//! The reflog: records every change of a branch or tag, with its actor, time, reason, and the
//! commits before and after.
//!
//! An entry is written in the batch that changes the reference, so neither exists without the other
//! and the entry costs no extra transaction. lakeFS servers write no entries. The newest entry
//! therefore need not describe the reference's current state.
//!
//! Each repository has a reflog partition:
//!
//! ```text
//! branches/NAME/ID, tags/NAME/ID    an entry; ids descend, so a scan returns the newest first
//! log/ID                            the key of an entry: all references together, newest first
//! kept/NANOS/ID                     the key of an entry that keeps staged changes, oldest first
//! ```

mod prune;
mod read;
mod record;
mod refusal;

pub(crate) use self::prune::{MAX_ENTRIES, MaxEntries};
pub(crate) use self::refusal::{
    no_staged_changes_kept, refused_creation, tokens_no_longer_staged, undo_reason,
};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, IdGenerator, OffsetDateTime};
use bytes::Bytes;
use kv::{Op, Predicate, Store};

use crate::records::{BRANCHES, Stored as _, TAGS};
use crate::staging::{Staging, retire_op};
use crate::{
    BranchId, CommitId, Operation, Options, RefName, ReflogEntry, Repository, Result, StagingToken,
    TagId,
};

/// The prefix of reflog partition names; the name of the repository's partition follows.
const PARTITION_PREFIX: &str = "weir-reflog-";
/// Folders of the partition, besides those of branches and tags.
const TIMELINE: &str = "log/";
const KEPT: &str = "kept/";
/// Maximum length of an entry's reason, usually the first line of a commit message.
const MAX_REASON_BYTES: usize = 200;
/// Number of rows or entries read in one round trip.
pub(crate) const PAGE: usize = 500;

/// A change of a reference that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefChange<'a> {
    pub reference: RefTarget<'a>,
    pub operation: Operation,
    /// The user who makes the change.
    pub actor: &'a str,
    /// The commit's message, or the source as the user wrote it. Only the first line is kept.
    pub reason: &'a str,
    /// The commit before; `None` if the reference did not exist.
    pub from: Option<&'a CommitId>,
    /// The commit after; `None` if the reference no longer exists.
    pub to: Option<&'a CommitId>,
    /// Whether the branch is hidden, so that an undo can restore a deleted branch exactly. Not set
    /// by changes that only move a head.
    pub hidden: bool,
    /// Tokens, newest first, with uncommitted changes that the change discards.
    pub discarded: &'a [StagingToken],
}

/// An entry and the predicate for a compare-and-set of it.
#[derive(Debug, Clone)]
pub(crate) struct StoredEntry {
    pub entry: ReflogEntry,
    pub predicate: Predicate,
}

/// The writes of an entry, and the entry's key. Reading the key tells whether the writes took
/// effect.
#[derive(Debug)]
pub(crate) struct ReflogWrite {
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
    /// A change that only moves a branch's head.
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

    /// The creation of a reference at a commit.
    pub(crate) fn creation(reference: RefTarget<'a>, to: &'a CommitId) -> Self {
        Self {
            reference,
            operation: Operation::Create,
            actor: "",
            reason: "",
            from: None,
            to: Some(to),
            hidden: false,
            discarded: &[],
        }
    }

    /// The same change with an actor and a reason.
    pub(crate) fn by(self, actor: &'a str, reason: &'a str) -> Self {
        Self {
            actor,
            reason,
            ..self
        }
    }
}

/// The reflog of all repositories.
#[derive(Debug)]
pub(crate) struct Reflog {
    kv: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    staging: Arc<Staging>,
    /// See `Options::keep_staged`.
    pub keep_staged: Duration,
    /// See `Options::keep_reflog`.
    keep_reflog: Duration,
}

impl Reflog {
    pub(crate) fn new(
        kv: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        staging: Arc<Staging>,
        options: &Options,
    ) -> Self {
        Self {
            kv,
            clock,
            ids,
            staging,
            keep_staged: options.keep_staged,
            keep_reflog: options.keep_reflog,
        }
    }

    /// The writes that record a change. Add them to the batch that makes the change, after its
    /// compare-and-set.
    ///
    /// The entry keeps the tokens that the change discards, so that an undo can restore them. If
    /// `Options::keep_staged` is zero, the writes retire the tokens instead. In either case, call
    /// [`Self::retire_unless_kept`] after the batch.
    pub(crate) fn ops(&self, repository: &Repository, change: RefChange<'_>) -> Vec<Op> {
        self.write(repository, change).ops
    }

    /// [`Self::ops`] with the entry's key, for [`Self::resolve_ambiguous_write`].
    pub(crate) fn write(&self, repository: &Repository, change: RefChange<'_>) -> ReflogWrite {
        let entry = self.new_entry(change);
        let mut ops = entry_ops(repository, &entry);
        if entry.kept_tokens.is_empty() {
            ops.extend(change.discarded.iter().map(retire_op));
        }
        let key = entry_key(&entry.reference, &entry.id);
        ReflogWrite { ops, key }
    }

    /// Finds out whether a batch that failed with `error` took effect after all, by reading the
    /// entry that it writes at `key`.
    ///
    /// The entry's id is unique, and the entry stays even if the reference changes again. A client
    /// therefore sees no error for a change that was made.
    ///
    /// # Errors
    /// `error`, if the entry does not exist or cannot be read.
    pub(crate) async fn resolve_ambiguous_write(
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

    pub(crate) fn new_entry(&self, change: RefChange<'_>) -> ReflogEntry {
        let keeps = self.keep_staged.as_secs() > 0;
        ReflogEntry {
            id: self.new_id(),
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
            restored_tokens: Vec::new(),
        }
    }

    /// Schedules discarded tokens to be emptied, unless an entry keeps them. Call it after the
    /// batch with their [`Self::ops`] took effect.
    pub(crate) fn retire_unless_kept(&self, tokens: Vec<StagingToken>) {
        if self.keep_staged.as_secs() == 0 {
            self.staging.retire(tokens);
        }
    }

    /// A new entry id; it sorts before the ids that this server generated earlier.
    fn new_id(&self) -> String {
        // The second part keeps ids unique that are generated in the same nanosecond.
        let nanos = nanos(self.clock.now());
        format!("{:016x}{}", !nanos, self.ids.descending_data_id())
    }
}

/// The partition of a repository's reflog.
pub(crate) fn reflog_partition(repository: &Repository) -> Bytes {
    Bytes::from(format!("{PARTITION_PREFIX}{}", repository.partition()))
}

/// The writes of a new entry and of the keys that refer to it.
pub(crate) fn entry_ops(repository: &Repository, entry: &ReflogEntry) -> Vec<Op> {
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

/// The key of an entry.
pub(crate) fn entry_key(reference: &RefName, id: &str) -> Bytes {
    Bytes::from(format!("{}{id}", folder(reference)))
}

/// The key prefix of a reference's entries. Names contain no slash.
fn folder(reference: &RefName) -> String {
    match reference {
        RefName::Branch(branch) => format!("{BRANCHES}{branch}/"),
        RefName::Tag(tag) => format!("{TAGS}{tag}/"),
    }
}

/// The key in the `kept/` folder of an entry that keeps staged changes.
fn kept_key(entry: &ReflogEntry) -> Bytes {
    Bytes::from(format!("{KEPT}{:016x}/{}", nanos(entry.time), entry.id))
}

/// The writes that remove kept tokens from an entry, if it still has them. They make restoring and
/// retiring the tokens mutually exclusive.
pub(crate) fn release_kept_ops(repository: &Repository, stored: &StoredEntry) -> Vec<Op> {
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

fn nanos(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos()).unwrap_or_default()
}

/// The reference's kind and name, for messages.
pub(crate) fn kind_and_name(reference: &RefName) -> (&'static str, &str) {
    match reference {
        RefName::Branch(branch) => ("branch", branch.as_str()),
        RefName::Tag(tag) => ("tag", tag.as_str()),
    }
}

/// The first line, truncated at a character boundary.
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
    fn reason_is_one_line_of_bounded_length() {
        assert_eq!(first_line("one\ntwo"), "one");
        assert_eq!(first_line(""), "");
        let long = "ä".repeat(MAX_REASON_BYTES);
        assert_eq!(first_line(&long).len(), MAX_REASON_BYTES);
        assert_eq!(first_line(&format!("x{long}")).len(), MAX_REASON_BYTES - 1);
    }
}
