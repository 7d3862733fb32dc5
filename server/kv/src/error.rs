//! What can go wrong in a store, split by what the caller does next.

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A store's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A predicate did not hold; nothing was written. `index` names the operation in a batch.
    #[error("predicate failed (operation {index})")]
    PredicateFailed { index: usize },
    /// An argument the contract forbids: an empty partition or key.
    #[error("{0}")]
    Invalid(&'static str),
    /// The store asks to be called less often. Retry later.
    #[error("store is overloaded: {0}")]
    SlowDown(String),
    /// The store failed; whether a write took effect is not known.
    #[error("failed to {operation}")]
    Storage {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
