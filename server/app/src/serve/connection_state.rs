//! State of one connection, and the evaluation of its deadlines.
//!
//! Times are milliseconds since the server started to accept, so that each fits into an atomic.
//! Connections have no timers: one sweep evaluates all of them ([`ConnectionState::verdict`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use auth::ConnectionTrust;
use tokio_util::sync::CancellationToken;

use crate::config::Http;

/// A connection without a request can be evicted after this time.
const EVICTABLE_AFTER: Duration = Duration::from_secs(1);
/// How long a client may take to disconnect after it was asked to.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Milliseconds since the server started to accept. Never 0, which means "not set".
pub(super) type Millis = u64;

/// The time base of all connections of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Epoch(Instant);

impl Epoch {
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> Millis {
        millis(self.0.elapsed()) + 1
    }
}

pub(super) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    epoch: Epoch,
    pub(super) address: IpAddr,
    accepted: Millis,
    is_http2: AtomicBool,
    /// Number of requests whose response is not complete.
    in_flight: AtomicUsize,
    /// Number of requests started so far.
    begun: AtomicU64,
    /// Time of the first byte of a request whose headers are incomplete.
    head_since: AtomicU64,
    /// Time when the last request ended.
    quiet_since: AtomicU64,
    /// Deadline for the client to read pending data.
    write_deadline: AtomicU64,
    /// HTTP/2: deadlines for the client to read the current piece of a response, by request.
    read_deadlines: Mutex<HashMap<u64, Millis>>,
    /// Time when the client was asked to disconnect.
    closing_since: AtomicU64,
    closing: CancellationToken,
    killed: CancellationToken,
    /// Whether the connection is counted as closed by the server.
    is_counted: AtomicBool,
    trust: ConnectionTrust,
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Ask the client to disconnect after its running requests.
    Close,
    /// Close the connection immediately. The reason is a metrics label.
    Kill(&'static str),
}

impl ConnectionState {
    pub(super) fn new(epoch: Epoch, address: IpAddr) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            address,
            accepted: epoch.now(),
            is_http2: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            quiet_since: AtomicU64::new(0),
            write_deadline: AtomicU64::new(0),
            read_deadlines: Mutex::default(),
            closing_since: AtomicU64::new(0),
            closing: CancellationToken::new(),
            killed: CancellationToken::new(),
            is_counted: AtomicBool::new(false),
            trust: ConnectionTrust::default(),
        })
    }

    pub(super) fn now(&self) -> Millis {
        self.epoch.now()
    }

    pub(super) fn set_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    /// Whether a caller was authenticated on this connection.
    pub(super) fn trust(&self) -> &ConnectionTrust {
        &self.trust
    }

    /// Records received bytes. Between requests they start the next request, except on HTTP/2,
    /// which also sends other frames.
    pub(super) fn bytes_read(&self) {
        let is_head = self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == 0
            && (self.begun.load(Ordering::Relaxed) == 0 || !self.is_http2.load(Ordering::Relaxed));
        if is_head {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Records that writing is blocked by the client, with the deadline.
    pub(super) fn write_blocked_until(&self, deadline: Millis) {
        self.write_deadline.store(deadline, Ordering::Relaxed);
    }

    pub(super) fn write_unblocked(&self) {
        self.write_deadline.store(0, Ordering::Relaxed);
    }

    /// Records that a request's headers are complete. The request is in flight until the returned
    /// value is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        InFlight {
            id: self.begun.fetch_add(1, Ordering::Relaxed),
            track: Arc::clone(self),
        }
    }

    /// Resolves when the client must be asked to disconnect.
    pub(super) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Resolves when the connection must be closed immediately.
    pub(super) async fn killed(&self) {
        self.killed.cancelled().await;
    }

    pub(super) fn close(&self) {
        if self.closing_since.load(Ordering::Relaxed) == 0 {
            self.closing_since.store(self.now(), Ordering::Relaxed);
        }
        self.closing.cancel();
    }

    /// Returns whether the connection must be counted as closed by the server: true only once.
    pub(super) fn count_as_closed(&self) -> bool {
        !self.is_counted.swap(true, Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_killed(&self) -> bool {
        self.killed.is_cancelled()
    }

    pub(super) fn kill(&self) {
        self.killed.cancel();
    }

    /// Returns since when the connection has been idle. `None` if it has a request in flight or
    /// pending data.
    fn idle_since(&self) -> Option<Millis> {
        let is_idle = self.in_flight.load(Ordering::Relaxed) == 0
            && self.write_deadline.load(Ordering::Relaxed) == 0;
        is_idle.then(|| match self.quiet_since.load(Ordering::Relaxed) {
            0 => self.accepted,
            since => since,
        })
    }

    /// Returns since when the connection has been idle, if it may be evicted.
    pub(super) fn evictable_since(&self, now: Millis) -> Option<Millis> {
        let since = self.idle_since()?;
        (now.saturating_sub(since) >= millis(EVICTABLE_AFTER)).then_some(since)
    }

    /// Evaluates the connection's deadlines.
    pub(super) fn verdict(&self, now: Millis, limits: &Http) -> Verdict {
        let write_deadline = self.write_deadline.load(Ordering::Relaxed);
        if write_deadline != 0 && now > write_deadline {
            return Verdict::Kill("slow_reader");
        }
        if self.has_overdue_piece(now) {
            return Verdict::Kill("slow_reader");
        }
        let Some(idle_since) = self.idle_since() else {
            return Verdict::Keep;
        };
        let is_over =
            |since: Millis, timeout: Duration| now.saturating_sub(since) > millis(timeout);
        let head_since = self.head_since.load(Ordering::Relaxed);
        if head_since != 0 && is_over(head_since, limits.headers_timeout) {
            return Verdict::Kill("slow_headers");
        }
        let closing_since = self.closing_since.load(Ordering::Relaxed);
        if closing_since != 0 {
            let left = idle_since.max(closing_since);
            return match is_over(left, DISCONNECT_TIMEOUT) {
                true => Verdict::Kill("idle"),
                false => Verdict::Keep,
            };
        }
        let has_asked = self.begun.load(Ordering::Relaxed) != 0;
        if has_asked && head_since == 0 && is_over(idle_since, limits.idle_timeout) {
            return Verdict::Close;
        }
        if !has_asked && head_since == 0 && is_over(idle_since, limits.first_byte_timeout) {
            return Verdict::Kill("no_byte");
        }
        Verdict::Keep
    }

    fn has_overdue_piece(&self, now: Millis) -> bool {
        // HTTP/1 has one response at a time, whose writes are tracked on the socket.
        self.is_http2.load(Ordering::Relaxed)
            && self
                .read_deadlines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .any(|deadline| now > *deadline)
    }
}

/// A request in flight. Ends on drop.
#[derive(Debug)]
pub(super) struct InFlight {
    id: u64,
    track: Arc<ConnectionState>,
}

impl InFlight {
    pub(super) fn is_http2(&self) -> bool {
        self.track.is_http2.load(Ordering::Relaxed)
    }

    pub(super) fn trust(&self) -> &ConnectionTrust {
        self.track.trust()
    }

    /// Records that the client got a piece of the response, and must read it within `budget`.
    pub(super) fn record_piece_sent(&self, budget: Duration) {
        if self.is_http2() {
            let deadline = self.track.now().saturating_add(millis(budget));
            self.deadlines().insert(self.id, deadline);
        }
    }

    /// Records that the client has read everything it got.
    pub(super) fn record_all_read(&self) {
        if self.is_http2() {
            self.deadlines().remove(&self.id);
        }
    }

    fn deadlines(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Millis>> {
        let deadlines = &self.track.read_deadlines;
        deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.record_all_read();
        let track = &self.track;
        track.quiet_since.store(track.now(), Ordering::Relaxed);
        track.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn limits() -> Http {
        Http {
            first_byte_timeout: Duration::from_secs(10),
            headers_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(100),
            response_timeout: Duration::from_secs(50),
            ..Http::default()
        }
    }

    /// Returns the verdict at `secs` seconds from now.
    fn in_secs(track: &ConnectionState, secs: u64) -> Verdict {
        track.verdict(track.now() + secs * 1000, &limits())
    }

    #[test]
    fn silent_connection_is_closed_at_the_first_byte_deadline() {
        let track = ConnectionState::new(Epoch::begin(), LOCAL);
        assert_eq!(in_secs(&track, 9), Verdict::Keep);
        assert_eq!(in_secs(&track, 11), Verdict::Kill("no_byte"));
    }

    #[test]
    fn header_deadline_is_not_extended_by_further_bytes() {
        let track = ConnectionState::new(Epoch::begin(), LOCAL);
        track.bytes_read();
        assert_eq!(in_secs(&track, 19), Verdict::Keep);
        track.bytes_read();
        assert_eq!(in_secs(&track, 21), Verdict::Kill("slow_headers"));
        let request = track.begin_request();
        assert_eq!(
            in_secs(&track, 100_000),
            Verdict::Keep,
            "a running request has no deadline"
        );
        track.bytes_read();
        drop(request);
        assert_eq!(
            in_secs(&track, 99),
            Verdict::Keep,
            "bytes of a body are not headers"
        );
        track.bytes_read();
        assert_eq!(
            in_secs(&track, 21),
            Verdict::Kill("slow_headers"),
            "these are headers of the next request"
        );
    }

    #[test]
    fn idle_connections_are_closed_gracefully_then_killed() {
        let track = ConnectionState::new(Epoch::begin(), LOCAL);
        track.bytes_read();
        drop(track.begin_request());
        assert_eq!(in_secs(&track, 99), Verdict::Keep);
        assert_eq!(in_secs(&track, 101), Verdict::Close);
        track.close();
        assert_eq!(in_secs(&track, 4), Verdict::Keep);
        assert_eq!(in_secs(&track, 6), Verdict::Kill("idle"));
    }

    #[test]
    fn http2_frames_between_requests_are_not_headers() {
        let track = ConnectionState::new(Epoch::begin(), LOCAL);
        track.set_http2();
        track.bytes_read();
        assert_eq!(
            in_secs(&track, 21),
            Verdict::Kill("slow_headers"),
            "preface only"
        );
        drop(track.begin_request());
        track.bytes_read();
        assert_eq!(in_secs(&track, 99), Verdict::Keep);
        assert_eq!(
            in_secs(&track, 101),
            Verdict::Close,
            "pings must not keep the connection open"
        );
    }

    #[test]
    fn clients_that_read_nothing_are_killed() {
        let track = ConnectionState::new(Epoch::begin(), LOCAL);
        let request = track.begin_request();
        track.write_blocked_until(track.now() + 50_000);
        assert_eq!(in_secs(&track, 49), Verdict::Keep);
        assert_eq!(in_secs(&track, 51), Verdict::Kill("slow_reader"));
        track.write_unblocked();
        assert_eq!(in_secs(&track, 51), Verdict::Keep);

        // Every HTTP/2 stream has its own window, so a blocked stream is not visible on the socket.
        track.set_http2();
        request.record_piece_sent(Duration::from_secs(50));
        assert_eq!(in_secs(&track, 49), Verdict::Keep);
        assert_eq!(in_secs(&track, 51), Verdict::Kill("slow_reader"));
        request.record_all_read();
        assert_eq!(in_secs(&track, 51), Verdict::Keep);
        request.record_piece_sent(Duration::from_secs(50));
        drop(request);
        assert_eq!(in_secs(&track, 51), Verdict::Keep);
    }

    #[test]
    fn only_idle_connections_are_evictable() {
        let track = ConnectionState::new(Epoch::begin(), LOCAL);
        let later = |secs: u64| track.now() + secs * 1000;
        assert!(track.evictable_since(later(0)).is_none(), "just accepted");
        assert!(track.evictable_since(later(2)).is_some());
        track.bytes_read();
        assert!(
            track.evictable_since(later(2)).is_some(),
            "an incomplete request is evictable"
        );
        let request = track.begin_request();
        assert!(track.evictable_since(later(2)).is_none());
        track.write_blocked_until(later(50));
        drop(request);
        assert!(
            track.evictable_since(later(2)).is_none(),
            "a response is being sent"
        );
    }
}
