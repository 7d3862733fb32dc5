//! What can go wrong with bytes, split by what the caller does next.

use std::io;

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
    InvalidAddress {
        /// The address that was refused.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The range begins past the end.
    #[error("range starts past the end of {size} bytes")]
    RangeNotSatisfiable {
        /// The object's size in bytes.
        size: u64,
    },
    /// No such multipart upload.
    #[error("no such upload: {0}")]
    NoSuchUpload(String),
    /// A part named at completion is missing, out of order or has another tag.
    #[error("invalid part: {0}")]
    InvalidPart(String),
    /// The body that was being stored failed; nothing was kept.
    #[error("failed to read the body")]
    Body(#[source] io::Error),
    /// The disk or the remote store failed; nothing was kept.
    #[error("failed to {operation} {location}")]
    Storage {
        /// What was being done: `read`, `write` ...
        operation: &'static str,
        /// The address, or the folder of the store.
        location: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// An [`Error::InvalidAddress`].
    pub(crate) fn invalid(address: &str, reason: impl Into<String>) -> Self {
        Self::InvalidAddress {
            address: address.to_owned(),
            reason: reason.into(),
        }
    }

    /// Wraps an error of the system: a missing file is [`Error::NotFound`].
    pub(crate) fn storage(operation: &'static str, at: &Location, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound(at.clone()),
            _ => Self::failed(operation, at, source),
        }
    }

    /// Wraps an error of the system where a missing file is a failure like any other.
    pub(crate) fn failed(operation: &'static str, at: &impl ToString, source: io::Error) -> Self {
        Self::Storage {
            operation,
            location: at.to_string(),
            source,
        }
    }
}
