//! Decides which errors are retried immediately, and converts errors for the caller.
//!
//! A write is retried only if the failed attempt is known to have had no effect. Retries do not sleep.

use std::sync::Arc;

use crate::Error;

/// Maximum number of attempts of a statement or transaction that the server rolls back.
const ROLLED_BACK_TRIES: usize = 8;
/// Maximum number of attempts of a read whose connection breaks. All connections break when the server restarts.
const READ_TRIES: usize = 3;

/// Retries a write that the server rolled back because of another transaction.
pub(super) async fn retry_rolled_back<T, F>(mut attempt: impl FnMut() -> F) -> sqlx::Result<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    for _ in 1..ROLLED_BACK_TRIES {
        match attempt().await {
            Err(error) if was_rolled_back(&error) => {
                tracing::debug!(%error, "retrying a write that the database rolled back");
            }
            result => return result,
        }
    }
    attempt().await
}

/// Retries a read on another connection if its connection broke.
pub(super) async fn retry_read<T, F>(mut attempt: impl FnMut() -> F) -> sqlx::Result<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    for _ in 1..READ_TRIES {
        match attempt().await {
            Err(error) if lost_connection(&error) || was_rolled_back(&error) => {
                tracing::debug!(%error, "retrying a read on another connection");
            }
            result => return result,
        }
    }
    attempt().await
}

/// Converts a database error. It is shared if it failed a whole batch.
pub(super) fn failed(operation: &'static str, error: impl Into<Arc<sqlx::Error>>) -> Error {
    let error = error.into();
    match &*error {
        sqlx::Error::PoolTimedOut => {
            Error::SlowDown("timed out waiting for a database connection".into())
        }
        _ if was_rolled_back(&error) => {
            Error::SlowDown("the database repeatedly rolled back the write".into())
        }
        _ if code(&error).as_deref() == Some("53300") => {
            Error::SlowDown("the database has no free connections".into())
        }
        _ => Error::storage(operation, error),
    }
}

/// Returns whether the error is `serialization_failure` or `deadlock_detected`.
fn was_rolled_back(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
}

/// Returns whether the connection broke, or the server is shutting down or starting.
fn lost_connection(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_))
        || matches!(code(error).as_deref(), Some("57P01" | "57P02" | "57P03"))
}

/// Returns the SQLSTATE if the error came from the server.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
