//! The log of one instance: log lines of the hook and its printed output.
//!
//! An instance that writes more than its limit is stopped. All instances of a hook share one budget
//! for the text that is kept. The log lives outside the instance, so it survives a trap.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::limits::{LOG_EACH, size};
use super::report::{Cause, Failure};

/// Number of bytes that the instances of a hook may still keep beyond [`LOG_EACH`].
pub(super) type LogBudget = Arc<AtomicUsize>;

pub(super) fn budget(bytes: usize) -> LogBudget {
    Arc::new(AtomicUsize::new(bytes))
}

#[derive(Debug)]
struct Lines {
    bytes: Vec<u8>,
    budget: LogBudget,
    /// Bytes written, whether kept or not.
    written: usize,
    limit: usize,
    full: bool,
    /// Some output was not kept.
    cut: bool,
}

/// A log shared by the instance and the caller that waits for it.
#[derive(Debug, Clone)]
pub(super) struct Log(Arc<Mutex<Lines>>);

impl Log {
    pub(super) fn new(limit: usize, budget: LogBudget) -> Self {
        Self(Arc::new(Mutex::new(Lines {
            bytes: Vec::new(),
            budget,
            written: 0,
            limit,
            full: false,
            cut: false,
        })))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // A panic while the lock is held can at worst lose a line.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends output.
    ///
    /// # Errors
    /// If the instance has written more than its limit. The excess is dropped, and the instance must
    /// stop with this failure.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut lines = self.lines();
        let room = lines.limit.saturating_sub(lines.written);
        lines.keep(&bytes[..room.min(bytes.len())]);
        if bytes.len() > room {
            lines.full = true;
            return Err(lines.overflow());
        }
        Ok(())
    }

    /// Appends a log line of the hook, with its fields. Fails like [`Log::write`].
    pub(super) fn write_line(
        &self,
        level: &str,
        message: &str,
        fields: &[(String, String)],
    ) -> Result<(), Failure> {
        let mut line = format!("{level} {}", message.replace('\n', "\n  "));
        for (name, value) in fields {
            line.extend([" ", name, "=", &value.replace('\n', "\\n")]);
        }
        line.push('\n');
        self.write(line.as_bytes())
    }

    /// Returns the failure if the hook wrote too much.
    pub(super) fn overflow(&self) -> Option<Failure> {
        let lines = self.lines();
        lines.full.then(|| lines.overflow())
    }

    /// Reports whether output is missing because the shared budget was used up.
    pub(super) fn was_cut(&self) -> bool {
        self.lines().cut
    }

    /// Returns the text so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lines().bytes).into_owned()
    }

    /// Extracts location and message of a Rust panic from the output.
    pub(super) fn panic_message(&self) -> Option<String> {
        let text = self.text();
        let (_, after) = text.rsplit_once("panicked at ")?;
        let lines: Vec<&str> = after
            .lines()
            .filter(|l| !l.starts_with("note: "))
            .map(str::trim)
            .collect();
        Some(lines.join(" ").trim().to_owned())
    }
}

impl Lines {
    fn keep(&mut self, bytes: &[u8]) {
        self.written += bytes.len();
        if self.cut {
            return;
        }
        let own = LOG_EACH.saturating_sub(self.bytes.len()).min(bytes.len());
        let wanted = bytes.len() - own;
        let take = |left: usize| Some(left.saturating_sub(wanted));
        let left = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .expect("the closure always answers");
        let kept = own + wanted.min(left);
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.cut = kept < bytes.len();
    }

    fn overflow(&self) -> Failure {
        Failure::new(
            Cause::LimitLog,
            format!(
                "hook wrote more than {} to its log (limits.log)",
                size(self.limit as u64)
            ),
        )
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// Traps on overflow, because most runtimes ignore errors when printing.
impl OutputStream for Log {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        Self::write(self, &bytes).map_err(|e| StreamError::Trap(e.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Log {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Log {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(
            Log::write(&self, bytes)
                .map(|()| bytes.len())
                .map_err(std::io::Error::other),
        )
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_truncated_and_reported() {
        let log = Log::new(8, budget(8));
        log.write(b"12345").expect("fits");
        assert_eq!(log.overflow(), None);
        let failure = log.write(b"67890").expect_err("does not fit");
        assert_eq!(
            (failure.cause, failure.message.as_str()),
            (
                Cause::LimitLog,
                "hook wrote more than 8B to its log (limits.log)"
            )
        );
        assert_eq!(
            (log.text().as_str(), log.overflow()),
            ("12345678", Some(failure))
        );
    }

    /// Regression test: 64 instances with 16 MiB each held 1 GiB of log for one hook.
    #[test]
    fn instances_of_a_hook_share_the_log_budget() {
        let shared = budget(10_000);
        let logs: Vec<Log> = (0..8).map(|_| Log::new(10_000, shared.clone())).collect();
        for log in &logs {
            log.write(&[b'x'; 9_000]).expect("each is within its limit");
            log.write(b"y").expect("each is within its limit");
        }
        let kept: Vec<usize> = logs.iter().map(|log| log.text().len()).collect();
        assert_eq!(kept[..4], [9_001, 9_001, 4_286, 4_096]);
        assert!(kept.iter().sum::<usize>() <= 10_000 + 8 * LOG_EACH);
        assert!(!logs[0].was_cut() && logs[7].was_cut());
        // Dropped output still counts toward the instance's own limit.
        logs[7]
            .write(&[b'x'; 1_000])
            .expect_err("over its own limit");
    }

    #[test]
    fn panic_message_is_extracted_from_output() {
        let log = Log::new(1000, budget(1000));
        log.write(
            b"hello\n\nthread '<unnamed>' (1) panicked at src/lib.rs:3:5:\nboom\nnote: run with\n",
        )
        .expect("fits");
        assert_eq!(log.panic_message().as_deref(), Some("src/lib.rs:3:5: boom"));
    }
}
