//! Applies a batch, with or without a guard, as one transaction.
//!
//! The number of round trips does not depend on the number of writes. The driver locks and reads the rows that
//! predicates depend on, evaluates the batch in memory, and writes the final value of each address once.
//!
//! Rows are locked in the order of their addresses, so that batches within one partition do not deadlock.
//! Batches that span partitions can; the server then rolls one back and the driver retries it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, Postgres};
use sqlx::{Connection as _, Transaction};

use super::Sql;
use super::rows::{Rows, column};
use crate::{Guard, Op, Predicate};

/// The outcome of a transaction that did not fail.
pub(super) enum Applied {
    Written,
    GuardFailed,
    /// Nothing was written, because the predicate of the operation with this index did not hold.
    PredicateFailed(usize),
}

/// A pooled connection for one transaction.
///
/// If the caller is cancelled while BEGIN is in flight, sqlx does not know about the transaction and does
/// not roll it back. The next user of the connection would then write into the open transaction: its writes
/// would be acknowledged, but invisible to others and lost when the connection closes. To prevent this,
/// the connection is closed unless BEGIN has completed.
pub(super) struct TransactionConnection {
    connection: PoolConnection<Postgres>,
    has_begun: bool,
}

impl TransactionConnection {
    pub(super) async fn acquire(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(Self {
            connection: pool.acquire().await?,
            has_begun: false,
        })
    }

    /// Starts a transaction, which is rolled back if it is dropped before the commit.
    pub(super) async fn begin(&mut self) -> sqlx::Result<Transaction<'_, Postgres>> {
        let transaction = self.connection.begin().await?;
        self.has_begun = true;
        Ok(transaction)
    }
}

impl Drop for TransactionConnection {
    fn drop(&mut self) {
        if !self.has_begun {
            self.connection.close_on_drop();
        }
    }
}

type Address<'a> = (&'a [u8], &'a [u8]);

/// Applies all of `ops` or none, if `guard` holds.
pub(super) async fn apply(
    pool: &PgPool,
    sql: &Sql,
    guard: Option<&Guard>,
    ops: &[Op],
) -> sqlx::Result<Applied> {
    let mut connection = TransactionConnection::acquire(pool).await?;
    let mut transaction = connection.begin().await?;
    let applied = apply_within(&mut transaction, sql, guard, ops).await?;
    match applied {
        Applied::Written => transaction.commit().await?,
        Applied::GuardFailed | Applied::PredicateFailed(_) => transaction.rollback().await?,
    }
    Ok(applied)
}

async fn apply_within(
    connection: &mut PgConnection,
    sql: &Sql,
    guard: Option<&Guard>,
    ops: &[Op],
) -> sqlx::Result<Applied> {
    if let Some(guard) = guard
        && !lock_guard(connection, sql, guard, ops).await?
    {
        return Ok(Applied::GuardFailed);
    }
    let read = lock(connection, sql, ops).await?;
    let plan = match Plan::new(ops, &read) {
        Ok(plan) => plan,
        Err(index) => return Ok(Applied::PredicateFailed(index)),
    };
    if let Some(index) = create(connection, sql, &plan).await? {
        return Ok(Applied::PredicateFailed(index));
    }
    write(connection, sql, &plan).await?;
    Ok(Applied::Written)
}

/// Locks the guarded record until the transaction ends and returns whether the guard holds.
async fn lock_guard(
    connection: &mut PgConnection,
    sql: &Sql,
    guard: &Guard,
    ops: &[Op],
) -> sqlx::Result<bool> {
    let (partition, key) = (guard.partition.as_ref(), guard.key.as_ref());
    if guard.predicate == Predicate::Absent {
        // A missing row cannot be locked. Inserting and deleting it keeps other transactions from creating
        // it until this one ends.
        let inserted = sqlx::query(sql.create.clone())
            .bind(partition)
            .bind(key)
            .bind(&b""[..])
            .execute(&mut *connection)
            .await?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(sql.delete.clone())
            .bind(partition)
            .bind(key)
            .execute(connection)
            .await?;
        return Ok(true);
    }
    // If the batch also writes the guarded record, take the write lock now. Upgrading a share lock could deadlock.
    let is_written = ops
        .iter()
        .any(|op| op.address() == (&guard.partition, &guard.key));
    let current = if is_written {
        let rows = sqlx::query(sql.lock_many.clone())
            .bind(partition)
            .bind(&[key][..])
            .fetch_optional(connection);
        rows.await?.map(|row| column(&row, 1))
    } else {
        let row = sqlx::query(sql.share.clone())
            .bind(partition)
            .bind(key)
            .fetch_optional(connection);
        row.await?.map(|row| column(&row, 0))
    };
    Ok(guard.predicate.holds(current.as_deref()))
}

/// The values read, by address; `None` if the row does not exist. Existing rows are locked. Addresses
/// that are not in the map were not read.
type Read<'a> = BTreeMap<Address<'a>, Option<Bytes>>;

/// Locks and reads the batch's keys in each partition in which a predicate depends on a value.
async fn lock<'a>(
    connection: &mut PgConnection,
    sql: &Sql,
    ops: &'a [Op],
) -> sqlx::Result<Read<'a>> {
    let mut by_partition: BTreeMap<&[u8], (bool, BTreeSet<&[u8]>)> = BTreeMap::new();
    for op in ops {
        let (partition, key) = op.address();
        let (depends, keys) = by_partition.entry(partition).or_default();
        keys.insert(key);
        *depends |= matches!(
            op,
            Op::Set {
                predicate: Some(Predicate::Exists | Predicate::Unchanged(_)),
                ..
            }
        );
    }
    let mut read = Read::new();
    for (partition, (depends, keys)) in by_partition {
        if !depends {
            continue;
        }
        let keys: Vec<&[u8]> = keys.into_iter().collect();
        let rows = sqlx::query(sql.lock_many.clone())
            .bind(partition)
            .bind(&keys)
            .fetch_all(&mut *connection)
            .await?;
        let mut found: BTreeMap<Bytes, Bytes> = rows
            .iter()
            .map(|row| (column(row, 0), column(row, 1)))
            .collect();
        read.extend(
            keys.into_iter()
                .map(|key| ((partition, key), found.remove(key))),
        );
    }
    Ok(read)
}

/// The final write to one address.
struct FinalWrite<'a> {
    /// Index of the operation that requires the address to be absent, if that is still to be checked.
    create: Option<usize>,
    /// The final value, or `None` if the batch deletes the key.
    value: Option<&'a [u8]>,
}

/// The final writes of a batch, by address.
struct Plan<'a>(BTreeMap<Address<'a>, FinalWrite<'a>>);

impl<'a> Plan<'a> {
    /// Evaluates the operations in order.
    ///
    /// # Errors
    /// The index of the first operation whose predicate does not hold.
    fn new(ops: &'a [Op], read: &'a Read<'a>) -> Result<Self, usize> {
        let mut writes: BTreeMap<Address<'a>, FinalWrite<'a>> = BTreeMap::new();
        for (index, op) in ops.iter().enumerate() {
            let (partition, key) = op.address();
            let address: Address<'a> = (partition.as_ref(), key.as_ref());
            let (value, predicate) = match op {
                Op::Set {
                    value, predicate, ..
                } => (Some(value.as_ref()), predicate.as_ref()),
                Op::Delete { .. } => (None, None),
            };
            // The value from an earlier operation of the batch, or else as read. `None` if it was not read.
            let written = writes.get(&address).map(|write| write.value);
            let known = written.or_else(|| read.get(&address).map(|value| value.as_deref()));
            let create = match (predicate, known) {
                (Some(predicate), Some(current)) if !predicate.holds(current) => return Err(index),
                // Even if the row was absent when read, it is not locked, so creating it must check again.
                (Some(Predicate::Absent), _) if written.is_none() => Some(index),
                (Some(Predicate::Exists | Predicate::Unchanged(_)), None) => return Err(index),
                _ => None,
            };
            let write = writes
                .entry(address)
                .or_insert(FinalWrite { create, value });
            write.value = value;
        }
        Ok(Self(writes))
    }
}

/// Inserts the rows that must not exist yet. Returns the index of the first operation whose row exists.
async fn create(
    connection: &mut PgConnection,
    sql: &Sql,
    plan: &Plan<'_>,
) -> sqlx::Result<Option<usize>> {
    let mut wanted: BTreeMap<(Bytes, Bytes), usize> = BTreeMap::new();
    let mut rows = Vec::new();
    for ((partition, key), write) in &plan.0 {
        if let Some(index) = write.create {
            let (partition, key) = (
                Bytes::copy_from_slice(partition),
                Bytes::copy_from_slice(key),
            );
            // If the batch later deletes the row, insert it anyway to check that it is absent.
            rows.push((
                partition.clone(),
                key.clone(),
                Bytes::copy_from_slice(write.value.unwrap_or_default()),
            ));
            wanted.insert((partition, key), index);
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let rows = Rows::new(&rows);
    let created = rows.bind(&sql.create_many).fetch_all(connection).await?;
    if created.len() < rows.len() {
        for row in &created {
            wanted.remove(&(column(row, 0), column(row, 1)));
        }
    } else {
        wanted.clear();
    }
    Ok(wanted.into_values().min())
}

/// Executes the remaining writes and deletions.
async fn write(connection: &mut PgConnection, sql: &Sql, plan: &Plan<'_>) -> sqlx::Result<()> {
    let mut rows = Vec::new();
    let mut deleted: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for ((partition, key), write) in &plan.0 {
        match write.value {
            Some(_) if write.create.is_some() => {}
            Some(value) => rows.push((
                Bytes::copy_from_slice(partition),
                Bytes::copy_from_slice(key),
                Bytes::copy_from_slice(value),
            )),
            None => deleted.entry(partition).or_default().push(key),
        }
    }
    if !rows.is_empty() {
        Rows::new(&rows)
            .bind(&sql.upsert_many)
            .execute(&mut *connection)
            .await?;
    }
    for (partition, keys) in deleted {
        sqlx::query(sql.delete_many.clone())
            .bind(partition)
            .bind(&keys)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
