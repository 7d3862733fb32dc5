//! Limits for the text in records, and for the size of pages.
//!
//! Records are read, cached and listed whole, up to a thousand per page. Without limits, one
//! writer's large records would burden every reader.

use std::collections::BTreeMap;

use crate::{Error, Result, UploadOptions};

/// The longest message of a commit or merge, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// The maximum size of a commit's or merge's metadata, keys and values, in bytes.
pub const MAX_COMMIT_METADATA_BYTES: usize = 1 << 20;
/// The longest content type of an object, in bytes. Clients read it in a header, whose length they limit.
pub const MAX_CONTENT_TYPE_BYTES: usize = 1 << 10;
/// The maximum size of an object's user metadata, keys and values, in bytes.
pub const MAX_USER_METADATA_BYTES: usize = 64 << 10;
/// The maximum size of a repository's metadata, keys and values, in bytes.
pub const MAX_REPOSITORY_METADATA_BYTES: usize = 1 << 20;
/// The longest title of a pull request, in bytes.
pub const MAX_PULL_TITLE_BYTES: usize = 1 << 10;
/// The longest description of a pull request, in bytes.
pub const MAX_PULL_DESCRIPTION_BYTES: usize = 32 << 10;

/// The maximum size of a page, in bytes of its entries. A larger entry gets a page of its own.
pub const MAX_PAGE_BYTES: usize = 4 << 20;
/// The estimated size of an entry without its text, in bytes.
const ENTRY_BYTES: usize = 256;

/// The remaining capacity of a page, in entries and in bytes.
#[derive(Debug)]
pub struct PageRoom {
    entries_left: usize,
    bytes: usize,
}

impl PageRoom {
    /// Returns the capacity of an empty page of at most `limit` entries.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            entries_left: limit,
            bytes: 0,
        }
    }

    /// Reserves room for an entry with this many bytes of text. Returns false if it does not fit.
    #[must_use]
    pub fn take(&mut self, text_bytes: usize) -> bool {
        let bytes = self.bytes + ENTRY_BYTES + text_bytes;
        let is_first = self.bytes == 0;
        if self.entries_left == 0 || (bytes > MAX_PAGE_BYTES && !is_first) {
            return false;
        }
        self.entries_left -= 1;
        self.bytes = bytes;
        true
    }
}

/// The size of a commit's text, in bytes.
pub(crate) fn commit_bytes(commit: &graveler::Commit) -> usize {
    commit.message.len() + commit.committer.len() + size_of(&commit.metadata)
}

/// Checks the message and metadata of a commit or merge.
///
/// # Errors
/// [`Error::InvalidValue`] if one is too long.
pub(crate) fn check_commit(message: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
    check("message", message.len(), MAX_MESSAGE_BYTES)?;
    check(
        "commit metadata",
        size_of(metadata),
        MAX_COMMIT_METADATA_BYTES,
    )
}

/// Checks the content type and user metadata of an object.
///
/// # Errors
/// [`Error::InvalidValue`] if it is too long.
pub(crate) fn check_upload(options: &UploadOptions) -> Result<()> {
    let (content_type, metadata) = (options.content_type.len(), size_of(&options.metadata));
    check("content type", content_type, MAX_CONTENT_TYPE_BYTES)?;
    check("user metadata", metadata, MAX_USER_METADATA_BYTES)
}

/// Checks the title and description of a pull request.
///
/// # Errors
/// [`Error::InvalidValue`] if one is too long.
pub(crate) fn check_pull(title: &str, description: &str) -> Result<()> {
    check("title", title.len(), MAX_PULL_TITLE_BYTES)?;
    check("description", description.len(), MAX_PULL_DESCRIPTION_BYTES)
}

fn check(what: &str, bytes: usize, most: usize) -> Result<()> {
    if bytes > most {
        return Err(Error::InvalidValue(format!(
            "{what} has {bytes} bytes; at most {most} are allowed"
        )));
    }
    Ok(())
}

/// The size of metadata, keys and values, in bytes.
pub(crate) fn size_of(metadata: &BTreeMap<String, String>) -> usize {
    metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::{ENTRY_BYTES, MAX_PAGE_BYTES, PageRoom};

    #[test]
    fn page_is_limited_by_entries_and_by_bytes() {
        let mut few = PageRoom::new(2);
        assert!(few.take(1) && few.take(1) && !few.take(1));
        assert!(!PageRoom::new(0).take(1));

        let half = MAX_PAGE_BYTES / 2 - ENTRY_BYTES;
        let mut large = PageRoom::new(1000);
        assert!(large.take(half) && large.take(half) && !large.take(0));

        let mut larger = PageRoom::new(1000);
        assert!(
            larger.take(2 * MAX_PAGE_BYTES),
            "the first entry always fits, or clients could not continue"
        );
        assert!(!larger.take(0));
    }
}
