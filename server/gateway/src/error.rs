//! Maps errors to S3 error codes. No other file chooses a code, with one exception: `delete.rs` chooses the code for
//! entries of a batch response.
//!
//! Operations return an [`S3Error`]. The errors of the layers below are converted here with exhaustive
//! matches. A message starts with the text that S3 or lakeFS sends; advice follows after a colon.
//!
//! The error for a missing reference depends on the operation: reads convert with [`read_error`],
//! writes with [`write_error`].

use std::borrow::Cow;
use std::io;
use std::str::FromStr as _;

use catalog::{DiskProblem, Kind, WrongSize};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::S3ErrorCode;

use crate::body_error::BodyError;

/// The result of a gateway operation.
pub(crate) type Result<T> = std::result::Result<T, S3Error>;

/// An error response of the gateway.
#[derive(Debug)]
pub(crate) enum S3Error {
    AccessDenied,
    /// Access denied. The reason discloses nothing about the repository.
    AccessDeniedBecause(&'static str),
    /// The parameters of a presigned URL are invalid.
    QueryParameters(&'static str),
    /// The signature's timestamp is too far from the server's clock.
    TimeSkewed,
    /// The repository of the request or of a copy source does not exist.
    NoSuchBucket,
    /// The branch to write to does not exist.
    NoSuchBranch,
    /// The bucket is called `api`: the client's endpoint URL probably ends in `/api/v1`.
    BucketIsApi,
    NoSuchKey,
    /// The entry exists but its bytes have been deleted from the block store.
    NoSuchVersion,
    NoSuchUpload,
    BucketExists,
    NotImplemented(Cow<'static, str>),
    /// A sub-resource or operation that the gateway does not support.
    NotSupported,
    /// Deleting a bucket, which would delete a repository with its history.
    BucketDeletion,
    ReadOnly,
    Protected,
    PreconditionFailed,
    /// The client's cached copy is current. Carries the `ETag` and `Last-Modified` headers.
    NotModified(Box<HeaderMap>),
    InvalidRange {
        size: u64,
    },
    InvalidPartNumber,
    InvalidArgument(String),
    KeyTooLong,
    InvalidRequest(Cow<'static, str>),
    InvalidPart(String),
    InvalidPartOrder,
    MalformedXml,
    DocumentTooLarge,
    MetadataTooLarge,
    /// A listing with a malformed reference.
    BadRequest,
    InvalidDigest,
    BadDigest(&'static str),
    PayloadHashMismatch,
    ChunkSignatureMismatch,
    IncompleteBody,
    EntityTooLarge,
    /// Too many concurrent changes, a busy database or not enough memory; the client should retry later.
    SlowDown,
    Conflict,
    /// The server's disk is full, or the server has no access to it.
    Disk(DiskProblem, Box<catalog::Error>),
    /// The store has fewer or more bytes of an object than its entry says.
    WrongSize(Box<WrongSize>),
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl S3Error {
    /// Returns the S3 code and the HTTP status.
    fn code_and_status(&self) -> (&'static str, StatusCode) {
        match self {
            Self::AccessDenied | Self::AccessDeniedBecause(_) => {
                ("AccessDenied", StatusCode::FORBIDDEN)
            }
            Self::QueryParameters(_) => {
                ("AuthorizationQueryParametersError", StatusCode::BAD_REQUEST)
            }
            Self::TimeSkewed => ("RequestTimeTooSkewed", StatusCode::FORBIDDEN),
            Self::NoSuchBucket | Self::NoSuchBranch => ("NoSuchBucket", StatusCode::NOT_FOUND),
            Self::BucketIsApi => ("ErrNoSuchBucketPossibleAPIEndpoint", StatusCode::NOT_FOUND),
            Self::NoSuchKey => ("NoSuchKey", StatusCode::NOT_FOUND),
            Self::NoSuchVersion => ("NoSuchVersion", StatusCode::NOT_FOUND),
            Self::NoSuchUpload => ("NoSuchUpload", StatusCode::NOT_FOUND),
            Self::BucketExists => ("BucketAlreadyExists", StatusCode::CONFLICT),
            Self::NotImplemented(_) => ("NotImplemented", StatusCode::NOT_IMPLEMENTED),
            Self::NotSupported | Self::BucketDeletion => {
                ("ERRLakeFSNotSupported", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::ReadOnly => ("ErrReadOnlyRepository", StatusCode::FORBIDDEN),
            Self::Protected => ("ErrWriteToProtectedBranch", StatusCode::FORBIDDEN),
            Self::PreconditionFailed => ("PreconditionFailed", StatusCode::PRECONDITION_FAILED),
            Self::NotModified(_) => ("NotModified", StatusCode::NOT_MODIFIED),
            Self::InvalidRange { .. } => ("InvalidRange", StatusCode::RANGE_NOT_SATISFIABLE),
            Self::InvalidPartNumber => ("InvalidPartNumber", StatusCode::RANGE_NOT_SATISFIABLE),
            Self::KeyTooLong => ("KeyTooLongError", StatusCode::BAD_REQUEST),
            Self::InvalidArgument(_) => ("InvalidArgument", StatusCode::BAD_REQUEST),
            Self::InvalidRequest(_) => ("InvalidRequest", StatusCode::BAD_REQUEST),
            Self::InvalidPart(_) => ("InvalidPart", StatusCode::BAD_REQUEST),
            Self::InvalidPartOrder => ("InvalidPartOrder", StatusCode::BAD_REQUEST),
            Self::MalformedXml => ("MalformedXML", StatusCode::BAD_REQUEST),
            Self::DocumentTooLarge => ("MaxMessageLengthExceeded", StatusCode::BAD_REQUEST),
            Self::MetadataTooLarge => ("MetadataTooLarge", StatusCode::BAD_REQUEST),
            Self::BadRequest => ("BadRequest", StatusCode::BAD_REQUEST),
            Self::InvalidDigest => ("InvalidDigest", StatusCode::BAD_REQUEST),
            Self::BadDigest(_) => ("BadDigest", StatusCode::BAD_REQUEST),
            Self::PayloadHashMismatch => ("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST),
            Self::ChunkSignatureMismatch => ("SignatureDoesNotMatch", StatusCode::FORBIDDEN),
            Self::IncompleteBody => ("IncompleteBody", StatusCode::BAD_REQUEST),
            Self::EntityTooLarge => ("EntityTooLarge", StatusCode::BAD_REQUEST),
            Self::SlowDown => ("SlowDown", StatusCode::SERVICE_UNAVAILABLE),
            Self::Conflict => ("OperationAborted", StatusCode::CONFLICT),
            Self::Disk(..) | Self::WrongSize(_) | Self::Internal(_) => {
                ("InternalError", StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Returns the message, shortened if it contains a long value of the caller.
    fn message(&self) -> Cow<'static, str> {
        match self.full_message() {
            long if long.len() > MAX_MESSAGE_BYTES => {
                Cow::Owned(base::shorten(&long, MAX_MESSAGE_BYTES).into_owned())
            }
            message => message,
        }
    }

    fn full_message(&self) -> Cow<'static, str> {
        let message: &'static str = match self {
            Self::Disk(problem, _) => return internal_because(problem.explanation()),
            Self::WrongSize(wrong) => {
                return internal_because(&format!(
                    "the store has {} bytes of the object, and its entry says {}; repeating the request does not help: upload the object again",
                    wrong.stored, wrong.expected
                ));
            }
            Self::InvalidArgument(message) | Self::InvalidPart(message) => {
                return Cow::Owned(message.clone());
            }
            Self::NotImplemented(message) | Self::InvalidRequest(message) => {
                return message.clone();
            }
            Self::BadDigest(what) => {
                let message = format!("The {what} you specified did not match what we received.");
                return Cow::Owned(message);
            }
            Self::AccessDeniedBecause(message) | Self::QueryParameters(message) => message,
            Self::AccessDenied => "Access Denied.",
            Self::TimeSkewed => TIME_SKEWED_MESSAGE,
            Self::NoSuchBucket => "The specified bucket does not exist",
            Self::NoSuchBranch => NO_SUCH_BRANCH_MESSAGE,
            Self::BucketIsApi => BUCKET_IS_API_MESSAGE,
            Self::KeyTooLong => KEY_TOO_LONG_MESSAGE,
            Self::NoSuchKey => "The specified key does not exist.",
            Self::NoSuchVersion => "The data of the specified object no longer exists.",
            Self::NoSuchUpload => NO_SUCH_UPLOAD_MESSAGE,
            Self::BucketExists => BUCKET_EXISTS_MESSAGE,
            Self::NotSupported => "This operation is not supported in LakeFS",
            Self::BucketDeletion => BUCKET_DELETION_MESSAGE,
            Self::ReadOnly => READ_ONLY_MESSAGE,
            Self::Protected => PROTECTED_MESSAGE,
            Self::PreconditionFailed => {
                "At least one of the pre-conditions you specified did not hold"
            }
            Self::NotModified(_) => "Not modified",
            Self::InvalidRange { .. } => "The requested range is not satisfiable",
            Self::InvalidPartNumber => "The requested partnumber is not satisfiable",
            Self::InvalidPartOrder => INVALID_PART_ORDER_MESSAGE,
            Self::MalformedXml => MALFORMED_XML_MESSAGE,
            Self::DocumentTooLarge => DOCUMENT_TOO_LARGE_MESSAGE,
            Self::MetadataTooLarge => {
                "Your metadata headers exceed the maximum allowed metadata size."
            }
            Self::BadRequest => "400 BadRequest",
            Self::InvalidDigest => "The Content-MD5 or checksum you specified is not valid.",
            Self::PayloadHashMismatch => PAYLOAD_HASH_MESSAGE,
            Self::ChunkSignatureMismatch => SIGNATURE_MESSAGE,
            Self::IncompleteBody => INCOMPLETE_BODY_MESSAGE,
            Self::EntityTooLarge => CHUNK_TOO_LARGE_MESSAGE,
            Self::SlowDown => "Please reduce your request rate.",
            Self::Conflict => CONFLICT_MESSAGE,
            Self::Internal(_) => INTERNAL_ERROR_MESSAGE,
        };
        Cow::Borrowed(message)
    }

    /// Returns the code and message, for one entry of a batch response.
    pub(crate) fn batch_entry(&self) -> (&'static str, String) {
        self.log();
        (self.code_and_status().0, self.message().into_owned())
    }

    /// The error for a request that asks for an unimplemented feature.
    pub(crate) fn not_implemented() -> Self {
        Self::NotImplemented(Cow::Borrowed(NOT_IMPLEMENTED_MESSAGE))
    }

    /// The error for creating a bucket.
    pub(crate) fn buckets_are_repositories() -> Self {
        Self::NotImplemented(Cow::Owned(format!(
            "{NOT_IMPLEMENTED_MESSAGE}: a bucket is a repository; create it by POST /api/v1/repositories"
        )))
    }

    /// Converts an error that occurred outside of an s3s operation to a response.
    pub(crate) fn into_response(self) -> http::Response<s3s::Body> {
        let (_, status) = self.code_and_status();
        s3s::S3Error::from(self)
            .to_http_response()
            .unwrap_or_else(|_| {
                let mut response = http::Response::new(s3s::Body::empty());
                *response.status_mut() = status;
                response
            })
    }

    fn log(&self) {
        let source: &(dyn std::error::Error + 'static) = match self {
            Self::Internal(source) => source.as_ref(),
            Self::Disk(_, source) => source.as_ref(),
            _ => return,
        };
        tracing::error!(error = %base::error_chain(source), "S3 request failed");
    }
}

/// The longest message, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 << 10;
const NO_SUCH_BRANCH_MESSAGE: &str = "The specified bucket does not exist: a key must start with an existing branch, and the repository has no branch with this name";
const BUCKET_IS_API_MESSAGE: &str = "Repository \"api\" not found; this can happen if your endpoint URL mistakenly ends in \"/api/v1\".";
const NO_SUCH_UPLOAD_MESSAGE: &str = "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
const BUCKET_DELETION_MESSAGE: &str = "This operation is not supported in LakeFS: a bucket is a repository; delete it by DELETE /api/v1/repositories/NAME";
const BUCKET_EXISTS_MESSAGE: &str = "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.";
const READ_ONLY_MESSAGE: &str = "Attempted to write to a read-only repository: write to another repository, or use the REST API with `force`";
const PROTECTED_MESSAGE: &str =
    "Attempted to write to a protected branch: write to another branch and merge it";
const INVALID_PART_ORDER_MESSAGE: &str =
    "The list of parts was not in ascending order. Parts must be ordered by part number.";
const KEY_TOO_LONG_MESSAGE: &str = "Your key is too long";
const MALFORMED_XML_MESSAGE: &str =
    "The XML you provided was not well-formed or did not validate against our published schema";
const DOCUMENT_TOO_LARGE_MESSAGE: &str = "Your request was too big.";
const PAYLOAD_HASH_MESSAGE: &str =
    "The provided 'x-amz-content-sha256' header does not match what was computed.";
const CHUNK_TOO_LARGE_MESSAGE: &str =
    "A signed chunk of the body is larger than this server accepts: send smaller chunks.";
const CONFLICT_MESSAGE: &str =
    "A conflicting operation is in progress against this resource. Please try again.";
const INTERNAL_ERROR_MESSAGE: &str = "We encountered an internal error, please try again.";
const SIGNATURE_MESSAGE: &str = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
const TIME_SKEWED_MESSAGE: &str =
    "The difference between the request time and the server's time is too large.";
const INCOMPLETE_BODY_MESSAGE: &str =
    "The body ended early, or its format or length differs from what the headers announce.";
/// Sent if the source of a copy is malformed.
pub(crate) const COPY_SOURCE_MESSAGE: &str =
    "Copy Source must mention the source bucket and key: sourcebucket/sourcekey.";
const NOT_IMPLEMENTED_MESSAGE: &str =
    "A header you provided implies functionality that is not implemented";

/// Returns lakeFS's message for an error to which s3s gives a different one.
pub(crate) fn lakefs_message(code: &str, given: &str) -> Option<&'static str> {
    match code {
        "RequestTimeTooSkewed" => Some(TIME_SKEWED_MESSAGE),
        "InvalidArgument" if given.contains("x-amz-copy-source:") => Some(COPY_SOURCE_MESSAGE),
        _ => None,
    }
}

/// Returns the message for an error to which s3s gives none.
pub(crate) fn default_message(code: &str) -> &'static str {
    match code {
        "SignatureDoesNotMatch" => SIGNATURE_MESSAGE,
        "AccessDenied" => "Access Denied.",
        "MalformedXML" => MALFORMED_XML_MESSAGE,
        "NotImplemented" => NOT_IMPLEMENTED_MESSAGE,
        "KeyTooLongError" => KEY_TOO_LONG_MESSAGE,
        "InvalidURI" => "Couldn't parse the specified URI.",
        "IncompleteBody" => INCOMPLETE_BODY_MESSAGE,
        "MaxMessageLengthExceeded" => DOCUMENT_TOO_LARGE_MESSAGE,
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "RequestTimeTooSkewed" => TIME_SKEWED_MESSAGE,
        "InternalError" => INTERNAL_ERROR_MESSAGE,
        _ => "The request was rejected.",
    }
}

impl From<S3Error> for s3s::S3Error {
    fn from(ours: S3Error) -> Self {
        ours.log();
        let (code, status) = ours.code_and_status();
        let code =
            S3ErrorCode::from_str(code).expect("S3ErrorCode accepts any text as a custom code");
        let mut error = Self::with_message(code, ours.message());
        error.set_status_code(status);
        match ours {
            S3Error::InvalidRange { size } => {
                // `set_headers` replaces all headers of the error document, including its content type.
                let mut headers = HeaderMap::new();
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/xml"),
                );
                if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
                    headers.insert(header::CONTENT_RANGE, value);
                }
                error.set_headers(headers);
            }
            S3Error::NotModified(headers) => error.set_headers(*headers),
            _ => {}
        }
        error
    }
}

impl From<auth::Error> for S3Error {
    fn from(error: auth::Error) -> Self {
        match error {
            auth::Error::Unauthenticated | auth::Error::Forbidden(_) | auth::Error::NotFound(_) => {
                Self::AccessDenied
            }
            auth::Error::InvalidValue(message) => Self::InvalidArgument(message),
            auth::Error::NotImplemented(what) => Self::NotImplemented(what.into()),
            auth::Error::RecordsBusy(cause) => busy(cause.as_ref()),
            error @ (auth::Error::AlreadyExists(_)
            | auth::Error::KeyIdCharacters
            | auth::Error::ShortSecret
            | auth::Error::Secret
            | auth::Error::Records(_)) => Self::Internal(Box::new(error)),
        }
    }
}

impl From<catalog::Error> for S3Error {
    fn from(error: catalog::Error) -> Self {
        use catalog::Error as E;
        if let Some(problem) = error.disk_problem() {
            return Self::Disk(problem, Box::new(error));
        }
        match error {
            E::NotFound { kind, .. } => match kind {
                Kind::Repository => Self::NoSuchBucket,
                Kind::Branch => Self::NoSuchBranch,
                Kind::Tag | Kind::Commit | Kind::Reference | Kind::Key => Self::NoSuchKey,
                Kind::MetaRange
                | Kind::Range
                | Kind::Dump
                | Kind::ProtectionRule
                | Kind::ReflogEntry => Self::Internal(Box::new(error)),
            },
            E::ObjectNotFound(_) => Self::NoSuchKey,
            E::DataGone(_) | E::BytesMissing(_) => Self::NoSuchVersion,
            E::WrongSize(wrong) => Self::WrongSize(wrong),
            E::InDeletion(_) => Self::NoSuchBucket,
            E::ReadOnly(_) => Self::ReadOnly,
            E::Protected { .. } => Self::Protected,
            E::InvalidValue(message) => Self::InvalidArgument(message),
            error @ (E::Advised { .. } | E::InvalidName { .. } | E::InvalidReference { .. }) => {
                Self::InvalidArgument(error.to_string())
            }
            E::PathTooLong { .. } => Self::KeyTooLong,
            E::RangeNotSatisfiable { size } => Self::InvalidRange { size },
            E::PreconditionFailed => Self::PreconditionFailed,
            E::NoSuchUpload(_) => Self::NoSuchUpload,
            E::InvalidPart(message) => Self::InvalidPart(message),
            E::Body(error) => body(&error),
            E::TooManyTries(_)
            | E::TooManyTasks
            | E::TooManyChanges
            | E::Stopping
            | E::PullRequestBusy(_) => Self::SlowDown,
            E::RecordsBusy(cause) => busy(cause.as_ref()),
            E::ConcurrentChange(_) => Self::Conflict,
            error @ (E::NotUnique { .. }
            | E::Namespace(_)
            | E::InvalidAddress { .. }
            | E::DefaultBranch(_)
            | E::NoChanges(_)
            | E::Stale(_)
            | E::DirtyBranch(_)
            | E::Conflict { .. }
            | E::ParentRequired
            | E::CherryPickParentRequired
            | E::NoSuchParent { .. }
            | E::WrongCommitId { .. }
            | E::NotBare(_)
            | E::NoMergeBase(..)
            | E::MovedOn { .. }
            | E::Rejected(_)
            | E::NoGcRules
            | E::TaskNotFound(_)
            | E::NoSuchPullRequest(_)
            | E::InvalidPullRequestId(_)
            | E::SameBranches
            | E::PullRequestStatus(_)
            | E::Records(_)
            | E::StoredData(_)
            | E::Storage { .. }
            | E::Corrupt { .. }
            | E::TaskPanicked
            | E::ServerDied { .. }) => Self::Internal(Box::new(error)),
        }
    }
}

/// The message of an internal error with its cause.
fn internal_because(cause: &str) -> Cow<'static, str> {
    let message = INTERNAL_ERROR_MESSAGE.trim_end_matches('.');
    Cow::Owned(format!("{message}: {cause}"))
}

/// The error if the database is overloaded. Logged at `debug`: an overloaded server would log an error for each request.
fn busy(cause: &(dyn std::error::Error + 'static)) -> S3Error {
    tracing::debug!(error = %base::error_chain(cause), "the database is busy");
    S3Error::SlowDown
}

/// Converts the error of a failed body stream.
fn body(error: &io::Error) -> S3Error {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<BodyError>())
    {
        Some(BodyError::Digest(what)) => S3Error::BadDigest(what),
        Some(BodyError::PayloadHash) => S3Error::PayloadHashMismatch,
        Some(BodyError::ChunkSignature) => S3Error::ChunkSignatureMismatch,
        Some(BodyError::ChunkTooLarge) => S3Error::EntityTooLarge,
        Some(BodyError::OutOfMemory) => S3Error::SlowDown,
        // Any other error means that the connection broke or that the client was too slow. In the first case the
        // client never reads this response; in the second, `app` replaces it.
        Some(BodyError::Incomplete) | None => S3Error::IncompleteBody,
    }
}

/// Converts the error of a read. If the reference does not exist or is malformed, neither does the key.
pub(crate) fn read_error(error: catalog::Error) -> S3Error {
    if is_missing_reference(&error) {
        S3Error::NoSuchKey
    } else {
        error.into()
    }
}

/// Converts the error of a write. As in lakeFS, a reference that is not a branch counts as a missing bucket.
pub(crate) fn write_error(error: catalog::Error) -> S3Error {
    if is_missing_reference(&error) {
        S3Error::NoSuchBranch
    } else {
        error.into()
    }
}

/// Returns whether the request's reference is malformed or does not exist.
pub(crate) fn is_missing_reference(error: &catalog::Error) -> bool {
    let is_malformed = matches!(
        error,
        catalog::Error::InvalidName { .. } | catalog::Error::InvalidReference { .. }
    );
    is_malformed || is_unknown_reference(error)
}

/// Returns whether the request's reference is well-formed but names no branch, tag or commit.
pub(crate) fn is_unknown_reference(error: &catalog::Error) -> bool {
    matches!(
        error,
        catalog::Error::NotFound {
            kind: Kind::Branch | Kind::Tag | Kind::Commit | Kind::Reference,
            ..
        }
    )
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
