//! How deep the work under way is nested in hooks, carried along with it.
//!
//! A hook may call a service that changes the repository, which asks hooks again. Who takes a request in says
//! how deep it is ([`at`]); the engine notes it in each [`Event`](crate::Event). Work that goes on in another
//! task of the runtime takes it along ([`carried`]).

use std::future::Future;

tokio::task_local! {
    static DEPTH: u32;
}

/// How deep the work under way is nested: 0 where nobody said.
#[must_use]
pub fn current() -> u32 {
    DEPTH.try_with(|depth| *depth).unwrap_or(0)
}

/// Does work at a depth.
pub async fn at<F: Future>(depth: u32, work: F) -> F::Output {
    DEPTH.scope(depth, work).await
}

/// Work that is to be spawned, at the depth of whoever spawns it.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    DEPTH.scope(current(), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn spawned_work_keeps_its_depth_if_it_is_carried() {
        assert_eq!(current(), 0);
        let (carried, lost) = at(2, async {
            let carried = tokio::spawn(carried(async { current() }));
            let lost = tokio::spawn(async { current() });
            (carried.await.unwrap(), lost.await.unwrap())
        })
        .await;
        assert_eq!((carried, lost), (2, 0));
    }
}
