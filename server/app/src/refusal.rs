//! Error responses from outside the handlers of the REST API and of the S3 gateway.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

/// Returns an error with the body of the REST API's errors.
pub(crate) fn refusal(status: StatusCode, message: &str, hint: &str) -> Response {
    let body = serde_json::json!({ "message": message, "hint": hint });
    (status, axum::Json(body)).into_response()
}
