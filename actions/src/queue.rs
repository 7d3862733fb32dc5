//! Work that happens after the answer: bounded in number, in order of arrival, drained at shutdown.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Pieces of work that were accepted and have not ended. Who brings more waits.
const MAX_PENDING: u32 = 1_024;
/// Pieces of work under way at once.
const MAX_RUNNING: usize = 8;

/// A bounded queue of background work. Cheap to clone.
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

    /// Accepts work; returns before it is done, but not before there is room for it.
    pub(crate) async fn submit(&self, work: impl Future<Output = ()> + Send + 'static) {
        let place = Arc::clone(&self.pending)
            .acquire_owned()
            .await
            .expect("the queue is never closed");
        let running = Arc::clone(&self.running);
        tokio::spawn(async move {
            let _place = place;
            let _turn = running
                .acquire_owned()
                .await
                .expect("the queue is never closed");
            work.await;
        });
    }

    /// Waits until all that was accepted has ended.
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
    async fn draining_waits_for_all_and_few_run_at_once() {
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
    async fn work_that_panics_gives_its_place_back() {
        let queue = Queue::new();
        queue.submit(async { panic!("on purpose") }).await;
        queue.drain().await;
    }
}
