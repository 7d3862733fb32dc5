//! Computations on input from users and guests: parsing, globs, schemas, digests, reports, responses of
//! webhooks.
//!
//! Such a computation may take long, so it never runs on the threads that serve requests. All
//! computations share [`THREADS`] threads of lower priority, of which a repository uses at most half.
//! A computation that repeats a step for many items, such as matching paths, runs in time slices: after
//! [`TIME_SLICE`] it goes to the end of the queue. It ends when its caller stops waiting for the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::error::SetupError;
use crate::shares::{FairPermit, FairSemaphore, WaitedTooLong};
use crate::threads::Threads;

/// Number of threads for computations.
const THREADS: u32 = 16;
/// Maximum time that a computation waits for a thread. In time slices, it applies to each slice.
const THREAD_WAIT: Duration = Duration::from_secs(120);
/// Duration of one time slice.
const TIME_SLICE: Duration = Duration::from_millis(50);

/// Why a computation has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComputeError {
    /// No thread was free in time.
    #[error("the server is busy: no thread was free for a computation within {} s", .0.as_secs())]
    Busy(Duration),
    /// The computation panicked, or the server is shutting down.
    #[error("a computation ended early: {0}")]
    Ended(#[from] JoinError),
}

impl From<WaitedTooLong> for ComputeError {
    fn from(waited: WaitedTooLong) -> Self {
        Self::Busy(waited.0)
    }
}

/// Whether a computation has ended after a time slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// The time slice is used up, and the computation must continue in another one.
    Paused,
}

/// One time slice of a computation.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    end: Instant,
    abandoned: CancellationToken,
}

impl TimeSlice {
    /// Reports whether the computation must return: the time has passed, or the caller has stopped
    /// waiting for the result. To make progress, a computation calls this only after it has processed
    /// an item.
    pub(crate) fn is_used_up(&self) -> bool {
        self.abandoned.is_cancelled() || Instant::now() >= self.end
    }

    /// Returns a time slice that is used up after each item, for tests.
    #[cfg(test)]
    pub(crate) fn of_one_item() -> Self {
        Self {
            end: Instant::now(),
            abandoned: CancellationToken::new(),
        }
    }

    /// Returns a time slice that is long enough for any test.
    #[cfg(test)]
    pub(crate) fn long() -> Self {
        Self {
            end: Instant::now() + Duration::from_secs(3600),
            abandoned: CancellationToken::new(),
        }
    }
}

/// Permission to use a thread. Released on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: FairPermit,
}

/// The threads for computations. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Computations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    threads: Threads,
    slots: FairSemaphore,
}

impl Computations {
    /// # Errors
    /// If the threads cannot be set up.
    pub(crate) fn new() -> Result<Self, SetupError> {
        Self::waiting(THREAD_WAIT)
    }

    pub(crate) fn waiting(wait: Duration) -> Result<Self, SetupError> {
        let threads = Threads::new("weir-computation", THREADS as usize);
        Ok(Self {
            inner: Arc::new(Inner {
                threads: threads.map_err(SetupError::Threads)?,
                slots: FairSemaphore::new(THREADS, wait),
            }),
        })
    }

    /// Waits for a thread in the share of a repository (`Repository::partition`).
    ///
    /// # Errors
    /// [`ComputeError::Busy`].
    pub(crate) async fn slot(&self, repository: &str) -> Result<Slot, ComputeError> {
        let permit = self.inner.slots.acquire(repository, 1).await?;
        Ok(Slot { _permit: permit })
    }

    /// Runs `work` in a slot.
    ///
    /// # Errors
    /// [`ComputeError::Ended`].
    pub(crate) async fn run_in<T: Send + 'static>(
        &self,
        slot: Slot,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        let computed = self.inner.threads.spawn(move || {
            // Held until the work ends, even if the caller stops waiting.
            let _slot = slot;
            work()
        });
        Ok(computed.await?)
    }

    /// Runs `work`, whose time must be limited, in the share of a repository.
    ///
    /// # Errors
    /// [`ComputeError`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        repository: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        let slot = self.slot(repository).await?;
        self.run_in(slot, work).await
    }

    /// Runs `step` in time slices until it is done, in the share of a repository, and returns the state. Stops
    /// at the end of an item if the caller stops waiting.
    ///
    /// # Errors
    /// [`ComputeError`].
    pub(crate) async fn run_in_slices<S: Send + 'static>(
        &self,
        repository: &str,
        mut state: S,
        step: impl Fn(&mut S, &TimeSlice) -> Progress + Clone + Send + 'static,
    ) -> Result<S, ComputeError> {
        let caller = CancellationToken::new();
        let _abandon = caller.clone().drop_guard();
        loop {
            let (abandoned, step) = (caller.clone(), step.clone());
            let run_slice = move || {
                let slice = TimeSlice {
                    end: Instant::now() + TIME_SLICE,
                    abandoned,
                };
                let progress = step(&mut state, &slice);
                (state, progress)
            };
            let progress;
            (state, progress) = self.run(repository, run_slice).await?;
            if progress == Progress::Done {
                return Ok(state);
            }
        }
    }
}

/// Computations that occupy all threads of a repository until they are released, for tests.
#[cfg(test)]
pub(crate) struct Blocked {
    release: Option<std::sync::mpsc::Sender<()>>,
}

#[cfg(test)]
impl Blocked {
    /// Starts twice as many computations as the repository has threads, so half of them wait.
    pub(crate) async fn start(computations: &Computations, repository: &str) -> Self {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..THREADS {
            let (computations, held) = (computations.clone(), Arc::clone(&held));
            let (repository, started) = (repository.to_owned(), started.clone());
            tokio::spawn(async move {
                let blocked = move || {
                    started.send(()).ok();
                    held.lock().is_ok_and(|held| held.recv().is_ok())
                };
                computations.run(&repository, blocked).await.map(drop)
            });
        }
        for _ in 0..THREADS / 2 {
            has_started.recv().await.expect("a sender is left");
        }
        Self {
            release: Some(release),
        }
    }
}

#[cfg(test)]
impl Drop for Blocked {
    fn drop(&mut self) {
        drop(self.release.take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::threads::priority_difference;

    /// Regression test: the slow globs of one repository occupied all threads, and computations of all
    /// others waited for them without a limit.
    #[tokio::test]
    async fn repository_cannot_block_the_others() {
        let computations = Computations::waiting(Duration::from_millis(20)).unwrap();
        let _blocked = Blocked::start(&computations, "hostile").await;
        assert_eq!(computations.run("lake", || 7).await.unwrap(), 7);
        let busy = computations.run("hostile", || 7).await.unwrap_err();
        assert!(matches!(busy, ComputeError::Busy(_)), "{busy}");
    }

    /// Regression test: globs of action files were matched with the priority of serving threads.
    #[tokio::test]
    async fn computations_have_lower_priority() {
        let computations = Computations::new().unwrap();
        let on = async |nice| computations.run("lake", nice).await.unwrap();
        assert!(priority_difference(on).await > 0);
    }

    #[tokio::test]
    async fn long_computation_runs_in_turns() {
        let computations = Computations::new().unwrap();
        let slices = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&slices);
        let step = move |left: &mut Vec<u8>, _: &TimeSlice| {
            count.fetch_add(1, Ordering::SeqCst);
            match left.pop() {
                Some(_) => Progress::Paused,
                None => Progress::Done,
            }
        };
        let left = computations.run_in_slices("lake", vec![0; 3], step).await;
        assert_eq!((left.unwrap(), slices.load(Ordering::SeqCst)), (vec![], 4));
    }

    /// Regression test: matching went on for minutes after its hook had timed out.
    #[tokio::test]
    async fn abandoned_computation_ends() {
        let computations = Computations::new().unwrap();
        let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let step = move |(): &mut (), slice: &TimeSlice| {
            events.send("started").unwrap();
            while !slice.abandoned.is_cancelled() {
                std::thread::yield_now();
            }
            assert!(slice.is_used_up());
            events.send("ended").unwrap();
            Progress::Paused
        };
        {
            let mut computation = std::pin::pin!(computations.run_in_slices("lake", (), step));
            tokio::select! {
                _ = &mut computation => panic!("it never ends by itself"),
                event = seen.recv() => assert_eq!(event, Some("started")),
            }
        }
        assert_eq!(seen.recv().await, Some("ended"));
        assert_eq!(seen.recv().await, None, "there is no further slice");
    }

    #[tokio::test]
    async fn panic_is_an_error() {
        let computations = Computations::new().unwrap();
        let failed = computations.run("lake", || panic!("on purpose")).await;
        let Err::<(), _>(ComputeError::Ended(error)) = failed else {
            panic!("{failed:?}")
        };
        assert!(error.is_panic());
    }
}
