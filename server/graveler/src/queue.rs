//! Serializes changes on one server: commits and merges of one branch, and changes of one record.
//!
//! Permits are granted first come, first served. The queue only avoids work that would be lost to the
//! compare-and-set. Correctness does not depend on it, since each server has a separate queue. A
//! permit guards no data, so a task may hold it across I/O.
//!
//! A server that makes one change after the other could win every race against a slightly slower
//! one. The winner therefore backs off for about the time of one attempt, so that the slower server
//! is not starved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use base::Backoff;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use crate::{BranchId, Error, Repository, Result};

/// Maximum number of tasks that have or await the permit of one branch or record. Further tasks fail
/// with [`Error::TooManyTries`].
const MAX_WAITING: usize = 1_024;

/// A partition, and a branch or record in it.
type Key = (String, Subject);

/// A branch or record that tasks change one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Branch(BranchId),
    /// The record's key.
    Record(&'static [u8]),
}

/// One lock for each branch and record that tasks change or wait for.
type ChangeLocks = Arc<StdMutex<HashMap<Key, Arc<Mutex<()>>>>>;

/// The locks, whose number is limited by the number of requests in flight, and the longest backoff in favor of another
/// server.
#[derive(Debug)]
pub(crate) struct Queue {
    locks: ChangeLocks,
    max_contention_backoff: Duration,
}

/// The permit to change a branch or record. Dropping it grants the next permit.
#[derive(Debug)]
pub(crate) struct ChangePermit {
    // Drop order: first release the lock, then remove it if no other task uses it.
    _guard: OwnedMutexGuard<()>,
    _use: LockUse,
    since: Instant,
    max_contention_backoff: Duration,
}

impl ChangePermit {
    /// Releases the permit after a backoff that gives another server time for an attempt: one to two
    /// times as long as this permit was held, at most [`crate::Options::max_contention_backoff`].
    /// Returns at once; only tasks waiting for the branch are delayed.
    pub(crate) fn release_after_backoff(self) {
        if self.max_contention_backoff.is_zero() {
            return;
        }
        let until =
            Instant::now() + contention_backoff(self.since.elapsed(), self.max_contention_backoff);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            drop(self);
        });
    }
}

/// How long to leave a branch to another server after a permit that was held for `held`.
fn contention_backoff(held: Duration, max: Duration) -> Duration {
    let longest = held.min(max / 2) * 2;
    Backoff::new(longest, max, 1).into_iter().sum()
}

/// One task's use of a lock, from the start of the wait until the permit is released. The last use of a lock removes
/// it.
#[derive(Debug)]
struct LockUse {
    locks: ChangeLocks,
    key: Key,
    lock: Option<Arc<Mutex<()>>>,
}

impl Queue {
    pub(crate) fn new(max_contention_backoff: Duration) -> Self {
        Self {
            locks: ChangeLocks::default(),
            max_contention_backoff,
        }
    }

    /// Waits for the permit to change a branch.
    ///
    /// # Errors
    /// [`Error::TooManyTries`] if too many tasks wait already.
    pub(crate) async fn acquire(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<ChangePermit> {
        let key = (repository.partition(), Subject::Branch(branch.clone()));
        self.wait(key, || format!("branch {branch}")).await
    }

    /// Waits for the permit to change one record of a partition; `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::TooManyTries`] if too many tasks wait already.
    pub(crate) async fn acquire_for_record(
        &self,
        partition: String,
        key: &'static [u8],
        what: &str,
    ) -> Result<ChangePermit> {
        let key = (partition, Subject::Record(key));
        self.wait(key, || what.to_owned()).await
    }

    async fn wait(&self, key: Key, what: impl FnOnce() -> String + Send) -> Result<ChangePermit> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            let lock = locks.entry(key.clone()).or_default();
            if Arc::strong_count(lock) > 2 * MAX_WAITING {
                return Err(Error::TooManyTries(what()));
            }
            Arc::clone(lock)
        };
        let lock_use = LockUse {
            locks: Arc::clone(&self.locks),
            key,
            lock: Some(Arc::clone(&lock)),
        };
        let guard = lock.lock_owned().await;
        Ok(ChangePermit {
            _guard: guard,
            _use: lock_use,
            since: Instant::now(),
            max_contention_backoff: self.max_contention_backoff,
        })
    }
}

impl Drop for LockUse {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock = None;
        if locks
            .get(&self.key)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::repository;

    #[test]
    fn backoff_lasts_about_one_attempt_up_to_the_limit() {
        for (took, least, most) in [(20, 20, 40), (400, 400, 800), (60_000, 500, 1_000)] {
            let [took, least, most] = [took, least, most].map(Duration::from_millis);
            let pause = contention_backoff(took, Duration::from_secs(1));
            assert!(pause >= least && pause <= most, "{pause:?} for {took:?}");
        }
    }

    #[tokio::test]
    async fn next_permit_is_granted_after_the_backoff() {
        let queue = Queue::new(Duration::from_secs(1));
        let (repo, main) = (repository("r"), BranchId::trusted("main"));
        let mut permit = queue.acquire(&repo, &main).await.expect("free");
        let took = Duration::from_millis(20);
        permit.since = permit
            .since
            .checked_sub(took)
            .expect("the clock runs longer");
        let ended = Instant::now();
        permit.release_after_backoff();
        let mut next = Box::pin(queue.acquire(&repo, &main));
        assert!(futures::poll!(&mut next).is_pending());
        drop(next.await.expect("the queue has room"));
        assert!(ended.elapsed() >= took);
        assert!(queue.locks.lock().expect("no holder panics").is_empty());
    }

    #[tokio::test]
    async fn permits_are_exclusive_and_leave_no_locks() {
        let queue = Queue::new(Duration::from_secs(1));
        let (repo, main, dev) = (
            repository("r"),
            BranchId::trusted("main"),
            BranchId::trusted("dev"),
        );
        let first = queue.acquire(&repo, &main).await.expect("free");
        let other = queue
            .acquire(&repo, &dev)
            .await
            .expect("another branch is free");
        let mut second = Box::pin(queue.acquire(&repo, &main));
        assert!(futures::poll!(&mut second).is_pending());
        let mut cancelled = Box::pin(queue.acquire(&repo, &main));
        assert!(futures::poll!(&mut cancelled).is_pending());
        drop(cancelled);
        drop(first);
        let second = second.await.expect("the queue has room");
        let record = queue
            .acquire_for_record(repo.partition(), b"main", "a record")
            .await;
        let record =
            record.expect("a record and a branch of the same name do not block each other");
        drop((second, other, record));
        assert!(queue.locks.lock().expect("no holder panics").is_empty());
    }
}
