//! The [`BlockStore`] trait and its types.

use std::fmt::Debug;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use time::OffsetDateTime;

use crate::{Error, Location, Result};

/// A body as a stream of pieces, so that it is never buffered as a whole.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// The bytes of an object, or of a range of it.
pub struct StoredBytes {
    /// The size of the whole object in bytes, also if `body` is a range of it.
    pub object_size_bytes: u64,
    /// The requested bytes.
    pub body: ByteStream,
}

impl Debug for StoredBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredBytes")
            .field("object_size_bytes", &self.object_size_bytes)
            .finish_non_exhaustive()
    }
}

/// Returns a stream of one piece.
#[must_use]
pub fn from_bytes(bytes: Bytes) -> ByteStream {
    Box::pin(futures::stream::iter([Ok(bytes)]))
}

/// Limits a range to the object's size. `None` is the whole object.
///
/// # Errors
/// [`Error::RangeNotSatisfiable`] if the range starts at or past the end.
pub(crate) fn clamp_range(range: Option<Range<u64>>, size: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..size),
        Some(range) if range.start >= size => Err(Error::RangeNotSatisfiable { size }),
        Some(range) => Ok(range.start..range.end.clamp(range.start, size)),
    }
}

/// The result of storing an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutResult {
    /// The size in bytes.
    pub size_bytes: u64,
    /// Hex MD5 of the bytes. For a multipart object, its S3 ETag instead.
    pub md5: String,
    /// Creation time according to the store.
    pub last_modified: OffsetDateTime,
}

/// Properties of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectProperties {
    /// The size in bytes.
    pub size_bytes: u64,
    /// Creation time according to the store.
    pub last_modified: OffsetDateTime,
    /// Storage class, if the store has storage classes.
    pub storage_class: Option<String>,
}

/// An uploaded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// 1 to 10000.
    pub number: u32,
    /// Hex MD5, unquoted.
    pub etag: String,
    /// The size in bytes.
    pub size_bytes: u64,
    /// Upload time according to the store.
    pub last_modified: OffsetDateTime,
}

/// A part in the client's list when it completes an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// 1 to 10000.
    pub number: u32,
    /// The ETag from [`PartInfo`], unquoted.
    pub etag: String,
}

/// The store's properties that are shown to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// `local`, `mem`, `s3`, ...
    pub kind: &'static str,
    /// Regular expression of valid namespaces.
    pub namespace_validity_regex: String,
    /// Example of a namespace, shown to users.
    pub namespace_example: String,
    /// Prefix of the namespaces that clients suggest.
    pub default_namespace_prefix: String,
    /// Whether the store supports presigned URLs.
    pub presign_support: bool,
    /// Whether objects that already exist in the store can be imported.
    pub import_support: bool,
    /// Regular expression of addresses that can be imported.
    pub import_validity_regex: String,
}

/// A store of object bytes. Implementations are shared as `Arc<dyn BlockStore>`.
///
/// A put is durable and complete when it returns, and stores nothing if it fails.
#[async_trait]
pub trait BlockStore: Debug + Send + Sync {
    /// Returns the store's properties that are shown to clients.
    fn info(&self) -> StoreInfo;

    /// Checks that a namespace belongs to this store and is inside it. Returns the form in which to store it:
    /// `local:///name` becomes `local://name`.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`].
    fn check_namespace(&self, namespace: &str) -> Result<String>;

    /// Returns the canonical forms of namespaces, without trailing slashes and in the same order.
    ///
    /// Two namespaces are the same location if their canonical forms are equal. A namespace is inside another if its
    /// canonical form starts with that of the other, followed by a slash. Namespaces of other stores are returned
    /// without their trailing slashes.
    async fn canonical_namespaces(&self, namespaces: Vec<String>) -> Vec<String>;

    /// Stores a body, replacing any existing object. Computes its MD5 while streaming.
    ///
    /// Of several concurrent puts to one address, one complete object remains. If the future is dropped, nothing
    /// is stored, unless the store has already received the whole body and is publishing the object.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Body`], [`Error::Storage`].
    async fn put(&self, at: &Location, body: ByteStream) -> Result<PutResult>;

    /// Streams an object or a range of it. The end of the range is exclusive and may exceed the object's size. A body
    /// that cannot be read to the end of the range ends with an error.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::RangeNotSatisfiable`] if the range starts at or past the end;
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<StoredBytes>;

    /// Returns the properties of an object, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn properties(&self, at: &Location) -> Result<Option<ObjectProperties>>;

    /// Deletes an object. Succeeds if it does not exist.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn delete(&self, at: &Location) -> Result<()>;

    /// Copies an object within the store.
    ///
    /// # Errors
    /// Those of [`Self::get`] and [`Self::put`].
    async fn copy(&self, from: &Location, to: &Location) -> Result<PutResult>;

    /// Starts a multipart upload to `at` and returns its id.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn create_multipart(&self, at: &Location) -> Result<String>;

    /// Stores a part with a number from 1 to 10000, replacing any part with the same number.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] if the upload does not exist, belongs to another address or is completed;
    /// [`Error::InvalidPart`] if the number is out of range; those of [`Self::put`].
    async fn put_part(
        &self,
        at: &Location,
        upload_id: &str,
        number: u32,
        body: ByteStream,
    ) -> Result<PartInfo>;

    /// Returns the parts uploaded so far, ordered by number.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], [`Error::InvalidAddress`], [`Error::Storage`].
    async fn list_parts(&self, at: &Location, upload_id: &str) -> Result<Vec<PartInfo>>;

    /// Joins the listed parts, in ascending order, into the object. Its ETag is that of S3: the MD5 of the
    /// parts' MD5s, `-`, and the number of parts.
    ///
    /// If several callers, in any processes, complete an upload concurrently, one list of parts wins. Completing it
    /// again with the same list returns the same result, even after a crash, until [`Self::abort_multipart`]
    /// removes the record of the completion. Callers durably record the result before they remove it.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] if the upload does not exist or was completed with other parts;
    /// [`Error::InvalidPart`] if the list is empty or a part is missing, out of order or has a different ETag, in
    /// which case the upload stays open; [`Error::InvalidAddress`], [`Error::Storage`].
    async fn complete_multipart(
        &self,
        at: &Location,
        upload_id: &str,
        parts: &[CompletedPart],
    ) -> Result<PutResult>;

    /// Removes an upload and its parts. Succeeds if it does not exist. If the upload is completed, the object
    /// stays and only the record of the completion is removed.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn abort_multipart(&self, at: &Location, upload_id: &str) -> Result<()>;
}
