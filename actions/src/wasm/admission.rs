//! Limits how many instances run at the same time, and how much memory they use, across all hooks
//! of the server.
//!
//! Each repository can hold at most half of each pool, so one repository cannot block the others.
//! Requests are served in order of arrival, first within the repository's share and then globally,
//! and time out after [`ADMISSION_WAIT`]. Waiting time does not count toward a hook's timeout
//! ([`Waits`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::limits::{ADMISSION_WAIT, INSTANCES, MEMORY_MIB};
use super::report::{Cause, Failure};
use crate::shares::Shares;

/// A repository can hold at most `1 / SHARE` of a pool.
const SHARE: u32 = 2;

/// Semaphores for memory and instances.
#[derive(Debug)]
pub(super) struct Pool {
    memory_mib: Arc<Semaphore>,
    instances: Arc<Semaphore>,
}

impl Pool {
    fn new(memory_mib: u32, instances: u32) -> Self {
        Self {
            memory_mib: Arc::new(Semaphore::new(memory_mib as usize)),
            instances: Arc::new(Semaphore::new(instances as usize)),
        }
    }

    /// Takes memory first, then an instance slot. A holder of a slot therefore never waits for
    /// anything else in this pool.
    async fn take(&self, mib: u32) -> [OwnedSemaphorePermit; 2] {
        let memory = self.memory_mib.clone().acquire_many_owned(mib).await;
        let memory = memory.expect("never closed");
        let slot = self.instances.clone().acquire_owned().await;
        [memory, slot.expect("never closed")]
    }
}

/// Admission of one instance. Released on drop.
#[derive(Debug)]
pub(super) struct Admitted {
    _of_share: [OwnedSemaphorePermit; 2],
    _of_all: [OwnedSemaphorePermit; 2],
    /// Keeps the repository's share in use, so that it is not created again while the instance runs.
    _share: Arc<Pool>,
}

/// The server's pool, and the shares of repositories.
#[derive(Debug)]
pub(super) struct Admission {
    all: Pool,
    shares: Shares<Pool>,
    wait: Duration,
}

impl Admission {
    pub(super) fn new() -> Self {
        Self::waiting(ADMISSION_WAIT)
    }

    fn waiting(wait: Duration) -> Self {
        Self {
            all: Pool::new(MEMORY_MIB, INSTANCES),
            shares: Shares::default(),
            wait,
        }
    }

    /// Returns the share of a repository. All of its hooks use the same share.
    pub(super) fn share(&self, repository: &str) -> Arc<Pool> {
        let new_share = || Pool::new(MEMORY_MIB / SHARE, INSTANCES / SHARE);
        self.shares.of(repository, new_share)
    }

    /// Waits for room for an instance, first in the repository's share and then in the server's
    /// pool. In this order, an instance that waits for its own repository does not occupy the
    /// server's pool.
    ///
    /// # Errors
    /// [`Cause::Busy`] if the wait times out.
    pub(super) async fn admit(
        &self,
        share: &Arc<Pool>,
        memory_bytes: u64,
    ) -> Result<Admitted, Failure> {
        let mib = mib(memory_bytes);
        let admitted = async {
            Admitted {
                _of_share: share.take(mib).await,
                _of_all: self.all.take(mib).await,
                _share: Arc::clone(share),
            }
        };
        tokio::time::timeout(self.wait, admitted)
            .await
            .map_err(|_| {
                Failure::new(
                    Cause::Busy,
                    format!(
                        "the server is running too many hooks: no room for this hook after {}",
                        humantime::format_duration(self.wait)
                    ),
                )
                .hint("try again, or lower limits.memory if the hook needs less")
            })
    }
}

/// Returns how many instances of this size fit into a share at once. Further instances of a hook
/// would wait for the hook's own instances.
pub(super) fn fit(memory_bytes: u64) -> usize {
    (MEMORY_MIB / SHARE / mib(memory_bytes)).clamp(1, INSTANCES / SHARE) as usize
}

fn mib(memory_bytes: u64) -> u32 {
    u32::try_from(memory_bytes.div_ceil(1 << 20))
        .unwrap_or(u32::MAX)
        .clamp(1, MEMORY_MIB / SHARE)
}

/// Measures how long a hook stood still: at least one instance was waiting and none was running.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<WaitState>);

#[derive(Debug, Default)]
struct WaitState {
    waiting: usize,
    running: usize,
    since: Option<Instant>,
    total: Duration,
}

impl Waits {
    fn state(&self) -> MutexGuard<'_, WaitState> {
        // Code under this lock does not panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers an instance that is waiting from now on.
    pub(super) fn register(&self) -> Waiter<'_> {
        self.state().change(Instant::now(), |s| s.waiting += 1);
        Waiter {
            waits: self,
            runs: false,
        }
    }

    /// Returns the total up to `now`.
    pub(super) fn total(&self, now: Instant) -> Duration {
        let state = self.state();
        let open = state.since.map(|since| now.duration_since(since));
        state.total + open.unwrap_or_default()
    }
}

impl WaitState {
    fn change(&mut self, now: Instant, change: impl FnOnce(&mut Self)) {
        if let Some(since) = self.since.take() {
            self.total += now.duration_since(since);
        }
        change(self);
        self.since = (self.waiting > 0 && self.running == 0).then_some(now);
    }
}

/// One instance, first waiting and then running. Unregistered on drop.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    waits: &'a Waits,
    runs: bool,
}

impl Waiter<'_> {
    /// Marks the instance as running.
    pub(super) fn start(&mut self) {
        self.runs = true;
        self.waits.state().change(Instant::now(), |s| {
            s.waiting -= 1;
            s.running += 1;
        });
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let runs = self.runs;
        self.waits.state().change(Instant::now(), |s| {
            if runs {
                s.running -= 1;
            } else {
                s.waiting -= 1;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const GIB: u64 = 1 << 30;

    /// Regression test: two hooks with 2 GiB each held all memory of the server, even if they
    /// belonged to the same repository.
    #[tokio::test]
    async fn one_repository_cannot_use_the_whole_pool() {
        let admission = Admission::new();
        let (greedy, other) = (admission.share("greedy"), admission.share("other"));
        let first = admission.admit(&greedy, 2 * GIB).await.unwrap();
        let same = admission.share("greedy");
        let second = admission.admit(&same, 2 * GIB);
        let mut second = std::pin::pin!(second);
        assert!(
            second.as_mut().now_or_never().is_none(),
            "the repository already holds its share"
        );
        let others = admission.admit(&other, 2 * GIB).now_or_never();
        assert!(others.unwrap().is_ok(), "other repositories must not wait");
        drop(first);
        assert!(second.now_or_never().unwrap().is_ok());
    }

    /// Regression test: the share was forgotten while an instance of `describe` was stuck, and the
    /// repository got a whole new share.
    #[tokio::test]
    async fn share_exists_until_its_instances_have_ended() {
        let admission = Admission::waiting(Duration::ZERO);
        let stuck = admission.admit(&admission.share("lake"), 2 * GIB).await;
        let more = admission.admit(&admission.share("lake"), GIB).await;
        assert_eq!(more.unwrap_err().cause, Cause::Busy);
        drop(stuck);
        let more = admission.admit(&admission.share("lake"), GIB).await;
        assert!(more.is_ok());
    }

    #[tokio::test]
    async fn wait_times_out_with_busy() {
        let admission = Admission::waiting(Duration::ZERO);
        let share = admission.share("lake");
        let _held = admission.admit(&share, 2 * GIB).await.unwrap();
        let failure = admission.admit(&share, 1).await.unwrap_err();
        assert_eq!(
            (failure.cause, failure.message.as_str()),
            (
                Cause::Busy,
                "the server is running too many hooks: no room for this hook after 0s"
            )
        );
    }

    #[test]
    fn instances_of_one_hook_fit_its_share() {
        assert_eq!(
            [fit(2 * GIB), fit(256 << 20), fit(1), fit(u64::MAX)],
            [1, 8, 32, 1]
        );
    }

    #[test]
    fn time_counts_unless_all_instances_wait() {
        let mut state = WaitState::default();
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        state.change(at(0), |s| s.waiting += 2);
        state.change(at(5), |s| (s.waiting, s.running) = (1, 1));
        state.change(at(20), |s| s.running = 0);
        state.change(at(22), |s| (s.waiting, s.running) = (0, 1));
        state.change(at(30), |s| s.running = 0);
        assert_eq!((state.total, state.since), (Duration::from_secs(7), None));
    }
}
