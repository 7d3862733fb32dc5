//! Tuning options: sizes, durations and a folder name. None of them changes the stored formats.

use std::time::Duration;

/// Tuning options of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder below the storage namespace that holds ranges and metaranges: `_lakefs`.
    pub block_storage_prefix: String,
    /// No range is closed before it holds this many bytes, whatever its keys.
    pub min_range_size_bytes: u64,
    /// A range is closed once it holds this many bytes.
    pub max_range_size_bytes: u64,
    /// Between the two sizes, a range is closed after one in this many keys on average. The key's
    /// hash decides.
    pub range_raggedness_entries: f64,
    /// Maximum number of commits in the cache. A commit with much metadata counts as several.
    pub commit_cache_entries: u64,
    /// Maximum size of the cache of parsed ranges and metaranges.
    pub sstable_cache_bytes: u64,
    /// How long the staged records of a retired token stay readable. A reader must re-read the
    /// branch's record at least this often.
    pub token_grace: Duration,
    /// How long staged changes discarded by a reset or a branch deletion can be restored. Less than
    /// a second: never.
    pub keep_staged: Duration,
    /// Number of staged rows that reads of a branch may skip before the server stores a tree of the
    /// branch's staged changes for later reads. A request to the KV store counts as several rows.
    pub materialize_after_rows: u64,
    /// [`Self::materialize_after_rows`] staged deletions also trigger that tree, once the branch
    /// has seen no deletion for this long. Zero: only reads trigger it.
    pub materialize_when_quiet: Duration,
    /// The longest time for which this server leaves a contended branch to another server after
    /// each change. Zero: it never waits.
    pub max_contention_backoff: Duration,
    /// How long a change keeps the branch's permit while its hooks run. If they take longer, other
    /// changes on this server proceed meanwhile. For brief hooks, giving up the permit would cost
    /// more than it saves.
    pub brief_hooks: Duration,
    /// How long reflog entries are kept.
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
            max_contention_backoff: Duration::from_secs(1),
            brief_hooks: Duration::from_millis(100),
            keep_reflog: Duration::from_secs(90 * 24 * 60 * 60),
        }
    }
}
