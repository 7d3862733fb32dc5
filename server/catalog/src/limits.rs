//! How much text a record may hold.
//!
//! Records are read, cached and listed whole, a thousand to a page: what
//! one writer may put into one of them, all readers pay for.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// The longest message of a commit or merge, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// The most metadata of a commit or merge, keys and values, in bytes.
pub const MAX_COMMIT_METADATA_BYTES: usize = 1 << 20;
/// The most user metadata of an object, keys and values, in bytes.
pub const MAX_USER_METADATA_BYTES: usize = 64 << 10;
/// The most metadata of a repository, keys and values, in bytes.
pub const MAX_REPOSITORY_METADATA_BYTES: usize = 1 << 20;
/// The longest title of a pull request, in bytes.
pub const MAX_PULL_TITLE_BYTES: usize = 1 << 10;
/// The longest description of a pull request, in bytes.
pub const MAX_PULL_DESCRIPTION_BYTES: usize = 32 << 10;

/// # Errors
/// [`Error::InvalidValue`].
pub(crate) fn check_commit(message: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
    check("message", message.len(), MAX_MESSAGE_BYTES)?;
    check(
        "commit metadata",
        size_of(metadata),
        MAX_COMMIT_METADATA_BYTES,
    )
}

/// # Errors
/// [`Error::InvalidValue`].
pub(crate) fn check_user_metadata(metadata: &BTreeMap<String, String>) -> Result<()> {
    check("user metadata", size_of(metadata), MAX_USER_METADATA_BYTES)
}

/// # Errors
/// [`Error::InvalidValue`].
pub(crate) fn check_pull(title: &str, description: &str) -> Result<()> {
    check("title", title.len(), MAX_PULL_TITLE_BYTES)?;
    check("description", description.len(), MAX_PULL_DESCRIPTION_BYTES)
}

fn check(what: &str, bytes: usize, most: usize) -> Result<()> {
    if bytes > most {
        return Err(Error::InvalidValue(format!(
            "{what} has {bytes} bytes: make it at most {most}"
        )));
    }
    Ok(())
}

fn size_of(metadata: &BTreeMap<String, String>) -> usize {
    metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}
