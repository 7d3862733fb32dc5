//! Point reads, alone and in batches.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool};

use super::Sql;
use super::retry::{failed, retry_read};
use super::rows::column;
use crate::Result;
use crate::batcher::Handler;
use crate::page::KeyRow;

const OPERATION: &str = "get a value";

/// Handles point reads for the batcher.
pub(super) struct Reader {
    pub(super) pool: PgPool,
    pub(super) sql: Arc<Sql>,
}

#[async_trait]
impl Handler for Reader {
    type Request = (Bytes, Bytes);
    type Reply = Option<Bytes>;

    async fn run_one(&self, (partition, key): (Bytes, Bytes)) -> Result<Option<Bytes>> {
        let query = || {
            sqlx::query(self.sql.get.clone())
                .bind(partition.as_ref())
                .bind(key.as_ref())
                .fetch_optional(&self.pool)
        };
        let row = retry_read(query)
            .await
            .map_err(|error| failed(OPERATION, error))?;
        Ok(row.map(|row| column(&row, 0)))
    }

    async fn run_batch(&self, requests: Vec<(Bytes, Bytes)>) -> Vec<Result<Option<Bytes>>> {
        match retry_read(|| self.lookup(&requests)).await {
            Ok(values) => values.into_iter().map(Ok).collect(),
            Err(error) => {
                let error = Arc::new(error);
                requests
                    .iter()
                    .map(|_| Err(failed(OPERATION, Arc::clone(&error))))
                    .collect()
            }
        }
    }

    fn weight(&self, _request: &(Bytes, Bytes)) -> usize {
        1
    }
}

/// The requests for one partition: their indexes in the batch and their keys.
type PartitionRequests<'a> = (Vec<usize>, Vec<&'a [u8]>);

impl Reader {
    /// Looks up all requests on one connection, with one statement per partition.
    async fn lookup(&self, requests: &[(Bytes, Bytes)]) -> sqlx::Result<Vec<Option<Bytes>>> {
        let mut by_partition: HashMap<&[u8], PartitionRequests<'_>> = HashMap::new();
        for (index, (partition, key)) in requests.iter().enumerate() {
            let (indices, keys) = by_partition.entry(partition).or_default();
            indices.push(index);
            keys.push(key);
        }
        let mut values = vec![None; requests.len()];
        let mut connection = self.pool.acquire().await?;
        for (partition, (indices, keys)) in by_partition {
            let found = get_many(&mut connection, &self.sql, partition, &keys).await?;
            for (index, value) in indices.into_iter().zip(found) {
                values[index] = value;
            }
        }
        Ok(values)
    }
}

/// Reads the next rows of a scan, without their large values.
pub(super) async fn key_rows(
    pool: &PgPool,
    sql: &Sql,
    partition: &[u8],
    start: &[u8],
    limit: usize,
) -> sqlx::Result<Vec<KeyRow>> {
    let rows = sqlx::query(sql.scan.clone())
        .bind(partition)
        .bind(start)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await?;
    let rows = rows.iter().map(|row| KeyRow {
        key: column(row, 0),
        value: row.get::<Option<Vec<u8>>, _>(1).map(Bytes::from),
        value_bytes: usize::try_from(row.get::<i32, _>(2)).unwrap_or(0),
    });
    Ok(rows.collect())
}

/// Looks up keys of one partition with one statement.
pub(super) async fn get_many(
    connection: &mut PgConnection,
    sql: &Sql,
    partition: &[u8],
    keys: &[&[u8]],
) -> sqlx::Result<Vec<Option<Bytes>>> {
    if let [key] = keys {
        let query = sqlx::query(sql.get.clone()).bind(partition).bind(*key);
        let row = query.fetch_optional(connection).await?;
        return Ok(vec![row.map(|row| column(&row, 0))]);
    }
    let rows = sqlx::query(sql.get_many.clone())
        .bind(partition)
        .bind(keys)
        .fetch_all(connection)
        .await?;
    Ok(rows
        .iter()
        .map(|row| row.get::<Option<Vec<u8>>, _>(0).map(Bytes::from))
        .collect())
}
