//! A wrapper that counts the requests to a store, for tests that limit the number of round trips.
//!
//! Not used in a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Batch, Guard, GuardOutcome, Predicate, Result, ScanPage, Store, Versioned};

/// Number of requests that a [`CountingStore`] has forwarded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `get`, `get_many` and `scan`.
    pub reads: u64,
    /// Calls of the writing methods: `set`, `set_if`, `delete`, `delete_partition`, `batch` and `guarded`.
    pub writes: u64,
}

/// Forwards requests to a store and counts them.
#[derive(Debug)]
pub struct CountingStore {
    inner: Arc<dyn Store>,
    reads: AtomicU64,
    writes: AtomicU64,
    largest_page_bytes: AtomicUsize,
}

impl CountingStore {
    /// Wraps `inner`. All counts start at zero.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            largest_page_bytes: AtomicUsize::new(0),
        }
    }

    /// Returns the size of the keys and values of the largest page of a scan so far.
    pub fn largest_page_bytes(&self) -> usize {
        self.largest_page_bytes.load(Ordering::Relaxed)
    }

    /// Returns the counts since the last call and resets them.
    pub fn take(&self) -> Counts {
        Counts {
            reads: self.reads.swap(0, Ordering::Relaxed),
            writes: self.writes.swap(0, Ordering::Relaxed),
        }
    }

    fn read(&self) -> &dyn Store {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.as_ref()
    }

    fn write(&self) -> &dyn Store {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.inner.as_ref()
    }
}

#[async_trait]
impl Store for CountingStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>> {
        self.read().get(partition, key).await
    }

    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>> {
        self.read().get_many(partition, keys).await
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()> {
        self.write().set(partition, key, value).await
    }

    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()> {
        self.write().set_if(partition, key, value, predicate).await
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()> {
        self.write().delete(partition, key).await
    }

    async fn delete_partition(&self, partition: &[u8]) -> Result<()> {
        self.write().delete_partition(partition).await
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<ScanPage> {
        let page = self.read().scan(partition, start, limit).await?;
        let sizes = page.entries.iter().map(|e| e.key.len() + e.value.len());
        self.largest_page_bytes
            .fetch_max(sizes.sum(), Ordering::Relaxed);
        Ok(page)
    }

    async fn batch(&self, ops: Batch) -> Result<()> {
        self.write().batch(ops).await
    }

    fn is_transactional(&self) -> bool {
        self.inner.is_transactional()
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome> {
        self.write().guarded(guard, ops).await
    }
}
