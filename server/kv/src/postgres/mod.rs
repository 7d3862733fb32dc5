//! The PostgreSQL driver, with lakeFS's table layout.
//!
//! lakeFS and this server may use the same database at the same time. Point reads and unconditional writes
//! go through [`crate::batcher`]. Conditional writes and other batches each use a connection of the
//! pool; PostgreSQL groups their commits.

mod dsn;
mod layout;
mod read;
mod retry;
mod rows;
mod sql;
mod transaction;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _};

use crate::batcher::{Batcher, Limits};
use crate::page::{KeyRow, MAX_STATEMENT_ENTRIES, RowReader, read_page};
use crate::store::{check_address, check_ops, check_partition};
use crate::{Batch, Error, Guard, GuardOutcome, Op, Predicate, Result, ScanPage, Store, Versioned};
use dsn::Dsn;
use retry::{failed, retry_read, retry_rolled_back};
use sql::Sql;
use transaction::Applied;

/// Parses a connection string, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_connection_string(text: &str) {
    dsn::try_parse(text);
}

/// Limits of point reads. The batch weight is the number of keys in one statement.
const READ_LIMITS: Limits = Limits {
    slots: 4,
    batch_weight: 256,
    waiting: 16_384,
};
/// Limits of writes. The batch weight is the number of rows in one transaction.
const WRITE_LIMITS: Limits = Limits {
    slots: 2,
    batch_weight: 256,
    waiting: 16_384,
};
/// Timeout of the first connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long a request waits for a connection of the pool.
const POOL_WAIT: Duration = Duration::from_secs(10);
/// Connections that were idle for longer are pinged before use.
const TRUSTED_IDLE: Duration = Duration::from_secs(30);
/// Idle connections are closed after this time if `max_idle_connections` is less than `max_open_connections`.
const EXCESS_IDLE: Duration = Duration::from_secs(60);

/// Settings of a [`PostgresStore`].
#[derive(Clone)]
pub struct PostgresOptions {
    /// A URL (`postgres://user:password@host:port/database?sslmode=..`) or `key=value` pairs. The
    /// parameter `lakefskv_table` sets the table name; the default is `kv`. Contains a secret; never printed.
    pub connection_string: String,
    /// Maximum number of connections. Zero counts as one.
    pub max_open_connections: u32,
    /// If less than `max_open_connections`, idle connections are closed after a minute.
    pub max_idle_connections: u32,
    /// Age at which a connection is replaced.
    pub connection_max_lifetime: Duration,
    /// Maximum number of entries that one statement of a scan reads.
    pub scan_page_size: usize,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connection_string", &"[redacted]")
            .field("max_open_connections", &self.max_open_connections)
            .field("max_idle_connections", &self.max_idle_connections)
            .field("connection_max_lifetime", &self.connection_max_lifetime)
            .field("scan_page_size", &self.scan_page_size)
            .finish()
    }
}

/// A store in a partitioned PostgreSQL table.
pub struct PostgresStore {
    pool: PgPool,
    sql: Arc<Sql>,
    readers: Arc<Batcher<read::Reader>>,
    writers: Arc<Batcher<write::Writer>>,
    scan_page_size: usize,
    table: String,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects and creates the tables if they do not exist.
    ///
    /// # Errors
    /// [`Error::Open`], which says what to check and never contains the password.
    pub async fn connect(options: PostgresOptions) -> Result<Self> {
        let dsn = Dsn::parse(&options.connection_string)?;
        prepare(&dsn).await?;

        let excess = options.max_idle_connections < options.max_open_connections;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_open_connections.max(1))
            .max_lifetime(options.connection_max_lifetime)
            .idle_timeout(excess.then_some(EXCESS_IDLE))
            .acquire_timeout(POOL_WAIT)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(sql::SESSION).await.map(|_| ()) })
            })
            .before_acquire(|connection, state| {
                Box::pin(async move {
                    if state.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(dsn.options);

        let sql = Arc::new(Sql::new(&dsn.table));
        let reader = read::Reader {
            pool: pool.clone(),
            sql: Arc::clone(&sql),
        };
        let writer = write::Writer {
            pool: pool.clone(),
            sql: Arc::clone(&sql),
        };
        Ok(Self {
            readers: Batcher::new(reader, READ_LIMITS),
            writers: Batcher::new(writer, WRITE_LIMITS),
            scan_page_size: options.scan_page_size.clamp(1, MAX_STATEMENT_ENTRIES),
            table: dsn.table,
            pool,
            sql,
        })
    }

    /// Waits for the connections in use and closes all connections. Later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn transact(
        &self,
        operation: &'static str,
        guard: Option<&Guard>,
        ops: &[Op],
    ) -> Result<GuardOutcome> {
        let applied =
            retry_rolled_back(|| transaction::apply(&self.pool, &self.sql, guard, ops)).await;
        match applied.map_err(|error| failed(operation, error))? {
            Applied::Written => Ok(GuardOutcome::Written),
            Applied::GuardFailed => Ok(GuardOutcome::GuardFailed),
            Applied::PredicateFailed(index) => Err(Error::PredicateFailed { index }),
        }
    }
}

/// Connects once to report errors clearly and to create the tables if they do not exist.
async fn prepare(dsn: &Dsn) -> Result<()> {
    let refused = |error| dsn.refused(error);
    let connecting = sqlx::PgConnection::connect_with(&dsn.options);
    let Ok(connected) = tokio::time::timeout(CONNECT_WAIT, connecting).await else {
        return Err(dsn.timed_out(CONNECT_WAIT));
    };
    let mut connection = connected.map_err(refused)?;
    if !layout::exists(&mut connection, &dsn.table)
        .await
        .map_err(refused)?
    {
        // On failure, dropping the connection releases its advisory lock.
        layout::create(&mut connection, &dsn.table)
            .await
            .map_err(|error| dsn.cannot_create_tables(error))?;
    }
    connection.close().await.map_err(refused)
}

impl RowReader for PostgresStore {
    fn statement_entries(&self) -> usize {
        self.scan_page_size
    }

    async fn key_rows(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<Vec<KeyRow>> {
        let rows = retry_read(|| read::key_rows(&self.pool, &self.sql, partition, start, limit));
        rows.await
            .map_err(|error| failed("scan a partition", error))
    }

    async fn values(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        let values = retry_read(|| async {
            let mut connection = self.pool.acquire().await?;
            read::get_many(&mut connection, &self.sql, partition, &keys).await
        });
        values.await.map_err(|error| failed("get values", error))
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>> {
        check_address(partition, key)?;
        let address = (
            Bytes::copy_from_slice(partition),
            Bytes::copy_from_slice(key),
        );
        Ok(self.readers.submit(address).await?.map(Versioned::by_value))
    }

    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>> {
        keys.iter()
            .try_for_each(|key| check_address(partition, key))?;
        let values = self.values(partition, keys).await?.into_iter();
        Ok(values.map(|value| value.map(Versioned::by_value)).collect())
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()> {
        check_address(partition, key)?;
        let row = (
            Bytes::copy_from_slice(partition),
            Bytes::copy_from_slice(key),
            value,
        );
        self.writers
            .submit(write::Request {
                guard: None,
                rows: vec![row],
            })
            .await?;
        Ok(())
    }

    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()> {
        check_address(partition, key)?;
        let held = retry_rolled_back(|| {
            write::set_if(&self.pool, &self.sql, partition, key, &value, &predicate)
        });
        if held
            .await
            .map_err(|error| failed("conditionally set a value", error))?
        {
            return Ok(());
        }
        Err(Error::PredicateFailed { index: 0 })
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()> {
        check_address(partition, key)?;
        let delete = || {
            sqlx::query(self.sql.delete.clone())
                .bind(partition)
                .bind(key)
                .execute(&self.pool)
        };
        retry_rolled_back(delete)
            .await
            .map_err(|error| failed("delete a key", error))?;
        Ok(())
    }

    async fn delete_partition(&self, partition: &[u8]) -> Result<()> {
        check_partition(partition)?;
        let delete = || {
            sqlx::query(self.sql.delete_partition.clone())
                .bind(partition)
                .execute(&self.pool)
        };
        retry_rolled_back(delete)
            .await
            .map_err(|error| failed("delete a partition", error))?;
        Ok(())
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<ScanPage> {
        check_partition(partition)?;
        read_page(self, partition, start, limit).await
    }

    async fn batch(&self, ops: Batch) -> Result<()> {
        check_ops(&ops)?;
        if ops.is_empty() {
            return Ok(());
        }
        if let Some(rows) = write::plain_rows(&ops) {
            self.writers
                .submit(write::Request { guard: None, rows })
                .await?;
            return Ok(());
        }
        self.transact("apply a batch", None, &ops).await?;
        Ok(())
    }

    fn is_transactional(&self) -> bool {
        true
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome> {
        check_address(&guard.partition, &guard.key)?;
        check_ops(&ops)?;
        if let Some(request) = write::Request::from_guarded(guard, &ops) {
            return self.writers.submit(request).await;
        }
        self.transact("apply a guarded write", Some(guard), &ops)
            .await
    }
}
