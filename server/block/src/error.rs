//! What can go wrong with bytes, split by what the caller does next.
use crate::Location;

/// The result of a block-store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A block store's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No object there.
    #[error("no data at {0}")]
    NotFound(Location),
    /// An address that is not this store's, or leaves its place.
    #[error("invalid address {address:?}: {reason}")]
    InvalidAddress { address: String, reason: String },
    /// The range begins past the end.
    #[error("range starts past the end of {size} bytes")]
    RangeNotSatisfiable { size: u64 },
    /// No such multipart upload, or a part that was named was never uploaded.
    #[error("no such upload: {0}")]
    NoSuchUpload(String),
    /// A part named at completion is missing, out of order or has another tag.
    #[error("invalid part: {0}")]
    InvalidPart(String),
    /// The body that was being stored failed; nothing was kept.
    #[error("failed to read the body")]
    Body(#[source] std::io::Error),
    /// The disk or the remote store failed; nothing was kept.
    #[error("failed to {operation} {location}")]
    Storage {
        operation: &'static str,
        location: String,
        #[source]
        source: std::io::Error,
    },
}
