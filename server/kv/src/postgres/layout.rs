//! Creates lakeFS's tables: a table with a hundred hash partitions, and a human-readable view.
//!
//! One query checks whether they exist. If not, they are created under the same advisory lock
//! that lakeFS uses.

use std::fmt::Write as _;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

/// Number of hash partitions. Part of the storage format; it must never change.
const PARTITIONS: usize = 100;

/// Returns whether the table, all its partitions and the view exist.
pub(super) async fn exists(connection: &mut PgConnection, table: &str) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass($1)), to_regclass($2) IS NOT NULL",
    )
    .bind(table)
    .bind(format!("{table}_v"))
    .fetch_one(connection)
    .await?;
    Ok(row.get::<i64, _>(0) == PARTITIONS as i64 && row.get(1))
}

/// Creates whatever does not exist. After an error, the caller must close `connection`, which still holds the lock.
pub(super) async fn create(connection: &mut PgConnection, table: &str) -> sqlx::Result<()> {
    let lock = advisory_lock(table);
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(lock)
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(definition(table)))
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(lock)
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns the statements that create the tables and the view. The server runs them as one transaction.
fn definition(table: &str) -> String {
    let mut sql = format!(
        "CREATE TABLE IF NOT EXISTS {table} (
             partition_key BYTEA NOT NULL,
             key BYTEA NOT NULL,
             value BYTEA NOT NULL,
             PRIMARY KEY (partition_key, key)
         ) PARTITION BY HASH (partition_key);\n"
    );
    for remainder in 0..PARTITIONS {
        writeln!(
            sql,
            "CREATE TABLE IF NOT EXISTS {table}_{remainder} PARTITION OF {table} \
             FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {remainder});"
        )
        .expect("writing to a string cannot fail");
    }
    sql + &format!(
        "CREATE OR REPLACE VIEW {table}_v AS
         SELECT ENCODE(partition_key, 'escape') AS partition_key, ENCODE(key, 'escape') AS key, value FROM {table};"
    )
}

/// Returns the id of lakeFS's advisory lock: 32-bit FNV-1a of `lakefs:` and the table name.
fn advisory_lock(table: &str) -> i64 {
    let bytes = b"lakefs:".iter().chain(table.as_bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    i64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advisory_lock_id_matches_lakefs() {
        assert_eq!(advisory_lock("kv"), 4_109_714_936);
    }
}
