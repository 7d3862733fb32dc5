//! A block store that counts the bytes of reads and puts.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use block::{
    BlockStore, ByteStream, CompletedPart, Location, ObjectProperties, PartInfo, PutResult, Result,
    StoreInfo, StoredBytes,
};
use futures::StreamExt as _;

/// Forwards to another store and counts.
#[derive(Debug)]
pub(crate) struct CountingBlocks {
    inner: Arc<dyn BlockStore>,
    read: Arc<AtomicU64>,
    written: AtomicU64,
}

impl CountingBlocks {
    pub(crate) fn new(inner: Arc<dyn BlockStore>) -> Self {
        Self {
            inner,
            read: Arc::default(),
            written: AtomicU64::new(0),
        }
    }

    /// Bytes read and written since the last call.
    pub(crate) fn take(&self) -> (u64, u64) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        (take(&self.read), take(&self.written))
    }
}

#[async_trait]
impl BlockStore for CountingBlocks {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    fn check_namespace(&self, namespace: &str) -> Result<String> {
        self.inner.check_namespace(namespace)
    }

    async fn canonical_namespaces(&self, namespaces: Vec<String>) -> Vec<String> {
        self.inner.canonical_namespaces(namespaces).await
    }

    async fn put(&self, at: &Location, body: ByteStream) -> Result<PutResult> {
        let put = self.inner.put(at, body).await?;
        self.written.fetch_add(put.size_bytes, Ordering::Relaxed);
        Ok(put)
    }

    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<StoredBytes> {
        let read = Arc::clone(&self.read);
        let mut stored = self.inner.get(at, range).await?;
        stored.body = stored
            .body
            .inspect(move |piece| {
                if let Ok(piece) = piece {
                    read.fetch_add(piece.len() as u64, Ordering::Relaxed);
                }
            })
            .boxed();
        Ok(stored)
    }

    async fn properties(&self, at: &Location) -> Result<Option<ObjectProperties>> {
        self.inner.properties(at).await
    }

    async fn delete(&self, at: &Location) -> Result<()> {
        self.inner.delete(at).await
    }

    async fn copy(&self, from: &Location, to: &Location) -> Result<PutResult> {
        self.inner.copy(from, to).await
    }

    async fn create_multipart(&self, at: &Location) -> Result<String> {
        self.inner.create_multipart(at).await
    }

    async fn put_part(
        &self,
        at: &Location,
        id: &str,
        number: u32,
        body: ByteStream,
    ) -> Result<PartInfo> {
        self.inner.put_part(at, id, number, body).await
    }

    async fn list_parts(&self, at: &Location, id: &str) -> Result<Vec<PartInfo>> {
        self.inner.list_parts(at, id).await
    }

    async fn complete_multipart(
        &self,
        at: &Location,
        id: &str,
        parts: &[CompletedPart],
    ) -> Result<PutResult> {
        self.inner.complete_multipart(at, id, parts).await
    }

    async fn abort_multipart(&self, at: &Location, id: &str) -> Result<()> {
        self.inner.abort_multipart(at, id).await
    }
}
