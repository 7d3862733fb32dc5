//! Limits how long the checks and hooks of one event wait for compilations in total.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::COMPILE_WAIT;

/// The time that the checks and hooks of one event may wait for compilations. Concurrent waits count
/// once, and the time between waits does not count. Cheap to clone; clones share the time.
#[derive(Debug, Clone)]
pub struct CompileWait {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    left: Duration,
    /// Number of current waits, and when the first of them began.
    waits: usize,
    since: Instant,
}

impl Default for CompileWait {
    fn default() -> Self {
        Self::new(COMPILE_WAIT)
    }
}

impl CompileWait {
    /// Allows `most` in total.
    #[must_use]
    pub fn new(most: Duration) -> Self {
        let shared = Shared {
            left: most,
            waits: 0,
            since: Instant::now(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Waits for `work`. Returns `None` if the time is used up first.
    pub(super) async fn wait_for<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (wait, deadline) = self.begin();
        let ended = tokio::time::timeout_at(deadline, work).await.ok();
        drop(wait);
        ended
    }

    fn begin(&self) -> (Wait<'_>, Instant) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.waits == 0 {
            shared.since = Instant::now();
        }
        shared.waits += 1;
        (Wait { of: self }, shared.since + shared.left)
    }
}

/// A current wait. Dropping it ends the wait, so a cancelled request does not keep it open.
struct Wait<'a> {
    of: &'a CompileWait,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let shared = self.of.shared.lock();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        shared.waits -= 1;
        if shared.waits == 0 {
            shared.left = shared.left.saturating_sub(shared.since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const MOST: Duration = Duration::from_secs(120);

    async fn pass(time: Duration) {
        let _ = tokio::time::timeout(time, pending::<()>()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn waits_add_up_and_concurrent_waits_count_once() {
        let wait = CompileWait::new(MOST);
        let half = MOST / 2;
        let both = tokio::join!(wait.wait_for(pass(half)), wait.wait_for(pass(half)));
        assert_eq!(both, (Some(()), Some(())));
        // Time between waits, for example for a slow webhook.
        pass(MOST).await;
        let started = Instant::now();
        assert_eq!(wait.clone().wait_for(pending::<()>()).await, None);
        assert_eq!(started.elapsed().as_secs(), half.as_secs());
        let started = Instant::now();
        assert_eq!(wait.wait_for(pending::<()>()).await, None);
        assert_eq!(started.elapsed().as_secs(), 0);
        // Work that is ready immediately still succeeds.
        assert_eq!(wait.wait_for(async { 1 }).await, Some(1));
    }
}
