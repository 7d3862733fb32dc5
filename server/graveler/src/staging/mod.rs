//! Uncommitted changes: where they are written, how they are read, and how they go.
//!
//! A branch names one token that takes writes and a few sealed ones,
//! newest first. A token is a partition of the record store: key to value, or to a
//! tombstone. A key's state is that of the newest token that has it, else the head's.
//!
//! A token that left its branch is not emptied at once: whoever read the branch's
//! record a moment ago may still be reading its tokens. See `Options::token_grace`. Whoever
//! finds that a read took half of that looks at the branch again before the read counts.

mod area;
mod changes;
mod compact;
mod cursor;
mod janitor;
mod materialize;
mod without;

pub(crate) use area::Write;
pub(crate) use changes::StagedChanges;
pub(crate) use compact::FreshToken;
pub(crate) use cursor::{BranchCursor, TokensCursor};
pub(crate) use janitor::{Janitor, retire_op};
pub(crate) use materialize::{Layers, Materializer};
#[cfg(test)]
pub(crate) use without::MAX_FOLDED_KEYS;
pub(crate) use without::{Rewritten, Stretch};
