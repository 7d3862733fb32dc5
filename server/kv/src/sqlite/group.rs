//! Executes a group of jobs: a single job as one statement if possible, several jobs in one transaction.
//!
//! Consecutive unconditional writes become multi-row upserts, and a guard shared by several jobs is read
//! once. Cached guards never outlive the transaction.

use std::collections::HashMap;

use bytes::Bytes;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Row as _, Sqlite};

use super::job::{JobResult, Outcome, Work};
use crate::{Guard, Op, Predicate};

/// Maximum number of keys that one `DeleteChunk` job deletes.
const DELETE_CHUNK: u32 = 10_000;
/// Sizes of multi-row upserts. Rows are split into these sizes, largest first, so that only a few
/// different statements are prepared.
const UPSERT_ROWS: [usize; 4] = [64, 16, 4, 1];

/// Applies a single job as one statement, which is its own transaction. Returns `None` without writing if
/// the job needs several statements.
pub(super) async fn apply_alone(
    connection: &mut SqliteConnection,
    work: &Work,
) -> sqlx::Result<Option<JobResult>> {
    match work {
        Work::DeleteChunk { partition } => delete_chunk(connection, partition)
            .await
            .map(|outcome| Some(Ok(outcome))),
        Work::Ops { guard: None, ops } => match ops.as_slice() {
            [op] => Ok(Some(if apply_op(connection, op).await? {
                Ok(Outcome::Done)
            } else {
                Err(0)
            })),
            _ => Ok(None),
        },
        Work::Ops {
            guard: Some(guard),
            ops,
        } => {
            let (Predicate::Unchanged(previous), [op]) = (&guard.predicate, ops.as_slice()) else {
                return Ok(None);
            };
            let Some((partition, key, value)) = op.unconditional_set() else {
                return Ok(None);
            };
            let result = sqlx::query(
                "INSERT INTO kv (partition_key, key, value) SELECT ?1, ?2, ?3
                 WHERE EXISTS (SELECT 1 FROM kv WHERE partition_key = ?4 AND key = ?5 AND value = ?6)
                 ON CONFLICT (partition_key, key) DO UPDATE SET value = excluded.value",
            )
            .bind(partition.as_ref())
            .bind(key.as_ref())
            .bind(value.as_ref())
            .bind(guard.partition.as_ref())
            .bind(guard.key.as_ref())
            .bind(previous.as_ref())
            .execute(connection)
            .await?;
            let outcome = if result.rows_affected() == 0 {
                Outcome::GuardFailed
            } else {
                Outcome::Done
            };
            Ok(Some(Ok(outcome)))
        }
    }
}

/// Applies jobs one after the other in one transaction. Each has its own result.
pub(super) async fn apply_together(
    connection: &mut SqliteConnection,
    works: &[Work],
) -> sqlx::Result<Vec<JobResult>> {
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut *connection)
        .await?;
    let mut transaction = Transaction {
        connection,
        pending: Vec::new(),
        guards: HashMap::new(),
    };
    let mut results = Vec::with_capacity(works.len());
    for work in works {
        results.push(transaction.apply(work).await?);
    }
    transaction.flush().await?;
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(results)
}

type Address = (Bytes, Bytes);

/// The open transaction of a group.
struct Transaction<'a> {
    connection: &'a mut SqliteConnection,
    /// Upserts not yet executed, in order. They are flushed before any other statement.
    pending: Vec<(Bytes, Bytes, Bytes)>,
    /// Guarded records read in this transaction. The writes of a group usually share a guard.
    guards: HashMap<Address, Option<Bytes>>,
}

impl Transaction<'_> {
    async fn apply(&mut self, work: &Work) -> sqlx::Result<JobResult> {
        let (guard, ops) = match work {
            Work::Ops { guard, ops } => (guard, ops),
            Work::DeleteChunk { partition } => {
                self.flush().await?;
                self.guards.retain(|(guarded, _), _| guarded != partition);
                return delete_chunk(self.connection, partition).await.map(Ok);
            }
        };
        if let Some(guard) = guard
            && !self.holds(guard).await?
        {
            return Ok(Ok(Outcome::GuardFailed));
        }
        for op in ops {
            let (partition, key) = op.address();
            self.guards.remove(&(partition.clone(), key.clone()));
        }
        if ops.iter().all(|op| op.unconditional_set().is_some()) {
            let rows = ops.iter().filter_map(Op::unconditional_set);
            self.pending.extend(
                rows.map(|(partition, key, value)| (partition.clone(), key.clone(), value.clone())),
            );
            return Ok(Ok(Outcome::Done));
        }
        self.flush().await?;
        self.apply_in_order(ops).await
    }

    /// Applies the writes of one job. If a predicate fails, undoes this job only.
    async fn apply_in_order(&mut self, ops: &[Op]) -> sqlx::Result<JobResult> {
        // A single statement is atomic by itself.
        let needs_savepoint = ops.len() > 1;
        if needs_savepoint {
            self.execute("SAVEPOINT job").await?;
        }
        for (index, op) in ops.iter().enumerate() {
            if !apply_op(self.connection, op).await? {
                if needs_savepoint {
                    self.execute("ROLLBACK TO job").await?;
                    self.execute("RELEASE job").await?;
                }
                return Ok(Err(index));
            }
        }
        if needs_savepoint {
            self.execute("RELEASE job").await?;
        }
        Ok(Ok(Outcome::Done))
    }

    async fn holds(&mut self, guard: &Guard) -> sqlx::Result<bool> {
        let address = (guard.partition.clone(), guard.key.clone());
        if let Some(current) = self.guards.get(&address) {
            return Ok(guard.predicate.holds(current.as_deref()));
        }
        self.flush().await?;
        let row = sqlx::query("SELECT value FROM kv WHERE partition_key = ?1 AND key = ?2")
            .bind(guard.partition.as_ref())
            .bind(guard.key.as_ref())
            .fetch_optional(&mut *self.connection)
            .await?;
        let current = row.map(|row| Bytes::from(row.get::<Vec<u8>, _>(0)));
        let holds = guard.predicate.holds(current.as_deref());
        self.guards.insert(address, current);
        Ok(holds)
    }

    async fn flush(&mut self) -> sqlx::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        for size in UPSERT_ROWS {
            while let Some((rows, others)) = rest.split_at_checked(size) {
                upsert(self.connection, rows).await?;
                rest = others;
            }
        }
        Ok(())
    }

    async fn execute(&mut self, sql: &'static str) -> sqlx::Result<()> {
        sqlx::query(sql).execute(&mut *self.connection).await?;
        Ok(())
    }
}

async fn upsert(
    connection: &mut SqliteConnection,
    rows: &[(Bytes, Bytes, Bytes)],
) -> sqlx::Result<()> {
    let marks = vec!["(?,?,?)"; rows.len()].join(",");
    let sql = format!(
        "INSERT INTO kv (partition_key, key, value) VALUES {marks}
         ON CONFLICT (partition_key, key) DO UPDATE SET value = excluded.value"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (partition, key, value) in rows {
        query = query
            .bind(partition.as_ref())
            .bind(key.as_ref())
            .bind(value.as_ref());
    }
    query.execute(connection).await?;
    Ok(())
}

/// Applies one write and returns whether its predicate held.
async fn apply_op(connection: &mut SqliteConnection, op: &Op) -> sqlx::Result<bool> {
    const SET: &str = "INSERT INTO kv (partition_key, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (partition_key, key) DO UPDATE SET value = excluded.value";
    const CREATE: &str = "INSERT INTO kv (partition_key, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (partition_key, key) DO NOTHING";
    const REPLACE: &str = "UPDATE kv SET value = ?3 WHERE partition_key = ?1 AND key = ?2";
    const SWAP: &str =
        "UPDATE kv SET value = ?3 WHERE partition_key = ?1 AND key = ?2 AND value = ?4";
    const DELETE: &str = "DELETE FROM kv WHERE partition_key = ?1 AND key = ?2";

    let at = |sql: &'static str| -> sqlx::query::Query<'_, Sqlite, SqliteArguments> {
        let (partition, key) = op.address();
        sqlx::query(sql).bind(partition.as_ref()).bind(key.as_ref())
    };
    let query = match op {
        Op::Delete { .. } => {
            at(DELETE).execute(connection).await?;
            return Ok(true);
        }
        Op::Set {
            value,
            predicate: None,
            ..
        } => at(SET).bind(value.as_ref()),
        Op::Set {
            value,
            predicate: Some(Predicate::Absent),
            ..
        } => at(CREATE).bind(value.as_ref()),
        Op::Set {
            value,
            predicate: Some(Predicate::Exists),
            ..
        } => at(REPLACE).bind(value.as_ref()),
        Op::Set {
            value,
            predicate: Some(Predicate::Unchanged(previous)),
            ..
        } => at(SWAP).bind(value.as_ref()).bind(previous.as_ref()),
    };
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

async fn delete_chunk(
    connection: &mut SqliteConnection,
    partition: &Bytes,
) -> sqlx::Result<Outcome> {
    let result = sqlx::query(
        // Deletes a range of keys. This scans the chunk twice, but `key IN (...)` would look up every key separately.
        "DELETE FROM kv WHERE partition_key = ?1
         AND key <= (SELECT max(key) FROM (SELECT key FROM kv WHERE partition_key = ?1 ORDER BY key LIMIT ?2))",
    )
    .bind(partition.as_ref())
    .bind(DELETE_CHUNK)
    .execute(connection)
    .await?;
    let more = result.rows_affected() >= u64::from(DELETE_CHUNK);
    Ok(if more {
        Outcome::Done
    } else {
        Outcome::NothingLeft
    })
}
