//! Uncommitted changes: how they are written, read and removed.
//!
//! A branch names one writable token and a few sealed ones, newest first. A token is a partition of
//! the KV store that maps keys to values or tombstones. A key has the state of the newest token
//! that contains it, otherwise its state in the head.
//!
//! A token that left its branch is emptied only after `Options::token_grace`, since readers of the
//! branch's old record may still use it. A read that took more than half of that time checks the
//! branch again before it returns its result.

mod area;
mod changes;
mod compact;
mod cursor;
mod exclude_keys;
mod janitor;
mod materialize;
mod materializer;
mod store;

pub(crate) use changes::StagedChanges;
pub(crate) use compact::FreshToken;
pub(crate) use cursor::{BranchCursor, TokensCursor};
#[cfg(test)]
pub(crate) use exclude_keys::MAX_FOLDED_KEYS;
pub(crate) use exclude_keys::{KeyScope, Rewritten};
pub(crate) use janitor::{Janitor, retire_op};
pub(crate) use materializer::{Layers, Materializer};
pub(crate) use store::Staging;
