//! Errors of a store. Variants differ in how the caller reacts.

use std::error::Error as StdError;

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a store operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A predicate did not hold. Nothing was written.
    #[error("predicate failed (operation {index})")]
    PredicateFailed {
        /// Position of the operation in its batch; 0 for a single write.
        index: usize,
    },
    /// An invalid argument: an empty partition or key.
    #[error("{0}")]
    Invalid(&'static str),
    /// The store is overloaded. Nothing was written; the caller should retry later.
    #[error("store is overloaded: {0}")]
    SlowDown(String),
    /// The store could not be opened. The message says what to check; retrying does not help.
    #[error("failed to open the {driver} store {target}: {check}")]
    Open {
        /// The driver's name.
        driver: &'static str,
        /// The file or server, without secrets.
        target: String,
        /// What the operator should check.
        check: String,
        /// The driver's error.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The records have a layout that this program does not know.
    #[error(
        "the database has layout version {found}, but this program supports version {supported}: \
         migrate the database with the lakeFS release that wrote it, or use a newer Weir"
    )]
    SchemaVersion {
        /// The stored version.
        found: String,
        /// The version that this program reads and writes.
        supported: u32,
    },
    /// The store failed. It is unknown whether a write was applied.
    #[error("failed to {operation}")]
    Storage {
        /// The operation that failed, to complete "failed to ...".
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// Creates an [`Error::Storage`] for `operation`, caused by `source`.
    pub fn storage(
        operation: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Storage {
            operation,
            source: source.into(),
        }
    }
}
