//! Counts changes that go on without whoever asked for them, so that a shutdown can wait.

use std::future::Future;

use tokio::sync::watch;

/// Changes under way.
#[derive(Debug, Default)]
pub(crate) struct Pending(watch::Sender<usize>);

/// One change; it has ended when this is dropped, also by a panic.
#[derive(Debug)]
struct Place(watch::Sender<usize>);

impl Pending {
    /// The change, counted from now to its end.
    pub(crate) fn count<F: Future>(&self, change: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.send_modify(|count| *count += 1);
        let place = Place(self.0.clone());
        async move {
            let _place = place;
            change.await
        }
    }

    /// Waits until none is under way.
    pub(crate) async fn none(&self) {
        self.at_most(0).await;
    }

    /// Waits until no more than so many are under way.
    pub(crate) async fn at_most(&self, most: usize) {
        let mut count = self.0.subscribe();
        let few = count.wait_for(|count| *count <= most).await;
        few.map(drop).expect("the sender is held here");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
