//! Opens the database file: creates folders, file and table, sets permissions and pragmas, checks the version.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::failure::is_busy;
use super::options::{BUSY_TIMEOUT, SqliteOptions};
use crate::{Error, Result};

/// Version of the table layout, stored in SQLite's `user_version`.
const LAYOUT_VERSION: i64 = 1;
/// How long a read waits for a free connection.
const READER_WAIT: Duration = Duration::from_secs(10);
/// Page cache of each connection, in KiB.
const CACHE_KIB: u32 = 8 * 1024;
/// Size to which SQLite truncates the write-ahead log file after a checkpoint.
const LOG_KEPT_BYTES: u32 = 64 * 1024 * 1024;

/// Creates the file if it does not exist. SQLite would create it with wider permissions.
pub(super) async fn create_file(path: &Path) -> Result<()> {
    let path = path.to_owned();
    let created = tokio::task::spawn_blocking({
        let path = path.clone();
        move || create_file_blocking(&path)
    });
    let result = created
        .await
        .map_err(|error| Error::storage("create the database file", error))?;
    result.map_err(|error| {
        refused(
            &path,
            "check that its folder exists or can be created, and that this user may write to it"
                .into(),
            error,
        )
    })
}

fn create_file_blocking(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?;
    Ok(())
}

/// Opens the writing connection and creates the table if it does not exist.
pub(super) async fn writer(options: &SqliteOptions) -> Result<SqliteConnection> {
    let connected = connect_writer(options).await;
    let mut connection = connected.map_err(|error| explained(&options.path, error))?;
    let version = prepare(&mut connection)
        .await
        .map_err(|error| explained(&options.path, error))?;
    if version > LAYOUT_VERSION {
        return Err(Error::Open {
            driver: "sqlite",
            target: options.path.display().to_string(),
            check: format!(
                "a newer version created it (layout {version}, this version supports {LAYOUT_VERSION}); upgrade this server"
            ),
            source: None,
        });
    }
    Ok(connection)
}

/// Opens the writing connection without checking the table or its version.
pub(super) async fn connect_writer(options: &SqliteOptions) -> sqlx::Result<SqliteConnection> {
    let synchronous = if options.sync_writes {
        SqliteSynchronous::Full
    } else {
        SqliteSynchronous::Normal
    };
    connection_options(&options.path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("journal_size_limit", LOG_KEPT_BYTES.to_string())
        .connect()
        .await
}

/// Returns the pool of read-only connections, which are opened on demand.
pub(super) fn readers(options: &SqliteOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(options.max_readers.max(1))
        .acquire_timeout(READER_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(connection_options(&options.path).read_only(true))
}

fn connection_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        .disable_statement_logging()
}

/// Creates the table in a new file and returns the layout version.
async fn prepare(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    let version = layout_version(connection).await?;
    if version != 0 {
        return Ok(version);
    }
    // Another process may have created the table since the check, so check again inside the transaction.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let version = layout_version(&mut transaction).await?;
    if version != 0 {
        return Ok(version);
    }
    sqlx::raw_sql(
        "CREATE TABLE kv (
             partition_key BLOB NOT NULL,
             key BLOB NOT NULL,
             value BLOB NOT NULL,
             PRIMARY KEY (partition_key, key)
         ) WITHOUT ROWID;
         PRAGMA user_version = 1;",
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(LAYOUT_VERSION)
}

async fn layout_version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(connection)
        .await
}

/// Converts an error that occurred while opening the file, and adds what the operator should check.
fn explained(path: &Path, error: sqlx::Error) -> Error {
    const SQLITE_NOTADB: &str = "26";
    let code = error
        .as_database_error()
        .and_then(|error| error.code().map(|code| code.into_owned()));
    let check = if is_busy(&error) {
        "another process locks it; stop that process or choose another file".to_owned()
    } else if code.as_deref() == Some(SQLITE_NOTADB) {
        "it is not a SQLite database; choose another file".to_owned()
    } else {
        "check that it is a database of this server and that its folder is writable".to_owned()
    };
    refused(path, check, error)
}

fn refused(
    path: &Path,
    check: String,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::Open {
        driver: "sqlite",
        target: path.display().to_string(),
        check,
        source: Some(Box::new(source)),
    }
}
