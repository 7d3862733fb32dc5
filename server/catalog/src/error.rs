//! What can go wrong in the service layer, split by what the caller does next.

/// The result of a service operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A service's failure. The engine's own errors pass through.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Engine(#[from] graveler::Error),
    /// No object at the path.
    #[error("path {0:?} not found")]
    ObjectNotFound(String),
    /// The entry is there, its bytes are gone.
    #[error("data of {0:?} is gone")]
    DataGone(String),
    /// A bad argument; the message says what to do.
    #[error("{0}")]
    InvalidValue(String),
    /// The namespace can't be used.
    #[error("{0}")]
    Namespace(String),
    /// The byte range begins past the end.
    #[error("range not satisfiable: the object has {size} bytes")]
    RangeNotSatisfiable { size: u64 },
    /// A conditional write's condition did not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// No such multipart upload.
    #[error("no such upload {0}")]
    NoSuchUpload(String),
    /// Bytes.
    #[error(transparent)]
    Block(block::Error),
}

impl From<block::Error> for Error {
    fn from(e: block::Error) -> Self {
        Self::Block(e)
    }
}

impl From<kv::Error> for Error {
    fn from(e: kv::Error) -> Self {
        Self::Engine(e.into())
    }
}
