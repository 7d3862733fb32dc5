//! Refuses queries with too many parameters.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::refusal::{self, refusal};
use crate::telemetry::Interface;

/// Maximum number of query parameters. A parsed parameter can use much more memory than its text.
const MAX_QUERY_PARAMETERS: usize = 1000;

/// Returns whether the query must not be parsed.
pub(super) fn are_too_many(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query.bytes().filter(|b| *b == b'&').count() >= MAX_QUERY_PARAMETERS
}

/// Middleware: refuses queries with too many parameters with status 414.
pub(super) async fn refuse_too_many(request: Request, next: Next) -> Response {
    if !are_too_many(request.uri()) {
        return next.run(request).await;
    }
    let message = format!("the query has more than {MAX_QUERY_PARAMETERS} parameters");
    let (status, hint) = (
        StatusCode::URI_TOO_LONG,
        "send fewer parameters in one request",
    );
    match request.extensions().get() {
        Some(Interface::S3) => refusal::s3(status, "InvalidURI", &format!("{message}: {hint}")),
        _ => refusal(status, &message, hint),
    }
}
