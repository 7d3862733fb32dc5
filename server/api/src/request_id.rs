//! `X-Request-ID`: taken over from the caller where it is harmless, made here otherwise, and sent back.
//!
//! A layer, so that the gateway and the console get the same.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base::IdGenerator;
use http::{HeaderName, HeaderValue};
use tracing::Instrument as _;

/// The header's name.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids of callers are replaced.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// A request's id; in the extensions of every request that passed the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Gives every request an id, opens its span and sends the id back. Use with
/// `axum::middleware::from_fn_with_state`.
pub async fn request_id(State(ids): State<Arc<dyn IdGenerator>>, mut request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(acceptable).unwrap_or_else(|| ids.uuid());
    let value = HeaderValue::from_str(&id).expect("ids are made of letters, digits and dashes");
    request.headers_mut().insert(REQUEST_ID, value.clone());
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", request.id = %id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

/// An id that can go to headers and logs as it is.
fn acceptable(given: &HeaderValue) -> Option<String> {
    let text = given.to_str().ok()?;
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '=' | '+');
    let fits = !text.is_empty() && text.len() <= MAX_REQUEST_ID_BYTES;
    (fits && text.chars().all(harmless)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::acceptable;
    use http::HeaderValue;

    #[test]
    fn only_harmless_ids_are_taken_over() {
        let take = |text: &str| acceptable(&HeaderValue::from_str(text).expect("a header value"));
        assert_eq!(take("a1-B_2.c:d/e="), Some("a1-B_2.c:d/e=".to_owned()));
        for bad in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert_eq!(take(bad), None, "{bad}");
        }
    }
}
