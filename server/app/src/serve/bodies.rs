//! Bodies on their way: a request's must keep coming while it is waited for, an answer's must be taken.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

use crate::config::Http;

use super::patience::Patience;
use super::track::InFlight;

/// A request's body that fails when its client is too slow.
///
/// Only the time counts in which a handler waits for the client: a client that is
/// held up by us may take as long as we do.
#[derive(Debug)]
pub(super) struct Paced<B> {
    inner: B,
    patience: Patience,
    waiting_since: Option<Instant>,
    /// Set at the first wait. Deadlines only move back, so it is looked at again when it fires.
    alarm: Option<Pin<Box<Sleep>>>,
    was_too_slow: Arc<AtomicBool>,
}

impl<B> Paced<B> {
    /// The body, and a flag that is raised when it fails for slowness.
    pub(super) fn new(inner: B, limits: &Http) -> (Self, Arc<AtomicBool>) {
        let was_too_slow = Arc::new(AtomicBool::new(false));
        let body = Self {
            inner,
            patience: Patience::new(limits.body_timeout, limits.min_bytes_per_second),
            waiting_since: None,
            alarm: None,
            was_too_slow: Arc::clone(&was_too_slow),
        };
        (body, was_too_slow)
    }

    /// Whether the patience has come to an end; if not, the caller is woken when it may have.
    fn is_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = tokio::time::Instant::from_std(since + self.patience.left());
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while alarm.as_mut().poll(context).is_ready() {
            if alarm.deadline() >= deadline {
                return true;
            }
            alarm.as_mut().reset(deadline);
        }
        false
    }
}

impl<B> HttpBody for Paced<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.was_too_slow.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err(too_slow().into())));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else {
            if self.is_too_slow(context) {
                self.was_too_slow.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(too_slow().into())));
            }
            return Poll::Pending;
        };
        if let Some(since) = self.waiting_since.take() {
            self.patience.waited(since.elapsed());
        }
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.patience.came(data.len());
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn too_slow() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "the client stopped sending the request body, or sends it too slowly",
    )
}

/// The most that is handed to HTTP/2 at once. It keeps what it was handed beyond a stream's window, and
/// for all it knows the request is over when that was the last of it.
const MAX_PIECE_BYTES: usize = 64 << 10;

/// An answer's body, which keeps its request in flight and notes whether the client takes it.
#[derive(Debug)]
pub(super) struct Sent {
    inner: Body,
    /// What is left of a frame that was too large for one piece.
    rest: Bytes,
    request: InFlight,
    patience: Patience,
    timeout: Duration,
}

impl Sent {
    pub(super) fn new(inner: Body, request: InFlight, limits: &Http) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            request,
            patience: Patience::new(limits.response_timeout, limits.min_bytes_per_second),
            timeout: limits.response_timeout,
        }
    }
}

impl Sent {
    /// The first piece of a frame; the rest is kept.
    fn cut(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut data) if data.len() > MAX_PIECE_BYTES => {
                self.rest = data.split_off(MAX_PIECE_BYTES);
                Frame::data(data)
            }
            Ok(data) => Frame::data(data),
            Err(trailers) => trailers,
        }
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // More is asked for: what was given has been taken.
        self.request.piece_taken();
        let polled = match self.rest.is_empty() {
            true => Pin::new(&mut self.inner).poll_frame(context),
            false => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest))))),
        };
        let polled = match polled {
            Poll::Ready(Some(Ok(frame))) if self.request.is_http2() => {
                Poll::Ready(Some(Ok(self.cut(frame))))
            }
            polled => polled,
        };
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let len = frame.data_ref().map_or(0, Bytes::len);
            let patience = self.timeout.saturating_add(self.patience.worth(len));
            self.request.piece_given(patience);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        // The upper bound first: the lower one must not exceed it.
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::super::track::{Epoch, Track};
    use super::*;

    fn limits() -> Http {
        Http {
            body_timeout: Duration::from_millis(200),
            min_bytes_per_second: 1_000_000,
            ..Http::default()
        }
    }

    type Piece = Result<Frame<Bytes>, io::Error>;

    fn piece() -> Piece {
        Ok(Frame::data(Bytes::from_static(b"x")))
    }

    #[tokio::test]
    async fn a_body_that_stops_fails_and_says_so() {
        let stopped = futures::stream::iter([piece()]).chain(futures::stream::pending());
        let (body, was_too_slow) = Paced::new(StreamBody::new(stopped.boxed()), &limits());
        let error = body.collect().await.unwrap_err();
        assert!(error.to_string().contains("too slowly"), "{error}");
        assert!(was_too_slow.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_body_that_trickles_fails() {
        let trickle = futures::stream::unfold(
            tokio::time::interval(Duration::from_millis(10)),
            async |mut interval| {
                interval.tick().await;
                Some((piece(), interval))
            },
        );
        let (body, _) = Paced::new(StreamBody::new(trickle.boxed()), &limits());
        body.collect().await.unwrap_err();
    }

    #[tokio::test]
    async fn answers_are_handed_to_http2_in_pieces() {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        let track = Track::new(Epoch::begin(), address);
        track.set_http2();
        let whole = Bytes::from(vec![b'x'; 3 * MAX_PIECE_BYTES + 1]);
        let body = Body::from(whole.clone());
        let mut sent = Sent::new(body, track.begin_request(), &Http::default());
        let (mut pieces, mut joined) = (0, Vec::new());
        while let Some(frame) = sent.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= MAX_PIECE_BYTES);
            pieces += 1;
            joined.extend_from_slice(&data);
            let left = (whole.len() - joined.len()) as u64;
            assert_eq!(sent.size_hint().exact(), Some(left));
            assert_eq!(sent.is_end_stream(), left == 0);
        }
        assert_eq!((pieces, joined), (4, whole.to_vec()));
    }

    #[tokio::test]
    async fn time_in_which_nobody_waits_does_not_count() {
        let all = futures::stream::iter([piece(), piece(), piece()]);
        let (mut body, was_too_slow) = Paced::new(StreamBody::new(all), &limits());
        body.frame().await.unwrap().unwrap();
        // Longer than the timeout: a handler at work.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(400)))
            .await
            .unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "xx");
        assert!(!was_too_slow.load(Ordering::Relaxed));
    }
}
