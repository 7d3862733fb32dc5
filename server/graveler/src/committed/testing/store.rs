//! A block store in memory that counts requests, and fails or delays them when a test asks for it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use block::{
    BlockStore, ByteStream, CompletedPart, Location, ObjectProperties, PartInfo, PutResult,
    StoreInfo, StoredBytes, from_bytes,
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::NAMESPACE;

/// Objects in memory. Records reads and writes, and can fail writes and delay reads.
#[derive(Debug, Default)]
pub(crate) struct CountingStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<String, Bytes>,
    /// The object id and number of bytes of each read.
    reads: Vec<(String, usize)>,
    puts: Vec<String>,
    /// If set, how many more puts succeed.
    puts_left: Option<usize>,
    /// If set, each distinct read waits once before it is answered; contains the reads that have
    /// waited.
    waited: Option<HashSet<(Location, Option<Range<u64>>)>>,
}

impl CountingStore {
    /// Forgets all reads and writes so far, and stops delaying reads.
    pub(crate) fn reset(&self) {
        let mut state = self.state.lock().unwrap();
        state.waited = None;
        state.reads.clear();
        state.puts.clear();
    }

    /// The ids of the tables that were read, sorted, each once.
    pub(crate) fn tables_read(&self) -> Vec<String> {
        let mut read: Vec<_> = self
            .state
            .lock()
            .unwrap()
            .reads
            .iter()
            .map(|(id, _)| id.clone())
            .collect();
        read.sort();
        read.dedup();
        read
    }

    pub(crate) fn bytes_read(&self) -> usize {
        self.state
            .lock()
            .unwrap()
            .reads
            .iter()
            .map(|(_, len)| len)
            .sum()
    }

    pub(crate) fn bytes_stored(&self) -> usize {
        self.state
            .lock()
            .unwrap()
            .objects
            .values()
            .map(Bytes::len)
            .sum()
    }

    /// The ids of the tables that were written, in order.
    pub(crate) fn puts(&self) -> Vec<String> {
        self.state.lock().unwrap().puts.clone()
    }

    pub(crate) fn fail_after_puts(&self, puts: usize) {
        self.state.lock().unwrap().puts_left = Some(puts);
    }

    /// From now on, each distinct read is answered only at the second attempt. For tests that poll a
    /// future once and drop it.
    pub(crate) fn wait_once_for_each_read(&self) {
        self.state.lock().unwrap().waited = Some(HashSet::new());
    }

    fn must_wait(&self, at: &Location, range: Option<&Range<u64>>) -> bool {
        let mut state = self.state.lock().unwrap();
        state
            .waited
            .as_mut()
            .is_some_and(|waited| waited.insert((at.clone(), range.cloned())))
    }

    pub(crate) fn remove(&self, id: &str) {
        self.state
            .lock()
            .unwrap()
            .objects
            .remove(&address(id))
            .unwrap();
    }

    pub(crate) fn insert(&self, id: &str, bytes: Bytes) {
        self.state
            .lock()
            .unwrap()
            .objects
            .insert(address(id), bytes);
    }

    pub(crate) fn object(&self, id: &str) -> Option<Bytes> {
        self.state
            .lock()
            .unwrap()
            .objects
            .get(&address(id))
            .cloned()
    }
}

fn address(id: &str) -> String {
    format!("{NAMESPACE}/_lakefs/{id}")
}

fn id_of(at: &Location) -> String {
    at.as_str().rsplit('/').next().unwrap().to_owned()
}

fn failure(operation: &'static str, at: &Location) -> block::Error {
    block::Error::Storage {
        operation,
        location: at.to_string(),
        source: std::io::Error::other("made to fail"),
    }
}

#[async_trait]
impl BlockStore for CountingStore {
    fn info(&self) -> StoreInfo {
        unreachable!("trees never call info")
    }

    fn check_namespace(&self, namespace: &str) -> block::Result<String> {
        Ok(namespace.to_owned())
    }

    async fn canonical_namespaces(&self, namespaces: Vec<String>) -> Vec<String> {
        namespaces
    }

    async fn put(&self, at: &Location, mut body: ByteStream) -> block::Result<PutResult> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(block::Error::Body)?);
        }
        let mut state = self.state.lock().unwrap();
        if let Some(left) = &mut state.puts_left {
            *left = left.checked_sub(1).ok_or_else(|| failure("put", at))?;
        }
        let size_bytes = bytes.len() as u64;
        state.objects.insert(at.as_str().to_owned(), bytes.freeze());
        state.puts.push(id_of(at));
        Ok(PutResult {
            size_bytes,
            md5: String::new(),
            last_modified: time::OffsetDateTime::UNIX_EPOCH,
        })
    }

    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> block::Result<StoredBytes> {
        if self.must_wait(at, range.as_ref()) {
            futures::pending!();
        }
        let mut state = self.state.lock().unwrap();
        let object = state
            .objects
            .get(at.as_str())
            .ok_or_else(|| block::Error::NotFound(at.clone()))?;
        let range = range.expect("tables are read in ranges");
        let bytes = object.slice(range.start as usize..(range.end as usize).min(object.len()));
        let object_size_bytes = object.len() as u64;
        state.reads.push((id_of(at), bytes.len()));
        Ok(StoredBytes {
            object_size_bytes,
            body: from_bytes(bytes),
        })
    }

    async fn properties(&self, at: &Location) -> block::Result<Option<ObjectProperties>> {
        let state = self.state.lock().unwrap();
        Ok(state
            .objects
            .get(at.as_str())
            .map(|object| ObjectProperties {
                size_bytes: object.len() as u64,
                last_modified: time::OffsetDateTime::UNIX_EPOCH,
                storage_class: None,
            }))
    }

    async fn delete(&self, at: &Location) -> block::Result<()> {
        Err(failure("delete", at))
    }

    async fn copy(&self, from: &Location, _to: &Location) -> block::Result<PutResult> {
        Err(failure("copy", from))
    }

    async fn create_multipart(&self, at: &Location) -> block::Result<String> {
        Err(failure("create upload of", at))
    }

    async fn put_part(
        &self,
        at: &Location,
        _id: &str,
        _number: u32,
        _body: ByteStream,
    ) -> block::Result<PartInfo> {
        Err(failure("put part of", at))
    }

    async fn list_parts(&self, at: &Location, _id: &str) -> block::Result<Vec<PartInfo>> {
        Err(failure("list parts of", at))
    }

    async fn complete_multipart(
        &self,
        at: &Location,
        _id: &str,
        _parts: &[CompletedPart],
    ) -> block::Result<PutResult> {
        Err(failure("complete", at))
    }

    async fn abort_multipart(&self, at: &Location, _id: &str) -> block::Result<()> {
        Err(failure("abort", at))
    }
}
