//! Threads of lower priority than those that serve requests, for work on input from users and guests.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Difference in nice value between these threads and the serving threads.
const NICE: i32 = 10;
/// The highest nice value, which is the lowest priority.
pub(crate) const LOWEST_PRIORITY: i32 = 19;
/// Idle threads end after this time.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// A pool of threads with low priority. They start on demand and end when idle.
pub(crate) struct Threads {
    /// Only the blocking thread pool of this runtime is used. `None` only while the pool is dropped.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

impl Threads {
    /// Creates a pool of at most `most` threads.
    ///
    /// # Errors
    /// If the operating system refuses what the pool needs.
    pub(crate) fn new(name: &str, most: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .thread_name(name)
            .max_blocking_threads(most)
            .thread_keep_alive(MAX_IDLE)
            .on_thread_start(lower_priority)
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs `work` on a thread, to its end, even if nobody waits for it.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let runtime = self.runtime.as_ref().expect("taken only when dropped");
        runtime.spawn_blocking(work)
    }
}

impl Drop for Threads {
    /// Does not wait for running work, because a serving thread may drop this value.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread. On Linux, priorities are per thread, and lowering one
/// is always permitted.
fn lower_priority() {
    let lowered = getpriority_process(None)
        .and_then(|own| setpriority_process(None, (own + NICE).min(LOWEST_PRIORITY)));
    if let Err(e) = lowered {
        tracing::warn!(error = %e, "failed to lower the priority of a thread for hooks and computations");
    }
}

/// Returns the difference in nice value between the thread on which `on` runs work and this one, for
/// tests.
#[cfg(test)]
pub(crate) async fn priority_difference(on: impl AsyncFnOnce(fn() -> i32) -> i32) -> i32 {
    let nice = || getpriority_process(None).unwrap();
    let (own, theirs) = (nice(), on(nice).await);
    assert_eq!(nice(), own);
    assert_eq!(theirs, (own + NICE).min(LOWEST_PRIORITY));
    theirs - own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn threads_have_lower_priority() {
        let threads = Threads::new("test", 1).unwrap();
        let difference = priority_difference(async |nice| threads.spawn(nice).await.unwrap());
        assert!(difference.await > 0);
    }
}
