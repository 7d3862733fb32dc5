//! Errors of tables, split by what the caller does next.

/// The result of reading or writing a table.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes differ from what was written: restore the file.
    #[error("corrupt table: {0}")]
    Corrupt(String),
    /// A valid file of another kind, or one with features that lakeFS never uses.
    #[error("unsupported table: {0}")]
    Unsupported(String),
    /// A key that is not greater than the previous one.
    #[error("failed to add {key:?}: not greater than the last key {last:?}")]
    OutOfOrder {
        /// The refused key as lossy text.
        key: String,
        /// The last accepted key as lossy text.
        last: String,
    },
    /// A key or value that is longer than readers of the format accept.
    #[error("failed to add a record: {what} of {len} bytes is over the limit of {limit}")]
    TooLarge {
        /// `key` or `value`.
        what: &'static str,
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Reading the file failed.
    #[error("failed to read the table")]
    Read(#[source] block::Error),
}

impl Error {
    /// Makes an [`Error::Corrupt`].
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }
}
