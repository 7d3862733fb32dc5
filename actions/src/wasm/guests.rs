//! Threads for guests.
//!
//! Guests never run on the threads that serve requests. A single instruction of a guest that fills
//! or copies its whole memory can take seconds and cannot be interrupted. Each instance therefore
//! runs on its own thread, and the operating system shares the CPUs between them. These threads
//! have a lower priority than the serving threads.
//!
//! There is a thread for each instance that can be admitted. An instance whose deadline has passed
//! keeps its thread and its admission ([`super::admission`]) until it ends, so stuck instances count
//! toward the limit.

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use super::limits::INSTANCES;
use super::report::{Cause, Failure};
use crate::computations::ComputeError;
use crate::error::SetupError;
use crate::threads::Threads;

/// The guest threads.
#[derive(Debug)]
pub(super) struct Guests {
    threads: Threads,
}

impl Guests {
    pub(super) fn new() -> Result<Self, SetupError> {
        let threads = Threads::new("weir-guest", INSTANCES as usize);
        Ok(Self {
            threads: threads.map_err(SetupError::Threads)?,
        })
    }

    /// Runs an admitted guest to its end on its own thread, even if the caller stops waiting.
    /// Timers and I/O of `guest` use the caller's runtime.
    pub(super) fn run<T: Send + 'static>(
        &self,
        guest: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let serving = Handle::current();
        self.threads.spawn(move || serving.block_on(guest))
    }
}

/// Converts a panicked or cancelled task of the host to a failure of the hook.
pub(super) fn host_failed(error: &JoinError) -> Failure {
    tracing::error!(error = %error, "a task of a hook panicked or was cancelled");
    Failure::new(
        Cause::Trap,
        "the server failed while it ran this hook: see its log",
    )
}

impl From<ComputeError> for Failure {
    fn from(error: ComputeError) -> Self {
        match error {
            ComputeError::Busy(_) => Self::new(Cause::Busy, error.to_string()).hint("try again"),
            ComputeError::Ended(error) => host_failed(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::computations::Computations;
    use crate::threads::priority_difference;

    #[tokio::test]
    async fn guest_threads_have_lower_priority() {
        let guests = Guests::new().unwrap();
        let on = async |nice: fn() -> i32| guests.run(async move { nice() }).await.unwrap();
        assert!(priority_difference(on).await > 0);
    }

    #[tokio::test]
    async fn host_panic_fails_the_hook() {
        let computations = Computations::new().unwrap();
        let failed = computations.run("lake", || panic!("no")).await;
        let failure = Failure::from(failed.map(|(): ()| ()).unwrap_err());
        assert_eq!(failure.cause, Cause::Trap);
    }

    #[test]
    fn missing_thread_is_a_busy_failure() {
        let failure = Failure::from(ComputeError::Busy(Duration::from_secs(120)));
        assert_eq!(failure.cause, Cause::Busy);
        assert_eq!(
            failure.message,
            "the server is busy: no thread was free for a computation within 120 s"
        );
    }

    /// Even if many guests are stuck, the next one gets a thread.
    #[tokio::test]
    async fn every_admitted_guest_gets_a_thread() {
        let guests = Guests::new().unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for _ in 1..INSTANCES {
            let held = Arc::clone(&held);
            guests.run(async move { held.lock().is_ok_and(|h| h.recv().is_ok()) });
        }
        assert_eq!(guests.run(async { 7 }).await.unwrap(), 7);
        drop(release);
    }
}
