//! A block store that fails on purpose, for race and recovery tests of what stands on one.
//!
//! What goes wrong and when each call goes on is decided by a [`Fate`], so one seed
//! gives one run. Never wired into a server.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use base::testing::Fate;
use futures::StreamExt as _;

use crate::{
    BlockStore, ByteStream, CompletedPart, Error, Location, ObjectProperties, PartInfo, Put,
    Result, StoreInfo,
};

/// How often a [`FaultyStore`] misbehaves, in parts of 256.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A read fails before it has begun.
    pub read: u8,
    /// A body that is read breaks off.
    pub body: u8,
    /// A write fails and was not done.
    pub before_write: u8,
    /// A write is done and fails: worse than [`BlockStore`] promises, as remote stores may be.
    pub after_write: u8,
}

/// Forwards to a store, and fails now and then.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn BlockStore>,
    faults: Faults,
    fate: Arc<dyn Fate>,
}

impl FaultyStore {
    /// Wraps `inner`; `fate` decides which calls fail and when each goes on, before it is
    /// made and before its answer is heard.
    #[must_use]
    pub fn by_fate(inner: Arc<dyn BlockStore>, faults: Faults, fate: Arc<dyn Fate>) -> Self {
        Self {
            inner,
            faults,
            fate,
        }
    }

    async fn read<T>(
        &self,
        at: &Location,
        request: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.fate.turn().await;
        if self.fate.strikes(self.faults.read) {
            return Err(injected("read (injected before)", at));
        }
        let result = request.await;
        self.fate.turn().await;
        result
    }

    async fn write<T>(
        &self,
        at: &Location,
        request: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.fate.turn().await;
        if self.fate.strikes(self.faults.before_write) {
            return Err(injected("write (injected before)", at));
        }
        let result = request.await;
        self.fate.turn().await;
        if self.fate.strikes(self.faults.after_write) {
            return Err(injected("write (injected after)", at));
        }
        result
    }
}

fn failure() -> std::io::Error {
    std::io::Error::other("injected failure")
}

fn injected(operation: &'static str, at: &Location) -> Error {
    Error::failed(operation, at, failure())
}

/// The first piece of a body, and then a failure.
fn broken(body: ByteStream) -> ByteStream {
    let end = futures::stream::iter([Err(failure())]);
    Box::pin(body.take(1).chain(end))
}

#[async_trait]
impl BlockStore for FaultyStore {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    fn check_namespace(&self, namespace: &str) -> Result<String> {
        self.inner.check_namespace(namespace)
    }

    async fn canonical_namespaces(&self, namespaces: Vec<String>) -> Vec<String> {
        self.inner.canonical_namespaces(namespaces).await
    }

    async fn put(&self, at: &Location, body: ByteStream) -> Result<Put> {
        self.write(at, self.inner.put(at, body)).await
    }

    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<ByteStream> {
        let body = self.read(at, self.inner.get(at, range)).await?;
        if self.fate.strikes(self.faults.body) {
            return Ok(broken(body));
        }
        Ok(body)
    }

    async fn properties(&self, at: &Location) -> Result<Option<ObjectProperties>> {
        self.read(at, self.inner.properties(at)).await
    }

    async fn delete(&self, at: &Location) -> Result<()> {
        self.write(at, self.inner.delete(at)).await
    }

    async fn copy(&self, from: &Location, to: &Location) -> Result<Put> {
        self.write(to, self.inner.copy(from, to)).await
    }

    async fn create_multipart(&self, at: &Location) -> Result<String> {
        self.write(at, self.inner.create_multipart(at)).await
    }

    async fn put_part(
        &self,
        at: &Location,
        upload_id: &str,
        number: u32,
        body: ByteStream,
    ) -> Result<PartInfo> {
        self.write(at, self.inner.put_part(at, upload_id, number, body))
            .await
    }

    async fn list_parts(&self, at: &Location, upload_id: &str) -> Result<Vec<PartInfo>> {
        self.read(at, self.inner.list_parts(at, upload_id)).await
    }

    async fn complete_multipart(
        &self,
        at: &Location,
        upload_id: &str,
        parts: &[CompletedPart],
    ) -> Result<Put> {
        self.write(at, self.inner.complete_multipart(at, upload_id, parts))
            .await
    }

    async fn abort_multipart(&self, at: &Location, upload_id: &str) -> Result<()> {
        self.write(at, self.inner.abort_multipart(at, upload_id))
            .await
    }
}
