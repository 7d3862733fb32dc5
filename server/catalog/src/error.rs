//! Errors of the service layer, split by what the caller does next.

use graveler::NamespaceProblem;

/// The result of a service operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The failure of a service operation. Errors of the engine pass through.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused the operation or failed.
    #[error(transparent)]
    Engine(graveler::Error),
    /// No object exists at the path.
    #[error("path {0:?} not found")]
    ObjectNotFound(String),
    /// The entry exists, but its bytes do not.
    #[error("data of {0:?} is gone")]
    DataGone(String),
    /// An argument is invalid; the message says why.
    #[error("{0}")]
    InvalidValue(String),
    /// The path of an object is longer than [`crate::MAX_PATH_BYTES`].
    #[error(
        "the path has {bytes} bytes; at most {} are allowed",
        crate::MAX_PATH_BYTES
    )]
    PathTooLong {
        /// The length of the path.
        bytes: usize,
    },
    /// The storage namespace cannot be used.
    #[error(transparent)]
    Namespace(NamespaceProblem),
    /// The byte range starts behind the end of the object.
    #[error("range not satisfiable: the object has {size} bytes")]
    RangeNotSatisfiable {
        /// The size of the object.
        size: u64,
    },
    /// The condition of a conditional write does not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The multipart upload does not exist.
    #[error("no such upload {0}")]
    NoSuchUpload(String),
    /// The repository has no garbage collection rules, so that nothing is deleted.
    #[error("garbage collection rules not found: the repository has none and keeps all objects")]
    NoGcRules,
    /// The task does not exist, or ended more than a day ago.
    #[error("task '{0}' not found: tasks are kept for a day after they end")]
    TaskNotFound(String),
    /// This server runs the maximum number of tasks. Retry later.
    #[error("too many tasks on this server; try again when some have ended")]
    TooManyTasks,
    /// The pull request does not exist.
    #[error("pull request {0} not found")]
    NoSuchPullRequest(String),
    /// The value is not a valid pull request id.
    #[error("pull request id {0:?} is invalid: expected 20 characters of 0-9a-v")]
    InvalidPullRequestId(String),
    /// Source and destination of a pull request are the same branch.
    #[error("source and destination branches are the same: name two different branches")]
    SameBranches,
    /// The pull request's status does not allow the operation; the message names both.
    #[error("bad pull request status: {0}")]
    PullRequestStatus(String),
    /// Concurrent changes of the pull request won every attempt. Retry later.
    #[error("pull request {0} keeps changing; try again later")]
    PullRequestBusy(String),
    /// A part in the list of a completion is missing or has a different `ETag`.
    #[error("invalid part: {0}")]
    InvalidPart(String),
    /// The client's body ended early or is malformed; nothing was stored.
    #[error("failed to read the body")]
    Body(#[source] std::io::Error),
    /// The block store failed to store or read bytes.
    #[error(transparent)]
    Block(block::Error),
}

impl Error {
    /// An invalid argument: what is wrong, and what to send instead.
    pub(crate) fn advised(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Engine(graveler::Error::advised(problem, advice))
    }
}

impl From<graveler::Error> for Error {
    fn from(error: graveler::Error) -> Self {
        match error {
            graveler::Error::PreconditionFailed => Self::PreconditionFailed,
            graveler::Error::Namespace(problem) => Self::Namespace(problem),
            error => Self::Engine(error),
        }
    }
}

impl From<block::Error> for Error {
    fn from(error: block::Error) -> Self {
        match error {
            block::Error::RangeNotSatisfiable { size } => Self::RangeNotSatisfiable { size },
            block::Error::NoSuchUpload(id) => Self::NoSuchUpload(id),
            block::Error::InvalidPart(reason) => Self::InvalidPart(reason),
            block::Error::Body(source) => Self::Body(source),
            error => Self::Block(error),
        }
    }
}

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        Self::Engine(error.into())
    }
}
