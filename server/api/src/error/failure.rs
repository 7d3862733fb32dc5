//! The failures of requests. The other files of this folder map them to responses.

use super::error_text::ErrorText;

/// The result of a handler.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A failure of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// A failure whose text depends on the operation.
    #[error("{error}")]
    Described { error: Box<Error>, text: ErrorText },
    /// The request violates the contract; the message says where.
    #[error("{0}")]
    Invalid(String),
    /// The request violates the contract; the text includes a hint.
    #[error("{}", .0.message)]
    InvalidWith(ErrorText),
    /// The block store does not support presigned URLs. Holds the kind of the store.
    #[error("{0} adapter presigned URL: operation not supported")]
    NoPresign(&'static str),
    #[error("request body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("request body has more than {0} values")]
    TooManyValues(usize),
    /// The memory that this body needs is in use by other requests.
    #[error(transparent)]
    Busy(#[from] base::BudgetExhausted),
    /// Multipart uploads through presigned URLs, which the block store does not support.
    #[error("presign multipart upload API is not supported")]
    NoPresignMultipart,
    /// The route does not exist.
    #[error("invalid API endpoint")]
    NoEndpoint,
    /// The path exists, but not with this method.
    #[error("{path} has no {method}: use {allowed}")]
    WrongMethod {
        method: String,
        /// The template of the path.
        path: String,
        /// The methods that the path has, and what they do.
        allowed: String,
    },
    #[error("{0} not found")]
    NotFound(String),
    /// The hook run does not exist. The message is lakeFS's.
    #[error("not found: not found")]
    NoRun,
    /// The run has no such hook, or its log was deleted. The message is lakeFS's.
    #[error("not found")]
    NoHookOutput,
    /// A precondition of the operation does not hold.
    #[error("{0}")]
    Precondition(String),
    /// This server does not implement the operation or the requested variant of it.
    #[error("{0} is not implemented in this version of Weir")]
    NotImplemented(&'static str),
}

/// The conflicts of a merge, revert or cherry-pick.
#[derive(Debug)]
pub(crate) struct Conflicts {
    pub(crate) text: ErrorText,
    /// The first conflicting paths, in order.
    pub(crate) paths: Vec<String>,
    pub(crate) count: i64,
}
