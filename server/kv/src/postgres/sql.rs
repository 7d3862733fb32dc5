//! The statements, with the table's name filled in.
//!
//! Every statement is keyed by the primary key. The table has a hundred
//! partitions: a statement names its partition key as a parameter, so that the
//! server prunes the others when it starts to execute. A join on the partition key
//! would open all hundred (measured: 1 ms against 0.04 ms).

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// What each session is told first.
///
/// Plans are generic, made once a connection: planning anew over a hundred partitions costs
/// more than executing. A generic plan may be made while the table is nearly empty, so it
/// must not choose to read it whole. Guards rely on `read committed`.
pub(super) const SESSION: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; \
     SET default_transaction_isolation = 'read committed'";

/// The statements of one table.
pub(super) struct Sql {
    /// $1 partition, $2 key.
    pub(super) get: SqlStr,
    /// $1 partition, $2 keys; values in the keys' order, null where absent.
    pub(super) get_many: SqlStr,
    /// $1 partition, $2 start (inclusive), $3 limit.
    pub(super) scan_from: SqlStr,
    /// $1 partition, $2 start (exclusive), $3 limit.
    pub(super) scan_after: SqlStr,
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
    /// $1 to $3 as `upsert_many`; $4 partition, $5 key, $6 value of the guard, null for any.
    pub(super) upsert_many_guarded: SqlStr,
    /// $1 partition, $2 key: the value, locked against change.
    pub(super) share: SqlStr,
    /// $1 partition, $2 keys in order: keys that exist and their values, locked for this transaction.
    pub(super) lock_many: SqlStr,
}

impl Sql {
    /// `table` is a plain identifier, checked when the connection string was parsed.
    pub(super) fn new(table: &str) -> Self {
        let sql = |text: String| AssertSqlSafe(std::sync::Arc::<str>::from(text)).into_sql_str();
        let on_conflict = "ON CONFLICT (partition_key, key)";
        let insert = format!("INSERT INTO {table} (partition_key, key, value)");
        // Rows are written in order of address: two statements that meet on two rows wait, and do not deadlock.
        let rows = "unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS r(p, k, v)";
        Self {
            get: sql(format!("SELECT value FROM {table} WHERE partition_key = $1 AND key = $2")),
            get_many: sql(format!(
                "SELECT s.value FROM unnest($2::bytea[]) WITH ORDINALITY AS t(k, i)
                 LEFT JOIN LATERAL (SELECT value FROM {table} WHERE partition_key = $1 AND key = t.k) AS s ON true
                 ORDER BY t.i"
            )),
            scan_from: sql(format!(
                "SELECT key, value FROM {table} WHERE partition_key = $1 AND key >= $2 ORDER BY key LIMIT $3"
            )),
            scan_after: sql(format!(
                "SELECT key, value FROM {table} WHERE partition_key = $1 AND key > $2 ORDER BY key LIMIT $3"
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
            // The share lock is what makes the guard hold until the commit: whoever changes the
            // record waits for this statement, or has changed it before, and then no row is locked.
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
