//! Divides the server's resources, such as threads and memory, among repositories.
//!
//! A repository can hold only its share, so one repository cannot block the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A share for each repository that uses one.
#[derive(Debug)]
pub(crate) struct Shares<T> {
    by_repository: Mutex<HashMap<String, Weak<T>>>,
}

impl<T> Default for Shares<T> {
    fn default() -> Self {
        Self {
            by_repository: Mutex::default(),
        }
    }
}

impl<T> Shares<T> {
    /// Returns the share of a repository, or creates it with `create`. A share exists while it is in
    /// use.
    pub(crate) fn of(&self, repository: &str, create: impl FnOnce() -> T) -> Arc<T> {
        // A panic while the lock is held can at worst lose an entry, which is then recreated.
        let lock = self.by_repository.lock();
        let mut shares = lock.unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(repository).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(create());
        shares.insert(repository.to_owned(), Arc::downgrade(&share));
        share
    }
}

/// A semaphore of which each repository can hold at most half. Waits are served in order of arrival,
/// first within the repository and then globally, and have a time limit.
#[derive(Debug)]
pub(crate) struct FairSemaphore {
    all: Arc<Semaphore>,
    permits_each: u32,
    shares: Shares<Semaphore>,
    wait: Duration,
}

/// A repository's share of a [`FairSemaphore`]. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FairShare {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
    permits_each: u32,
    wait: Duration,
}

/// Permits of a [`FairSemaphore`]. Released on drop.
#[derive(Debug)]
pub(crate) struct FairPermit {
    _share: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// A wait that reached its time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitedTooLong(pub(crate) Duration);

impl FairSemaphore {
    /// `wait` limits how long one call of `acquire` waits.
    pub(crate) fn new(permits: u32, wait: Duration) -> Self {
        Self {
            all: Arc::new(Semaphore::new(permits as usize)),
            permits_each: permits / 2,
            shares: Shares::default(),
            wait,
        }
    }

    /// Returns the share of a repository.
    pub(crate) fn share(&self, repository: &str) -> FairShare {
        let new_share = || Semaphore::new(self.permits_each as usize);
        FairShare {
            own: self.shares.of(repository, new_share),
            all: Arc::clone(&self.all),
            permits_each: self.permits_each,
            wait: self.wait,
        }
    }

    /// Waits for permits in the share of a repository: see [`FairShare::acquire`].
    ///
    /// # Errors
    /// [`WaitedTooLong`] after the time limit.
    pub(crate) async fn acquire(
        &self,
        repository: &str,
        permits: u32,
    ) -> Result<FairPermit, WaitedTooLong> {
        self.share(repository).acquire(permits).await
    }

    /// Returns the number of permits that nobody holds, for tests.
    #[cfg(test)]
    pub(crate) fn available(&self) -> usize {
        self.all.available_permits()
    }
}

impl FairShare {
    /// Waits for `permits` permits, or for the whole share if that is less. A repository that waits for
    /// its own share does not hold anything that others wait for.
    ///
    /// # Errors
    /// [`WaitedTooLong`] after the time limit.
    pub(crate) async fn acquire(&self, permits: u32) -> Result<FairPermit, WaitedTooLong> {
        let permits = permits.clamp(1, self.permits_each);
        let acquired = async {
            FairPermit {
                _share: acquire(Arc::clone(&self.own), permits).await,
                _all: acquire(Arc::clone(&self.all), permits).await,
            }
        };
        let acquired = tokio::time::timeout(self.wait, acquired).await;
        acquired.map_err(|_| WaitedTooLong(self.wait))
    }
}

async fn acquire(semaphore: Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    let permit = semaphore.acquire_many_owned(permits).await;
    permit.expect("never closed")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn shares_of_idle_repositories_are_forgotten() {
        let shares = Shares::default();
        for n in 0..100 {
            drop(shares.of(&n.to_string(), || n));
        }
        assert_eq!(shares.by_repository.lock().unwrap().len(), 1);
        let used = shares.of("used", || 1);
        assert_eq!(*shares.of("used", || 2), 1);
        drop(used);
        assert_eq!(*shares.of("used", || 2), 2);
    }

    #[tokio::test]
    async fn repository_holds_at_most_half() {
        let semaphore = FairSemaphore::new(4, Duration::from_secs(1));
        let first = semaphore.acquire("greedy", 3).await.unwrap();
        assert_eq!(semaphore.available(), 2);
        let mut more = std::pin::pin!(semaphore.acquire("greedy", 1));
        assert!(more.as_mut().now_or_never().is_none());
        let other = semaphore.acquire("other", 2).now_or_never();
        assert!(other.unwrap().is_ok());
        drop(first);
        assert!(more.now_or_never().unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn waits_have_a_time_limit() {
        let wait = Duration::from_secs(7);
        let semaphore = FairSemaphore::new(2, wait);
        let _held = semaphore.acquire("lake", 1).await.unwrap();
        let started = tokio::time::Instant::now();
        let refused = semaphore.acquire("lake", 1).await.unwrap_err();
        assert_eq!(
            (refused, started.elapsed().as_secs()),
            (WaitedTooLong(wait), 7)
        );
    }
}
