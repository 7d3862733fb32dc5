//! Small checks and counts that several operations share.

use crate::{Commit, Error, Repository, Result};

/// Refuses changes of a read-only repository, unless forced.
pub(crate) fn check_read_only(repository: &Repository, force: bool) -> Result<()> {
    if repository.read_only && !force {
        return Err(Error::ReadOnly(repository.id.to_string()));
    }
    Ok(())
}

/// The generation of a commit on top of `parents`.
pub(crate) fn generation_after<'a>(parents: impl IntoIterator<Item = &'a Commit>) -> i32 {
    parents
        .into_iter()
        .map(|p| p.generation)
        .max()
        .unwrap_or(0)
        .saturating_add(1)
}

/// Counts a lost compare-and-set that will be retried.
pub(crate) fn count_retry(operation: &'static str) {
    metrics::counter!("graveler_kv_retries", "operation" => operation).increment(1);
}
