//! The store below the injected faults. It may check guards differently from our drivers, and reports
//! its calls in flight to the scheduler.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kv::{Batch, Guard, GuardOutcome, Predicate, Result, ScanPage, Store, Versioned};

use super::gate::Gate;

/// Delay before and after a guarded write, in turns; a commit takes about as long.
const SLOW_TURNS: u64 = 16;

/// How a guard is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guarding {
    /// Atomically with the write, by the driver.
    Atomic,
    /// Only before the write, which the staging protocol does not allow.
    CheckBeforeOnly,
    /// Only after the write, as a store without transactions may do.
    WriteThenCheck,
}

/// Forwards to a store, counts the calls in flight, and checks guards as configured.
#[derive(Debug)]
pub(super) struct GuardingStore {
    pub inner: Arc<dyn Store>,
    pub gate: Arc<Gate>,
    pub guarding: Guarding,
}

impl GuardingStore {
    async fn call<T>(&self, request: impl Future<Output = T>) -> T {
        let _under_way = self.gate.call();
        request.await
    }
}

#[async_trait]
impl Store for GuardingStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>> {
        self.call(self.inner.get(partition, key)).await
    }

    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>> {
        self.call(self.inner.get_many(partition, keys)).await
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()> {
        self.call(self.inner.set(partition, key, value)).await
    }

    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()> {
        self.call(self.inner.set_if(partition, key, value, predicate))
            .await
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()> {
        self.call(self.inner.delete(partition, key)).await
    }

    async fn delete_partition(&self, partition: &[u8]) -> Result<()> {
        self.call(self.inner.delete_partition(partition)).await
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<ScanPage> {
        self.call(self.inner.scan(partition, start, limit)).await
    }

    async fn batch(&self, ops: Batch) -> Result<()> {
        self.call(self.inner.batch(ops)).await
    }

    fn is_transactional(&self) -> bool {
        self.guarding == Guarding::Atomic && self.inner.is_transactional()
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome> {
        match self.guarding {
            Guarding::Atomic => self.call(self.inner.guarded(guard, ops)).await,
            Guarding::CheckBeforeOnly => {
                let outcome = self.inner.guarded(guard, Batch::new()).await?;
                if outcome == GuardOutcome::Written {
                    self.gate.wait_turns(SLOW_TURNS).await;
                    self.inner.batch(ops).await?;
                }
                Ok(outcome)
            }
            Guarding::WriteThenCheck => {
                self.gate.wait_turns(SLOW_TURNS).await;
                self.inner.batch(ops).await?;
                self.gate.wait_turns(SLOW_TURNS).await;
                self.inner.guarded(guard, Batch::new()).await
            }
        }
    }
}
