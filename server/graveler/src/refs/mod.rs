//! References: branches, tags, commits, and the expressions that name them.

mod changes;
mod log;
mod manager;
mod merge_base;
mod parse;
mod resolve;
mod walk;

pub(crate) use changes::{RefRequest, sole_name_ops};
pub use log::CommitLog;
pub(crate) use manager::{Listing, Refs, StoredBranch, list, missing_commit, not_found};
pub(crate) use resolve::committed_side;

/// Parses an expression, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_expression(text: &str) {
    drop(parse::parse(text));
}
