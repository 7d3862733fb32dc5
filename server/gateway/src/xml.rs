//! Bounds the memory of XML documents.
//!
//! s3s reads a document into memory and parses it into lists, in which short elements take many
//! times their size. While the document streams, the meter counts its tags and reserves the memory that
//! parsing will need from the server's budget. s3s reads the document only after verifying the signature,
//! so unauthenticated callers cannot use up the budget.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use base::{ByteBudget, Reservation};
use bytes::Bytes;
use futures::StreamExt as _;
use http::Method;
use http::request::Parts;

use crate::error::S3Error;
use crate::host::Domains;

/// Maximum size of a document. Ten thousand parts with checksums or a thousand long keys fit.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// Maximum number of opening and closing tags. Ten thousand parts with all checksums fit.
pub(crate) const MAX_TAGS: usize = 200_000;
/// Memory that the shortest element takes in a parsed list, including the list's spare capacity.
const BYTES_PER_TAG: usize = 400;
/// A document's bytes are held twice: as received and as the texts of its elements.
const COPIES: usize = 2;
/// Memory that the largest document reserves from the budget of request bodies.
pub const MAX_DOCUMENT_MEMORY_BYTES: usize = MAX_BYTES * COPIES + MAX_TAGS * BYTES_PER_TAG;

/// Returns whether a request's body, if it has one, is an XML document. All other bodies are objects or parts.
pub(crate) fn is_document(request: &Parts, domains: &Domains) -> bool {
    match request.method {
        Method::POST => true,
        Method::PUT => {
            let path = request.uri.path().trim_start_matches('/');
            let has_key = match domains.names_bucket(request) {
                true => !path.is_empty(),
                false => path
                    .split_once('/')
                    .is_some_and(|(_bucket, key)| !key.is_empty()),
            };
            !has_key
        }
        _ => false,
    }
}

/// Counts the `<` in a piece of a document: an upper bound of the number of its tags.
pub(crate) fn count_tags(piece: &[u8]) -> usize {
    piece.iter().filter(|byte| **byte == b'<').count()
}

/// Counts a document's bytes and tags, and holds its memory reservation until the request ends.
#[derive(Debug, Clone)]
pub(crate) struct DocumentMeter(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    reservation: Reservation,
    bytes: usize,
    tags: usize,
    exceeded: Option<LimitExceeded>,
}

#[derive(Debug, Clone, Copy, thiserror::Error)]
enum LimitExceeded {
    #[error("the XML document has too many bytes")]
    Bytes,
    #[error("the XML document has too many elements")]
    Tags,
    #[error("the memory budget for request documents is used up")]
    Budget,
}

/// Wraps a document so that reading it fails at a limit. [`DocumentMeter::error`] then returns the reason.
pub(crate) fn metered(body: Body, budget: &ByteBudget) -> (Body, DocumentMeter) {
    let document = DocumentMeter(Arc::new(Mutex::new(State {
        reservation: budget.reservation(),
        bytes: 0,
        tags: 0,
        exceeded: None,
    })));
    let meter = document.clone();
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        meter.count(&piece).map_err(io::Error::other)?;
        Ok::<_, io::Error>(piece)
    });
    (Body::from_stream(pieces), document)
}

impl DocumentMeter {
    fn count(&self, piece: &Bytes) -> Result<(), LimitExceeded> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tags = count_tags(piece);
        state.tags += tags;
        state.bytes += piece.len();
        let result = if state.bytes > MAX_BYTES {
            Err(LimitExceeded::Bytes)
        } else if state.tags > MAX_TAGS {
            Err(LimitExceeded::Tags)
        } else {
            state
                .reservation
                .grow(piece.len() * COPIES + tags * BYTES_PER_TAG)
                .map_err(|_| LimitExceeded::Budget)
        };
        state.exceeded = result.err().or(state.exceeded);
        result
    }

    /// Returns the error to answer with if the document exceeded a limit.
    pub(crate) fn error(&self) -> Option<S3Error> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.exceeded.map(|exceeded| match exceeded {
            LimitExceeded::Bytes => S3Error::DocumentTooLarge,
            LimitExceeded::Tags => S3Error::MalformedXml,
            LimitExceeded::Budget => S3Error::SlowDown,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::BodyExt as _;

    use super::*;

    fn parts(method: Method, uri: &str, host: &str) -> Parts {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", host);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn object_bodies_are_not_documents() {
        let domains = Domains::new(&["s3.example.com".to_owned()]);
        for (method, uri, host, expected) in [
            (Method::POST, "/lake?delete", "localhost", true),
            (Method::POST, "/lake/main/a?uploadId=1", "localhost", true),
            (Method::PUT, "/lake", "localhost", true),
            (Method::PUT, "/lake/", "s3.example.com", true),
            (Method::PUT, "/lake/main/a", "localhost", false),
            (Method::PUT, "/", "lake.s3.example.com", true),
            (Method::PUT, "/main", "lake.s3.example.com", false),
            (Method::GET, "/lake", "localhost", false),
        ] {
            let request = parts(method.clone(), uri, host);
            assert_eq!(
                is_document(&request, &domains),
                expected,
                "{method} {uri} {host}"
            );
        }
    }

    #[tokio::test]
    async fn documents_reserve_memory_by_tags_and_bytes() {
        let budget = ByteBudget::new("documents", 100_000);
        let (body, meter) = metered(Body::from("<a><b/></a>"), &budget);
        body.collect().await.unwrap();
        assert!(meter.error().is_none());
        assert_eq!(budget.used_bytes(), 11 * COPIES + 3 * BYTES_PER_TAG);
        let (body, refused) = metered(Body::from("<a/>".repeat(250)), &budget);
        body.collect().await.unwrap_err();
        assert!(matches!(refused.error(), Some(S3Error::SlowDown)));
        drop(meter);
        assert_eq!(budget.used_bytes(), 0);

        let budget = ByteBudget::new("documents", usize::MAX);
        let (body, refused) = metered(Body::from(vec![b' '; MAX_BYTES + 1]), &budget);
        body.collect().await.unwrap_err();
        assert!(matches!(refused.error(), Some(S3Error::DocumentTooLarge)));
        let (body, refused) = metered(Body::from("<a/>".repeat(MAX_TAGS + 1)), &budget);
        body.collect().await.unwrap_err();
        assert!(matches!(refused.error(), Some(S3Error::MalformedXml)));
    }

    /// Guards against a bug: with the smallest budget that the configuration allowed, such a document was always refused
    /// with `SlowDown`.
    #[tokio::test]
    async fn completion_with_all_checksums_fits_the_largest_document() {
        let sums = [
            ("CRC32", 8),
            ("CRC32C", 8),
            ("CRC64NVME", 12),
            ("SHA1", 28),
            ("SHA256", 44),
        ];
        let sums: String = sums
            .iter()
            .map(|(name, length)| {
                let text = "A".repeat(*length);
                format!("<Checksum{name}>{text}</Checksum{name}>")
            })
            .collect();
        let tag = "0".repeat(32);
        let parts: String = (1..=10_000)
            .map(|number| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>&quot;{tag}&quot;</ETag>{sums}</Part>")
            })
            .collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let budget = ByteBudget::new("documents", MAX_DOCUMENT_MEMORY_BYTES);
        let (body, meter) = metered(Body::from(document), &budget);
        body.collect().await.unwrap();
        assert!(meter.error().is_none());
        assert!(
            budget.used_bytes() > 64 << 20,
            "the example must need more than the former minimum"
        );
    }
}
