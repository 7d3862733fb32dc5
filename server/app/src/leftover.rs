//! Takes in what a handler left unread of a small body, so that a refusal reaches its client.
//!
//! A connection that is closed over unread bytes is reset, and a reset can
//! overtake the answer: the client that is still sending then sees a broken
//! connection instead of its 401 or 405. Bodies over [`MAX_BYTES`] are not waited for.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;

/// Larger bodies are left to the connection.
const MAX_BYTES: u64 = 64 << 10;

/// Runs a handler, then reads what it left of a small body.
pub(crate) async fn with_body_taken_in<F, R>(request: Request, handler: F) -> Response
where
    F: FnOnce(Request) -> R,
    R: Future<Output = Response>,
{
    if !is_small_and_on_its_way(&request) {
        return handler(request).await;
    }
    let (back, mut left) = oneshot::channel();
    let request = request.map(|body| {
        Body::new(Lent {
            body: Some(body),
            back: Some(back),
        })
    });
    let response = handler(request).await;
    // Nothing comes back where the handler read it all, or still reads.
    if let Ok(body) = left.try_recv() {
        take_in(body).await;
    }
    response
}

/// Whether the client sends without waiting to be asked, and not too much.
fn is_small_and_on_its_way(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let is_chunked = headers.contains_key(TRANSFER_ENCODING);
    !headers.contains_key(EXPECT) && (is_chunked || length.is_some_and(|l| 0 < l && l <= MAX_BYTES))
}

async fn take_in(mut body: Body) {
    let mut taken = 0;
    while let Some(Ok(frame)) = body.frame().await {
        taken += frame.data_ref().map_or(0, |data| data.len() as u64);
        if taken > MAX_BYTES {
            return;
        }
    }
}

/// A body that goes back when it is dropped before its end.
struct Lent {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !body.is_end_stream()
        {
            // Nobody waits for it any more where the request itself was dropped.
            let _unwanted = back.send(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::response::IntoResponse as _;
    use futures::StreamExt as _;

    use super::*;

    /// A request of pieces that tells how many were read.
    fn request(pieces: usize, header: (&'static str, &'static str)) -> (Request, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read);
        let stream = futures::stream::iter(0..pieces).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1024]))
        });
        let request = Request::builder()
            .header(header.0, header.1)
            .body(Body::from_stream(stream));
        (request.unwrap(), read)
    }

    async fn refuse(request: Request) -> Response {
        drop(request);
        http::StatusCode::UNAUTHORIZED.into_response()
    }

    #[tokio::test]
    async fn a_refused_small_body_is_read_to_its_end() {
        for header in [
            ("content-length", "10240"),
            ("transfer-encoding", "chunked"),
        ] {
            let (request, read) = request(10, header);
            let response = with_body_taken_in(request, refuse).await;
            assert_eq!(response.status(), 401);
            assert_eq!(read.load(Ordering::Relaxed), 10, "{header:?}");
        }
    }

    #[tokio::test]
    async fn large_and_unasked_bodies_are_not_waited_for() {
        for header in [("content-length", "10485760"), ("expect", "100-continue")] {
            let (request, read) = request(10_000, header);
            with_body_taken_in(request, refuse).await;
            assert_eq!(read.load(Ordering::Relaxed), 0, "{header:?}");
        }
        let (request, read) = request(10_000, ("transfer-encoding", "chunked"));
        with_body_taken_in(request, refuse).await;
        assert_eq!(read.load(Ordering::Relaxed), 65, "bounded");
    }

    #[tokio::test]
    async fn a_handler_that_reads_gets_the_whole_body() {
        let (request, _) = request(10, ("content-length", "10240"));
        let echo = |request: Request| async move {
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            bytes.len().to_string().into_response()
        };
        let response = with_body_taken_in(request, echo).await;
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, "10240");
    }
}
