//! Work that happens after the answer: bounded by repository, in order of arrival, drained at shutdown.
//!
//! Post hooks may wait for slow services for an hour. So each repository has turns and places of its own: the slow
//! hooks of one repository delay its own changes, and no other repository's.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use graveler::RepositoryId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pieces of work of one repository that were accepted and have not ended. Its further changes wait.
const MAX_PENDING: usize = 256;
/// Pieces of work of one repository under way at once.
const MAX_RUNNING: usize = 8;
/// Pieces of work of all repositories that have not ended; beyond it, work is refused.
const MAX_PENDING_IN_ALL: u32 = 16_384;

/// A bounded queue of background work. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    in_all: Arc<Semaphore>,
    lanes: Arc<Mutex<HashMap<RepositoryId, Arc<Lane>>>>,
}

/// The work of one repository.
#[derive(Debug)]
struct Lane {
    pending: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// The server has more pending work than it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{MAX_PENDING_IN_ALL} post hooks are waiting already")
    }
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            in_all: Arc::new(Semaphore::new(MAX_PENDING_IN_ALL as usize)),
            lanes: Arc::default(),
        }
    }

    /// Accepts work of a repository; returns before it is done. Waits while the repository has no room.
    ///
    /// # Errors
    /// [`Full`], if the server has no room.
    pub(crate) async fn submit(
        &self,
        repository: &RepositoryId,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Full> {
        let mut place = Place {
            lane: self.lane(repository),
            repository: repository.clone(),
            queue: self.clone(),
            _permits: Vec::new(),
        };
        let in_lane = acquire(&place.lane.pending).await;
        let in_all = Arc::clone(&self.in_all)
            .try_acquire_owned()
            .map_err(|_| Full)?;
        place._permits = vec![in_lane, in_all];
        tokio::spawn(async move {
            let _turn = acquire(&place.lane.running).await;
            work.await;
            drop(place);
        });
        Ok(())
    }

    /// Waits until all that was accepted has ended.
    pub(crate) async fn drain(&self) {
        let _all = self
            .in_all
            .acquire_many(MAX_PENDING_IN_ALL)
            .await
            .expect("the queue is never closed");
    }

    fn lane(&self, repository: &RepositoryId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(repository.clone()).or_insert_with(|| {
            Arc::new(Lane {
                pending: Arc::new(Semaphore::new(MAX_PENDING)),
                running: Arc::new(Semaphore::new(MAX_RUNNING)),
            })
        });
        Arc::clone(lane)
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore)
        .acquire_owned()
        .await
        .expect("the queue is never closed")
}

/// One piece of work among those of its repository. The last one takes the lane with it.
struct Place {
    lane: Arc<Lane>,
    repository: RepositoryId,
    queue: Queue,
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self
            .queue
            .lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Lanes are cloned under this lock only: two are the map's and this one.
        if Arc::strong_count(&self.lane) == 2 {
            lanes.remove(&self.repository);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::poll;

    use super::*;

    fn repository(name: &str) -> RepositoryId {
        RepositoryId::trusted(name)
    }

    #[tokio::test]
    async fn draining_waits_for_all_and_few_run_at_once() {
        let queue = Queue::new();
        let (done, now, most) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
        );
        for _ in 0..100 {
            let (done, now, most) = (Arc::clone(&done), Arc::clone(&now), Arc::clone(&most));
            let work = async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
            };
            queue.submit(&repository("lake"), work).await.unwrap();
        }
        queue.drain().await;
        assert_eq!(done.load(Ordering::SeqCst), 100);
        assert!(most.load(Ordering::SeqCst) <= MAX_RUNNING);
        assert!(queue.lanes.lock().unwrap().is_empty());
    }

    /// Eight hooks that waited for slow services held up the hooks of every repository, and 1,024 every change.
    #[tokio::test]
    async fn hooks_that_hang_delay_their_own_repository_only() {
        let queue = Queue::new();
        let (slow, other) = (repository("slow"), repository("other"));
        for _ in 0..MAX_PENDING {
            queue.submit(&slow, pending()).await.unwrap();
        }
        let mut one_more = pin!(queue.submit(&slow, pending()));
        assert!(poll!(&mut one_more).is_pending());
        let (done, ended) = tokio::sync::oneshot::channel();
        let work = async move { done.send(()).unwrap() };
        queue.submit(&other, work).await.unwrap();
        ended.await.unwrap();
        assert!(poll!(&mut one_more).is_pending());
    }

    #[tokio::test]
    async fn a_full_server_refuses_work_and_keeps_nobody_waiting() {
        let queue = Queue::new();
        for n in 0..MAX_PENDING_IN_ALL {
            let repository = repository(&format!("lake-{}", n as usize / MAX_PENDING));
            queue.submit(&repository, pending()).await.unwrap();
        }
        let refused = queue.submit(&repository("other"), pending()).await;
        assert_eq!(refused, Err(Full));
        assert!(
            !queue
                .lanes
                .lock()
                .unwrap()
                .contains_key(&repository("other"))
        );
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_place_back() {
        let queue = Queue::new();
        let work = async { panic!("on purpose") };
        queue.submit(&repository("lake"), work).await.unwrap();
        queue.drain().await;
    }
}
