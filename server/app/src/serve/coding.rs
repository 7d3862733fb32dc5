//! Refuses request bodies with a transfer coding that nothing decodes.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::refusal::{self, refusal};
use crate::telemetry::Interface;

/// Returns a refusal if the body has a transfer coding other than `chunked`.
pub(super) fn refuse_other_codings(interface: Interface, headers: &HeaderMap) -> Option<Response> {
    if !has_other_coding(headers) {
        return None;
    }
    let status = StatusCode::NOT_IMPLEMENTED;
    let message = "the body has a transfer coding other than chunked";
    let hint = "send the body without Transfer-Encoding, or with chunked alone";
    let mut response = match interface {
        Interface::S3 => refusal::s3(status, "NotImplemented", &format!("{message}: {hint}")),
        Interface::Rest | Interface::Other => refusal(status, message, hint),
    };
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    Some(response)
}

/// Returns whether a body has a transfer coding other than `chunked`. Hyper decodes only `chunked`, so the encoded
/// bytes would be stored as the content.
fn has_other_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    codings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a bug: `gzip, chunked` was treated like `chunked`, and the compressed bytes were stored.
    #[test]
    fn only_chunked_is_decoded() {
        let has_other = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static(value));
            }
            has_other_coding(&headers)
        };
        for values in [&[][..], &["chunked"], &["Chunked"]] {
            assert!(!has_other(values), "{values:?}");
        }
        for values in [&["gzip, chunked"][..], &["gzip", "chunked"], &["identity"]] {
            assert!(has_other(values), "{values:?}");
        }
    }
}
