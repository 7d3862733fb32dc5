//! Reads the unread rest of a small request body, so that the client receives a refusal.
//!
//! Closing a connection with unread bytes resets it, and the reset can overtake the response. A
//! client that is still sending would then see a broken connection instead of status 401 or 405.
//! Bodies with a length above [`MAX_BYTES`] are not read. Of chunked bodies, at most [`MAX_BYTES`] are read.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderValue, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;

/// Maximum number of bytes read from a body.
const MAX_BYTES: u64 = 64 << 10;

/// Runs a handler, then reads the rest of a small body that the handler did not read.
pub(crate) async fn drain_unread_body<F, R>(request: Request, handler: F) -> Response
where
    F: FnOnce(Request) -> R,
    R: Future<Output = Response>,
{
    let may_wait_for_continue =
        request.version() == Version::HTTP_11 && request.headers().contains_key(EXPECT);
    let mut response = with_unread_body_drained(request, handler).await;
    if may_wait_for_continue && response.status().is_client_error() {
        // A client that waits for `100 Continue` is refused before it sends its body. The
        // connection cannot be reused and is closed. Without this header, pooled clients would
        // notice only at their next request.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

async fn with_unread_body_drained<F, R>(request: Request, handler: F) -> Response
where
    F: FnOnce(Request) -> R,
    R: Future<Output = Response>,
{
    if !may_need_draining(&request) {
        return handler(request).await;
    }
    let (back, mut left) = oneshot::channel();
    let request = request.map(|body| {
        Body::new(ReturnedBody {
            body: Some(body),
            back: Some(back),
        })
    });
    let response = handler(request).await;
    // Nothing is returned if the handler has read the whole body or is still reading it.
    if let Ok(body) = left.try_recv() {
        drain(body).await;
    }
    response
}

/// Reports whether the body may be small and the client sends it without waiting for `100 Continue`.
/// The length of chunked bodies is unknown.
fn may_need_draining(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let is_chunked = headers.contains_key(TRANSFER_ENCODING);
    !headers.contains_key(EXPECT) && (is_chunked || length.is_some_and(|l| 0 < l && l <= MAX_BYTES))
}

async fn drain(mut body: Body) {
    let mut taken = 0;
    while let Some(Ok(frame)) = body.frame().await {
        taken += frame.data_ref().map_or(0, |data| data.len() as u64);
        if taken > MAX_BYTES {
            return;
        }
    }
}

/// A body that is sent back if it is dropped before its end.
struct ReturnedBody {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
}

impl http_body::Body for ReturnedBody {
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

impl Drop for ReturnedBody {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !body.is_end_stream()
        {
            // The receiver is gone if the request itself was dropped.
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

    /// Creates a request with several body frames and a counter of frames read.
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
    async fn small_body_is_drained_after_a_refusal() {
        for header in [
            ("content-length", "10240"),
            ("transfer-encoding", "chunked"),
        ] {
            let (request, read) = request(10, header);
            let response = with_unread_body_drained(request, refuse).await;
            assert_eq!(response.status(), 401);
            assert_eq!(read.load(Ordering::Relaxed), 10, "{header:?}");
        }
    }

    #[tokio::test]
    async fn large_bodies_and_bodies_that_wait_for_continue_are_not_drained() {
        for header in [("content-length", "10485760"), ("expect", "100-continue")] {
            let (request, read) = request(10_000, header);
            with_unread_body_drained(request, refuse).await;
            assert_eq!(read.load(Ordering::Relaxed), 0, "{header:?}");
        }
        let (request, read) = request(10_000, ("transfer-encoding", "chunked"));
        with_unread_body_drained(request, refuse).await;
        assert_eq!(read.load(Ordering::Relaxed), 65, "bounded");
    }

    #[tokio::test]
    async fn handler_gets_the_whole_body() {
        let (request, _) = request(10, ("content-length", "10240"));
        let echo = |request: Request| async move {
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            bytes.len().to_string().into_response()
        };
        let response = with_unread_body_drained(request, echo).await;
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, "10240");
    }
}
