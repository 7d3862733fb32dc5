//! The socket of a connection: detects HTTP/1 or HTTP/2 from the first bytes, and records when the
//! client sends data and when it does not read responses.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::config::Http;

use super::connection_state::{ConnectionState, millis};
use super::wait_budget::WaitBudget;

/// First bytes of an HTTP/2 connection.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A supported protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// An instrumented socket.
#[derive(Debug)]
pub(super) struct TrackedSocket<S> {
    socket: S,
    track: Arc<ConnectionState>,
    /// Bytes read during protocol detection that were not yet passed on.
    first: [u8; HTTP2_PREFACE.len()],
    first_range: std::ops::Range<usize>,
    budget: WaitBudget,
    blocked_since: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TrackedSocket<S> {
    pub(super) fn new(socket: S, track: Arc<ConnectionState>, limits: &Http) -> Self {
        Self {
            socket,
            track,
            first: [0; HTTP2_PREFACE.len()],
            first_range: 0..0,
            budget: WaitBudget::new(limits.response_timeout, limits.min_bytes_per_second),
            blocked_since: None,
        }
    }

    /// Reads until the protocol is known. Returns `None` if the client disconnects first.
    ///
    /// Has no timeout: the sweep closes connections without a request.
    pub(super) async fn protocol(&mut self) -> io::Result<Option<Protocol>> {
        let mut filled = 0;
        while filled < HTTP2_PREFACE.len() {
            let read = self.socket.read(&mut self.first[filled..]).await?;
            if read == 0 {
                return Ok(None);
            }
            self.track.bytes_read();
            filled += read;
            self.first_range = 0..filled;
            if self.first[..filled] != HTTP2_PREFACE[..filled] {
                return Ok(Some(Protocol::Http1));
            }
        }
        Ok(Some(Protocol::Http2))
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Pending if self.blocked_since.is_none() => {
                self.blocked_since = Some(Instant::now());
                let left = millis(self.budget.remaining());
                self.track
                    .write_blocked_until(self.track.now().saturating_add(left));
            }
            Poll::Pending => {}
            Poll::Ready(Ok(bytes)) => {
                if let Some(since) = self.blocked_since.take() {
                    self.budget.consume(since.elapsed());
                    self.track.write_unblocked();
                }
                self.budget.refill(*bytes);
            }
            Poll::Ready(Err(_)) => {
                self.blocked_since = None;
                self.track.write_unblocked();
            }
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TrackedSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first_range.is_empty() {
            let len = self.first_range.len().min(buffer.remaining());
            let start = self.first_range.start;
            buffer.put_slice(&self.first[start..start + len]);
            self.first_range.start += len;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.track.bytes_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TrackedSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;

    use super::super::connection_state::{Epoch, Verdict};
    use super::*;

    fn watched(
        capacity: usize,
    ) -> (
        tokio::io::DuplexStream,
        TrackedSocket<tokio::io::DuplexStream>,
        Arc<ConnectionState>,
    ) {
        let (client, server) = tokio::io::duplex(capacity);
        let track = ConnectionState::new(Epoch::begin(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let io = TrackedSocket::new(server, Arc::clone(&track), &Http::default());
        (client, io, track)
    }

    #[tokio::test]
    async fn protocol_detection_loses_no_bytes() {
        let http1 = b"GET / HTTP/1.1\r\n\r\n".as_slice();
        let looks_alike = b"PRI * HTTP/2.0\r\n\r\nXX".as_slice();
        for (sent, expected) in [
            (http1, Protocol::Http1),
            (looks_alike, Protocol::Http1),
            (b"P".as_slice(), Protocol::Http1),
            (HTTP2_PREFACE.as_slice(), Protocol::Http2),
        ] {
            let (mut client, mut io, _) = watched(100);
            let sent = [sent, b"!"].concat();
            let send = async {
                for byte in &sent {
                    client.write_all(&[*byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
                drop(client);
            };
            let (protocol, ()) = tokio::join!(io.protocol(), send);
            assert_eq!(protocol.unwrap(), Some(expected), "{sent:?}");
            let mut read = Vec::new();
            io.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
        let (client, mut io, _) = watched(100);
        drop(client);
        assert_eq!(io.protocol().await.unwrap(), None);
    }

    #[tokio::test]
    async fn client_that_reads_nothing_is_recorded() {
        let (mut client, mut io, track) = watched(10);
        let _request = track.begin_request();
        let limits = Http::default();
        let after = |time: Duration| track.verdict(track.now() + millis(time), &limits);
        io.write_all(&[0; 10]).await.unwrap();
        assert_eq!(after(limits.response_timeout * 2), Verdict::Keep);
        let mut writing = std::pin::pin!(io.write_all(&[0; 10]));
        assert!(futures::poll!(writing.as_mut()).is_pending());
        assert_eq!(after(limits.response_timeout / 2), Verdict::Keep);
        assert_eq!(
            after(limits.response_timeout * 2),
            Verdict::Kill("slow_reader")
        );
        client.read_exact(&mut [0; 10]).await.unwrap();
        writing.await.unwrap();
        assert_eq!(after(limits.response_timeout * 2), Verdict::Keep);
    }
}
