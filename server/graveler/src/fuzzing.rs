//! The parsers of this crate as functions of bytes, for `tests/fuzz`.
//!
//! No part of the engine calls these. They answer nothing: whatever the input, they return.

use bytes::Bytes;
use prost::Message as _;

use crate::records::{BranchProtectionRules, RepoMetadata, Stored as _, decode_staged};
use crate::{
    Branch, BranchId, Commit, Record, ReflogEntry, Repository, RepositoryId, Tag, TagId, Value,
};

pub use crate::sstable::fuzzing::{block as sstable_block, table as sstable};

/// A branch protection pattern, or a stored record of rules: the first byte tells which.
pub fn protection(data: &[u8]) {
    match data.split_first() {
        Some((0, stored)) => {
            if let Ok(rules) = BranchProtectionRules::decode(stored) {
                crate::protection::try_rules(&rules);
            }
        }
        Some((_, pattern)) => {
            if let Ok(pattern) = std::str::from_utf8(pattern) {
                crate::protection::try_pattern(pattern);
            }
        }
        None => {}
    }
}

/// A reference expression, and the names of each kind.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    crate::refs::try_expression(text);
    drop(BranchId::parse(text));
    drop(TagId::parse(text));
    drop(RepositoryId::parse(text));
}

/// A stored record: the first byte tells of which kind.
pub fn record(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let stored = Bytes::copy_from_slice(rest);
    match kind % 10 {
        0 => drop(Repository::decode(stored)),
        1 => drop(Branch::decode(stored)),
        2 => drop(Tag::decode(stored)),
        3 => drop(Commit::decode(stored)),
        4 => drop(ReflogEntry::decode(stored)),
        5 => drop(RepoMetadata::decode(stored)),
        6 => drop(decode_staged(stored)),
        7 => crate::committed::try_range(&of_dump(&stored)),
        kind => crate::dump::try_record(kind, &of_dump(&stored)),
    }
}

/// A record whose key is that of the message's first field, as in a dump.
fn of_dump(stored: &Bytes) -> Record {
    let key = stored.get(2..).unwrap_or_default();
    let len = usize::from(stored.get(1).copied().unwrap_or(0)).min(key.len());
    Record {
        key: stored.slice_ref(&key[..len]),
        value: Value {
            identity: Bytes::new(),
            data: stored.clone(),
        },
    }
}
