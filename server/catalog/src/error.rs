//! What can go wrong in the service layer, split by what the caller does next.

use graveler::NamespaceProblem;

/// The result of a service operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A service's failure. The engine's own errors pass through.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine's refusal or failure.
    #[error(transparent)]
    Engine(graveler::Error),
    /// No object at the path.
    #[error("path {0:?} not found")]
    ObjectNotFound(String),
    /// The entry is there, its bytes are gone.
    #[error("data of {0:?} is gone")]
    DataGone(String),
    /// A bad argument; the message says what is wrong.
    #[error("{0}")]
    InvalidValue(String),
    /// An object's path that is longer than [`crate::MAX_PATH_BYTES`].
    #[error(
        "the path has {bytes} bytes, and has at most {}",
        crate::MAX_PATH_BYTES
    )]
    PathTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The namespace can't be used.
    #[error(transparent)]
    Namespace(NamespaceProblem),
    /// The byte range begins past the end.
    #[error("range not satisfiable: the object has {size} bytes")]
    RangeNotSatisfiable {
        /// The object's size.
        size: u64,
    },
    /// A conditional write's condition did not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// No such multipart upload.
    #[error("no such upload {0}")]
    NoSuchUpload(String),
    /// The repository has no rules of garbage collection: all is kept.
    #[error("garbage collection rules not found: the repository has none, so all of it is kept")]
    NoGcRules,
    /// No such task, or one that was done long ago.
    #[error("task '{0}' not found: tasks are kept for a day after their end")]
    TaskNotFound(String),
    /// This server has as many tasks as it may. Retry later.
    #[error("too many tasks are under way on this server: try again when some are done")]
    TooManyTasks,
    /// No such pull request.
    #[error("pull request {0} not found")]
    NoSuchPullRequest(String),
    /// What can't be the id of a pull request.
    #[error("pull request id {0:?} is invalid: it has 20 characters of 0-9a-v")]
    InvalidPullRequestId(String),
    /// A pull request of one branch onto itself.
    #[error("source and destination branches are the same: name two")]
    SameBranches,
    /// The status of a pull request does not allow what is asked; says which status and what.
    #[error("bad pull request status: {0}")]
    PullRequestStatus(String),
    /// Lost every try against others who change the request. Retry later.
    #[error("pull request {0} keeps changing: try again")]
    PullRequestBusy(String),
    /// A part named at completion is missing or has another tag.
    #[error("invalid part: {0}")]
    InvalidPart(String),
    /// The client's body broke off or was malformed; nothing was kept.
    #[error("failed to read the body")]
    Body(#[source] std::io::Error),
    /// Bytes could not be stored or read.
    #[error(transparent)]
    Block(block::Error),
}

impl Error {
    /// What is wrong with an argument, and what to give instead.
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
