//! The contract of a block store.

use std::fmt::Debug;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use time::OffsetDateTime;

use crate::{Location, Result};

/// A body in pieces. Never buffered whole.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// A stream of one piece.
#[must_use]
pub fn from_bytes(bytes: Bytes) -> ByteStream {
    Box::pin(futures::stream::iter([Ok(bytes)]))
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    pub size_bytes: u64,
    /// Hex MD5 of the bytes.
    pub md5: String,
    pub last_modified: OffsetDateTime,
}

/// What the store knows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectProperties {
    pub size_bytes: u64,
    pub last_modified: OffsetDateTime,
    pub storage_class: Option<String>,
}

/// An uploaded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    pub number: u32,
    /// Hex MD5, unquoted.
    pub etag: String,
    pub size_bytes: u64,
    pub last_modified: OffsetDateTime,
}

/// A part as the client names it at completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    pub number: u32,
    /// Unquoted.
    pub etag: String,
}

/// What clients are told of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// `local`, `mem`, `s3`, ...
    pub kind: &'static str,
    /// Regular expression of valid namespaces.
    pub namespace_validity_regex: String,
    pub namespace_example: String,
    pub default_namespace_prefix: String,
    pub presign_support: bool,
    pub import_support: bool,
    pub import_validity_regex: String,
}

/// Object bytes. Shared as `Arc<dyn BlockStore>`.
///
/// A put is durable and whole when it returns, and leaves nothing when it fails.
#[async_trait]
pub trait BlockStore: Debug + Send + Sync {
    /// What clients are told of the store.
    fn info(&self) -> StoreInfo;

    /// Checks that a namespace is of this store and stays in its place.
    ///
    /// # Errors
    /// [`crate::Error::InvalidAddress`].
    fn check_namespace(&self, namespace: &str) -> Result<()>;

    /// Stores a body. Hashes while streaming.
    async fn put(&self, at: &Location, body: ByteStream) -> Result<Put>;

    /// Streams an object, or a range of it (end exclusive, cut at the object's end).
    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<ByteStream>;

    /// Size and time, or none if there is no object.
    async fn properties(&self, at: &Location) -> Result<Option<ObjectProperties>>;

    /// Deletes; no error if absent.
    async fn delete(&self, at: &Location) -> Result<()>;

    /// Copies within the store.
    async fn copy(&self, from: &Location, to: &Location) -> Result<Put>;

    /// Begins a multipart upload of `at` and returns its id.
    async fn create_multipart(&self, at: &Location) -> Result<String>;

    /// Stores one part (1..=10000); the same number again replaces it.
    async fn put_part(&self, at: &Location, upload_id: &str, number: u32, body: ByteStream) -> Result<PartInfo>;

    /// The parts uploaded so far, by number.
    async fn list_parts(&self, at: &Location, upload_id: &str) -> Result<Vec<PartInfo>>;

    /// Joins the named parts (ascending) to the object. The tag is that of S3:
    /// MD5 of the parts' MD5s, `-`, their number.
    async fn complete_multipart(&self, at: &Location, upload_id: &str, parts: &[CompletedPart]) -> Result<Put>;

    /// Drops an upload and its parts; no error if it is gone.
    async fn abort_multipart(&self, at: &Location, upload_id: &str) -> Result<()>;
}
