//! Serializes changes on one server: commits and merges of one branch, and changes of one record.
//!
//! Turns are granted first come, first served. The queue only avoids work that would be lost to the
//! compare-and-set. Correctness does not depend on it, since other servers have queues of their
//! own. A turn guards no data, so a task may hold it across I/O.
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

/// Maximum number of tasks that have or await the turn of one branch or record. Further ones fail
/// with [`Error::TooManyTries`].
const MAX_WAITING: usize = 1_024;

/// A partition, and a branch or record in it.
type Key = (String, Subject);

/// A branch or record that tasks change in turns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Branch(BranchId),
    /// The record's key.
    Record(&'static [u8]),
}

type Lines = Arc<StdMutex<HashMap<Key, Arc<Mutex<()>>>>>;

/// The waiting line of each branch and record that tasks change or wait for, and the longest
/// backoff in favor of another server. The number of requests in flight bounds the number of lines.
#[derive(Debug)]
pub(crate) struct Queue(Lines, Duration);

/// A turn. Dropping it starts the next one.
#[derive(Debug)]
pub(crate) struct Turn {
    // Drop order: first release the lock, then give up the place.
    _turn: OwnedMutexGuard<()>,
    _place: Place,
    since: Instant,
    max_rival_backoff: Duration,
}

impl Turn {
    /// Ends the turn after a backoff that gives another server time for an attempt: one to two
    /// times as long as this turn took, at most [`crate::Options::max_rival_backoff`]. Returns at
    /// once; only tasks waiting for the branch are delayed.
    pub(crate) fn end_after_backoff(self) {
        if self.max_rival_backoff.is_zero() {
            return;
        }
        let until = Instant::now() + rival_backoff(self.since.elapsed(), self.max_rival_backoff);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            drop(self);
        });
    }
}

/// How long to leave a branch to another server after a turn that took `took`.
fn rival_backoff(took: Duration, max: Duration) -> Duration {
    let longest = took.min(max / 2) * 2;
    Backoff::new(longest, max, 1).into_iter().sum()
}

/// A place in a waiting line, from the start of the wait until the turn ends.
#[derive(Debug)]
struct Place {
    lines: Lines,
    key: Key,
    line: Option<Arc<Mutex<()>>>,
}

impl Queue {
    pub(crate) fn new(max_rival_backoff: Duration) -> Self {
        Self(Lines::default(), max_rival_backoff)
    }

    /// Waits for the branch's turn.
    ///
    /// # Errors
    /// [`Error::TooManyTries`] if too many tasks wait already.
    pub(crate) async fn turn(&self, repository: &Repository, branch: &BranchId) -> Result<Turn> {
        let key = (repository.partition(), Subject::Branch(branch.clone()));
        self.wait(key, || format!("branch {branch}")).await
    }

    /// Waits for the turn to change one record of a partition; `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::TooManyTries`] if too many tasks wait already.
    pub(crate) async fn turn_for_record(
        &self,
        partition: String,
        key: &'static [u8],
        what: &str,
    ) -> Result<Turn> {
        let key = (partition, Subject::Record(key));
        self.wait(key, || what.to_owned()).await
    }

    async fn wait(&self, key: Key, what: impl FnOnce() -> String + Send) -> Result<Turn> {
        let line = {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let line = lines.entry(key.clone()).or_default();
            if Arc::strong_count(line) > 2 * MAX_WAITING {
                return Err(Error::TooManyTries(what()));
            }
            Arc::clone(line)
        };
        let place = Place {
            lines: Arc::clone(&self.0),
            key,
            line: Some(Arc::clone(&line)),
        };
        let turn = line.lock_owned().await;
        Ok(Turn {
            _turn: turn,
            _place: place,
            since: Instant::now(),
            max_rival_backoff: self.1,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        self.line = None;
        if lines
            .get(&self.key)
            .is_some_and(|line| Arc::strong_count(line) == 1)
        {
            lines.remove(&self.key);
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
            let pause = rival_backoff(took, Duration::from_secs(1));
            assert!(pause >= least && pause <= most, "{pause:?} for {took:?}");
        }
    }

    #[tokio::test]
    async fn next_turn_starts_after_the_backoff() {
        let queue = Queue::new(Duration::from_secs(1));
        let (repo, main) = (repository("r"), BranchId::trusted("main"));
        let mut turn = queue.turn(&repo, &main).await.expect("free");
        let took = Duration::from_millis(20);
        turn.since = turn.since.checked_sub(took).expect("the clock runs longer");
        let ended = Instant::now();
        turn.end_after_backoff();
        let mut next = Box::pin(queue.turn(&repo, &main));
        assert!(futures::poll!(&mut next).is_pending());
        drop(next.await.expect("its turn"));
        assert!(ended.elapsed() >= took);
        assert!(queue.0.lock().expect("no holder panics").is_empty());
    }

    #[tokio::test]
    async fn turns_are_exclusive_and_leave_no_entries() {
        let queue = Queue::new(Duration::from_secs(1));
        let (repo, main, dev) = (
            repository("r"),
            BranchId::trusted("main"),
            BranchId::trusted("dev"),
        );
        let first = queue.turn(&repo, &main).await.expect("free");
        let other = queue
            .turn(&repo, &dev)
            .await
            .expect("another branch is free");
        let mut second = Box::pin(queue.turn(&repo, &main));
        assert!(futures::poll!(&mut second).is_pending());
        let mut cancelled = Box::pin(queue.turn(&repo, &main));
        assert!(futures::poll!(&mut cancelled).is_pending());
        drop(cancelled);
        drop(first);
        let second = second.await.expect("its turn");
        let record = queue
            .turn_for_record(repo.partition(), b"main", "a record")
            .await;
        let record =
            record.expect("a record and a branch of the same name do not block each other");
        drop((second, other, record));
        assert!(queue.0.lock().expect("no holder panics").is_empty());
    }
}
