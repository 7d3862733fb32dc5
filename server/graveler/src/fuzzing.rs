//! The parsers of this crate as functions of bytes, for `tests/fuzz`.
//!
//! The engine does not call them. The fuzzer checks that they neither panic nor hang.

use bytes::Bytes;
use prost::Message as _;

use crate::records::{BranchProtectionRules, RepoMetadata, Stored as _, decode_staged};
use crate::{
    Branch, BranchId, Commit, Event, Record, ReflogEntry, Repository, RepositoryId, Tag, TagId,
    Value,
};

pub use crate::sstable::fuzzing::{block as sstable_block, table as sstable};

/// Fuzzes branch protection. After a byte 0 come the length of a branch name, the name, and a stored record of rules. After
/// any other byte come a pattern and, on the last line, a branch name.
pub fn protection(data: &[u8]) {
    match data {
        [0, length, rest @ ..] => {
            let (name, stored) = rest.split_at(usize::from(*length).min(rest.len()));
            if let Ok(rules) = BranchProtectionRules::decode(stored) {
                crate::protection::try_rules(&rules, &String::from_utf8_lossy(name));
            }
        }
        [_, text @ ..] => {
            if let Ok(text) = std::str::from_utf8(text) {
                let (pattern, name) = text.rsplit_once('\n').unwrap_or((text, "release-1"));
                crate::protection::try_pattern(pattern, name);
            }
        }
        [] => {}
    }
}

/// Fuzzes reference expressions and the names of each kind.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    crate::refs::try_expression(text);
    drop(BranchId::parse(text));
    drop(TagId::parse(text));
    drop(RepositoryId::parse(text));
}

/// Fuzzes stored records; the first byte selects the kind.
pub fn record(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let stored = Bytes::copy_from_slice(rest);
    let kind = kind % 12;
    match kind {
        0 => drop(Repository::decode(stored)),
        1 => drop(Branch::decode(stored)),
        2 => drop(Tag::decode(stored)),
        3 => drop(Commit::decode(stored)),
        4 => drop(ReflogEntry::decode(stored)),
        5 => drop(RepoMetadata::decode(stored)),
        6 => drop(decode_staged(stored)),
        7 => crate::committed::try_range(&of_dump(&stored)),
        11 => crate::dump::try_restore(stored),
        kind => crate::dump::try_record(usize::from(kind - 8), &of_dump(&stored)),
    }
}

/// Fuzzes stored events. An event that decodes must encode and decode to the same event.
pub fn event(data: &[u8]) {
    if let Ok(event) = Event::decode(data)
        && let Ok(stored) = event.encode()
    {
        let again = Event::decode(&stored).expect("a stored event is valid");
        assert_eq!(again, event);
    }
}

/// A dump record whose key is the first field of the stored message.
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
