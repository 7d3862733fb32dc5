//! Completes responses: every error gets its message, resource and request id, whether the
//! gateway or s3s produced it.

use axum::body::Body;
use base::IdGenerator;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::error::{MAX_MESSAGE_BYTES, default_message, lakefs_message};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
/// The server sets this header before it calls the gateway. With the same id in the response, operators
/// find the request in the server's log.
const OUTER_REQUEST_ID: &str = "x-request-id";
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Number of rows in a `ListObjects` (version 1) response. lakeFS sends it; s3s has no field for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyCount(pub(crate) usize);

/// Response status that replaces the one s3s chooses for the operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusOverride(pub(crate) StatusCode);

/// The parts of a request that its response needs.
pub(crate) struct RequestContext {
    id: HeaderValue,
    is_head: bool,
    path: String,
}

impl RequestContext {
    pub(crate) fn new(request: &Request<Body>, ids: &dyn IdGenerator) -> Self {
        let fits = |id: &&HeaderValue| id.len() <= MAX_REQUEST_ID_BYTES && id.to_str().is_ok();
        let given = request
            .headers()
            .get(OUTER_REQUEST_ID)
            .filter(fits)
            .cloned();
        Self {
            id: given.unwrap_or_else(|| {
                HeaderValue::from_str(&ids.uuid()).expect("generated ids are plain ASCII")
            }),
            is_head: request.method() == Method::HEAD,
            path: request.uri().path().to_owned(),
        }
    }

    /// Adds the request id and the key count, overrides the status, and completes error documents.
    pub(crate) fn finish(self, response: Response<s3s::Body>) -> Response<Body> {
        let (mut parts, mut body) = response.into_parts();
        parts.headers.insert(REQUEST_ID, self.id.clone());
        if let Some(StatusOverride(status)) = parts.extensions.get() {
            parts.status = *status;
        }
        let is_error = parts.status.is_client_error() || parts.status.is_server_error();
        let has_no_body = parts.status == StatusCode::NOT_MODIFIED || (is_error && self.is_head);
        if has_no_body {
            parts.headers.remove(header::CONTENT_TYPE);
            return Response::from_parts(parts, Body::empty());
        }
        if is_error && let Some(document) = body.bytes() {
            body = self.complete_error(&document).map_or(body, s3s::Body::from);
        }
        if let Some(KeyCount(count)) = parts.extensions.get()
            && let Some(document) = body.bytes()
        {
            body = with_key_count(&document, *count).map_or(body, s3s::Body::from);
        }
        Response::from_parts(parts, Body::new(body))
    }

    /// Returns the error document with message, resource and request id, or `None` if `document`
    /// is not an error document.
    fn complete_error(&self, document: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(document).ok()?;
        let code = element(text, "Code")?;
        let message = match element(text, "Message") {
            // Escaped text cannot be shortened.
            Some(message) if message.len() > 6 * MAX_MESSAGE_BYTES => escape(default_message(code)),
            Some(message) => {
                lakefs_message(code, message).map_or_else(|| message.to_owned(), escape)
            }
            None => escape(default_message(code)),
        };
        let id = self.id.to_str().unwrap_or_default();
        Some(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <Resource>{}</Resource><RequestId>{}</RequestId><HostId></HostId></Error>",
            escape(&base::shorten(&self.path, MAX_MESSAGE_BYTES)),
            escape(id),
        ))
    }
}

/// Returns the text of the first element called `name`, still escaped.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let rest = document.split_once(&format!("<{name}>"))?.1;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

fn with_key_count(document: &[u8], count: usize) -> Option<String> {
    let (before, after) = std::str::from_utf8(document)
        .ok()?
        .rsplit_once("</ListBucketResult>")?;
    Some(format!(
        "{before}<KeyCount>{count}</KeyCount></ListBucketResult>{after}"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
