//! Tracks how deep the current work is nested in hooks.
//!
//! A hook may call a service that changes the repository, which runs hooks again. The server that
//! accepts a request sets its depth ([`run_at_depth`]), and the engine copies the depth into each
//! [`Event`](crate::Event). Work that moves to another tokio task keeps its depth only through
//! [`inherit_depth`].

use std::future::Future;

tokio::task_local! {
    static DEPTH: u32;
}

/// The nesting depth of the current work; 0 unless [`run_at_depth`] set it.
#[must_use]
pub fn current_depth() -> u32 {
    DEPTH.try_with(|depth| *depth).unwrap_or(0)
}

/// Runs `work` at the given depth.
pub async fn run_at_depth<F: Future>(depth: u32, work: F) -> F::Output {
    DEPTH.scope(depth, work).await
}

/// Wraps work that is about to be spawned, so that it keeps the spawning task's depth.
pub fn inherit_depth<F: Future>(work: F) -> impl Future<Output = F::Output> {
    DEPTH.scope(current_depth(), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn spawned_work_keeps_its_depth_only_if_inherited() {
        assert_eq!(current_depth(), 0);
        let (inherited, lost) = run_at_depth(2, async {
            let inherited = tokio::spawn(inherit_depth(async { current_depth() }));
            let lost = tokio::spawn(async { current_depth() });
            (inherited.await.unwrap(), lost.await.unwrap())
        })
        .await;
        assert_eq!((inherited, lost), (2, 0));
    }
}
