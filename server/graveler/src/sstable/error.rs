//! What can go wrong with a table, split by what the caller does next.

/// The result of reading or writing a table.
pub type Result<T> = std::result::Result<T, Error>;

/// A table's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not those that were written: restore the file.
    #[error("corrupt table: {0}")]
    Corrupt(String),
    /// A sound file of another kind, or one that uses what lakeFS never writes.
    #[error("unsupported table: {0}")]
    Unsupported(String),
    /// A key that is not above the one before it was added.
    #[error("failed to add {key:?}: not above the last key {last:?}")]
    OutOfOrder {
        /// The refused key, lossily as text.
        key: String,
        /// The last accepted key, lossily as text.
        last: String,
    },
    /// A key or value beyond what readers of the format accept.
    #[error("failed to add a record: {what} of {len} bytes is over the limit of {limit}")]
    TooLarge {
        /// `key` or `value`.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// The store that holds the file failed.
    #[error("failed to read the table")]
    Read(#[source] block::Error),
}

impl Error {
    /// A [`Error::Corrupt`].
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }
}
