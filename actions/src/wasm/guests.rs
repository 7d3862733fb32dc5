//! Threads for guests, and for work that the host does on input from guests or users.
//!
//! Guests never run on the threads that serve requests. A single instruction of a guest that fills
//! or copies its whole memory can take seconds and cannot be interrupted. Each instance therefore
//! runs on its own thread, and the operating system shares the CPUs between them. These threads
//! have a lower priority than the serving threads.
//!
//! There is a thread for each instance that can be admitted, and for each computation. An instance
//! whose deadline has passed keeps its thread and its admission ([`super::admission`]) until it ends,
//! so stuck instances count toward the limit.

use std::fmt;
use std::sync::Arc;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};

use super::limits::{COMPUTATIONS, GUEST_IDLE, GUEST_NICE, INSTANCES, LOWEST_PRIORITY};
use super::report::{Cause, Failure};
use crate::error::SetupError;

/// The guest threads. They start on demand and end when idle.
pub(super) struct Guests {
    /// Only the blocking thread pool of this runtime is used.
    threads: Option<Runtime>,
    computations: Arc<Semaphore>,
}

impl fmt::Debug for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guests").finish_non_exhaustive()
    }
}

impl Guests {
    pub(super) fn new() -> Result<Self, SetupError> {
        let threads = Builder::new_current_thread()
            .thread_name("weir-guest")
            .max_blocking_threads(INSTANCES as usize + COMPUTATIONS)
            .thread_keep_alive(GUEST_IDLE)
            .on_thread_start(lower_priority)
            .build()
            .map_err(SetupError::Threads)?;
        Ok(Self {
            threads: Some(threads),
            computations: Arc::new(Semaphore::new(COMPUTATIONS)),
        })
    }

    fn threads(&self) -> &Runtime {
        self.threads.as_ref().expect("taken only when dropped")
    }

    /// Runs an admitted guest to its end on its own thread, even if the caller stops waiting.
    /// Timers and I/O of `guest` use the caller's runtime.
    pub(super) fn run<T: Send + 'static>(
        &self,
        guest: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let serving = Handle::current();
        self.threads()
            .spawn_blocking(move || serving.block_on(guest))
    }

    /// Runs a possibly slow computation off the serving threads. Waits for one of [`COMPUTATIONS`]
    /// slots, which all repositories share. The computation has no time limit.
    ///
    /// # Errors
    /// If `work` panics, or the server stops before it runs.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.computations.clone().acquire_owned().await;
        let permit = permit.expect("never closed");
        let computed = self.threads().spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        computed.await.map_err(|e| host_failed(&e))
    }
}

impl Drop for Guests {
    /// Does not wait for running guests, because a serving thread may drop this value.
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
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

/// Lowers the priority of the calling thread. On Linux, priorities are per thread, and lowering one
/// is always permitted.
fn lower_priority() {
    let lowered = getpriority_process(None)
        .and_then(|own| setpriority_process(None, (own + GUEST_NICE).min(LOWEST_PRIORITY)));
    if let Err(e) = lowered {
        tracing::warn!(error = %e, "failed to lower the priority of a hook thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn guest_threads_have_lower_priority() {
        let guests = Guests::new().unwrap();
        let own = getpriority_process(None).unwrap();
        let theirs = guests.run(async { getpriority_process(None).unwrap() });
        assert_eq!(
            theirs.await.unwrap(),
            (own + GUEST_NICE).min(LOWEST_PRIORITY)
        );
        assert_eq!(getpriority_process(None).unwrap(), own);
    }

    #[tokio::test]
    async fn host_panic_fails_the_hook() {
        let guests = Guests::new().unwrap();
        let failure = guests.compute(|| panic!("no")).await;
        assert_eq!(failure.map(|(): ()| ()).unwrap_err().cause, Cause::Trap);
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
