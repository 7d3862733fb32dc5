//! Background work that runs after the response is sent. The queue is bounded, starts work in order
//! of arrival, and is drained at shutdown.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Maximum number of accepted, unfinished jobs. Further callers wait.
const MAX_PENDING: u32 = 1_024;
/// Maximum number of concurrent jobs.
const MAX_RUNNING: usize = 8;

/// A bounded queue of background jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pending: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            pending: Arc::new(Semaphore::new(MAX_PENDING as usize)),
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
        }
    }

    /// Accepts a job. Waits for a free slot in the queue, but not for the job.
    pub(crate) async fn submit(&self, work: impl Future<Output = ()> + Send + 'static) {
        let permit = Arc::clone(&self.pending)
            .acquire_owned()
            .await
            .expect("the queue is never closed");
        let running = Arc::clone(&self.running);
        tokio::spawn(async move {
            let _permit = permit;
            let _turn = running
                .acquire_owned()
                .await
                .expect("the queue is never closed");
            work.await;
        });
    }

    /// Waits until all accepted jobs have ended.
    pub(crate) async fn drain(&self) {
        let _all = self
            .pending
            .acquire_many(MAX_PENDING)
            .await
            .expect("the queue is never closed");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

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
            queue
                .submit(async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                })
                .await;
        }
        queue.drain().await;
        assert_eq!(done.load(Ordering::SeqCst), 100);
        assert!(most.load(Ordering::SeqCst) <= MAX_RUNNING);
    }

    #[tokio::test]
    async fn panicking_job_releases_its_slot() {
        let queue = Queue::new();
        queue.submit(async { panic!("on purpose") }).await;
        queue.drain().await;
    }
}
