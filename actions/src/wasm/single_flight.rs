//! Single-flight work: concurrent requests for the same key share one execution.
//!
//! The work runs in a separate task, so it continues if the requests are dropped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

use super::guests::host_failed;
use super::report::Failure;

type SharedWork<T> = Shared<BoxFuture<'static, Result<T, Failure>>>;

/// Work in progress by key. Results are not kept. Cheap to clone.
pub(super) struct SingleFlight<K, T> {
    in_progress: Arc<Mutex<HashMap<K, SharedWork<T>>>>,
}

impl<K, T> Clone for SingleFlight<K, T> {
    fn clone(&self) -> Self {
        Self {
            in_progress: Arc::clone(&self.in_progress),
        }
    }
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self {
            in_progress: Arc::default(),
        }
    }
}

impl<K, T> SingleFlight<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the work for `key`, or starts `work` if there is none.
    pub(super) fn join<W>(&self, key: K, work: impl FnOnce() -> W) -> SharedWork<T>
    where
        W: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut in_progress = self
            .in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = match in_progress.entry(key) {
            Entry::Occupied(entry) => return entry.get().clone(),
            Entry::Vacant(entry) => entry,
        };
        let cleanup = RemoveOnDrop {
            of: self.clone(),
            key: entry.key().clone(),
        };
        let work = work();
        // Spawned when a request first polls it, which is not under the lock. A runtime that
        // shuts down drops a new task immediately, and with it `cleanup`, which takes the lock.
        let shared = async move {
            let task = tokio::spawn(async move {
                let _cleanup = cleanup;
                work.await
            });
            task.await.unwrap_or_else(|e| Err(host_failed(&e)))
        };
        entry.insert(shared.boxed().shared()).clone()
    }
}

/// Removes the work from the map when it ends, even if it panics.
struct RemoveOnDrop<K: Eq + Hash, T> {
    of: SingleFlight<K, T>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for RemoveOnDrop<K, T> {
    fn drop(&mut self) {
        let in_progress = self.of.in_progress.lock();
        let removed = in_progress
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::super::report::Cause;
    use super::*;

    #[tokio::test]
    async fn requests_share_the_work_and_giving_up_does_not_cancel_it() {
        let work = SingleFlight::<u8, usize>::default();
        let (started, release) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let join = || {
            let (started, release) = (Arc::clone(&started), Arc::clone(&release));
            work.join(1, || async move {
                started.fetch_add(1, Ordering::SeqCst);
                release.notified().await;
                Ok(7)
            })
        };
        let (first, second) = (join(), join());
        assert!(first.now_or_never().is_none(), "the first gives up");
        tokio::task::yield_now().await;
        release.notify_one();
        assert_eq!(second.await, Ok(7));
        assert_eq!(started.load(Ordering::SeqCst), 1);
        assert!(work.in_progress.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn panic_fails_the_requests_and_is_not_kept() {
        let work = SingleFlight::<u8, ()>::default();
        let failed = work.join(1, || async { panic!("on purpose") }).await;
        assert_eq!(failed.unwrap_err().cause, Cause::Trap);
        assert_eq!(work.join(1, || async { Ok(()) }).await, Ok(()));
    }
}
