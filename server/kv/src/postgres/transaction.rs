//! A batch, with or without a guard, as one transaction.
//!
//! Takes the same handful of round trips however many writes there are: lock and
//! read what predicates depend on, decide here, write the outcome of each address once.
//! Rows are locked in the order of their addresses, so that two batches wait for each other
//! and do not deadlock; where a batch spans partitions that can still happen, and
//! the server's rollback is retried.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, Postgres};
use sqlx::{Connection as _, Transaction};

use super::write::Rows;
use super::{Sql, column};
use crate::{Guard, Op, Predicate};

/// What became of a transaction that did not fail.
pub(super) enum Applied {
    Written,
    GuardFailed,
    /// Nothing was written: this operation's predicate did not hold.
    PredicateFailed(usize),
}

/// A connection of the pool, on which a transaction begins.
///
/// Of a caller that goes away while the database answers to BEGIN, sqlx notes no transaction, and rolls none
/// back. Whoever had the connection next would write into what stayed open: acknowledged, seen by
/// nobody else and gone with the connection. So a connection on which none has begun is closed.
pub(super) struct Lease {
    connection: PoolConnection<Postgres>,
    has_begun: bool,
}

impl Lease {
    pub(super) async fn of(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(Self {
            connection: pool.acquire().await?,
            has_begun: false,
        })
    }

    /// The transaction is rolled back when it is dropped.
    pub(super) async fn begin(&mut self) -> sqlx::Result<Transaction<'_, Postgres>> {
        let transaction = self.connection.begin().await?;
        self.has_begun = true;
        Ok(transaction)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.has_begun {
            self.connection.close_on_drop();
        }
    }
}

type Address<'a> = (&'a [u8], &'a [u8]);

/// Applies `ops`, if `guard` holds, all or none.
pub(super) async fn apply(
    pool: &PgPool,
    sql: &Sql,
    guard: Option<&Guard>,
    ops: &[Op],
) -> sqlx::Result<Applied> {
    let mut lease = Lease::of(pool).await?;
    let mut transaction = lease.begin().await?;
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
        && !hold(connection, sql, guard, ops).await?
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

/// Locks the guarded record against change until the transaction ends, and says whether it is as it must be.
async fn hold(
    connection: &mut PgConnection,
    sql: &Sql,
    guard: &Guard,
    ops: &[Op],
) -> sqlx::Result<bool> {
    let (partition, key) = (guard.partition.as_ref(), guard.key.as_ref());
    if guard.predicate == Predicate::Absent {
        // What is not there cannot be locked. A row made and taken away again keeps others
        // from making it until this transaction ends.
        let made = sqlx::query(sql.create.clone())
            .bind(partition)
            .bind(key)
            .bind(&b""[..])
            .execute(&mut *connection)
            .await?;
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(sql.delete.clone())
            .bind(partition)
            .bind(key)
            .execute(connection)
            .await?;
        return Ok(true);
    }
    // Where the batch also writes the record, a share lock would have to grow into a write lock.
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

/// Addresses as they were read, locked if they exist. What is not in here was not read.
type Read<'a> = BTreeMap<Address<'a>, Option<Bytes>>;

/// Locks and reads each partition in which a predicate depends on a value.
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

/// What is to be written to one address.
struct Fate<'a> {
    /// The operation that needs the address to be absent, where that is not known yet.
    create: Option<usize>,
    /// The value in the end; none if it is deleted.
    value: Option<&'a [u8]>,
}

/// The outcome of a batch by address: each is written once.
struct Plan<'a>(BTreeMap<Address<'a>, Fate<'a>>);

impl<'a> Plan<'a> {
    /// Plays the operations in order; gives the index of the first whose predicate cannot hold.
    fn new(ops: &'a [Op], read: &'a Read<'a>) -> Result<Self, usize> {
        let mut fates: BTreeMap<Address<'a>, Fate<'a>> = BTreeMap::new();
        for (index, op) in ops.iter().enumerate() {
            let (partition, key) = op.address();
            let address: Address<'a> = (partition.as_ref(), key.as_ref());
            let (value, predicate) = match op {
                Op::Set {
                    value, predicate, ..
                } => (Some(value.as_ref()), predicate.as_ref()),
                Op::Delete { .. } => (None, None),
            };
            // Known from an earlier operation, or read (and `None` where nobody asked).
            let written = fates.get(&address).map(|fate| fate.value);
            let known = written.or_else(|| read.get(&address).map(|value| value.as_deref()));
            let create = match (predicate, known) {
                (Some(predicate), Some(current)) if !predicate.holds(current) => return Err(index),
                // Absent as far as known: but what is absent is not locked.
                (Some(Predicate::Absent), _) if written.is_none() => Some(index),
                (Some(Predicate::Exists | Predicate::Unchanged(_)), None) => return Err(index),
                _ => None,
            };
            let fate = fates.entry(address).or_insert(Fate { create, value });
            fate.value = value;
        }
        Ok(Self(fates))
    }
}

/// Creates what must not exist; gives the first operation that found its address taken.
async fn create(
    connection: &mut PgConnection,
    sql: &Sql,
    plan: &Plan<'_>,
) -> sqlx::Result<Option<usize>> {
    let mut wanted: BTreeMap<(Bytes, Bytes), usize> = BTreeMap::new();
    let mut rows = Vec::new();
    for ((partition, key), fate) in &plan.0 {
        if let Some(index) = fate.create {
            let (partition, key) = (
                Bytes::copy_from_slice(partition),
                Bytes::copy_from_slice(key),
            );
            // What is deleted in the end must still have been absent before.
            rows.push((
                partition.clone(),
                key.clone(),
                Bytes::copy_from_slice(fate.value.unwrap_or_default()),
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

/// Writes and deletes the rest.
async fn write(connection: &mut PgConnection, sql: &Sql, plan: &Plan<'_>) -> sqlx::Result<()> {
    let mut rows = Vec::new();
    let mut deleted: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for ((partition, key), fate) in &plan.0 {
        match fate.value {
            Some(_) if fate.create.is_some() => {}
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
