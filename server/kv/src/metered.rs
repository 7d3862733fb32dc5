//! A wrapper that measures a store: duration and number of failures per kind of request.
//!
//! A failed predicate is a normal outcome and does not count as a failure.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Batch, Error, Guard, GuardOutcome, Predicate, Result, ScanPage, Store, Versioned};

/// Name of the histogram of request durations in seconds, by `driver` and `operation`.
pub const REQUEST_DURATION: &str = "kv_request_duration_seconds";
/// Name of the counter of failed requests, by `driver` and `operation`.
pub const REQUEST_FAILURES: &str = "kv_request_failures_total";

/// Forwards requests to a store and reports them to the process's metrics recorder.
#[derive(Debug)]
pub struct MeteredStore {
    inner: Arc<dyn Store>,
}

impl MeteredStore {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        metrics::describe_histogram!(
            REQUEST_DURATION,
            metrics::Unit::Seconds,
            "duration of requests to the key-value store"
        );
        metrics::describe_counter!(
            REQUEST_FAILURES,
            "number of failed requests to the key-value store"
        );
        Self { inner }
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let driver = self.inner.name();
        let start = Instant::now();
        let result = request.await;
        metrics::histogram!(REQUEST_DURATION, "driver" => driver, "operation" => operation)
            .record(start.elapsed().as_secs_f64());
        if let Err(error) = &result
            && !matches!(error, Error::PredicateFailed { .. })
        {
            metrics::counter!(REQUEST_FAILURES, "driver" => driver, "operation" => operation)
                .increment(1);
        }
        result
    }
}

#[async_trait]
impl Store for MeteredStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>> {
        self.timed("get", self.inner.get(partition, key)).await
    }

    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>> {
        self.timed("get_many", self.inner.get_many(partition, keys))
            .await
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()> {
        self.timed("set", self.inner.set(partition, key, value))
            .await
    }

    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()> {
        self.timed(
            "set_if",
            self.inner.set_if(partition, key, value, predicate),
        )
        .await
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()> {
        self.timed("delete", self.inner.delete(partition, key))
            .await
    }

    async fn delete_partition(&self, partition: &[u8]) -> Result<()> {
        self.timed("delete_partition", self.inner.delete_partition(partition))
            .await
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<ScanPage> {
        self.timed("scan", self.inner.scan(partition, start, limit))
            .await
    }

    async fn batch(&self, ops: Batch) -> Result<()> {
        self.timed("batch", self.inner.batch(ops)).await
    }

    fn is_transactional(&self) -> bool {
        self.inner.is_transactional()
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome> {
        self.timed("guarded", self.inner.guarded(guard, ops)).await
    }
}
