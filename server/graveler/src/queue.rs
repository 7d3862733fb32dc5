//! Takes turns: commits and merges of one branch, and changes of one record, on one server, one after the other.
//!
//! First come, first served. The queue only saves work that would be lost to the
//! compare-and-set of the record; it is no part of correctness, which holds
//! against other servers as well. A turn may be kept while storage is read and
//! written: it is a place in a queue and guards no data.
//!
//! Other servers have queues of their own. One whose tries take a little longer would lose every
//! one of them to a server that goes from change to change, so whoever comes first leaves
//! the branch to the other for about as long as a try takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use base::Backoff;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use crate::{BranchId, Error, Repository, Result};

/// How many may wait for one branch or record; more are told to come back later.
const MAX_WAITING: usize = 1_024;

/// The partition, and what of it.
type Key = (String, Subject);

/// What changes take turns at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Branch(BranchId),
    /// The record's key.
    Record(&'static [u8]),
}

type Lines = Arc<StdMutex<HashMap<Key, Arc<Mutex<()>>>>>;

/// The branches and records that someone works on or waits for: bounded by the requests under way.
///
/// The second is for how long at most a branch is left to another server.
#[derive(Debug)]
pub(crate) struct Queue(Lines, Duration);

/// A turn; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Turn {
    // Dropped in this order: the turn ends, then the place is given up.
    _turn: OwnedMutexGuard<()>,
    _place: Place,
    since: Instant,
    max_courtesy: Duration,
}

impl Turn {
    /// Ends the turn once another server has had the time for a try: one to two times as long
    /// as this turn took, at most [`crate::Options::max_courtesy`]. Does not wait for that; those in line do.
    pub(crate) fn end_after_rival(self) {
        if self.max_courtesy.is_zero() {
            return;
        }
        let until = Instant::now() + courtesy(self.since.elapsed(), self.max_courtesy);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            drop(self);
        });
    }
}

/// For how long a branch is left to another server, after a turn that took so long.
fn courtesy(took: Duration, max: Duration) -> Duration {
    let longest = took.min(max / 2) * 2;
    Backoff::new(longest, max, 1).into_iter().sum()
}

/// A place in a branch's line, kept also while waiting.
#[derive(Debug)]
struct Place {
    lines: Lines,
    key: Key,
    line: Option<Arc<Mutex<()>>>,
}

impl Queue {
    pub(crate) fn new(max_courtesy: Duration) -> Self {
        Self(Lines::default(), max_courtesy)
    }

    /// Waits for this branch's turn.
    ///
    /// # Errors
    /// [`Error::TooManyTries`] if too many wait already.
    pub(crate) async fn turn(&self, repository: &Repository, branch: &BranchId) -> Result<Turn> {
        let key = (repository.partition(), Subject::Branch(branch.clone()));
        self.wait(key, || format!("branch {branch}")).await
    }

    /// Waits for the turn to change one record of a partition; `what` is how people call it.
    ///
    /// # Errors
    /// [`Error::TooManyTries`] if too many wait already.
    pub(crate) async fn turn_at(
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
            max_courtesy: self.1,
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
    fn a_rival_gets_the_time_of_a_try_but_not_for_ever() {
        for (took, least, most) in [(20, 20, 40), (400, 400, 800), (60_000, 500, 1_000)] {
            let [took, least, most] = [took, least, most].map(Duration::from_millis);
            let pause = courtesy(took, Duration::from_secs(1));
            assert!(pause >= least && pause <= most, "{pause:?} for {took:?}");
        }
    }

    #[tokio::test]
    async fn the_next_in_line_comes_after_the_rival() {
        let queue = Queue::new(Duration::from_secs(1));
        let (repo, main) = (repository("r"), BranchId::trusted("main"));
        let mut turn = queue.turn(&repo, &main).await.expect("free");
        let took = Duration::from_millis(20);
        turn.since = turn.since.checked_sub(took).expect("the clock runs longer");
        let ended = Instant::now();
        turn.end_after_rival();
        let mut next = Box::pin(queue.turn(&repo, &main));
        assert!(futures::poll!(&mut next).is_pending());
        drop(next.await.expect("its turn"));
        assert!(ended.elapsed() >= took);
        assert!(queue.0.lock().expect("no holder panics").is_empty());
    }

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
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
        let record = queue.turn_at(repo.partition(), b"main", "a record").await;
        let record = record.expect("a record is no branch, whatever its key");
        drop((second, other, record));
        assert!(queue.0.lock().expect("no holder panics").is_empty());
    }
}
