//! Memory for requests and responses whose client does not read.
//!
//! A client decides how long a response stays in memory. On HTTP/2, one connection carries many responses, and each has a
//! window that the client opens or keeps closed. Therefore responses reserve memory before they are sent. If there is
//! not enough memory left for a response, it is replaced by status 503.
//!
//! Connections on which no caller has been authenticated have a separate budget, so that anonymous clients cannot
//! exhaust the memory for others. HTTP/1 carries one response at a time, so the number of connections already limits
//! the memory of small responses, which reserve nothing.

use api::SharedBody;
use auth::ConnectionTrust;
use axum::body::{Body, Bytes};
use axum::response::Response;
use base::{BudgetExhausted, ByteBudget, Reservation};
use http::header;
use http_body::Body as _;

/// Responses of this size and smaller reserve no memory on HTTP/1.
const MAX_FREE_BYTES: usize = 16 << 10;
/// Memory of an HTTP/2 request while it runs, for the state of its handler and of the middleware. Measured with 4,800 requests
/// at a time: 27 to 34 KiB.
const HANDLER_BYTES: usize = 32 << 10;
/// Memory of an HTTP/2 stream and its response, with headers and body of up to [`MAX_SMALL_BYTES`] each. Measured: 4 KiB and
/// the body.
const STREAM_BYTES: usize = 12 << 10;
/// Headers and responses of this size and smaller need no memory besides [`STREAM_BYTES`].
const MAX_SMALL_BYTES: usize = 4 << 10;
/// Memory of a header besides its name and value.
const HEADER_BYTES: usize = 64;
/// Memory of a response that is streamed on HTTP/2: a store reads this much at a time. Shorter responses take less.
/// Responses on HTTP/1 are streamed without a reservation.
const STREAMED_BYTES: usize = 256 << 10;

/// The memory for all requests and responses of a server. Clones share the budgets.
#[derive(Debug, Clone)]
pub(super) struct MemoryBudgets {
    known: ByteBudget,
    anonymous: ByteBudget,
}

impl MemoryBudgets {
    /// Splits `total_bytes`: an eighth for connections without an authenticated caller, the rest for all others.
    pub(super) fn new(total_bytes: usize) -> Self {
        let anonymous = total_bytes / 8;
        Self {
            known: ByteBudget::new("responses", total_bytes - anonymous),
            anonymous: ByteBudget::new("responses without credentials", anonymous),
        }
    }

    /// Reserves the memory of an HTTP/2 request.
    pub(super) fn reserve_request<B>(
        &self,
        request: &http::Request<B>,
        trust: &ConnectionTrust,
    ) -> Result<RequestMemory, BudgetExhausted> {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES);
        let headers: usize = headers.sum();
        let large_headers = match headers > MAX_SMALL_BYTES {
            true => headers,
            false => 0,
        };
        let was_known = trust.is_known();
        Ok(RequestMemory {
            was_known,
            stream: self.reserve(trust, STREAM_BYTES)?,
            _handler: self.reserve(trust, HANDLER_BYTES + large_headers)?,
        })
    }

    /// Reserves the memory of a response until its body is sent. `request` is the memory of an HTTP/2 request. A small
    /// response reuses it, so that the response to a change is not lost.
    pub(super) fn reserve_response(
        &self,
        response: &Response,
        trust: &ConnectionTrust,
        request: Option<RequestMemory>,
    ) -> Result<Option<Reservation>, BudgetExhausted> {
        let is_shared = response.extensions().get::<SharedBody>().is_some();
        let complete = match is_shared {
            true => Some(0),
            false => complete_bytes(response.body()),
        };
        // The memory of the handler is free again, and available to the response.
        let stream = request.map(|request| (request.stream, request.was_known));
        match (stream, complete) {
            (Some((stream, _)), Some(0..=MAX_SMALL_BYTES)) => Ok(Some(stream)),
            (Some((mut stream, was_known)), bytes) => {
                let bytes = bytes.unwrap_or_else(|| streamed_bytes(response));
                if trust.is_known() && !was_known {
                    // The request itself has authenticated the caller.
                    return self.reserve(trust, STREAM_BYTES + bytes).map(Some);
                }
                stream.grow(bytes)?;
                Ok(Some(stream))
            }
            (None, None | Some(0..=MAX_FREE_BYTES)) => Ok(None),
            (None, Some(bytes)) => self.reserve(trust, bytes).map(Some),
        }
    }

    fn reserve(
        &self,
        trust: &ConnectionTrust,
        bytes: usize,
    ) -> Result<Reservation, BudgetExhausted> {
        let budget = match trust.is_known() {
            true => &self.known,
            false => &self.anonymous,
        };
        let mut reservation = budget.reservation();
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

/// The memory of an HTTP/2 request.
#[derive(Debug)]
pub(super) struct RequestMemory {
    /// Whether the caller was authenticated when the request arrived.
    was_known: bool,
    /// Held until the response is sent.
    stream: Reservation,
    /// Held until there is a response.
    _handler: Reservation,
}

/// Returns the size of a body that is complete in memory, or `None` if it is streamed. Only complete bodies know their
/// size. For streams, the handlers set `Content-Length`.
pub(super) fn complete_bytes(body: &Body) -> Option<usize> {
    body.size_hint()
        .exact()
        .and_then(|bytes| usize::try_from(bytes).ok())
}

/// Returns how much of a streamed body is in memory at a time.
fn streamed_bytes(response: &Response) -> usize {
    let length = response.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.map_or(STREAMED_BYTES, |length: usize| length.min(STREAMED_BYTES))
}

/// Returns bytes that hold their reservation until the last piece of them is dropped. HTTP/2 keeps pieces that the
/// client does not read, even after the body that contained them is dropped.
pub(super) fn reserved_bytes(bytes: Bytes, reservation: Reservation) -> Bytes {
    struct Reserved {
        bytes: Bytes,
        _reservation: Reservation,
    }
    impl AsRef<[u8]> for Reserved {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Reserved {
        bytes,
        _reservation: reservation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL_BYTES: usize = 8 << 20;

    fn known() -> ConnectionTrust {
        let trust = ConnectionTrust::default();
        trust.set_known();
        trust
    }

    fn response(bytes: usize) -> Response {
        Response::new(Body::from(vec![0; bytes]))
    }

    #[test]
    fn anonymous_connections_cannot_exhaust_the_memory_of_known_ones() {
        let budgets = MemoryBudgets::new(TOTAL_BYTES);
        let anonymous = ConnectionTrust::default();
        let large = response(TOTAL_BYTES / 8);
        let held = budgets.reserve_response(&large, &anonymous, None).unwrap();
        budgets
            .reserve_response(&large, &anonymous, None)
            .unwrap_err();
        let request = http::Request::get("/").body(()).unwrap();
        budgets.reserve_request(&request, &anonymous).unwrap_err();
        budgets.reserve_request(&request, &known()).unwrap();
        budgets.reserve_response(&large, &known(), None).unwrap();
        drop(held);
        budgets.reserve_request(&request, &anonymous).unwrap();
    }

    #[test]
    fn small_shared_and_streamed_responses_on_http1_reserve_nothing() {
        let budgets = MemoryBudgets::new(TOTAL_BYTES);
        let mut shared = response(1 << 20);
        shared.extensions_mut().insert(SharedBody);
        let streamed = futures::stream::empty::<std::io::Result<Bytes>>();
        let streamed = Response::new(Body::from_stream(streamed));
        for free in [response(MAX_FREE_BYTES), shared, streamed] {
            let held = budgets.reserve_response(&free, &known(), None).unwrap();
            assert!(held.is_none(), "{free:?}");
        }
        let held = budgets.reserve_response(&response(MAX_FREE_BYTES + 1), &known(), None);
        assert!(held.unwrap().is_some());
        assert_eq!(budgets.known.used_bytes(), 0);
    }

    #[test]
    fn every_response_on_http2_holds_memory() {
        let budgets = MemoryBudgets::new(TOTAL_BYTES);
        let reserved = |response: &Response| {
            let request = http::Request::get("/").body(()).unwrap();
            let request = budgets.reserve_request(&request, &known()).unwrap();
            let held = budgets.reserve_response(response, &known(), Some(request));
            let used = budgets.known.used_bytes();
            drop(held.unwrap());
            used
        };
        let mut shared = response(1 << 20);
        shared.extensions_mut().insert(SharedBody);
        let streamed = futures::stream::empty::<std::io::Result<Bytes>>();
        let mut streamed = Response::new(Body::from_stream(streamed));
        assert_eq!(reserved(&response(MAX_SMALL_BYTES)), STREAM_BYTES);
        assert_eq!(reserved(&shared), STREAM_BYTES);
        assert_eq!(reserved(&streamed), STREAM_BYTES + STREAMED_BYTES);
        for (length, expected) in [(100, 100), (1 << 30, STREAMED_BYTES)] {
            let length = header::HeaderValue::from(length);
            streamed
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            assert_eq!(reserved(&streamed), STREAM_BYTES + expected);
        }
        assert_eq!(reserved(&response(1 << 20)), STREAM_BYTES + (1 << 20));
        assert_eq!(budgets.known.used_bytes(), 0);
    }

    #[test]
    fn handler_and_large_headers_are_counted_until_the_response() {
        let budgets = MemoryBudgets::new(TOTAL_BYTES);
        let request = http::Request::get("/").header("x-a", "a".repeat(100 << 10));
        let request = request.body(()).unwrap();
        let request = budgets.reserve_request(&request, &known()).unwrap();
        assert!(budgets.known.used_bytes() > (100 << 10) + HANDLER_BYTES + STREAM_BYTES);
        let held = budgets.reserve_response(&response(10), &known(), Some(request));
        assert_eq!(budgets.known.used_bytes(), STREAM_BYTES);
        drop(held);
    }

    /// Guards against a bug: such a response used the memory of anonymous connections. If that was used up, the response to
    /// a change was lost.
    #[test]
    fn response_to_the_request_that_authenticates_uses_the_memory_of_known_callers() {
        let budgets = MemoryBudgets::new(TOTAL_BYTES);
        let trust = ConnectionTrust::default();
        let request = http::Request::get("/").body(()).unwrap();
        let request = budgets.reserve_request(&request, &trust).unwrap();
        trust.set_known();
        let held = budgets.reserve_response(&response(1 << 20), &trust, Some(request));
        let held = held.unwrap();
        assert_eq!(budgets.known.used_bytes(), STREAM_BYTES + (1 << 20));
        assert_eq!(budgets.anonymous.used_bytes(), 0);
        drop(held);
    }

    /// HTTP/2 keeps pieces of a response that the client does not read, after the response's body was dropped.
    #[test]
    fn memory_is_held_until_the_last_piece_is_dropped() {
        let budgets = MemoryBudgets::new(TOTAL_BYTES);
        let held = budgets.reserve(&known(), 100).unwrap();
        let mut bytes = reserved_bytes(Bytes::from_static(b"first last"), held);
        let last = bytes.split_off(6);
        drop(bytes);
        assert_eq!((&last[..], budgets.known.used_bytes()), (&b"last"[..], 100));
        drop(last);
        assert_eq!(budgets.known.used_bytes(), 0);
    }
}
