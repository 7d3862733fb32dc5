//! The settings of the SQLite driver.

use std::path::PathBuf;
use std::time::Duration;

/// How long a write waits for another process that is writing to the same file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of a [`crate::SqliteStore`].
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file. It is created, with its folders, if it does not exist; only its owner can read it.
    pub path: PathBuf,
    /// Whether each transaction is flushed to disk before it is acknowledged. If not, a
    /// power failure may lose the last acknowledged writes. Killing the process never loses any.
    pub sync_writes: bool,
    /// Maximum number of read-only connections. Zero counts as one.
    pub max_readers: u32,
}
