//! Keeps what XML documents take up within the server's budget of memory.
//!
//! The layer behind this reads a document whole and turns it into lists, which takes
//! many times the bytes of short elements. So tags are counted as the bytes pass, and
//! what the document will take up is reserved before it does. Credentials were checked
//! by then: documents are read behind the signature.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use base::{ByteBudget, Reservation};
use bytes::Bytes;
use futures::StreamExt as _;
use http::Method;
use http::request::Parts;

use crate::error::Fault;
use crate::host::Domains;

/// The largest document taken: ten thousand parts with checksums, or a thousand long keys.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// The most tags in a document, opening and closing ones: ten thousand parts with all their checksums.
pub(crate) const MAX_TAGS: usize = 200_000;
/// What the shortest element takes up in a list that grows.
const BYTES_PER_TAG: usize = 400;
/// A document is held as it came and once more as the texts of its elements.
const COPIES: usize = 2;

/// Whether a request's body is a document, read whole: of all others only objects and parts have one.
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

/// How many tags there are. What stands between two is text, whatever it says.
pub(crate) fn count_tags(piece: &[u8]) -> usize {
    piece.iter().filter(|byte| **byte == b'<').count()
}

/// What a document takes up, for as long as its request runs.
#[derive(Debug, Clone)]
pub(crate) struct Held(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    reservation: Reservation,
    tags: usize,
    overrun: Option<Overrun>,
}

#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Overrun {
    #[error("the document has too many elements")]
    Tags,
    #[error("other requests hold the memory that the document needs")]
    Budget,
}

/// Counts a document as it passes. It fails where it goes too far; [`Held::fault`] says so.
pub(crate) fn metered(body: Body, budget: &ByteBudget) -> (Body, Held) {
    let held = Held(Arc::new(Mutex::new(State {
        reservation: budget.reservation(),
        tags: 0,
        overrun: None,
    })));
    let meter = held.clone();
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        meter.count(&piece).map_err(io::Error::other)?;
        Ok::<_, io::Error>(piece)
    });
    (Body::from_stream(pieces), held)
}

impl Held {
    fn count(&self, piece: &Bytes) -> Result<(), Overrun> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tags = count_tags(piece);
        state.tags += tags;
        let result = if state.tags > MAX_TAGS {
            Err(Overrun::Tags)
        } else {
            state
                .reservation
                .grow(piece.len() * COPIES + tags * BYTES_PER_TAG)
                .map_err(|_| Overrun::Budget)
        };
        state.overrun = result.err().or(state.overrun);
        result
    }

    /// Why the document was not read to its end, if it was not for want of memory.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.overrun.map(|overrun| match overrun {
            Overrun::Tags => Fault::MalformedXml,
            Overrun::Budget => Fault::SlowDown,
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
    fn bodies_of_objects_are_no_documents() {
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
    async fn documents_are_counted_by_tags_and_bytes() {
        let budget = ByteBudget::new("documents", 100_000);
        let (body, held) = metered(Body::from("<a><b/></a>"), &budget);
        body.collect().await.unwrap();
        assert!(held.fault().is_none());
        assert_eq!(budget.used_bytes(), 11 * COPIES + 3 * BYTES_PER_TAG);
        let (body, refused) = metered(Body::from("<a/>".repeat(250)), &budget);
        body.collect().await.unwrap_err();
        assert!(matches!(refused.fault(), Some(Fault::SlowDown)));
        drop(held);
        assert_eq!(budget.used_bytes(), 0);

        let budget = ByteBudget::new("documents", usize::MAX);
        let (body, refused) = metered(Body::from("<a/>".repeat(MAX_TAGS + 1)), &budget);
        body.collect().await.unwrap_err();
        assert!(matches!(refused.fault(), Some(Fault::MalformedXml)));
    }
}
