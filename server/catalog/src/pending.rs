//! Counts detached changes, so that a shutdown can wait for them.

use std::future::Future;

use tokio::sync::watch;

/// The number of changes in progress.
#[derive(Debug, Default)]
pub(crate) struct Pending(watch::Sender<usize>);

/// Counts one change until it is dropped, which happens even if the change panics.
#[derive(Debug)]
struct CountGuard(watch::Sender<usize>);

impl Pending {
    /// Wraps a change so that it counts from now until it ends.
    pub(crate) fn count<F: Future>(&self, change: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.send_modify(|count| *count += 1);
        let guard = CountGuard(self.0.clone());
        async move {
            let _guard = guard;
            change.await
        }
    }

    /// Waits until no change is in progress.
    pub(crate) async fn wait_until_idle(&self) {
        self.wait_for_at_most(0).await;
    }

    /// Waits until at most `most` changes are in progress.
    pub(crate) async fn wait_for_at_most(&self, most: usize) {
        let mut count = self.0.subscribe();
        let reached = count.wait_for(|count| *count <= most).await;
        reached.map(drop).expect("self holds the sender");
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
