//! Which failures are tried again at once, and how failures are told to the caller.
//!
//! Only what is known to have had no effect is repeated. Nothing sleeps.

use std::sync::Arc;

use crate::Error;

/// Tries of a statement or transaction that the server rolls back.
const ROLLED_BACK_TRIES: usize = 8;
/// Tries of a read whose connection breaks, as all do when the server restarts.
const READ_TRIES: usize = 3;

/// Repeats what the server rolled back because of another transaction.
pub(super) async fn retry_rolled_back<T, F>(mut attempt: impl FnMut() -> F) -> sqlx::Result<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    for _ in 1..ROLLED_BACK_TRIES {
        match attempt().await {
            Err(error) if was_rolled_back(&error) => {
                tracing::debug!(%error, "repeating a write that the database rolled back");
            }
            result => return result,
        }
    }
    attempt().await
}

/// Repeats a read that lost its connection, on another one.
pub(super) async fn retry_read<T, F>(mut attempt: impl FnMut() -> F) -> sqlx::Result<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    for _ in 1..READ_TRIES {
        match attempt().await {
            Err(error) if lost_connection(&error) || was_rolled_back(&error) => {
                tracing::debug!(%error, "repeating a read on another connection");
            }
            result => return result,
        }
    }
    attempt().await
}

/// Sorts a failure by what the caller does next. `error` may be shared by a batch.
pub(super) fn failed(operation: &'static str, error: impl Into<Arc<sqlx::Error>>) -> Error {
    let error = error.into();
    match &*error {
        sqlx::Error::PoolTimedOut => {
            Error::SlowDown("no database connection became free in time".into())
        }
        _ if was_rolled_back(&error) => {
            Error::SlowDown("the database rolled the write back repeatedly".into())
        }
        _ if code(&error).as_deref() == Some("53300") => {
            Error::SlowDown("the database has no connection to spare".into())
        }
        _ => Error::storage(operation, error),
    }
}

/// `serialization_failure` and `deadlock_detected`.
fn was_rolled_back(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
}

/// The connection broke, or the server is going down or coming up.
fn lost_connection(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_))
        || matches!(code(error).as_deref(), Some("57P01" | "57P02" | "57P03"))
}

/// The server's SQLSTATE, if it was the server that failed.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
