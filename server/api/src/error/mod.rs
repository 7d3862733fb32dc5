//! THE mapping of failures to HTTP: status (`status.rs`), words (`words.rs`), findings. No status is
//! decided anywhere else but for successes, and the conflict of a merge, which answers a `MergeResult`.
//!
//! Every match is exhaustive, so that a new failure below can't go out unnoticed.
//! What is the server's own fault is logged here, once, with its causes; callers
//! are told no more than the operation that failed.

use api_types as types;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use catalog::{Description, Doing, EngineError};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

mod during;
mod engine_words;
mod status;
mod words;

pub(crate) use during::{Context, During};
use status::{of_auth, of_catalog};
pub(crate) use words::Words;

/// The result of a handler.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A request that can't be answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// Another failure, in the words of the operation that met it.
    #[error("{error}")]
    Told { error: Box<Error>, words: Words },
    /// Does not follow the contract; the message says where.
    #[error("{0}")]
    Invalid(String),
    /// The same, with a hint what would follow it.
    #[error("{}", .0.message)]
    InvalidWith(Words),
    /// The store makes no presigned links; its kind.
    #[error("{0} adapter presigned URL: operation not supported")]
    NoPresign(&'static str),
    #[error("request body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("request body has more than {0} values")]
    TooManyValues(usize),
    /// Other requests hold the memory that this one's body needs.
    #[error(transparent)]
    Busy(#[from] base::BudgetExhausted),
    /// The store makes no presigned links, so that clients upload no parts by them.
    #[error("presign multipart upload API is not supported")]
    NoPresignMultipart,
    /// No such route.
    #[error("invalid API endpoint")]
    NoEndpoint,
    #[error("{0} not found")]
    NotFound(String),
    /// There is no such run of hooks. In lakeFS's words.
    #[error("not found: not found")]
    NoRun,
    /// There is no such hook of a run, or its log is gone. In lakeFS's words.
    #[error("not found")]
    NoHookOutput,
    /// A precondition of the operation does not hold.
    #[error("{0}")]
    Precondition(String),
    /// An operation, or a way of asking for it, that this server does not have.
    #[error("{0} is not implemented in this version of Weir")]
    NotImplemented(&'static str),
}

/// The paths that a merge, revert or cherry-pick met conflicts at.
#[derive(Debug)]
pub(crate) struct Conflicts {
    pub(crate) words: Words,
    /// The first of them, in order of path.
    pub(crate) paths: Vec<String>,
    pub(crate) count: i64,
}

impl Error {
    /// The status that clients decide by.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Catalog(error) => of_catalog(error),
            Self::Auth(error) => of_auth(error),
            Self::Told { error, .. } => error.status(),
            Self::Invalid(_) | Self::InvalidWith(_) | Self::NoPresign(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) | Self::TooManyValues(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoEndpoint | Self::NotFound(_) | Self::NoRun | Self::NoHookOutput => {
                StatusCode::NOT_FOUND
            }
            Self::Precondition(_) => StatusCode::PRECONDITION_FAILED,
            Self::NotImplemented(_) | Self::NoPresignMultipart => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// What people and scripts read.
    fn words(&self) -> Words {
        words::of(self, During::Any)
    }

    /// The same failure in the words of what was being done.
    fn told(self, during: During<'_>) -> Self {
        let words = words::of(&self, during);
        Self::Told {
            error: Box::new(self),
            words,
        }
    }

    /// The failure itself, whoever tells of it.
    fn itself(&self) -> &Self {
        match self {
            Self::Told { error, .. } => error.itself(),
            other => other,
        }
    }

    /// What contradicts each other, where that is the failure.
    pub(crate) fn conflicts(&self) -> Option<Conflicts> {
        let Self::Catalog(error) = self.itself() else {
            return None;
        };
        let (paths, count) = crate::convert::conflicting(&catalog::Conflicts::of(error)?);
        Some(Conflicts {
            words: self.words(),
            paths,
            count,
        })
    }

    fn findings(&self) -> Option<Vec<types::HookFinding>> {
        match self.itself() {
            Self::Catalog(catalog::Error::Engine(EngineError::Rejected(rejection))) => Some(
                rejection
                    .findings
                    .iter()
                    .map(crate::convert::finding)
                    .collect(),
            ),
            _ => None,
        }
    }
}

/// The status and the words of a failure of the services, for what is answered later than its request.
#[must_use]
pub fn describe_failure(error: &catalog::Error, doing: &Doing) -> Description {
    let during = match doing {
        Doing::Commit => During::Commit,
        Doing::Merge { destination } => During::Merge { destination },
        Doing::Other => During::Any,
    };
    let Words { message, hint } = words::of_catalog(error, during);
    Description {
        status_code: of_catalog(error).as_u16(),
        message,
        hint,
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Self::Catalog(error.into())
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let is_busy = matches!(self.itself(), Self::Busy(_));
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED && !is_busy {
            tracing::error!(status = status.as_u16(), error = %base::chain(self.itself()), "failed to answer a request");
        }
        let findings = self.findings().filter(|findings| !findings.is_empty());
        let (conflicts, conflict_count) = self
            .conflicts()
            .map(|conflicts| (conflicts.paths, conflicts.count))
            .unzip();
        let Words { message, hint } = self.words();
        let mut response = (
            status,
            Json(types::Error {
                message,
                hint,
                findings,
                conflicts,
                conflict_count,
            }),
        )
            .into_response();
        if is_busy {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests;
