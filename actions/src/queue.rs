//! Background jobs that run after the response is sent, in order of arrival. They are drained at shutdown.
//!
//! A post hook can wait an hour for a slow service. Each repository therefore has its own limits, so that slow hooks
//! delay only changes of their own repository.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use graveler::RepositoryId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of unfinished jobs of one repository. Further changes of the repository wait.
const MAX_PENDING: usize = 256;
/// Maximum number of concurrent jobs of one repository.
const MAX_RUNNING: usize = 8;
/// Maximum number of unfinished jobs of all repositories. Further jobs are refused.
const MAX_PENDING_IN_ALL: u32 = 16_384;

/// A bounded queue of background jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    in_all: Arc<Semaphore>,
    lanes: Arc<Mutex<HashMap<RepositoryId, Lane>>>,
}

/// The limits of one repository, and the number of its [`Place`]s.
#[derive(Debug)]
struct Lane {
    pending: Arc<Semaphore>,
    running: Arc<Semaphore>,
    places: usize,
}

/// The server has reached [`MAX_PENDING_IN_ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{MAX_PENDING_IN_ALL} events with post hooks are already waiting"
        )
    }
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            in_all: Arc::new(Semaphore::new(MAX_PENDING_IN_ALL as usize)),
            lanes: Arc::default(),
        }
    }

    /// Accepts a job and returns before it is done. Waits while the repository has [`MAX_PENDING`] jobs.
    ///
    /// # Errors
    /// [`Full`] if the server has no room for another job.
    pub(crate) async fn submit(
        &self,
        repository: &RepositoryId,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Full> {
        let mut place = self.place(repository);
        let in_lane = acquire(&place.pending).await;
        let in_all = Arc::clone(&self.in_all)
            .try_acquire_owned()
            .map_err(|_| Full)?;
        place._permits = vec![in_lane, in_all];
        tokio::spawn(async move {
            let _turn = acquire(&place.running).await;
            work.await;
            drop(place);
        });
        Ok(())
    }

    /// Waits until all accepted jobs have ended.
    pub(crate) async fn drain(&self) {
        let _all = self
            .in_all
            .acquire_many(MAX_PENDING_IN_ALL)
            .await
            .expect("the queue is never closed");
    }

    fn place(&self, repository: &RepositoryId) -> Place {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(repository.clone()).or_insert_with(|| Lane {
            pending: Arc::new(Semaphore::new(MAX_PENDING)),
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
            places: 0,
        });
        lane.places += 1;
        Place {
            pending: Arc::clone(&lane.pending),
            running: Arc::clone(&lane.running),
            repository: repository.clone(),
            queue: self.clone(),
            _permits: Vec::new(),
        }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore)
        .acquire_owned()
        .await
        .expect("the queue is never closed")
}

/// A job's place in the lane of its repository. Dropping the last place removes the lane.
struct Place {
    pending: Arc<Semaphore>,
    running: Arc<Semaphore>,
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
        let Some(lane) = lanes.get_mut(&self.repository) else {
            return;
        };
        lane.places -= 1;
        if lane.places == 0 {
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
    async fn draining_waits_for_all_jobs_and_few_run_at_once() {
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

    /// Regression: eight slow hooks delayed the hooks of all repositories, and 1,024 delayed every change.
    #[tokio::test]
    async fn hanging_hooks_delay_only_their_own_repository() {
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
    async fn full_server_refuses_jobs_without_waiting() {
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

    /// Regression: two jobs that ended at the same moment each took the other for unfinished, and the lane stayed.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn lanes_of_finished_jobs_are_removed() {
        let queue = Queue::new();
        for _ in 0..200 {
            for _ in 0..4 {
                queue.submit(&repository("lake"), async {}).await.unwrap();
            }
            queue.drain().await;
            assert!(queue.lanes.lock().unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn panicking_job_frees_its_place() {
        let queue = Queue::new();
        let work = async { panic!("on purpose") };
        queue.submit(&repository("lake"), work).await.unwrap();
        queue.drain().await;
    }
}
