//! Refuses queries with too many parameters.

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

/// Returns a refusal with status 414 if the query has too many parameters.
pub(super) fn refuse_too_many(interface: Interface, uri: &Uri) -> Option<Response> {
    if !are_too_many(uri) {
        return None;
    }
    let message = format!("the query has more than {MAX_QUERY_PARAMETERS} parameters");
    let status = StatusCode::URI_TOO_LONG;
    let hint = "send fewer parameters in one request";
    Some(match interface {
        Interface::S3 => refusal::s3(status, "InvalidURI", &format!("{message}: {hint}")),
        Interface::Rest | Interface::Other => refusal(status, &message, hint),
    })
}
