//! Writes: the lanes' upserts with and without a guard, and the single conditional write.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::postgres::{PgConnection, PgPool};

use super::Sql;
use super::retry::{failed, retry_rolled_back};
use super::transaction::Lease;
use crate::lanes::Handler;
use crate::{Guard, GuardOutcome, Op, Predicate, Result};

const OPERATION: &str = "write values";

/// A partition, a key and a value.
pub(super) type Row = (Bytes, Bytes, Bytes);

/// Unconditional writes, perhaps under a guard that a share lock can hold.
pub(super) struct Request {
    pub(super) guard: Option<ShareGuard>,
    pub(super) rows: Vec<Row>,
}

/// A guard that is a row which exists. Sorted by address, in which order they are locked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShareGuard {
    partition: Bytes,
    key: Bytes,
    /// The value it must have; none for any.
    value: Option<Bytes>,
}

impl Request {
    /// The guarded write as one statement, if it is one: a guard on a row that exists,
    /// and unconditional writes to others.
    pub(super) fn of_guarded(guard: &Guard, ops: &[Op]) -> Option<Self> {
        let value = match &guard.predicate {
            Predicate::Absent => return None,
            Predicate::Exists => None,
            Predicate::Unchanged(value) => Some(value.clone()),
        };
        let rows = plain_rows(ops).filter(|rows| !rows.is_empty())?;
        // A share lock that this statement itself turns into a write lock would deadlock with its like.
        if rows
            .iter()
            .any(|(partition, key, _)| *partition == guard.partition && *key == guard.key)
        {
            return None;
        }
        let guard = ShareGuard {
            partition: guard.partition.clone(),
            key: guard.key.clone(),
            value,
        };
        Some(Self {
            guard: Some(guard),
            rows,
        })
    }
}

/// The rows of a batch without conditions and deletions; none if it has any.
pub(super) fn plain_rows(ops: &[Op]) -> Option<Vec<Row>> {
    ops.iter()
        .map(|op| {
            op.unconditional_set()
                .map(|(partition, key, value)| (partition.clone(), key.clone(), value.clone()))
        })
        .collect()
}

/// What the writer lanes do.
pub(super) struct Writer {
    pub(super) pool: PgPool,
    pub(super) sql: Arc<Sql>,
}

#[async_trait]
impl Handler for Writer {
    type Request = Request;
    type Reply = GuardOutcome;

    async fn alone(&self, request: Request) -> Result<GuardOutcome> {
        let rows = Rows::new(&request.rows);
        let attempt = || async {
            let mut connection = self.pool.acquire().await?;
            upsert(&mut connection, &self.sql, request.guard.as_ref(), &rows).await
        };
        retry_rolled_back(attempt)
            .await
            .map_err(|error| failed(OPERATION, error))
    }

    async fn together(&self, requests: Vec<Request>) -> Vec<Result<GuardOutcome>> {
        // None of these was acknowledged, so any order of them is right: one group for each guard.
        let mut groups: BTreeMap<Option<&ShareGuard>, Vec<usize>> = BTreeMap::new();
        for (index, request) in requests.iter().enumerate() {
            groups
                .entry(request.guard.as_ref())
                .or_default()
                .push(index);
        }
        let statements: Vec<_> = groups
            .iter()
            .map(|(guard, members)| {
                (
                    *guard,
                    Rows::new(members.iter().flat_map(|index| &requests[*index].rows)),
                )
            })
            .collect();
        match retry_rolled_back(|| self.upsert_all(&statements)).await {
            Ok(outcomes) => {
                let mut replies: Vec<_> =
                    requests.iter().map(|_| GuardOutcome::GuardFailed).collect();
                for (members, outcome) in groups.values().zip(outcomes) {
                    for index in members {
                        replies[*index] = outcome;
                    }
                }
                replies.into_iter().map(Ok).collect()
            }
            Err(error) => {
                let error = Arc::new(error);
                requests
                    .iter()
                    .map(|_| Err(failed(OPERATION, Arc::clone(&error))))
                    .collect()
            }
        }
    }

    fn weight(&self, request: &Request) -> usize {
        request.rows.len()
    }
}

impl Writer {
    /// One statement for each guard, in one transaction.
    async fn upsert_all(
        &self,
        statements: &[(Option<&ShareGuard>, Rows<'_>)],
    ) -> sqlx::Result<Vec<GuardOutcome>> {
        if let [(guard, rows)] = statements {
            let mut connection = self.pool.acquire().await?;
            return Ok(vec![
                upsert(&mut connection, &self.sql, *guard, rows).await?,
            ]);
        }
        let mut lease = Lease::of(&self.pool).await?;
        let mut transaction = lease.begin().await?;
        let mut outcomes = Vec::with_capacity(statements.len());
        for (guard, rows) in statements {
            outcomes.push(upsert(&mut transaction, &self.sql, *guard, rows).await?);
        }
        transaction.commit().await?;
        Ok(outcomes)
    }
}

/// The arrays of an upsert. One statement may write a row only once: of several writes the last counts.
pub(super) struct Rows<'a> {
    partitions: Vec<&'a [u8]>,
    keys: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let last: BTreeMap<(&[u8], &[u8]), &[u8]> = rows
            .into_iter()
            .map(|(partition, key, value)| ((partition.as_ref(), key.as_ref()), value.as_ref()))
            .collect();
        let mut arrays = Self {
            partitions: Vec::new(),
            keys: Vec::new(),
            values: Vec::new(),
        };
        for ((partition, key), value) in last {
            arrays.partitions.push(partition);
            arrays.keys.push(key);
            arrays.values.push(value);
        }
        arrays
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Binds $1, $2 and $3 of a statement over many rows.
    pub(super) fn bind(
        &self,
        statement: &sqlx::SqlStr,
    ) -> sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments> {
        sqlx::query(statement.clone())
            .bind(&self.partitions)
            .bind(&self.keys)
            .bind(&self.values)
    }
}

async fn upsert(
    connection: &mut PgConnection,
    sql: &Sql,
    guard: Option<&ShareGuard>,
    rows: &Rows<'_>,
) -> sqlx::Result<GuardOutcome> {
    let Some(guard) = guard else {
        rows.bind(&sql.upsert_many).execute(connection).await?;
        return Ok(GuardOutcome::Written);
    };
    let result = rows
        .bind(&sql.upsert_many_guarded)
        .bind(guard.partition.as_ref())
        .bind(guard.key.as_ref())
        .bind(guard.value.as_deref())
        .execute(connection)
        .await?;
    // There is at least one row, so none written means that the guard gave none.
    Ok(if result.rows_affected() == 0 {
        GuardOutcome::GuardFailed
    } else {
        GuardOutcome::Written
    })
}

/// One conditional write, which is one statement. Says whether the condition held.
pub(super) async fn set_if(
    pool: &PgPool,
    sql: &Sql,
    partition: &[u8],
    key: &[u8],
    value: &[u8],
    predicate: &Predicate,
) -> sqlx::Result<bool> {
    let statement = match predicate {
        Predicate::Absent => &sql.create,
        Predicate::Exists => &sql.replace,
        Predicate::Unchanged(_) => &sql.swap,
    };
    let mut query = sqlx::query(statement.clone())
        .bind(partition)
        .bind(key)
        .bind(value);
    if let Predicate::Unchanged(previous) = predicate {
        query = query.bind(previous.as_ref());
    }
    Ok(query.execute(pool).await?.rows_affected() == 1)
}
