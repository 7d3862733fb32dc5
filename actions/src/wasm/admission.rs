//! Admission: how many instances run and how much memory they may use, over all hooks of the server.
//!
//! A repository holds at most its share, half of each: however much one asks for, the hooks of
//! another find room. Within a share and over all, turns come in order of arrival, and nobody waits
//! longer than [`ADMISSION_WAIT`]. What a hook waits is not taken from its time ([`Waits`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::limits::{ADMISSION_WAIT, INSTANCES, MEMORY_MIB};
use super::{Cause, Failure};

/// What one repository may hold of a pool.
const SHARE: u32 = 2;

/// Room for instances.
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

    /// Memory first, then a slot: whoever holds a slot needs nothing else of this pool.
    async fn take(&self, mib: u32) -> [OwnedSemaphorePermit; 2] {
        let memory = self.memory_mib.clone().acquire_many_owned(mib).await;
        let memory = memory.expect("never closed");
        let slot = self.instances.clone().acquire_owned().await;
        [memory, slot.expect("never closed")]
    }
}

/// Room that is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    _share: [OwnedSemaphorePermit; 2],
    _all: [OwnedSemaphorePermit; 2],
}

/// The room of the server, and what repositories have of it.
#[derive(Debug)]
pub(super) struct Admission {
    all: Pool,
    /// Of repositories whose hooks run now; others hold nothing.
    shares: Mutex<HashMap<String, Weak<Pool>>>,
    wait: Duration,
}

impl Admission {
    pub(super) fn new() -> Self {
        Self::waiting(ADMISSION_WAIT)
    }

    fn waiting(wait: Duration) -> Self {
        Self {
            all: Pool::new(MEMORY_MIB, INSTANCES),
            shares: Mutex::default(),
            wait,
        }
    }

    /// The share of a repository, the same for all of its hooks.
    pub(super) fn share(&self, repository: &str) -> Arc<Pool> {
        // A panic while the lock was held can at worst have lost an entry that is made anew.
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(repository).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Pool::new(MEMORY_MIB / SHARE, INSTANCES / SHARE));
        shares.insert(repository.to_owned(), Arc::downgrade(&share));
        share
    }

    /// Waits for room for an instance: first in the share of its repository, then over all, so
    /// that who waits for the rest of its repository keeps nobody else out.
    ///
    /// # Errors
    /// [`Cause::Busy`] when there is none in time.
    pub(super) async fn admit(&self, share: &Pool, memory_bytes: u64) -> Result<Admitted, Failure> {
        let mib = mib(memory_bytes);
        let admitted = async {
            Admitted {
                _share: share.take(mib).await,
                _all: self.all.take(mib).await,
            }
        };
        tokio::time::timeout(self.wait, admitted).await.map_err(|_| {
            Failure::new(
                Cause::Busy,
                format!(
                    "the server is judging too many changes: no room for this hook after {}; try again",
                    humantime::format_duration(self.wait)
                ),
            )
        })
    }
}

/// How many instances of a size fit a share at once. A hook that starts more would wait for itself.
pub(super) fn fit(memory_bytes: u64) -> usize {
    (MEMORY_MIB / SHARE / mib(memory_bytes)).clamp(1, INSTANCES / SHARE) as usize
}

fn mib(memory_bytes: u64) -> u32 {
    u32::try_from(memory_bytes.div_ceil(1 << 20))
        .unwrap_or(u32::MAX)
        .clamp(1, MEMORY_MIB / SHARE)
}

/// How long a hook stood still: instances of it waited and none ran.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    waiting: usize,
    running: usize,
    since: Option<Instant>,
    total: Duration,
}

impl Waits {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Nothing that is done under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance that waits from now on.
    pub(super) fn turn(&self) -> Turn<'_> {
        self.standing().change(Instant::now(), |s| s.waiting += 1);
        Turn {
            waits: self,
            runs: false,
        }
    }

    /// Up to `now`.
    pub(super) fn total(&self, now: Instant) -> Duration {
        let standing = self.standing();
        let open = standing.since.map(|since| now.duration_since(since));
        standing.total + open.unwrap_or_default()
    }
}

impl Standing {
    fn change(&mut self, now: Instant, change: impl FnOnce(&mut Self)) {
        if let Some(since) = self.since.take() {
            self.total += now.duration_since(since);
        }
        change(self);
        self.since = (self.waiting > 0 && self.running == 0).then_some(now);
    }
}

/// One instance: waiting, then running until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    waits: &'a Waits,
    runs: bool,
}

impl Turn<'_> {
    /// It was admitted.
    pub(super) fn start(&mut self) {
        self.runs = true;
        self.waits.standing().change(Instant::now(), |s| {
            s.waiting -= 1;
            s.running += 1;
        });
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let runs = self.runs;
        self.waits.standing().change(Instant::now(), |s| {
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

    /// Two hooks of 2 GiB each held all memory of the server, whoever they belonged to.
    #[tokio::test]
    async fn one_repository_leaves_room_for_others() {
        let admission = Admission::new();
        let (greedy, other) = (admission.share("greedy"), admission.share("other"));
        let first = admission.admit(&greedy, 2 * GIB).await.unwrap();
        let same = admission.share("greedy");
        let second = admission.admit(&same, 2 * GIB);
        let mut second = std::pin::pin!(second);
        assert!(second.as_mut().now_or_never().is_none(), "it has its half");
        let others = admission.admit(&other, 2 * GIB).now_or_never();
        assert!(others.unwrap().is_ok(), "nobody waits for the greedy one");
        drop(first);
        assert!(second.now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_cause() {
        let admission = Admission::waiting(Duration::ZERO);
        let share = admission.share("lake");
        let _held = admission.admit(&share, 2 * GIB).await.unwrap();
        let failure = admission.admit(&share, 1).await.unwrap_err();
        assert_eq!(
            (failure.cause, failure.message.as_str()),
            (
                Cause::Busy,
                "the server is judging too many changes: no room for this hook after 0s; try again"
            )
        );
    }

    #[test]
    fn shares_of_idle_repositories_are_forgotten() {
        let admission = Admission::new();
        for n in 0..100 {
            drop(admission.share(&n.to_string()));
        }
        assert_eq!(admission.shares.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_hook_never_waits_for_itself() {
        assert_eq!(
            [fit(2 * GIB), fit(256 << 20), fit(1), fit(u64::MAX)],
            [1, 8, 32, 1]
        );
    }

    #[test]
    fn only_what_a_hook_stands_still_is_no_time_of_its_own() {
        let mut standing = Standing::default();
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        standing.change(at(0), |s| s.waiting += 2);
        standing.change(at(5), |s| (s.waiting, s.running) = (1, 1));
        standing.change(at(20), |s| s.running = 0);
        standing.change(at(22), |s| (s.waiting, s.running) = (0, 1));
        standing.change(at(30), |s| s.running = 0);
        assert_eq!(
            (standing.total, standing.since),
            (Duration::from_secs(7), None)
        );
    }
}
