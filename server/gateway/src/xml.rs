//! Keeps XML documents small before they are parsed.
//!
//! The signature layer reads a document whole and makes a list of what it names before anybody counts:
//! 8 MiB of `<Part/>` become a million parts of 300 bytes each. The tags are counted as they come in, and a
//! body with more than any operation needs ends there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use futures::StreamExt as _;
use http::Method;
use http::request::Parts;

/// Tags of one document: ten thousand parts, each with its number, tag and checksums.
const MAX_TAGS: usize = 200_000;

/// Counts the tags of a document.
#[derive(Debug, Default)]
pub(crate) struct Tags(usize);

/// There are more tags than [`MAX_TAGS`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Tags {
    /// Counts a piece. What stands between two tags is text, whatever it says.
    pub(crate) fn count(&mut self, piece: &[u8]) -> Result<(), TooMany> {
        self.0 += piece.iter().filter(|byte| **byte == b'<').count();
        if self.0 > MAX_TAGS {
            Err(TooMany)
        } else {
            Ok(())
        }
    }
}

/// Whether a body was cut because of its tags.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excess(Arc<AtomicBool>);

impl Excess {
    pub(crate) fn was_found(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the body of a request can only be a document: objects come by `PUT`, below a bucket.
pub(crate) fn is_document(request: &Parts) -> bool {
    let is_of_bucket = || !request.uri.path().trim_matches('/').contains('/');
    request.method == Method::POST || (request.method == Method::PUT && is_of_bucket())
}

/// Ends a body behind so many tags, and notes that.
pub(crate) fn bounded(body: Body, excess: &Excess) -> Body {
    let (excess, mut tags) = (excess.clone(), Tags::default());
    let pieces = body.into_data_stream().take_while(move |piece| {
        let is_small = piece
            .as_ref()
            .map_or(true, |piece| tags.count(piece).is_ok());
        if !is_small {
            excess.0.store(true, Ordering::Relaxed);
        }
        std::future::ready(is_small)
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use http::Request;
    use http_body_util::BodyExt as _;

    use super::*;

    fn read(document: &str) -> (usize, bool) {
        let pieces: Vec<_> = document
            .as_bytes()
            .chunks(4096)
            .map(|piece| std::io::Result::Ok(bytes::Bytes::copy_from_slice(piece)))
            .collect();
        let excess = Excess::default();
        let body = bounded(Body::from_stream(futures::stream::iter(pieces)), &excess);
        let read = block_on(body.collect())
            .expect("a body in memory")
            .to_bytes();
        (read.len(), excess.was_found())
    }

    #[test]
    fn a_document_of_more_tags_than_any_needs_is_cut() {
        let part = "<Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>c</ChecksumCRC32>\
            <ChecksumCRC32C>c</ChecksumCRC32C><ChecksumCRC64NVME>c</ChecksumCRC64NVME>\
            <ChecksumSHA1>c</ChecksumSHA1><ChecksumSHA256>c</ChecksumSHA256></Part>";
        let most = part.repeat(10_000);
        assert_eq!(read(&most), (most.len(), false));
        let bomb = "<Part/>".repeat(1_000_000);
        let (read, is_cut) = read(&bomb);
        assert!(is_cut && read < 8 * MAX_TAGS, "{read}");
    }

    #[test]
    fn objects_are_not_taken_for_documents() {
        for (method, uri, expected) in [
            ("POST", "/repo?delete", true),
            ("POST", "/repo/main/a?uploadId=1", true),
            ("PUT", "/repo", true),
            ("PUT", "/repo/", true),
            ("PUT", "/repo/main/a", false),
            ("PUT", "/main/a", false),
            ("GET", "/repo", false),
        ] {
            let request = Request::builder().method(method).uri(uri);
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            assert_eq!(is_document(&parts), expected, "{method} {uri}");
        }
    }
}
