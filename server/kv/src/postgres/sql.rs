//! The SQL statements for a table.
//!
//! Every statement uses the primary key. The table has a hundred partitions. Statements pass the
//! partition key as a parameter, so that the server prunes the other partitions at the start of execution. A join
//! on the partition key would open all hundred (measured: 1 ms instead of 0.04 ms).

use crate::page::MAX_INLINE_VALUE_BYTES;
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// Settings of each session.
///
/// Planning over a hundred partitions costs more than executing, so each connection plans a statement once,
/// with a generic plan. The table may be nearly empty at that time, so plans that suit only small
/// tables, such as sequential scans, are disabled. Guards rely on `read committed`.
pub(super) const SESSION: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; \
     SET default_transaction_isolation = 'read committed'";

/// The statements of one table.
pub(super) struct Sql {
    /// $1 partition, $2 key.
    pub(super) get: SqlStr,
    /// $1 partition, $2 keys; values in the keys' order, null where absent.
    pub(super) get_many: SqlStr,
    /// $1 partition, $2 start (inclusive), $3 limit; keys, values and their lengths, with null for large values.
    pub(super) scan: SqlStr,
    /// $1 partition, $2 key, $3 value.
    pub(super) create: SqlStr,
    /// $1 partition, $2 key, $3 value.
    pub(super) replace: SqlStr,
    /// $1 partition, $2 key, $3 value, $4 previous value.
    pub(super) swap: SqlStr,
    /// $1 partition, $2 key.
    pub(super) delete: SqlStr,
    /// $1 partition, $2 keys.
    pub(super) delete_many: SqlStr,
    /// $1 partition.
    pub(super) delete_partition: SqlStr,
    /// $1 partitions, $2 keys, $3 values; no address twice.
    pub(super) upsert_many: SqlStr,
    /// $1 partitions, $2 keys, $3 values; returns the addresses created.
    pub(super) create_many: SqlStr,
    /// $1 to $3 as `upsert_many`; $4 partition, $5 key, $6 expected value of the guard, null for any value.
    pub(super) upsert_many_guarded: SqlStr,
    /// $1 partition, $2 key; returns the value and locks the row against changes.
    pub(super) share: SqlStr,
    /// $1 partition, $2 keys in ascending order; returns the existing keys and their values, and locks the rows
    /// for writing.
    pub(super) lock_many: SqlStr,
}

impl Sql {
    /// Returns the statements for `table`, which the connection string parser has checked to be a plain identifier.
    pub(super) fn new(table: &str) -> Self {
        let sql = |text: String| AssertSqlSafe(std::sync::Arc::<str>::from(text)).into_sql_str();
        let on_conflict = "ON CONFLICT (partition_key, key)";
        let insert = format!("INSERT INTO {table} (partition_key, key, value)");
        // All statements write rows in the order of their addresses, so that two of them do not deadlock.
        let rows = "unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS r(p, k, v)";
        Self {
            get: sql(format!("SELECT value FROM {table} WHERE partition_key = $1 AND key = $2")),
            get_many: sql(format!(
                "SELECT s.value FROM unnest($2::bytea[]) WITH ORDINALITY AS t(k, i)
                 LEFT JOIN LATERAL (SELECT value FROM {table} WHERE partition_key = $1 AND key = t.k) AS s ON true
                 ORDER BY t.i"
            )),
            // PostgreSQL gets the length of a value without reading it.
            scan: sql(format!(
                "SELECT key, CASE WHEN octet_length(value) <= {MAX_INLINE_VALUE_BYTES} THEN value END, octet_length(value)
                 FROM {table} WHERE partition_key = $1 AND key >= $2 ORDER BY key LIMIT $3"
            )),
            create: sql(format!("{insert} VALUES ($1, $2, $3) {on_conflict} DO NOTHING")),
            replace: sql(format!("UPDATE {table} SET value = $3 WHERE partition_key = $1 AND key = $2")),
            swap: sql(format!(
                "UPDATE {table} SET value = $3 WHERE partition_key = $1 AND key = $2 AND value = $4"
            )),
            delete: sql(format!("DELETE FROM {table} WHERE partition_key = $1 AND key = $2")),
            delete_many: sql(format!("DELETE FROM {table} WHERE partition_key = $1 AND key = ANY($2::bytea[])")),
            delete_partition: sql(format!("DELETE FROM {table} WHERE partition_key = $1")),
            upsert_many: sql(format!(
                "{insert} SELECT r.p, r.k, r.v FROM {rows} ORDER BY r.p, r.k
                 {on_conflict} DO UPDATE SET value = excluded.value"
            )),
            create_many: sql(format!(
                "{insert} SELECT r.p, r.k, r.v FROM {rows} ORDER BY r.p, r.k
                 {on_conflict} DO NOTHING RETURNING partition_key, key"
            )),
            // The share lock makes the guard hold until the commit. A concurrent change of the record waits
            // for the lock. If the change came first, the SELECT returns no row and nothing is inserted.
            upsert_many_guarded: sql(format!(
                "WITH guard AS (
                     SELECT 1 FROM {table} WHERE partition_key = $4 AND key = $5 AND ($6::bytea IS NULL OR value = $6)
                     FOR SHARE)
                 {insert} SELECT r.p, r.k, r.v FROM guard, {rows} ORDER BY r.p, r.k
                 {on_conflict} DO UPDATE SET value = excluded.value"
            )),
            share: sql(format!("SELECT value FROM {table} WHERE partition_key = $1 AND key = $2 FOR SHARE")),
            lock_many: sql(format!(
                "SELECT s.key, s.value FROM unnest($2::bytea[]) AS t(k),
                 LATERAL (SELECT key, value FROM {table} WHERE partition_key = $1 AND key = t.k FOR UPDATE) AS s"
            )),
        }
    }
}
