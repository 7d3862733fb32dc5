//! Rows as parameters and as results of statements.

use std::collections::BTreeMap;

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// A partition, a key and a value.
pub(super) type Row = (Bytes, Bytes, Bytes);

/// The array parameters of an upsert. A statement may write a row only once, so the last write to a row wins.
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

    /// Binds the arrays to $1, $2 and $3.
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

/// Returns a `bytea` column, which must not be null.
pub(super) fn column(row: &PgRow, index: usize) -> Bytes {
    Bytes::from(row.get::<Vec<u8>, _>(index))
}
