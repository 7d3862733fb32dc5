//! Maps all failures to HTTP responses: status (`status.rs`), message and hint (`text.rs`), findings.
//!
//! Other modules choose the error status only for responses with another body (merge conflicts, unreadable
//! parameters) and for callers that are refused because of their origin (`guard.rs`, `first_caller.rs`).
//! `status.rs`, `of_catalog` and `of_auth` match exhaustively, so that a new error of a lower layer does not compile
//! until it is mapped. Failures of the server itself are logged here, once, with their causes; clients see only
//! which operation failed.

use api_types as types;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use catalog::{Description, TaskOperation};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

mod catalog_text;
mod details;
mod during;
mod error_text;
mod failure;
mod status;
mod text;

pub(crate) use details::{conflicting, finding};
pub(crate) use during::{Context, During};
pub(crate) use error_text::{ErrorText, MAX_ERROR_TEXT_BYTES, SEND_WHOLE_BODY};
pub(crate) use failure::{Conflicts, Error, Result};
use status::{of_auth, of_catalog};

impl Error {
    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Catalog(error) => of_catalog(error),
            Self::Auth(error) => of_auth(error),
            Self::Described { error, .. } => error.status(),
            Self::Invalid(_) | Self::InvalidWith(_) | Self::NoPresign(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) | Self::TooManyValues(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoEndpoint
            | Self::WrongMethod { .. }
            | Self::NotFound(_)
            | Self::NoRun
            | Self::NoHookOutput => StatusCode::NOT_FOUND,
            Self::Precondition(_) => StatusCode::PRECONDITION_FAILED,
            Self::NotImplemented(_) | Self::NoPresignMultipart => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// Message and hint.
    pub(crate) fn text(&self) -> ErrorText {
        self.text_during(During::Any)
    }

    /// Message and hint for the given operation. Only findings of hooks, which have their own limits, may be longer than
    /// [`MAX_ERROR_TEXT_BYTES`]: other long texts contain a value of the caller.
    fn text_during(&self, during: During<'_>) -> ErrorText {
        let text = text::of(self, during);
        match self {
            // `described` has shortened it already.
            Self::Described { .. } | Self::Catalog(catalog::Error::Rejected(_)) => text,
            _ => text.shortened(),
        }
    }

    /// Sets the text of the failure to that for the given operation.
    pub(crate) fn described(self, during: During<'_>) -> Self {
        let text = self.text_during(during);
        Self::Described {
            error: Box::new(self),
            text,
        }
    }

    /// The failure without its description.
    fn cause(&self) -> &Self {
        match self {
            Self::Described { error, .. } => error.cause(),
            other => other,
        }
    }

    /// The conflicts, if the failure is a conflict.
    pub(crate) fn conflicts(&self) -> Option<Conflicts> {
        let Self::Catalog(error) = self.cause() else {
            return None;
        };
        let (paths, count) = conflicting(&catalog::Conflicts::of(error)?);
        Some(Conflicts {
            text: self.text(),
            paths,
            count,
        })
    }

    /// Whether the server is overloaded or stopping, although nothing is broken.
    fn is_busy(&self) -> bool {
        matches!(
            self.cause(),
            Self::Busy(_)
                | Self::Catalog(catalog::Error::RecordsBusy(_) | catalog::Error::Stopping)
                | Self::Auth(auth::Error::RecordsBusy(_))
        )
    }

    fn findings(&self) -> Option<Vec<types::HookFinding>> {
        match self.cause() {
            Self::Catalog(catalog::Error::Rejected(rejection)) => {
                Some(rejection.findings.iter().map(finding).collect())
            }
            _ => None,
        }
    }
}

/// Converts the failure to parse a name or an id.
pub(crate) fn parsed<T, E>(parsed: std::result::Result<T, E>) -> Result<T>
where
    catalog::Error: From<E>,
{
    Ok(parsed.map_err(catalog::Error::from)?)
}

/// Describes a failure for clients that ask for it later, such as the failure of a task.
#[must_use]
pub fn describe_failure(error: &catalog::Error, operation: &TaskOperation) -> Description {
    let during = match operation {
        TaskOperation::Commit => During::Commit,
        TaskOperation::Merge { destination } => During::Merge { destination },
        TaskOperation::Other => During::Any,
    };
    let text = catalog_text::of_catalog(error, during);
    let ErrorText { message, hint } = match error {
        catalog::Error::Rejected(_) => text,
        _ => text.shortened(),
    };
    let status = of_catalog(error);
    Description {
        code: status.as_u16().into(),
        is_server_fault: status.is_server_error(),
        message,
        hint,
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
        if self.is_busy() {
            // Not logged as an error, because an overloaded server would log one error per request.
            tracing::debug!(status = status.as_u16(), error = %base::error_chain(self.cause()), "the server is busy");
        } else if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            tracing::error!(status = status.as_u16(), error = %base::error_chain(self.cause()), "request failed");
        }
        let findings = self.findings().filter(|findings| !findings.is_empty());
        let (conflicts, conflict_count) = self
            .conflicts()
            .map(|conflicts| (conflicts.paths, conflicts.count))
            .unzip();
        let ErrorText { message, hint } = self.text();
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
        let is_temporary = [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::TOO_MANY_REQUESTS,
        ]
        .contains(&status);
        if is_temporary {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests;
