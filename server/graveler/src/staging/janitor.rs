//! Empties the partitions of retired staging tokens.
//!
//! A token's retirement is recorded in the batch that removes the token from its branch, so a
//! restart loses none: the next start sweeps those that were not emptied. A token that a branch
//! still names is never recorded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use kv::{Op, Store};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::records::{CLEANUP_STUB, CLEANUP_TOKENS};
use crate::{Result, StagingToken};

/// Maximum number of tokens in the queue. If it overflows, a sweep empties the others.
const MAX_WAITING: usize = 10_000;
const SWEEP_PAGE: usize = 1_000;

/// The write that records a token's retirement. Add it after the compare-and-set that removes the
/// token from its branch.
pub(crate) fn retire_op(token: &StagingToken) -> Op {
    Op::Set {
        partition: Bytes::from_static(CLEANUP_TOKENS),
        key: Bytes::copy_from_slice(token.as_str().as_bytes()),
        value: Bytes::from_static(CLEANUP_STUB),
        predicate: None,
    }
}

/// The background task that empties tokens; the first retirement starts it.
#[derive(Debug)]
pub(crate) struct Janitor {
    kv: Arc<dyn Store>,
    queue: OnceLock<mpsc::Sender<(StagingToken, Instant)>>,
    overflowed: Arc<AtomicBool>,
    /// How long retired tokens stay readable.
    grace: Duration,
}

impl Janitor {
    pub(crate) fn new(kv: Arc<dyn Store>, grace: Duration) -> Self {
        Self {
            kv,
            queue: OnceLock::new(),
            overflowed: Arc::default(),
            grace,
        }
    }

    /// Schedules tokens, whose retirement is already stored, to be emptied after the grace period.
    /// Returns at once.
    pub(crate) fn retire(&self, tokens: Vec<StagingToken>) {
        if tokens.is_empty() {
            return;
        }
        let queue = self.queue.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(MAX_WAITING);
            tokio::spawn(work(
                Arc::clone(&self.kv),
                receiver,
                Arc::clone(&self.overflowed),
                self.grace,
            ));
            sender
        });
        let due = Instant::now() + self.grace;
        for token in tokens {
            if queue.try_send((token, due)).is_err() {
                self.overflowed.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Empties every token that is recorded as retired, and returns their number.
    ///
    /// Waits for the grace period first, since another server may have retired some just now.
    pub(crate) async fn sweep(&self) -> Result<usize> {
        sweep(self.kv.as_ref(), self.grace).await
    }
}

async fn work(
    kv: Arc<dyn Store>,
    mut queue: mpsc::Receiver<(StagingToken, Instant)>,
    overflowed: Arc<AtomicBool>,
    grace: Duration,
) {
    while let Some((token, due)) = queue.recv().await {
        tokio::time::sleep_until(due).await;
        if let Err(error) = empty(kv.as_ref(), token.as_str().as_bytes()).await {
            tracing::warn!(%token, error = &error as &dyn std::error::Error, "failed to empty a staging token; the next sweep tries again");
        }
        if queue.is_empty()
            && overflowed.swap(false, Ordering::Relaxed)
            && let Err(error) = sweep(kv.as_ref(), grace).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to sweep staging tokens; the next start tries again"
            );
        }
    }
}

async fn sweep(kv: &dyn Store, grace: Duration) -> Result<usize> {
    let mut tokens: Vec<Bytes> = Vec::new();
    let mut next = Some(Bytes::new());
    while let Some(start) = next {
        let page = kv.scan(CLEANUP_TOKENS, &start, SWEEP_PAGE).await?;
        tokens.extend(page.entries.into_iter().map(|entry| entry.key));
        next = page.next;
    }
    if !tokens.is_empty() {
        tokio::time::sleep_until(Instant::now() + grace).await;
    }
    for token in &tokens {
        empty(kv, token).await?;
    }
    Ok(tokens.len())
}

/// Empties a token, then removes its record. In this order a crash leaves it recorded.
async fn empty(kv: &dyn Store, token: &[u8]) -> Result<()> {
    kv.delete_partition(token).await?;
    Ok(kv.delete(CLEANUP_TOKENS, token).await?)
}
