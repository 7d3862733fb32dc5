//! A block store that injects failures, for race and recovery tests of code that uses a store.
//!
//! A [`FaultSchedule`] decides which calls fail and when they continue, so a seed reproduces a run. Not used in a
//! server.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use base::testing::FaultSchedule;
use futures::StreamExt as _;

use crate::{
    BlockStore, ByteStream, CompletedPart, Error, Location, ObjectProperties, PartInfo, PutResult,
    Result, StoreInfo, StoredBytes,
};

/// How often a [`FaultyStore`] fails. Each rate is the number of affected calls out of 256.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Rate of reads that fail before they start.
    pub read: u8,
    /// Rate of reads whose body ends with an error.
    pub body: u8,
    /// Rate of writes that fail without being applied.
    pub before_write: u8,
    /// Rate of writes that are applied but return an error. [`BlockStore`] rules this out, but remote stores may
    /// do it.
    pub after_write: u8,
}

/// Forwards requests to a store and injects failures.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn BlockStore>,
    faults: Faults,
    schedule: Arc<dyn FaultSchedule>,
}

impl FaultyStore {
    /// Wraps `inner`. `schedule` decides which calls fail, and delays each call before it reaches the
    /// store and before its result is returned.
    #[must_use]
    pub fn with_schedule(
        inner: Arc<dyn BlockStore>,
        faults: Faults,
        schedule: Arc<dyn FaultSchedule>,
    ) -> Self {
        Self {
            inner,
            faults,
            schedule,
        }
    }

    async fn read<T>(
        &self,
        at: &Location,
        request: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.schedule.turn().await;
        if self.schedule.should_fail(self.faults.read) {
            return Err(injected("read (injected before)", at));
        }
        let result = request.await;
        self.schedule.turn().await;
        result
    }

    async fn write<T>(
        &self,
        at: &Location,
        request: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.schedule.turn().await;
        if self.schedule.should_fail(self.faults.before_write) {
            return Err(injected("write (injected before)", at));
        }
        let result = request.await;
        self.schedule.turn().await;
        if self.schedule.should_fail(self.faults.after_write) {
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

/// Returns the first piece of a body, followed by an error.
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

    async fn put(&self, at: &Location, body: ByteStream) -> Result<PutResult> {
        self.write(at, self.inner.put(at, body)).await
    }

    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<StoredBytes> {
        let mut read = self.read(at, self.inner.get(at, range)).await?;
        if self.schedule.should_fail(self.faults.body) {
            read.body = broken(read.body);
        }
        Ok(read)
    }

    async fn properties(&self, at: &Location) -> Result<Option<ObjectProperties>> {
        self.read(at, self.inner.properties(at)).await
    }

    async fn delete(&self, at: &Location) -> Result<()> {
        self.write(at, self.inner.delete(at)).await
    }

    async fn copy(&self, from: &Location, to: &Location) -> Result<PutResult> {
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
    ) -> Result<PutResult> {
        self.write(at, self.inner.complete_multipart(at, upload_id, parts))
            .await
    }

    async fn abort_multipart(&self, at: &Location, upload_id: &str) -> Result<()> {
        self.write(at, self.inner.abort_multipart(at, upload_id))
            .await
    }
}
