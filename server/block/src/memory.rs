//! The in-memory store, for tests.
//!
//! It gives all guarantees of [`BlockStore`] except durability.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use base::{Clock, OffsetDateTime, SystemClock};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use md5::{Digest as _, Md5};

use crate::address_checks::{check_segments, require_name};
use crate::location::trim_slashes;
use crate::multipart::{check_number, multipart_etag, normalized, select_parts};
use crate::store::{clamp_range, from_bytes};
use crate::{
    BlockStore, ByteStream, CompletedPart, Error, Location, ObjectProperties, PartInfo, PutResult,
    Result, StoreInfo, StoredBytes,
};

const SCHEME: &str = "mem://";

/// A store that keeps its objects in memory. Its addresses start with `mem://`.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<Location, Object>,
    uploads: HashMap<String, Upload>,
    uploads_begun: u64,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    md5: [u8; 16],
    last_modified: OffsetDateTime,
}

#[derive(Debug)]
struct Upload {
    at: Location,
    parts: BTreeMap<u32, Object>,
    /// The parts with which the upload was completed, and the result.
    completed: Option<(Vec<CompletedPart>, PutResult)>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryStore {
    /// Creates an empty store that takes modification times from `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Returns the addresses of all objects in ascending order.
    #[must_use]
    pub fn addresses(&self) -> Vec<Location> {
        let mut addresses: Vec<Location> = self.state().objects.keys().cloned().collect();
        addresses.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        addresses
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds this lock")
    }

    async fn collect(&self, body: ByteStream) -> Result<Object> {
        let bytes: BytesMut = body.try_collect().await.map_err(Error::Body)?;
        Ok(self.new_object(bytes.freeze()))
    }

    fn new_object(&self, bytes: Bytes) -> Object {
        Object {
            md5: Md5::digest(&bytes).into(),
            last_modified: self.clock.now(),
            bytes,
        }
    }

    fn object(&self, at: &Location) -> Result<Option<Object>> {
        check(at.as_str())?;
        Ok(self.state().objects.get(at).cloned())
    }
}

impl State {
    /// Returns an upload, whether it is open or completed.
    fn any_upload(&mut self, at: &Location, id: &str) -> Result<&mut Upload> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.at == *at)
            .ok_or_else(|| Error::NoSuchUpload(id.to_owned()))
    }

    /// Returns an open upload.
    fn upload(&mut self, at: &Location, id: &str) -> Result<&mut Upload> {
        let upload = self.any_upload(at, id)?;
        match upload.completed {
            None => Ok(upload),
            Some(_) => Err(Error::NoSuchUpload(id.to_owned())),
        }
    }
}

impl Upload {
    fn infos(&self) -> Vec<PartInfo> {
        let info = |(number, part): (&u32, &Object)| PartInfo {
            number: *number,
            etag: hex::encode(part.md5),
            size_bytes: part.bytes.len() as u64,
            last_modified: part.last_modified,
        };
        self.parts.iter().map(info).collect()
    }
}

impl Object {
    fn put(&self) -> PutResult {
        PutResult {
            size_bytes: self.bytes.len() as u64,
            md5: hex::encode(self.md5),
            last_modified: self.last_modified,
        }
    }
}

fn check(address: &str) -> Result<()> {
    let Some(rest) = address.strip_prefix(SCHEME) else {
        return Err(Error::invalid(address, "it does not start with mem://"));
    };
    check_segments(address, rest)
}

/// Converts `mem:///NAME` to `mem://NAME`.
fn strip_root_slash(namespace: &str) -> String {
    let name = namespace.strip_prefix("mem:///");
    match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("{SCHEME}{name}"),
        None => namespace.to_owned(),
    }
}

#[async_trait]
impl BlockStore for MemoryStore {
    fn info(&self) -> StoreInfo {
        StoreInfo {
            kind: "mem",
            namespace_validity_regex: "^mem://".to_owned(),
            namespace_example: "mem://example-bucket/".to_owned(),
            default_namespace_prefix: "mem://".to_owned(),
            presign_support: false,
            import_support: false,
            import_validity_regex: "^mem://".to_owned(),
        }
    }

    fn check_namespace(&self, namespace: &str) -> Result<String> {
        let namespace = strip_root_slash(namespace);
        check(require_name(SCHEME, &namespace)?)?;
        Ok(namespace)
    }

    async fn canonical_namespaces(&self, namespaces: Vec<String>) -> Vec<String> {
        namespaces
            .iter()
            .map(|namespace| trim_slashes(&strip_root_slash(namespace)))
            .collect()
    }

    async fn put(&self, at: &Location, body: ByteStream) -> Result<PutResult> {
        check(at.as_str())?;
        let object = self.collect(body).await?;
        let put = object.put();
        self.state().objects.insert(at.clone(), object);
        Ok(put)
    }

    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<StoredBytes> {
        let object = self
            .object(at)?
            .ok_or_else(|| Error::NotFound(at.clone()))?;
        let object_size_bytes = object.bytes.len() as u64;
        let range = clamp_range(range, object_size_bytes)?;
        let bound = |at: u64| usize::try_from(at).expect("the range is within an object in memory");
        let part = object.bytes.slice(bound(range.start)..bound(range.end));
        Ok(StoredBytes {
            object_size_bytes,
            body: from_bytes(part),
        })
    }

    async fn properties(&self, at: &Location) -> Result<Option<ObjectProperties>> {
        Ok(self.object(at)?.map(|object| ObjectProperties {
            size_bytes: object.bytes.len() as u64,
            last_modified: object.last_modified,
            storage_class: None,
        }))
    }

    async fn delete(&self, at: &Location) -> Result<()> {
        check(at.as_str())?;
        self.state().objects.remove(at);
        Ok(())
    }

    async fn copy(&self, from: &Location, to: &Location) -> Result<PutResult> {
        check(to.as_str())?;
        let object = self
            .object(from)?
            .ok_or_else(|| Error::NotFound(from.clone()))?;
        let object = self.new_object(object.bytes);
        let put = object.put();
        self.state().objects.insert(to.clone(), object);
        Ok(put)
    }

    async fn create_multipart(&self, at: &Location) -> Result<String> {
        check(at.as_str())?;
        let mut state = self.state();
        state.uploads_begun += 1;
        let id = format!("{:032x}", state.uploads_begun);
        let upload = Upload {
            at: at.clone(),
            parts: BTreeMap::new(),
            completed: None,
        };
        state.uploads.insert(id.clone(), upload);
        Ok(id)
    }

    async fn put_part(
        &self,
        at: &Location,
        upload_id: &str,
        number: u32,
        body: ByteStream,
    ) -> Result<PartInfo> {
        check_number(number)?;
        self.state().upload(at, upload_id)?;
        let part = self.collect(body).await?;
        let info = PartInfo {
            number,
            etag: hex::encode(part.md5),
            size_bytes: part.bytes.len() as u64,
            last_modified: part.last_modified,
        };
        self.state()
            .upload(at, upload_id)?
            .parts
            .insert(number, part);
        Ok(info)
    }

    async fn list_parts(&self, at: &Location, upload_id: &str) -> Result<Vec<PartInfo>> {
        Ok(self.state().upload(at, upload_id)?.infos())
    }

    async fn complete_multipart(
        &self,
        at: &Location,
        upload_id: &str,
        parts: &[CompletedPart],
    ) -> Result<PutResult> {
        let mut state = self.state();
        let upload = state.any_upload(at, upload_id)?;
        if let Some((completed_parts, put)) = &upload.completed {
            return match *completed_parts == normalized(parts) {
                true => Ok(put.clone()),
                false => Err(Error::NoSuchUpload(upload_id.to_owned())),
            };
        }
        let mut bytes = BytesMut::new();
        let mut digests = Vec::with_capacity(parts.len());
        for info in select_parts(&upload.infos(), parts)? {
            let part = &upload.parts[&info.number];
            bytes.extend_from_slice(&part.bytes);
            digests.push(part.md5);
        }
        let object = self.new_object(bytes.freeze());
        let put = PutResult {
            md5: multipart_etag(&digests),
            ..object.put()
        };
        upload.parts.clear();
        upload.completed = Some((normalized(parts), put.clone()));
        state.objects.insert(at.clone(), object);
        Ok(put)
    }

    async fn abort_multipart(&self, at: &Location, upload_id: &str) -> Result<()> {
        let mut state = self.state();
        if state.any_upload(at, upload_id).is_ok() {
            state.uploads.remove(upload_id);
        }
        Ok(())
    }
}
