//! The mapping to S3's error codes: the only place that names them.
//!
//! Operations return a [`Fault`]; the layers below are converted here, exhaustively. A message begins
//! with the text that clients know; what helps beyond it follows behind a colon.
//! What a missing reference means depends on the operation, so reads and writes
//! convert through [`reading`] and [`writing`].

use std::borrow::Cow;
use std::str::FromStr as _;

use catalog::{BlockError, EngineError, Kind};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::{S3Error, S3ErrorCode};

/// The result of a gateway operation.
pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// Why a request is refused, as a client of S3 is told.
#[derive(Debug)]
pub(crate) enum Fault {
    AccessDenied,
    /// Access denied, with a reason that gives nothing away.
    Refused(&'static str),
    /// A presigned URL's parameters are not acceptable.
    QueryParameters(&'static str),
    /// A signature's time is too far from ours.
    TimeSkewed,
    /// The repository named in a copy, or in the request.
    NoSuchBucket,
    /// The branch that is written to.
    NoSuchBranch,
    /// The bucket is called `api`: the endpoint probably ends in `/api/v1`.
    BucketIsApi,
    NoSuchKey,
    /// The entry is there, its bytes are gone.
    NoSuchVersion,
    NoSuchUpload,
    BucketExists,
    NotImplemented(Cow<'static, str>),
    /// A sub-resource or operation that repositories do not have.
    NotSupported,
    ReadOnly,
    Protected,
    PreconditionFailed,
    /// The client's copy is current. Carries what a cache updates: tag and date.
    NotModified(Box<HeaderMap>),
    InvalidRange {
        size: u64,
    },
    InvalidPartNumber,
    InvalidArgument(String),
    InvalidRequest(Cow<'static, str>),
    InvalidPart(String),
    InvalidPartOrder,
    MalformedXml,
    MetadataTooLarge,
    /// A listing whose reference or marker names nothing.
    BadRequest,
    InvalidDigest,
    BadDigest(&'static str),
    PayloadHashMismatch,
    ChunkSignatureMismatch,
    IncompleteBody,
    EntityTooLarge,
    /// Lost a race too often, or the stores are busy: try again later.
    SlowDown,
    Conflict,
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    /// Code, status and message.
    fn describe(&self) -> (&'static str, StatusCode, Cow<'static, str>) {
        let (code, status, message): (_, _, &'static str) = match self {
            Self::AccessDenied => ("AccessDenied", StatusCode::FORBIDDEN, "Access Denied."),
            Self::Refused(message) => ("AccessDenied", StatusCode::FORBIDDEN, message),
            Self::QueryParameters(message) => (
                "AuthorizationQueryParametersError",
                StatusCode::BAD_REQUEST,
                message,
            ),
            Self::TimeSkewed => (
                "RequestTimeTooSkewed",
                StatusCode::FORBIDDEN,
                TIME_SKEWED_MESSAGE,
            ),
            Self::NoSuchBucket => (
                "NoSuchBucket",
                StatusCode::NOT_FOUND,
                "The specified bucket does not exist",
            ),
            Self::NoSuchBranch => (
                "NoSuchBucket",
                StatusCode::NOT_FOUND,
                "The specified bucket does not exist: a key begins with a branch, and the repository has none of this name to write to",
            ),
            Self::BucketIsApi => (
                "ErrNoSuchBucketPossibleAPIEndpoint",
                StatusCode::NOT_FOUND,
                "Repository \"api\" not found; this can happen if your endpoint URL mistakenly ends in \"/api/v1\".",
            ),
            Self::NoSuchKey => (
                "NoSuchKey",
                StatusCode::NOT_FOUND,
                "The specified key does not exist.",
            ),
            Self::NoSuchVersion => (
                "NoSuchVersion",
                StatusCode::NOT_FOUND,
                "The data of the specified object does not exist any more.",
            ),
            Self::NoSuchUpload => (
                "NoSuchUpload",
                StatusCode::NOT_FOUND,
                "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
            ),
            Self::BucketExists => (
                "BucketAlreadyExists",
                StatusCode::CONFLICT,
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
            ),
            Self::NotImplemented(message) => {
                return (
                    "NotImplemented",
                    StatusCode::NOT_IMPLEMENTED,
                    message.clone(),
                );
            }
            Self::NotSupported => (
                "ERRLakeFSNotSupported",
                StatusCode::METHOD_NOT_ALLOWED,
                "This operation is not supported in LakeFS",
            ),
            Self::ReadOnly => (
                "ErrReadOnlyRepository",
                StatusCode::FORBIDDEN,
                "Attempted to write to a read-only repository: objects are written to another one, or over the REST API with `force`",
            ),
            Self::Protected => (
                "ErrWriteToProtectedBranch",
                StatusCode::FORBIDDEN,
                "Attempted to write to a protected branch: write to another branch and merge that",
            ),
            Self::PreconditionFailed => (
                "PreconditionFailed",
                StatusCode::PRECONDITION_FAILED,
                "At least one of the pre-conditions you specified did not hold",
            ),
            Self::InvalidPartOrder => (
                "InvalidPartOrder",
                StatusCode::BAD_REQUEST,
                "The list of parts was not in ascending order. Parts must be ordered by part number.",
            ),
            Self::NotModified(_) => ("NotModified", StatusCode::NOT_MODIFIED, "Not modified"),
            Self::InvalidRange { .. } => (
                "InvalidRange",
                StatusCode::RANGE_NOT_SATISFIABLE,
                "The requested range is not satisfiable",
            ),
            Self::InvalidPartNumber => (
                "InvalidPartNumber",
                StatusCode::RANGE_NOT_SATISFIABLE,
                "The requested partnumber is not satisfiable",
            ),
            Self::InvalidArgument(message) => {
                return (
                    "InvalidArgument",
                    StatusCode::BAD_REQUEST,
                    Cow::Owned(message.clone()),
                );
            }
            Self::InvalidRequest(message) => {
                return ("InvalidRequest", StatusCode::BAD_REQUEST, message.clone());
            }
            Self::InvalidPart(message) => {
                return (
                    "InvalidPart",
                    StatusCode::BAD_REQUEST,
                    Cow::Owned(message.clone()),
                );
            }
            Self::MalformedXml => (
                "MalformedXML",
                StatusCode::BAD_REQUEST,
                "The XML you provided was not well-formed or did not validate against our published schema",
            ),
            Self::MetadataTooLarge => (
                "MetadataTooLarge",
                StatusCode::BAD_REQUEST,
                "Your metadata headers exceed the maximum allowed metadata size.",
            ),
            Self::BadRequest => ("BadRequest", StatusCode::BAD_REQUEST, "400 BadRequest"),
            Self::InvalidDigest => (
                "InvalidDigest",
                StatusCode::BAD_REQUEST,
                "The Content-MD5 or checksum you specified is not valid.",
            ),
            Self::BadDigest(what) => {
                let message = format!("The {what} you specified did not match what we received.");
                return ("BadDigest", StatusCode::BAD_REQUEST, Cow::Owned(message));
            }
            Self::PayloadHashMismatch => (
                "XAmzContentSHA256Mismatch",
                StatusCode::BAD_REQUEST,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ),
            Self::ChunkSignatureMismatch => (
                "SignatureDoesNotMatch",
                StatusCode::FORBIDDEN,
                SIGNATURE_MESSAGE,
            ),
            Self::IncompleteBody => (
                "IncompleteBody",
                StatusCode::BAD_REQUEST,
                "The body ended early or is not in the form and length that the headers announce.",
            ),
            Self::EntityTooLarge => (
                "EntityTooLarge",
                StatusCode::BAD_REQUEST,
                "A signed chunk of the body is larger than this server takes: send smaller chunks.",
            ),
            Self::SlowDown => (
                "SlowDown",
                StatusCode::SERVICE_UNAVAILABLE,
                "Please reduce your request rate.",
            ),
            Self::Conflict => (
                "OperationAborted",
                StatusCode::CONFLICT,
                "A conflicting operation is in progress against this resource. Please try again.",
            ),
            Self::Internal(_) => (
                "InternalError",
                StatusCode::INTERNAL_SERVER_ERROR,
                "We encountered an internal error, please try again.",
            ),
        };
        (code, status, Cow::Borrowed(message))
    }

    /// Code and message, as an entry of a batch's answer.
    pub(crate) fn entry(&self) -> (&'static str, String) {
        self.log();
        let (code, _, message) = self.describe();
        (code, message.into_owned())
    }

    /// A request that asks for something that no part of the gateway does.
    pub(crate) fn not_implemented() -> Self {
        Self::NotImplemented(Cow::Borrowed(NOT_IMPLEMENTED_MESSAGE))
    }

    /// The answer outside of an operation.
    pub(crate) fn into_response(self) -> http::Response<s3s::Body> {
        let status = self.describe().1;
        S3Error::from(self).to_http_response().unwrap_or_else(|_| {
            let mut response = http::Response::new(s3s::Body::empty());
            *response.status_mut() = status;
            response
        })
    }

    fn log(&self) {
        if let Self::Internal(source) = self {
            tracing::error!(error = %base::chain(source.as_ref()), "S3 request failed");
        }
    }
}

const SIGNATURE_MESSAGE: &str = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
const TIME_SKEWED_MESSAGE: &str =
    "The difference between the request time and the server's time is too large.";
/// What a copy's source must look like.
pub(crate) const COPY_SOURCE_MESSAGE: &str =
    "Copy Source must mention the source bucket and key: sourcebucket/sourcekey.";
const NOT_IMPLEMENTED_MESSAGE: &str =
    "A header you provided implies functionality that is not implemented";

/// The message of lakeFS for what the protocol layer says in words of its own, if there is one.
pub(crate) fn known_message(code: &str, given: &str) -> Option<&'static str> {
    match code {
        "RequestTimeTooSkewed" => Some(TIME_SKEWED_MESSAGE),
        "InvalidArgument" if given.contains("x-amz-copy-source:") => Some(COPY_SOURCE_MESSAGE),
        _ => None,
    }
}

/// The message of a code that the protocol layer answers without one.
pub(crate) fn default_message(code: &str) -> &'static str {
    match code {
        "SignatureDoesNotMatch" => SIGNATURE_MESSAGE,
        "AccessDenied" => "Access Denied.",
        "MalformedXML" => {
            "The XML you provided was not well-formed or did not validate against our published schema"
        }
        "NotImplemented" => NOT_IMPLEMENTED_MESSAGE,
        "KeyTooLongError" => "Your key is too long",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "IncompleteBody" => {
            "The body ended early or is not in the form and length that the headers announce."
        }
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "RequestTimeTooSkewed" => TIME_SKEWED_MESSAGE,
        "InternalError" => "We encountered an internal error, please try again.",
        _ => "The request is refused.",
    }
}

impl From<Fault> for S3Error {
    fn from(fault: Fault) -> Self {
        fault.log();
        let (code, status, message) = fault.describe();
        let code = S3ErrorCode::from_str(code).expect("every text is a code");
        let mut error = Self::with_message(code, message);
        error.set_status_code(status);
        match fault {
            Fault::InvalidRange { size } => {
                // These replace the headers of the document.
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
            Fault::NotModified(headers) => error.set_headers(*headers),
            _ => {}
        }
        error
    }
}

impl From<auth::Error> for Fault {
    fn from(error: auth::Error) -> Self {
        match error {
            auth::Error::Unauthenticated | auth::Error::Forbidden(_) | auth::Error::NotFound(_) => {
                Self::AccessDenied
            }
            auth::Error::InvalidValue(message) => Self::InvalidArgument(message),
            auth::Error::NotImplemented(what) => Self::NotImplemented(what.into()),
            error @ (auth::Error::AlreadyExists(_) | auth::Error::Secret | auth::Error::Kv(_)) => {
                Self::Internal(Box::new(error))
            }
        }
    }
}

impl From<catalog::Error> for Fault {
    fn from(error: catalog::Error) -> Self {
        match error {
            catalog::Error::Engine(error) => engine(error),
            catalog::Error::ObjectNotFound(_) => Self::NoSuchKey,
            catalog::Error::DataGone(_) => Self::NoSuchVersion,
            catalog::Error::InvalidValue(message) => Self::InvalidArgument(message),
            error @ catalog::Error::PathTooLong { .. } => Self::InvalidArgument(error.to_string()),
            catalog::Error::RangeNotSatisfiable { size } => Self::InvalidRange { size },
            catalog::Error::PreconditionFailed => Self::PreconditionFailed,
            catalog::Error::NoSuchUpload(_) => Self::NoSuchUpload,
            catalog::Error::InvalidPart(message) => Self::InvalidPart(message),
            catalog::Error::Body(error) => crate::body::fault(&error),
            catalog::Error::Block(error) => block(error),
            error @ (catalog::Error::Namespace(_)
            | catalog::Error::NoGcRules
            | catalog::Error::TaskNotFound(_)
            | catalog::Error::TooManyTasks
            | catalog::Error::NoSuchPullRequest(_)
            | catalog::Error::InvalidPullRequestId(_)
            | catalog::Error::SameBranches
            | catalog::Error::PullRequestStatus(_)
            | catalog::Error::PullRequestBusy(_)) => Self::Internal(Box::new(error)),
        }
    }
}

fn engine(error: EngineError) -> Fault {
    match error {
        EngineError::NotFound { kind, .. } => match kind {
            Kind::Repository => Fault::NoSuchBucket,
            Kind::Branch => Fault::NoSuchBranch,
            Kind::Tag | Kind::Commit | Kind::Reference | Kind::Key => Fault::NoSuchKey,
            Kind::MetaRange
            | Kind::Range
            | Kind::Dump
            | Kind::ProtectionRule
            | Kind::ReflogEntry => Fault::Internal(Box::new(error)),
        },
        EngineError::InDeletion(_) => Fault::NoSuchBucket,
        EngineError::ReadOnly(_) => Fault::ReadOnly,
        EngineError::Protected { .. } => Fault::Protected,
        EngineError::InvalidValue(message) => Fault::InvalidArgument(message),
        error @ (EngineError::InvalidName { .. } | EngineError::InvalidReference { .. }) => {
            Fault::InvalidArgument(error.to_string())
        }
        EngineError::PreconditionFailed => Fault::PreconditionFailed,
        EngineError::TooManyTries(_) => Fault::SlowDown,
        EngineError::ConcurrentChange(_) => Fault::Conflict,
        EngineError::Block(error) => block(error),
        error @ (EngineError::NotUnique { .. }
        | EngineError::Namespace(_)
        | EngineError::DefaultBranch(_)
        | EngineError::NoChanges(_)
        | EngineError::Stale(_)
        | EngineError::DirtyBranch(_)
        | EngineError::Conflict { .. }
        | EngineError::ParentRequired
        | EngineError::CherryPickParentRequired
        | EngineError::NoSuchParent { .. }
        | EngineError::WrongCommitId { .. }
        | EngineError::NotBare(_)
        | EngineError::NoMergeBase(..)
        | EngineError::MovedOn(_)
        | EngineError::Rejected(_)
        | EngineError::Corrupt { .. }
        | EngineError::Kv(_)) => Fault::Internal(Box::new(error)),
    }
}

fn block(error: BlockError) -> Fault {
    match error {
        BlockError::NotFound(_) => Fault::NoSuchVersion,
        BlockError::RangeNotSatisfiable { size } => Fault::InvalidRange { size },
        BlockError::NoSuchUpload(_) => Fault::NoSuchUpload,
        BlockError::InvalidPart(message) => Fault::InvalidPart(message),
        BlockError::Body(error) => crate::body::fault(&error),
        error @ (BlockError::InvalidAddress { .. } | BlockError::Storage { .. }) => {
            Fault::Internal(Box::new(error))
        }
    }
}

/// The failure of a read: a reference that is not there, or can't be, has no keys.
pub(crate) fn reading(error: catalog::Error) -> Fault {
    if is_missing_reference(&error) {
        Fault::NoSuchKey
    } else {
        error.into()
    }
}

/// The failure of a write: only branches can be written to, others count as buckets that are not there.
pub(crate) fn writing(error: catalog::Error) -> Fault {
    if is_missing_reference(&error) {
        Fault::NoSuchBranch
    } else {
        error.into()
    }
}

/// Whether the reference of a request names nothing.
pub(crate) fn is_missing_reference(error: &catalog::Error) -> bool {
    matches!(
        error,
        catalog::Error::Engine(
            EngineError::NotFound {
                kind: Kind::Branch | Kind::Tag | Kind::Commit | Kind::Reference,
                ..
            } | EngineError::InvalidValue(_)
                | EngineError::InvalidName { .. }
                | EngineError::InvalidReference { .. }
        )
    )
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
