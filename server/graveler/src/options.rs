//! Tuning options: sizes and ages, never the format.

use std::time::Duration;

/// Tuning of the committed format and the caches.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder below the storage namespace that holds ranges and metaranges: `_lakefs`.
    pub block_storage_prefix: String,
    /// No range is closed before it holds this many bytes, whatever its keys.
    pub min_range_size_bytes: u64,
    /// A range is closed once it holds this many bytes.
    pub max_range_size_bytes: u64,
    /// Between the two sizes, one in this many keys closes its range.
    pub range_raggedness_entries: f64,
    /// Number of commits kept in memory.
    pub commit_cache_entries: u64,
    /// Bytes of parsed ranges and metaranges kept in memory.
    pub sstable_cache_bytes: u64,
    /// How long the staged records of a retired token stay readable. A reader must re-read the
    /// branch's record at least this often.
    pub token_grace: Duration,
    /// How long staged changes discarded by a reset or a branch deletion can be restored. Zero: never.
    pub keep_staged: Duration,
    /// Number of staged rows that reads may skip before the server stores a tree of the staged
    /// changes for later reads. A request to the KV store counts as several rows.
    pub materialize_after_rows: u64,
    /// How long a branch must see no deletions before that many staged deletions trigger the same
    /// tree, even if nobody has read them. Zero: only reads trigger it.
    pub materialize_when_quiet: Duration,
    /// The longest time for which this server leaves a contended branch to another server after each
    /// change. Zero: it never waits.
    pub max_rival_backoff: Duration,
    /// Hooks that finish within this time keep the branch's turn. After it, other changes of this
    /// server proceed meanwhile; for brief hooks, giving up the turn costs more than it saves.
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
            max_rival_backoff: Duration::from_secs(1),
            brief_hooks: Duration::from_millis(100),
            keep_reflog: Duration::from_secs(90 * 24 * 60 * 60),
        }
    }
}
