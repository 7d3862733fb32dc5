//! What can be tuned: sizes and ages, never the format.

use std::time::Duration;

/// Tuning of the committed format and the caches.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of ranges and metaranges below the namespace: `_lakefs`.
    pub block_storage_prefix: String,
    /// No range is closed before it has so many bytes, whatever its keys.
    pub min_range_size_bytes: u64,
    /// A range is closed once it has so many bytes.
    pub max_range_size_bytes: u64,
    /// Between the two, one of so many keys closes its range.
    pub range_raggedness_entries: f64,
    /// Commits kept in memory.
    pub commit_cache_entries: u64,
    /// Bytes of parsed ranges and metaranges kept in memory.
    pub sstable_cache_bytes: u64,
    /// How long the records of uncommitted changes outlive their commit. No read may go by
    /// a branch's record for longer without looking at the branch again.
    pub token_grace: Duration,
    /// How long staged changes that a reset or a branch's deletion threw away can be brought
    /// back. Zero: not at all.
    pub keep_staged: Duration,
    /// So many staged rows a read passes over before it has the tree of what is staged worked out for
    /// the reads behind it. A request to the record store counts as some rows.
    pub materialize_after_rows: u64,
    /// For how long nothing more must be deleted on a branch before as many staged deletions have that
    /// tree worked out though nobody has read them. Zero: only reads do.
    pub materialize_when_quiet: Duration,
    /// For how long at most a branch that another server changes as well is left to that one after
    /// each change. Zero: not at all.
    pub max_courtesy: Duration,
    /// How long the reflog tells of a change.
    pub keep_reflog: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_storage_prefix: "_lakefs".to_owned(),
            min_range_size_bytes: 0,
            max_range_size_bytes: 20 << 20,
            range_raggedness_entries: 50_000.0,
            commit_cache_entries: 50_000,
            sstable_cache_bytes: 256 << 20,
            token_grace: Duration::from_secs(5),
            keep_staged: Duration::from_secs(24 * 60 * 60),
            materialize_after_rows: 5_000,
            materialize_when_quiet: Duration::from_secs(1),
            max_courtesy: Duration::from_secs(1),
            keep_reflog: Duration::from_secs(90 * 24 * 60 * 60),
        }
    }
}
