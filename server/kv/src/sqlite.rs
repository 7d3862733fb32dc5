//! The embedded default: SQLite in write-ahead mode.
/// Where and how to open.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file; made with its folders if missing.
    pub path: std::path::PathBuf,
    /// Whether each transaction is flushed to the disk before it is acknowledged.
    pub sync_writes: bool,
    /// Read-only connections.
    pub max_readers: u32,
}
/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {}
impl SqliteStore {
    /// Opens the file and makes the table if it is missing.
    pub async fn open(_options: SqliteOptions) -> crate::Result<Self> {
        todo!()
    }
}
