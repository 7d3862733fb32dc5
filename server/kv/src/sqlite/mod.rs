//! The SQLite driver, with a write-ahead log (WAL). It is the embedded default.
//!
//! Reads use a pool of read-only connections, each with its own thread. Writes go through a bounded queue
//! to the single [`writer`]. Readers and the writer do not block each other. Several processes may
//! open the file; a writer waits up to [`options::BUSY_TIMEOUT`] for the writer of another process.

mod failure;
mod group;
mod job;
mod open;
mod options;
mod writer;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use crate::page::{KeyRow, MAX_INLINE_VALUE_BYTES, MAX_STATEMENT_ENTRIES, RowReader, read_page};
use crate::store::{check_address, check_ops, check_partition};
use crate::{Batch, Guard, GuardOutcome, Op, Predicate, Result, ScanPage, Store, Versioned};
use failure::failed;
use job::{Outcome, Work};
pub use options::SqliteOptions;
use writer::Writer;

/// Maximum number of keys in one statement of [`Store::get_many`].
const LOOKUP_CHUNK: usize = 256;

/// A store in an SQLite database file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the file and creates the table if it does not exist.
    ///
    /// # Errors
    /// [`crate::Error::Open`] if the folder cannot be created, the file is not a database, another process
    /// locks it, or a newer version created it.
    pub async fn open(options: SqliteOptions) -> Result<Self> {
        open::create_file(&options.path).await?;
        let connection = open::writer(&options).await?;
        let readers = open::readers(&options);
        Ok(Self {
            writer: Writer::spawn(connection, options),
            readers,
        })
    }

    /// Finishes the writes in progress and closes the file. Later calls fail.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    async fn write(&self, operation: &'static str, work: Work) -> Result<Outcome> {
        self.writer.submit(operation, work).await
    }
}

impl RowReader for SqliteStore {
    fn statement_entries(&self) -> usize {
        MAX_STATEMENT_ENTRIES
    }

    async fn values(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let mut found = std::collections::HashMap::with_capacity(keys.len());
        for chunk in keys.chunks(LOOKUP_CHUNK) {
            // Repeat the last key to pad the list to a power of two, so that only a few different
            // statements are prepared.
            let slots = chunk.len().next_power_of_two();
            let marks = vec!["?"; slots].join(",");
            let sql =
                format!("SELECT key, value FROM kv WHERE partition_key = ? AND key IN ({marks})");
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(partition);
            let last = chunk.last().expect("chunks are not empty");
            for key in chunk
                .iter()
                .chain(std::iter::repeat_n(last, slots - chunk.len()))
            {
                query = query.bind(key.as_ref());
            }
            let rows = query
                .fetch_all(&self.readers)
                .await
                .map_err(|error| failed("get values", error))?;
            found.extend(rows.iter().map(|row| (column(row, 0), column(row, 1))));
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn key_rows(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<Vec<KeyRow>> {
        // SQLite gets the length of a value without reading it.
        let rows = sqlx::query(
            "SELECT key, CASE WHEN length(value) <= ?4 THEN value END, length(value)
             FROM kv WHERE partition_key = ?1 AND key >= ?2 ORDER BY key LIMIT ?3",
        )
        .bind(partition)
        .bind(start)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(i64::try_from(MAX_INLINE_VALUE_BYTES).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(|error| failed("scan a partition", error))?;
        let rows = rows.iter().map(|row| KeyRow {
            key: column(row, 0),
            value: row.get::<Option<Vec<u8>>, _>(1).map(Bytes::from),
            value_bytes: usize::try_from(row.get::<i64, _>(2)).unwrap_or(0),
        });
        Ok(rows.collect())
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>> {
        check_address(partition, key)?;
        let row = sqlx::query("SELECT value FROM kv WHERE partition_key = ?1 AND key = ?2")
            .bind(partition)
            .bind(key)
            .fetch_optional(&self.readers)
            .await
            .map_err(|error| failed("get a value", error))?;
        Ok(row.map(|row| Versioned::by_value(column(&row, 0))))
    }

    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>> {
        keys.iter()
            .try_for_each(|key| check_address(partition, key))?;
        let values = self.values(partition, keys).await?.into_iter();
        Ok(values.map(|value| value.map(Versioned::by_value)).collect())
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()> {
        check_address(partition, key)?;
        let op = set(partition, key, value, None);
        self.write(
            "set a value",
            Work::Ops {
                guard: None,
                ops: vec![op],
            },
        )
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
        let op = set(partition, key, value, Some(predicate));
        self.write(
            "conditionally set a value",
            Work::Ops {
                guard: None,
                ops: vec![op],
            },
        )
        .await?;
        Ok(())
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()> {
        check_address(partition, key)?;
        let op = Op::Delete {
            partition: Bytes::copy_from_slice(partition),
            key: Bytes::copy_from_slice(key),
        };
        self.write(
            "delete a key",
            Work::Ops {
                guard: None,
                ops: vec![op],
            },
        )
        .await?;
        Ok(())
    }

    async fn delete_partition(&self, partition: &[u8]) -> Result<()> {
        check_partition(partition)?;
        let partition = Bytes::copy_from_slice(partition);
        // Delete in chunks, so that a partition of a million keys does not block the writer for seconds.
        loop {
            let work = Work::DeleteChunk {
                partition: partition.clone(),
            };
            if self.write("delete a partition", work).await? == Outcome::NothingLeft {
                return Ok(());
            }
        }
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<ScanPage> {
        check_partition(partition)?;
        read_page(self, partition, start, limit).await
    }

    async fn batch(&self, ops: Batch) -> Result<()> {
        check_ops(&ops)?;
        if !ops.is_empty() {
            self.write("apply a batch", Work::Ops { guard: None, ops })
                .await?;
        }
        Ok(())
    }

    fn is_transactional(&self) -> bool {
        true
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome> {
        check_address(&guard.partition, &guard.key)?;
        check_ops(&ops)?;
        let work = Work::Ops {
            guard: Some(guard.clone()),
            ops,
        };
        match self.write("apply a guarded write", work).await? {
            Outcome::GuardFailed => Ok(GuardOutcome::GuardFailed),
            Outcome::Done | Outcome::NothingLeft => Ok(GuardOutcome::Written),
        }
    }
}

fn set(partition: &[u8], key: &[u8], value: Bytes, predicate: Option<Predicate>) -> Op {
    Op::Set {
        partition: Bytes::copy_from_slice(partition),
        key: Bytes::copy_from_slice(key),
        value,
        predicate,
    }
}

/// Returns a blob column. The table's columns are `NOT NULL`.
fn column(row: &SqliteRow, index: usize) -> Bytes {
    Bytes::from(row.get::<Vec<u8>, _>(index))
}
