//! What is known of one connection while it is served, and what its deadlines make of it.
//!
//! Times are milliseconds since the server began to accept, so that each fits an
//! atomic: reading and writing touch no lock. One sweep judges all connections
//! ([`Track::verdict`]); none has timers of its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::config::Http;

/// A connection without a request may be closed in favour of a new one after so long.
const EVICTABLE_AFTER: Duration = Duration::from_secs(1);
/// How long a client that was told of the end may take to leave.
const LINGER: Duration = Duration::from_secs(5);

/// Milliseconds since the server began; never 0, which stands for "not".
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
pub(super) struct Track {
    epoch: Epoch,
    pub(super) address: IpAddr,
    accepted: Millis,
    is_http2: AtomicBool,
    /// Requests whose answer is not complete.
    in_flight: AtomicUsize,
    /// Requests ever begun.
    begun: AtomicU64,
    /// When the first byte of the request came whose headers are not complete.
    head_since: AtomicU64,
    /// When the last request ended.
    quiet_since: AtomicU64,
    /// By when the client must take a byte that waits to be written.
    write_deadline: AtomicU64,
    /// By when an HTTP/2 client must take a piece of an answer: by request.
    taken_deadlines: Mutex<HashMap<u64, Millis>>,
    /// When the client was told of the end.
    closing_since: AtomicU64,
    closing: CancellationToken,
    killed: CancellationToken,
}

/// What is to become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Its client is told, and may finish what is under way.
    Close,
    /// It is cut off; the reason is a label of the metrics.
    Kill(&'static str),
}

impl Track {
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
            taken_deadlines: Mutex::default(),
            closing_since: AtomicU64::new(0),
            closing: CancellationToken::new(),
            killed: CancellationToken::new(),
        })
    }

    pub(super) fn now(&self) -> Millis {
        self.epoch.now()
    }

    pub(super) fn set_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    /// Bytes came. Between requests they begin the next one; HTTP/2 also sends other frames there.
    pub(super) fn bytes_read(&self) {
        let is_head = self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == 0
            && (self.begun.load(Ordering::Relaxed) == 0 || !self.is_http2.load(Ordering::Relaxed));
        if is_head {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Writing waits for the client, at most until then.
    pub(super) fn write_blocked_until(&self, deadline: Millis) {
        self.write_deadline.store(deadline, Ordering::Relaxed);
    }

    pub(super) fn write_went_on(&self) {
        self.write_deadline.store(0, Ordering::Relaxed);
    }

    /// A request's headers are complete. The request lasts as long as what is returned.
    pub(super) fn begin_request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        InFlight {
            id: self.begun.fetch_add(1, Ordering::Relaxed),
            track: Arc::clone(self),
        }
    }

    /// Resolves when the client is to be told of the end.
    pub(super) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Resolves when the connection is to be cut off.
    pub(super) async fn killed(&self) {
        self.killed.cancelled().await;
    }

    pub(super) fn close(&self) {
        if self.closing_since.load(Ordering::Relaxed) == 0 {
            self.closing_since.store(self.now(), Ordering::Relaxed);
        }
        self.closing.cancel();
    }

    pub(super) fn kill(&self) {
        self.killed.cancel();
    }

    /// Since when there was no request and nothing is left to be written; none if there is one.
    fn idle_since(&self) -> Option<Millis> {
        let is_idle = self.in_flight.load(Ordering::Relaxed) == 0
            && self.write_deadline.load(Ordering::Relaxed) == 0;
        is_idle.then(|| match self.quiet_since.load(Ordering::Relaxed) {
            0 => self.accepted,
            since => since,
        })
    }

    /// Since when this connection does nothing for its client, if that is long enough to close it
    /// in favour of another one.
    pub(super) fn evictable_since(&self, now: Millis) -> Option<Millis> {
        let since = self.idle_since()?;
        (now.saturating_sub(since) >= millis(EVICTABLE_AFTER)).then_some(since)
    }

    /// Judges the connection by its deadlines.
    pub(super) fn verdict(&self, now: Millis, limits: &Http) -> Verdict {
        let write_deadline = self.write_deadline.load(Ordering::Relaxed);
        if write_deadline != 0 && now > write_deadline {
            return Verdict::Kill("slow_reader");
        }
        if self.a_piece_was_not_taken(now) {
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
            return match is_over(left, LINGER) {
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

    fn a_piece_was_not_taken(&self, now: Millis) -> bool {
        // HTTP/1 has one answer at a time, whose writing is watched.
        self.is_http2.load(Ordering::Relaxed)
            && self
                .taken_deadlines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .any(|deadline| now > *deadline)
    }
}

/// A request under way; over when dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    id: u64,
    track: Arc<Track>,
}

impl InFlight {
    pub(super) fn is_http2(&self) -> bool {
        self.track.is_http2.load(Ordering::Relaxed)
    }

    /// The client was given a piece of the answer, and has until then to take it.
    pub(super) fn piece_given(&self, patience: Duration) {
        if self.is_http2() {
            let deadline = self.track.now().saturating_add(millis(patience));
            self.deadlines().insert(self.id, deadline);
        }
    }

    /// The client took all it was given.
    pub(super) fn piece_taken(&self) {
        if self.is_http2() {
            self.deadlines().remove(&self.id);
        }
    }

    fn deadlines(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Millis>> {
        let deadlines = &self.track.taken_deadlines;
        deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.piece_taken();
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

    /// The verdict so many seconds from now.
    fn in_secs(track: &Track, secs: u64) -> Verdict {
        track.verdict(track.now() + secs * 1000, &limits())
    }

    #[test]
    fn a_silent_connection_has_until_its_first_byte() {
        let track = Track::new(Epoch::begin(), LOCAL);
        assert_eq!(in_secs(&track, 9), Verdict::Keep);
        assert_eq!(in_secs(&track, 11), Verdict::Kill("no_byte"));
    }

    #[test]
    fn headers_have_one_deadline_however_many_pieces_come() {
        let track = Track::new(Epoch::begin(), LOCAL);
        track.bytes_read();
        assert_eq!(in_secs(&track, 19), Verdict::Keep);
        track.bytes_read();
        assert_eq!(in_secs(&track, 21), Verdict::Kill("slow_headers"));
        let request = track.begin_request();
        assert_eq!(
            in_secs(&track, 100_000),
            Verdict::Keep,
            "work takes its time"
        );
        track.bytes_read();
        drop(request);
        assert_eq!(
            in_secs(&track, 99),
            Verdict::Keep,
            "bytes of a body are no headers"
        );
        track.bytes_read();
        assert_eq!(
            in_secs(&track, 21),
            Verdict::Kill("slow_headers"),
            "the next request's"
        );
    }

    #[test]
    fn idle_connections_are_told_and_then_cut_off() {
        let track = Track::new(Epoch::begin(), LOCAL);
        track.bytes_read();
        drop(track.begin_request());
        assert_eq!(in_secs(&track, 99), Verdict::Keep);
        assert_eq!(in_secs(&track, 101), Verdict::Close);
        track.close();
        assert_eq!(in_secs(&track, 4), Verdict::Keep);
        assert_eq!(in_secs(&track, 6), Verdict::Kill("idle"));
    }

    #[test]
    fn frames_between_requests_of_http2_are_no_headers() {
        let track = Track::new(Epoch::begin(), LOCAL);
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
            "pings keep nothing open"
        );
    }

    #[test]
    fn readers_that_take_nothing_are_cut_off() {
        let track = Track::new(Epoch::begin(), LOCAL);
        let request = track.begin_request();
        track.write_blocked_until(track.now() + 50_000);
        assert_eq!(in_secs(&track, 49), Verdict::Keep);
        assert_eq!(in_secs(&track, 51), Verdict::Kill("slow_reader"));
        track.write_went_on();
        assert_eq!(in_secs(&track, 51), Verdict::Keep);

        // HTTP/2 has a window for each stream: the socket does not show that one is shut.
        track.set_http2();
        request.piece_given(Duration::from_secs(50));
        assert_eq!(in_secs(&track, 49), Verdict::Keep);
        assert_eq!(in_secs(&track, 51), Verdict::Kill("slow_reader"));
        request.piece_taken();
        assert_eq!(in_secs(&track, 51), Verdict::Keep);
        request.piece_given(Duration::from_secs(50));
        drop(request);
        assert_eq!(in_secs(&track, 51), Verdict::Keep);
    }

    #[test]
    fn only_connections_without_a_request_are_evictable() {
        let track = Track::new(Epoch::begin(), LOCAL);
        let later = |secs: u64| track.now() + secs * 1000;
        assert!(track.evictable_since(later(0)).is_none(), "just accepted");
        assert!(track.evictable_since(later(2)).is_some());
        track.bytes_read();
        assert!(track.evictable_since(later(2)).is_some(), "half a request");
        let request = track.begin_request();
        assert!(track.evictable_since(later(2)).is_none());
        track.write_blocked_until(later(50));
        drop(request);
        assert!(
            track.evictable_since(later(2)).is_none(),
            "an answer is being sent"
        );
    }
}
