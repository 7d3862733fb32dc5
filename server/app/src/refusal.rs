//! Error responses from outside the handlers of the REST API and of the S3 gateway.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};

use crate::page::escape;

/// The longest message, in bytes. A message may contain a value of the request.
const MAX_MESSAGE_BYTES: usize = 8 << 10;

/// Returns an error with the body of the REST API's errors.
pub(crate) fn refusal(status: StatusCode, message: &str, hint: &str) -> Response {
    let message = base::shorten(message, MAX_MESSAGE_BYTES);
    let body = serde_json::json!({ "message": message, "hint": hint });
    (status, axum::Json(body)).into_response()
}

/// Returns an error with the error document of S3.
pub(crate) fn s3(status: StatusCode, code: &str, message: &str) -> Response {
    let message = escape(&base::shorten(message, MAX_MESSAGE_BYTES));
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = (status, document).into_response();
    let xml = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(header::CONTENT_TYPE, xml);
    response
}
