//! Waits for spawned work.

use std::future::Future;

use tokio::task::JoinError;

/// Returns the result of spawned work that nobody aborts. If the work panicked, resumes its panic.
///
/// A runtime that shuts down cancels the work. This function then waits until the runtime drops the caller too. It
/// returns no error, because the caller would record it as the outcome of a task that another server will continue.
pub async fn joined<T>(work: impl Future<Output = Result<T, JoinError>>) -> T {
    match work.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::joined;

    /// Guards against a bug: work that the runtime cancelled at its shutdown made the caller panic.
    #[tokio::test]
    async fn cancelled_work_does_not_panic() {
        let work = tokio::spawn(pending::<()>());
        work.abort();
        while !work.is_finished() {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            () = joined(work) => panic!("cancelled work has no result"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(joined(tokio::spawn(async { 1 })).await, 1);
    }

    #[tokio::test]
    #[should_panic(expected = "the reason")]
    async fn panics_are_passed_on() {
        joined(tokio::spawn(async { panic!("the reason") })).await;
    }
}
