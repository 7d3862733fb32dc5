//! Background jobs that run after the response is sent, in order of arrival. They are drained at shutdown.
//!
//! A post hook can wait an hour for a slow service. Each repository therefore has its own limits, so that its slow
//! hooks delay only its own changes.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use graveler::RepositoryId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

/// Maximum number of unfinished jobs of one repository. Further changes of the repository wait.
const MAX_PENDING: usize = 256;
/// How long a change waits for room in its repository. The change has landed, so its client must get a response.
const PENDING_WAIT: Duration = Duration::from_secs(5);
/// Maximum number of concurrent jobs of one repository.
const MAX_RUNNING: usize = 8;
/// Maximum number of unfinished jobs of all repositories. Further jobs are refused.
const MAX_PENDING_IN_ALL: u32 = 16_384;

/// A bounded queue of background jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    in_all: Arc<Semaphore>,
    /// Counts the accepted jobs, for [`Queue::drain`].
    jobs: TaskTracker,
    repositories: Arc<Mutex<HashMap<RepositoryId, RepositoryQueue>>>,
}

/// The semaphores of one repository, and the number of its [`Place`]s.
#[derive(Debug)]
struct RepositoryQueue {
    pending: Arc<Semaphore>,
    running: Arc<Semaphore>,
    places: usize,
}

/// Why a job was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueFull {
    /// The server has reached [`MAX_PENDING_IN_ALL`].
    Server,
    /// The repository has had [`MAX_PENDING`] unfinished jobs for [`PENDING_WAIT`].
    Repository,
}

impl std::fmt::Display for QueueFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server => write!(
                f,
                "{MAX_PENDING_IN_ALL} events with post hooks are already waiting"
            ),
            Self::Repository => write!(
                f,
                "{MAX_PENDING} events of this repository with post hooks are already waiting, and none ended within {} s",
                PENDING_WAIT.as_secs()
            ),
        }
    }
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            in_all: Arc::new(Semaphore::new(MAX_PENDING_IN_ALL as usize)),
            jobs: TaskTracker::new(),
            repositories: Arc::default(),
        }
    }

    /// Accepts a job and returns before it is done. Waits up to [`PENDING_WAIT`] while the repository has
    /// [`MAX_PENDING`] jobs.
    ///
    /// # Errors
    /// [`QueueFull`] if the server or the repository has no room for another job.
    pub(crate) async fn submit(
        &self,
        repository: &RepositoryId,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), QueueFull> {
        let mut place = self.place(repository);
        let in_repository = tokio::time::timeout(PENDING_WAIT, acquire(&place.pending)).await;
        let in_repository = in_repository.map_err(|_| QueueFull::Repository)?;
        let in_all = Arc::clone(&self.in_all)
            .try_acquire_owned()
            .map_err(|_| QueueFull::Server)?;
        place._permits = vec![in_repository, in_all];
        self.jobs.spawn(async move {
            let _turn = acquire(&place.running).await;
            work.await;
            drop(place);
        });
        Ok(())
    }

    /// Waits until all accepted jobs have ended. Further jobs are still accepted.
    pub(crate) async fn drain(&self) {
        // A tracker must be closed before it reports that it is empty. Closing refuses no jobs.
        self.jobs.close();
        self.jobs.wait().await;
    }

    /// Fills the repository with jobs that never end, for tests.
    #[cfg(test)]
    pub(crate) async fn fill(&self, repository: &RepositoryId) {
        for _ in 0..MAX_PENDING {
            let accepted = self.submit(repository, std::future::pending()).await;
            accepted.expect("the repository has room");
        }
    }

    fn place(&self, repository: &RepositoryId) -> Place {
        let mut repositories = self
            .repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_repository =
            repositories
                .entry(repository.clone())
                .or_insert_with(|| RepositoryQueue {
                    pending: Arc::new(Semaphore::new(MAX_PENDING)),
                    running: Arc::new(Semaphore::new(MAX_RUNNING)),
                    places: 0,
                });
        of_repository.places += 1;
        Place {
            pending: Arc::clone(&of_repository.pending),
            running: Arc::clone(&of_repository.running),
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

/// A job's place in the queue of its repository. Dropping the last place removes that queue.
struct Place {
    pending: Arc<Semaphore>,
    running: Arc<Semaphore>,
    repository: RepositoryId,
    queue: Queue,
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut repositories = self
            .queue
            .repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(of_repository) = repositories.get_mut(&self.repository) else {
            return;
        };
        of_repository.places -= 1;
        if of_repository.places == 0 {
            repositories.remove(&self.repository);
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
    async fn drain_waits_for_all_jobs_and_concurrency_is_limited() {
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
        assert!(queue.repositories.lock().unwrap().is_empty());
    }

    /// Regression test: eight slow hooks delayed the hooks of all repositories, and 1,024 delayed every change.
    #[tokio::test]
    async fn hanging_hooks_delay_only_their_own_repository() {
        let queue = Queue::new();
        let (slow, other) = (repository("slow"), repository("other"));
        queue.fill(&slow).await;
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
        assert_eq!(refused, Err(QueueFull::Server));
        assert!(
            !queue
                .repositories
                .lock()
                .unwrap()
                .contains_key(&repository("other"))
        );
    }

    /// Regression test: two jobs that ended at the same moment each treated the other as unfinished, and the queue was
    /// never removed.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn queues_of_finished_jobs_are_removed() {
        let queue = Queue::new();
        for _ in 0..200 {
            for _ in 0..4 {
                queue.submit(&repository("lake"), async {}).await.unwrap();
            }
            queue.drain().await;
            assert!(queue.repositories.lock().unwrap().is_empty());
        }
    }

    /// Regression test: while the server stopped, every change failed with the error that the server was full.
    #[tokio::test]
    async fn jobs_are_accepted_while_the_queue_drains() {
        let queue = Queue::new();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let work = async move { drop(ended.await) };
        queue.submit(&repository("lake"), work).await.unwrap();
        let mut drained = pin!(queue.drain());
        assert!(poll!(&mut drained).is_pending());
        let (done, late) = tokio::sync::oneshot::channel();
        let work = async move { done.send(()).unwrap() };
        queue.submit(&repository("lake"), work).await.unwrap();
        late.await.unwrap();
        assert!(poll!(&mut drained).is_pending());
        end.send(()).unwrap();
        drained.await;
    }

    /// Regression test: a change that had landed waited for hours for its response.
    #[tokio::test(start_paused = true)]
    async fn full_repository_refuses_jobs_after_a_while() {
        let queue = Queue::new();
        let (full, other) = (repository("full"), repository("other"));
        queue.fill(&full).await;
        let started = tokio::time::Instant::now();
        let refused = queue.submit(&full, pending()).await;
        assert_eq!(refused, Err(QueueFull::Repository));
        assert_eq!(started.elapsed().as_secs(), PENDING_WAIT.as_secs());
        queue.submit(&other, async {}).await.unwrap();
    }

    #[tokio::test]
    async fn panicking_job_frees_its_place() {
        let queue = Queue::new();
        let lake = repository("lake");
        // Keeps the queue, so that its permits can be counted.
        let place = queue.place(&lake);
        for _ in 0..2 * MAX_RUNNING {
            let work = async { panic!("on purpose") };
            queue.submit(&lake, work).await.unwrap();
        }
        queue.drain().await;
        let free = [&place.running, &place.pending, &queue.in_all];
        assert_eq!(
            free.map(|permits| permits.available_permits()),
            [MAX_RUNNING, MAX_PENDING, MAX_PENDING_IN_ALL as usize]
        );
        drop(place);
        assert!(queue.repositories.lock().unwrap().is_empty());
    }
}
