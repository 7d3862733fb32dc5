//! A KV store on which a concurrent write lands at a chosen moment.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use kv::{Batch, Guard, GuardOutcome, Predicate, ScanPage, Store, Versioned};

/// When the concurrent write lands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// After the first scan that starts at a key with this prefix.
    Scanned(&'static str),
    /// After the first read of keys that all have this prefix.
    Read(&'static str),
}

/// Forwards to a store, and makes a concurrent batch land once.
#[derive(Debug)]
pub(super) struct RacingStore {
    inner: Arc<dyn Store>,
    moment: Moment,
    pending: Mutex<Batch>,
}

impl RacingStore {
    pub(super) fn store(inner: &Arc<dyn Store>, moment: Moment, pending: Batch) -> Arc<dyn Store> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            moment,
            pending: Mutex::new(pending),
        })
    }

    async fn land(&self) -> kv::Result<()> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap());
        self.inner.batch(pending).await
    }
}

#[async_trait]
impl Store for RacingStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> kv::Result<Option<Versioned>> {
        self.inner.get(partition, key).await
    }

    async fn get_many(
        &self,
        partition: &[u8],
        keys: &[Bytes],
    ) -> kv::Result<Vec<Option<Versioned>>> {
        let found = self.inner.get_many(partition, keys).await?;
        if let Moment::Read(prefix) = self.moment
            && !keys.is_empty()
            && keys.iter().all(|key| key.starts_with(prefix.as_bytes()))
        {
            self.land().await?;
        }
        Ok(found)
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> kv::Result<()> {
        self.inner.set(partition, key, value).await
    }

    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> kv::Result<()> {
        self.inner.set_if(partition, key, value, predicate).await
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> kv::Result<()> {
        self.inner.delete(partition, key).await
    }

    async fn delete_partition(&self, partition: &[u8]) -> kv::Result<()> {
        self.inner.delete_partition(partition).await
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> kv::Result<ScanPage> {
        let page = self.inner.scan(partition, start, limit).await?;
        if let Moment::Scanned(prefix) = self.moment
            && start.starts_with(prefix.as_bytes())
        {
            self.land().await?;
        }
        Ok(page)
    }

    async fn batch(&self, ops: Batch) -> kv::Result<()> {
        self.inner.batch(ops).await
    }

    fn is_transactional(&self) -> bool {
        self.inner.is_transactional()
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> kv::Result<GuardOutcome> {
        self.inner.guarded(guard, ops).await
    }
}
