//! References: branches, tags, commits, and the expressions that name them.

mod listing;
mod log;
mod manager;
mod merge_base;
mod parse;
mod resolve;
mod walk;

pub(crate) use listing::{Listing, list};
pub use log::CommitLog;
pub(crate) use manager::{RefStore, StoredBranch, branch_op, missing_commit};
pub(crate) use resolve::committed_side;

/// Parses an expression, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_expression(text: &str) {
    drop(parse::parse(text));
}
