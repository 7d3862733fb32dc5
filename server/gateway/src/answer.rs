//! Answers on their way out: errors get their message, resource and request id,
//! whichever layer made them.

use axum::body::Body;
use base::IdGenerator;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::error::{default_message, known_message};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
/// Set by the server around the gateway, so that its log and our answer name the same id.
const OUTER_REQUEST_ID: &str = "x-request-id";
const MAX_REQUEST_ID_BYTES: usize = 128;

/// How many keys a listing of version 1 has, which S3 does not say there but lakeFS does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyCount(pub(crate) usize);

/// The status of an answer, where the protocol layer takes no other than its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status(pub(crate) StatusCode);

/// What an answer must know of its request.
pub(crate) struct Asked {
    id: HeaderValue,
    is_head: bool,
    path: String,
}

impl Asked {
    pub(crate) fn of(request: &Request<Body>, ids: &dyn IdGenerator) -> Self {
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

    /// Completes an answer.
    pub(crate) fn finish(self, answer: Response<s3s::Body>) -> Response<Body> {
        let (mut parts, mut body) = answer.into_parts();
        parts.headers.insert(REQUEST_ID, self.id.clone());
        if let Some(Status(status)) = parts.extensions.get() {
            parts.status = *status;
        }
        let is_error = parts.status.is_client_error() || parts.status.is_server_error();
        let is_empty_answer =
            parts.status == StatusCode::NOT_MODIFIED || (is_error && self.is_head);
        if is_empty_answer {
            parts.headers.remove(header::CONTENT_TYPE);
            return Response::from_parts(parts, Body::empty());
        }
        if is_error && let Some(document) = body.bytes() {
            body = self.error(&document).map_or(body, s3s::Body::from);
        }
        if let Some(KeyCount(count)) = parts.extensions.get()
            && let Some(document) = body.bytes()
        {
            body = with_key_count(&document, *count).map_or(body, s3s::Body::from);
        }
        Response::from_parts(parts, Body::new(body))
    }

    /// An error's document with all that is known of it; none if it is not one.
    fn error(&self, document: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(document).ok()?;
        let code = element(text, "Code")?;
        let message = match element(text, "Message") {
            Some(message) => {
                known_message(code, message).map_or_else(|| message.to_owned(), escape)
            }
            None => escape(default_message(code)),
        };
        let id = self.id.to_str().unwrap_or_default();
        Some(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <Resource>{}</Resource><RequestId>{}</RequestId><HostId></HostId></Error>",
            escape(&self.path),
            escape(id),
        ))
    }
}

/// The text of an element, as it is escaped in the document.
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
