//! Request bodies with a minimum rate, and response bodies that the client must read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use base::Reservation;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

use crate::config::Http;

use super::connection_state::InFlight;
use super::memory::{complete_bytes, reserved_bytes};
use super::wait_budget::WaitBudget;

/// A request body that fails if its client sends too slowly.
///
/// Only time in which the handler waits for the client counts, not time that it spends on other
/// work.
#[derive(Debug)]
pub(super) struct RateLimitedBody<B> {
    inner: B,
    budget: WaitBudget,
    waiting_since: Option<Instant>,
    /// Set at the first wait. It is not reset for each received piece. When it fires, it is reset if
    /// the deadline has moved.
    alarm: Option<Pin<Box<Sleep>>>,
    was_too_slow: Arc<AtomicBool>,
}

impl<B> RateLimitedBody<B> {
    /// Returns the body, and a flag that is set if it fails because of a slow client.
    pub(super) fn new(inner: B, limits: &Http) -> (Self, Arc<AtomicBool>) {
        let was_too_slow = Arc::new(AtomicBool::new(false));
        let body = Self {
            inner,
            budget: WaitBudget::new(limits.body_timeout, limits.min_bytes_per_second),
            waiting_since: None,
            alarm: None,
            was_too_slow: Arc::clone(&was_too_slow),
        };
        (body, was_too_slow)
    }

    /// Reports whether the wait budget is used up. If not, the task is woken when it may be used up.
    fn is_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = tokio::time::Instant::from_std(since + self.budget.remaining());
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

impl<B> HttpBody for RateLimitedBody<B>
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
            self.budget.consume(since.elapsed());
        }
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.budget.refill(data.len());
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
        "the client stopped sending the request body or sent it too slowly",
    )
}

/// Maximum size of a frame passed to HTTP/2. HTTP/2 buffers frames beyond a stream's window, and
/// treats the request as finished once it has the last frame.
const MAX_PIECE_BYTES: usize = 64 << 10;

/// A response body. It keeps its request in flight and records whether the client reads it.
#[derive(Debug)]
pub(super) struct ResponseBody {
    inner: Body,
    /// The rest of a frame that was too large for one piece.
    rest: Bytes,
    request: InFlight,
    budget: WaitBudget,
    timeout: Duration,
    /// The memory of the response. If a frame contains the complete body, the reservation moves into the frame.
    reservation: Option<Reservation>,
    is_complete: bool,
}

impl ResponseBody {
    pub(super) fn new(
        inner: Body,
        request: InFlight,
        limits: &Http,
        reservation: Option<Reservation>,
    ) -> Self {
        Self {
            is_complete: complete_bytes(&inner).is_some(),
            reservation,
            inner,
            rest: Bytes::new(),
            request,
            budget: WaitBudget::new(limits.response_timeout, limits.min_bytes_per_second),
            timeout: limits.response_timeout,
        }
    }
}

impl ResponseBody {
    /// Returns the frame with the memory that is reserved for it.
    fn reserved(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        if !self.is_complete {
            return frame;
        }
        match (frame.into_data(), self.reservation.take()) {
            (Ok(data), Some(reservation)) => Frame::data(reserved_bytes(data, reservation)),
            (Ok(data), None) => Frame::data(data),
            (Err(trailers), reservation) => {
                self.reservation = reservation;
                trailers
            }
        }
    }

    /// Returns the first piece of a frame and keeps the rest.
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

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // A poll for more data means that the previous piece was consumed.
        self.request.record_all_read();
        let polled = match self.rest.is_empty() {
            true => match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(self.reserved(frame)))),
                other => other,
            },
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
            let budget = self.timeout.saturating_add(self.budget.time_for(len));
            self.request.record_piece_sent(budget);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        // The upper bound is set first, because the lower one must not exceed it.
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

    use super::super::connection_state::{ConnectionState, Epoch};
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
    async fn stalled_body_fails() {
        let stopped = futures::stream::iter([piece()]).chain(futures::stream::pending());
        let (body, was_too_slow) =
            RateLimitedBody::new(StreamBody::new(stopped.boxed()), &limits());
        let error = body.collect().await.unwrap_err();
        assert!(error.to_string().contains("too slowly"), "{error}");
        assert!(was_too_slow.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn trickling_body_fails() {
        let trickle = futures::stream::unfold(
            tokio::time::interval(Duration::from_millis(10)),
            async |mut interval| {
                interval.tick().await;
                Some((piece(), interval))
            },
        );
        let (body, _) = RateLimitedBody::new(StreamBody::new(trickle.boxed()), &limits());
        body.collect().await.unwrap_err();
    }

    #[tokio::test]
    async fn responses_are_split_for_http2() {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        let track = ConnectionState::new(Epoch::begin(), address);
        track.set_http2();
        let whole = Bytes::from(vec![b'x'; 3 * MAX_PIECE_BYTES + 1]);
        let body = Body::from(whole.clone());
        let mut sent = ResponseBody::new(body, track.begin_request(), &Http::default(), None);
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
    async fn only_waiting_time_counts() {
        let all = futures::stream::iter([piece(), piece(), piece()]);
        let (mut body, was_too_slow) = RateLimitedBody::new(StreamBody::new(all), &limits());
        body.frame().await.unwrap().unwrap();
        // Longer than the timeout, but spent in a handler.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(400)))
            .await
            .unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "xx");
        assert!(!was_too_slow.load(Ordering::Relaxed));
    }
}
