//! Errors of a block store. Variants differ in how the caller reacts.

use std::io;

use crate::Location;

/// The result of a block-store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a block-store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no object at the address.
    #[error("no object at {0}")]
    NotFound(Location),
    /// The address is malformed, belongs to another store or is outside this store.
    #[error("invalid address {address:?}: {reason}")]
    InvalidAddress {
        /// The rejected address.
        address: String,
        /// Why it was rejected.
        reason: String,
    },
    /// The range starts at or past the end.
    #[error("range starts past the end of {size} bytes")]
    RangeNotSatisfiable {
        /// The object's size in bytes.
        size: u64,
    },
    /// The multipart upload does not exist.
    #[error("no such upload: {0}")]
    NoSuchUpload(String),
    /// A listed part is missing, out of order or has a different ETag.
    #[error("invalid part: {0}")]
    InvalidPart(String),
    /// Reading the body to store failed. Nothing was stored.
    #[error("failed to read the body")]
    Body(#[source] io::Error),
    /// The disk or the remote store failed. Nothing was stored.
    #[error("failed to {operation} {location}")]
    Storage {
        /// The operation that failed, such as `read` or `write`.
        operation: &'static str,
        /// The address or the store's folder.
        location: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Creates an [`Error::InvalidAddress`].
    pub(crate) fn invalid(address: &str, reason: impl Into<String>) -> Self {
        Self::InvalidAddress {
            address: address.to_owned(),
            reason: reason.into(),
        }
    }

    /// Converts an I/O error. A missing file becomes [`Error::NotFound`].
    pub(crate) fn storage(operation: &'static str, at: &Location, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound(at.clone()),
            _ => Self::failed(operation, at, source),
        }
    }

    /// Converts an I/O error to [`Error::Storage`], including a missing file.
    pub(crate) fn failed(operation: &'static str, at: &impl ToString, source: io::Error) -> Self {
        Self::Storage {
            operation,
            location: at.to_string(),
            source,
        }
    }
}
