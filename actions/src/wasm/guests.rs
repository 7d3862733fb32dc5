//! Threads for guests, and for what the host computes on their account.
//!
//! The threads that serve requests never run a guest: a guest may hold its thread for seconds in one
//! instruction, which fills or copies all of its memory, and nothing can interrupt that. Here each instance
//! has a thread, so the system shares the processors between them and no guest waits for another to
//! yield. The threads have a lower priority than those that serve.
//!
//! There are as many threads as instances are admitted at once. An instance whose deadline has passed keeps
//! its thread and its place in [`super::admission`] until it ends, so what is stuck is counted.

use std::fmt;
use std::sync::Arc;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};

use super::limits::{COMPUTATIONS, GUEST_IDLE, GUEST_NICE, INSTANCES, LOWEST_PRIORITY};
use super::{Cause, Failure};

/// The threads. They start when they are needed and end when they idle.
pub(super) struct Guests {
    /// Only its threads for blocking work are used.
    threads: Option<Runtime>,
    computations: Arc<Semaphore>,
}

impl fmt::Debug for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guests").finish_non_exhaustive()
    }
}

impl Guests {
    pub(super) fn new() -> Result<Self, String> {
        let threads = Builder::new_current_thread()
            .thread_name("weir-guest")
            .max_blocking_threads(INSTANCES as usize + COMPUTATIONS)
            .thread_keep_alive(GUEST_IDLE)
            .on_thread_start(step_back)
            .build()
            .map_err(|e| format!("failed to set up the threads of hooks: {e}"))?;
        Ok(Self {
            threads: Some(threads),
            computations: Arc::new(Semaphore::new(COMPUTATIONS)),
        })
    }

    fn threads(&self) -> &Runtime {
        self.threads.as_ref().expect("taken only when dropped")
    }

    /// Runs an admitted guest to its end on a thread of its own, whether anybody waits for it or not.
    /// Timers and input of `guest` are those of the caller's runtime.
    pub(super) fn run<T: Send + 'static>(
        &self,
        guest: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let serving = Handle::current();
        self.threads()
            .spawn_blocking(move || serving.block_on(guest))
    }

    /// Computes something that may take long, beside the requests.
    ///
    /// # Errors
    /// When `work` panics.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.computations.clone().acquire_owned().await;
        let turn = turn.expect("never closed");
        let computed = self.threads().spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        computed.await.map_err(|e| host_failed(&e))
    }
}

impl Drop for Guests {
    /// Does not wait for guests: what drops this may be a thread that serves.
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// What a panic of the host comes to for the hook that met it.
pub(super) fn host_failed(error: &JoinError) -> Failure {
    tracing::error!(error = %error, "the host of a hook failed");
    Failure::new(
        Cause::Trap,
        "the server failed while it ran this hook: see its log",
    )
}

/// On Linux a priority is a thread's. It can always be lowered.
fn step_back() {
    let lowered = getpriority_process(None)
        .and_then(|own| setpriority_process(None, (own + GUEST_NICE).min(LOWEST_PRIORITY)));
    if let Err(e) = lowered {
        tracing::warn!(error = %e, "hooks run with the priority of requests");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn guests_step_back_behind_requests() {
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
    async fn a_panic_of_the_host_is_a_failure() {
        let guests = Guests::new().unwrap();
        let failure = guests.compute(|| panic!("no")).await;
        assert_eq!(failure.map(|(): ()| ()).unwrap_err().cause, Cause::Trap);
    }

    /// However many guests are stuck, another has a thread.
    #[tokio::test]
    async fn every_admitted_guest_has_a_thread() {
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
