//! What can go wrong in a store, split by what the caller does next.

use std::error::Error as StdError;

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A store's failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A predicate did not hold; nothing was written. `index` names the operation in a batch.
    #[error("predicate failed (operation {index})")]
    PredicateFailed {
        /// Position of the operation in its batch; 0 for a single write.
        index: usize,
    },
    /// An argument the contract forbids: an empty partition or key.
    #[error("{0}")]
    Invalid(&'static str),
    /// The store asks to be called less often; nothing was written. Retry later.
    #[error("store is overloaded: {0}")]
    SlowDown(String),
    /// The store could not be opened; the message says what to check. Not worth a retry.
    #[error("failed to open the {driver} store {target}: {check}")]
    Open {
        /// The driver's name.
        driver: &'static str,
        /// What was to be opened, without secrets.
        target: String,
        /// What the operator should check.
        check: String,
        /// What the driver said.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The store failed; whether a write took effect is not known.
    #[error("failed to {operation}")]
    Storage {
        /// What was being done.
        operation: &'static str,
        /// What the driver said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// A [`Error::Storage`] of `operation`, caused by `source`.
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
