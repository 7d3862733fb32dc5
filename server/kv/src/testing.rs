//! Stores that fail on purpose or count, for tests of what stands on a store.
//!
//! Failures are drawn from a seed, so the same calls in the same order fail alike.
//! Never wired into a server.

use std::sync::Arc;

use async_trait::async_trait;
use base::testing::{Dice, Fate};
use bytes::Bytes;

pub use crate::counting::{CountingStore, Counts};
use crate::{Batch, Entry, Error, Guard, GuardOutcome, Predicate, Result, Store, Versioned};

/// How often a [`FaultyStore`] misbehaves, in parts of 256 (0 never, 255 nearly always).
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A read fails.
    pub read: u8,
    /// A write fails and was not applied.
    pub before_write: u8,
    /// A write is applied and fails: the acknowledgement is lost.
    pub after_write: u8,
    /// A call lets other tasks run first, to stir the order of events.
    pub yields: u8,
}

/// Forwards to a store, and fails now and then.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Faults,
    fate: Arc<dyn Fate>,
}

impl FaultyStore {
    /// Wraps `inner`; `seed` decides which calls fail.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, seed: u64, faults: Faults) -> Self {
        let fate = Arc::new(Dice::new(seed, faults.yields));
        Self::by_fate(inner, faults, fate)
    }

    /// Wraps `inner`; `fate` decides which calls fail and when each goes on, before it is
    /// made and before its answer is heard. [`Faults::yields`] counts for nothing.
    #[must_use]
    pub fn by_fate(inner: Arc<dyn Store>, faults: Faults, fate: Arc<dyn Fate>) -> Self {
        Self {
            inner,
            faults,
            fate,
        }
    }

    async fn read<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.fate.turn().await;
        if self.fate.strikes(self.faults.read) {
            return Err(injected("read (injected before)"));
        }
        let result = request.await;
        self.fate.turn().await;
        result
    }

    async fn write<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.fate.turn().await;
        if self.fate.strikes(self.faults.before_write) {
            return Err(injected("write (injected before)"));
        }
        let result = request.await;
        self.fate.turn().await;
        if self.fate.strikes(self.faults.after_write) {
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

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<Vec<Entry>> {
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
