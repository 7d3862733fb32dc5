//! Converts errors of SQLite to errors of the store.

use crate::Error;

/// Converts an SQLite error. All writes of a failed group share one error.
pub(super) fn failed(
    operation: &'static str,
    error: impl Into<std::sync::Arc<sqlx::Error>>,
) -> Error {
    let error = error.into();
    match &*error {
        _ if is_busy(&error) => {
            Error::SlowDown("another process is writing to the database file".into())
        }
        sqlx::Error::PoolTimedOut => {
            Error::SlowDown("timed out waiting for a database connection".into())
        }
        _ => Error::storage(operation, error),
    }
}

/// Returns whether SQLite timed out waiting for a lock (`SQLITE_BUSY` and its extended codes).
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}
