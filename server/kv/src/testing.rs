//! Store wrappers for tests: [`FaultyStore`] injects failures, [`CountingStore`] counts requests.
//!
//! Failures depend on a seed: the same calls in the same order fail in the same way. Not used in a server.

use std::sync::Arc;

use async_trait::async_trait;
use base::testing::{FaultSchedule, SeededFaults};
use bytes::Bytes;

pub use crate::counting::{CountingStore, Counts};
use crate::{Batch, Error, Guard, GuardOutcome, Predicate, Result, ScanPage, Store, Versioned};

/// How often a [`FaultyStore`] fails. Each rate is the number of affected calls out of 256.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Rate of reads that fail.
    pub read: u8,
    /// Rate of writes that fail without being applied.
    pub before_write: u8,
    /// Rate of writes that are applied but return an error, as if the acknowledgement were lost.
    pub after_write: u8,
    /// Rate of calls that let other tasks run first, which varies the order of events.
    pub yields: u8,
}

/// Forwards requests to a store and injects failures.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Faults,
    schedule: Arc<dyn FaultSchedule>,
}

impl FaultyStore {
    /// Wraps `inner`. `seed` determines which calls fail.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, seed: u64, faults: Faults) -> Self {
        let schedule = Arc::new(SeededFaults::new(seed, faults.yields));
        Self::with_schedule(inner, faults, schedule)
    }

    /// Wraps `inner`. `schedule` decides which calls fail, and delays each call before it reaches the
    /// store and before its result is returned. [`Faults::yields`] is ignored.
    #[must_use]
    pub fn with_schedule(
        inner: Arc<dyn Store>,
        faults: Faults,
        schedule: Arc<dyn FaultSchedule>,
    ) -> Self {
        Self {
            inner,
            faults,
            schedule,
        }
    }

    async fn read<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.schedule.turn().await;
        if self.schedule.should_fail(self.faults.read) {
            return Err(injected("read (injected before)"));
        }
        let result = request.await;
        self.schedule.turn().await;
        result
    }

    async fn write<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.schedule.turn().await;
        if self.schedule.should_fail(self.faults.before_write) {
            return Err(injected("write (injected before)"));
        }
        let result = request.await;
        self.schedule.turn().await;
        if self.schedule.should_fail(self.faults.after_write) {
            return Err(injected("write (injected after)"));
        }
        result
    }
}

fn injected(operation: &'static str) -> Error {
    Error::storage(operation, "injected failure")
}

#[async_trait]
impl Store for FaultyStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>> {
        self.read(self.inner.get(partition, key)).await
    }

    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>> {
        self.read(self.inner.get_many(partition, keys)).await
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()> {
        self.write(self.inner.set(partition, key, value)).await
    }

    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()> {
        self.write(self.inner.set_if(partition, key, value, predicate))
            .await
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()> {
        self.write(self.inner.delete(partition, key)).await
    }

    async fn delete_partition(&self, partition: &[u8]) -> Result<()> {
        self.write(self.inner.delete_partition(partition)).await
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<ScanPage> {
        self.read(self.inner.scan(partition, start, limit)).await
    }

    async fn batch(&self, ops: Batch) -> Result<()> {
        self.write(self.inner.batch(ops)).await
    }

    fn is_transactional(&self) -> bool {
        self.inner.is_transactional()
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome> {
        self.write(self.inner.guarded(guard, ops)).await
    }
}
