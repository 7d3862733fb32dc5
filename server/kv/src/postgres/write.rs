//! Batched upserts with and without a guard, and single conditional writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::postgres::{PgConnection, PgPool};

use super::Sql;
use super::retry::{failed, retry_rolled_back};
use super::rows::{Row, Rows};
use super::transaction::TransactionConnection;
use crate::batcher::Handler;
use crate::{Guard, GuardOutcome, Op, Predicate, Result};

const OPERATION: &str = "write values";

/// Unconditional writes, optionally under a guard that a share lock can enforce.
pub(super) struct Request {
    pub(super) guard: Option<ShareGuard>,
    pub(super) rows: Vec<Row>,
}

/// A guard on an existing row. Guards sort by address, which is the order in which they are locked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShareGuard {
    partition: Bytes,
    key: Bytes,
    /// The required value, or `None` if any value is allowed.
    value: Option<Bytes>,
}

impl Request {
    /// Converts a guarded write that fits in one statement: the guarded row must exist, and the writes are
    /// unconditional and to other rows. Returns `None` for all others.
    pub(super) fn from_guarded(guard: &Guard, ops: &[Op]) -> Option<Self> {
        let value = match &guard.predicate {
            Predicate::Absent => return None,
            Predicate::Exists => None,
            Predicate::Unchanged(value) => Some(value.clone()),
        };
        let rows = plain_rows(ops).filter(|rows| !rows.is_empty())?;
        // If the statement also wrote the guarded row, it would upgrade its share lock to a write lock. Two such
        // statements would deadlock.
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

/// Returns the rows of a batch, or `None` if it contains predicates or deletions.
pub(super) fn plain_rows(ops: &[Op]) -> Option<Vec<Row>> {
    ops.iter()
        .map(|op| {
            op.unconditional_set()
                .map(|(partition, key, value)| (partition.clone(), key.clone(), value.clone()))
        })
        .collect()
}

/// Handles writes for the batcher.
pub(super) struct Writer {
    pub(super) pool: PgPool,
    pub(super) sql: Arc<Sql>,
}

#[async_trait]
impl Handler for Writer {
    type Request = Request;
    type Reply = GuardOutcome;

    async fn run_one(&self, request: Request) -> Result<GuardOutcome> {
        let rows = Rows::new(&request.rows);
        let attempt = || async {
            let mut connection = self.pool.acquire().await?;
            upsert(&mut connection, &self.sql, request.guard.as_ref(), &rows).await
        };
        retry_rolled_back(attempt)
            .await
            .map_err(|error| failed(OPERATION, error))
    }

    async fn run_batch(&self, requests: Vec<Request>) -> Vec<Result<GuardOutcome>> {
        // None of the writes has been acknowledged, so they may be applied in any order. Group them by guard.
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
    /// Executes one statement per guard in one transaction.
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
        let mut connection = TransactionConnection::acquire(&self.pool).await?;
        let mut transaction = connection.begin().await?;
        let mut outcomes = Vec::with_capacity(statements.len());
        for (guard, rows) in statements {
            outcomes.push(upsert(&mut transaction, &self.sql, *guard, rows).await?);
        }
        transaction.commit().await?;
        Ok(outcomes)
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
    // There is at least one row to write. If none was written, the guard did not hold.
    Ok(if result.rows_affected() == 0 {
        GuardOutcome::GuardFailed
    } else {
        GuardOutcome::Written
    })
}

/// Executes a conditional write as one statement and returns whether the condition held.
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
