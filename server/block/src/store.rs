//! The contract of a block store.

use std::fmt::Debug;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use time::OffsetDateTime;

use crate::{Error, Location, Result};

/// A body in pieces. Never buffered whole.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// A stream of one piece.
#[must_use]
pub fn from_bytes(bytes: Bytes) -> ByteStream {
    Box::pin(futures::stream::iter([Ok(bytes)]))
}

/// Cuts a range at the object's end.
///
/// # Errors
/// [`Error::RangeNotSatisfiable`] if it begins at or past the end.
pub(crate) fn clamp_range(range: Option<Range<u64>>, size: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..size),
        Some(range) if range.start >= size => Err(Error::RangeNotSatisfiable { size }),
        Some(range) => Ok(range.start..range.end.clamp(range.start, size)),
    }
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The size in bytes.
    pub size_bytes: u64,
    /// Hex MD5 of the bytes; of an object joined from parts, its S3 tag.
    pub md5: String,
    /// When the object came to be, by the store.
    pub last_modified: OffsetDateTime,
}

/// What the store knows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectProperties {
    /// The size in bytes.
    pub size_bytes: u64,
    /// When the object came to be, by the store.
    pub last_modified: OffsetDateTime,
    /// The store's class of storage, where it has classes.
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
    /// When the part came to be, by the store.
    pub last_modified: OffsetDateTime,
}

/// A part as the client names it at completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// 1 to 10000.
    pub number: u32,
    /// The tag that [`PartInfo`] gave, unquoted.
    pub etag: String,
}

/// What clients are told of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// `local`, `mem`, `s3`, ...
    pub kind: &'static str,
    /// Regular expression of valid namespaces.
    pub namespace_validity_regex: String,
    /// A namespace to show to users.
    pub namespace_example: String,
    /// What namespaces are made to begin with.
    pub default_namespace_prefix: String,
    /// Whether clients may be sent to the store by signed URLs.
    pub presign_support: bool,
    /// Whether objects that are in the store already can be imported.
    pub import_support: bool,
    /// Regular expression of addresses that can be imported.
    pub import_validity_regex: String,
}

/// Object bytes. Shared as `Arc<dyn BlockStore>`.
///
/// A put is durable and whole when it returns, and leaves nothing when it fails.
#[async_trait]
pub trait BlockStore: Debug + Send + Sync {
    /// What clients are told of the store.
    fn info(&self) -> StoreInfo;

    /// Checks that a namespace is of this store and stays in its place, and gives the spelling in which it is
    /// to be kept: `local:///name` is `local://name`.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`].
    fn check_namespace(&self, namespace: &str) -> Result<String>;

    /// How the store itself calls the places of namespaces, without a slash at the end, in the order asked.
    ///
    /// Two namespaces are one place, or one is inside of the other, exactly if this is so of the text
    /// of their canonical forms, cut at slashes. What is not of this store stays as it is.
    async fn canonical_namespaces(&self, namespaces: Vec<String>) -> Vec<String>;

    /// Stores a body, replacing what is there. Hashes while streaming.
    ///
    /// Of several puts to one address one stays, whole. If the future is dropped, nothing
    /// is kept, unless the store was already making the whole object visible.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Body`], [`Error::Storage`].
    async fn put(&self, at: &Location, body: ByteStream) -> Result<Put>;

    /// Streams an object, or a range of it (end exclusive, cut at the object's end).
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::RangeNotSatisfiable`] for a range that begins at or
    /// past the end; [`Error::InvalidAddress`], [`Error::Storage`].
    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<ByteStream>;

    /// Size and time, or none if there is no object.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn properties(&self, at: &Location) -> Result<Option<ObjectProperties>>;

    /// Deletes; no error if absent.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn delete(&self, at: &Location) -> Result<()>;

    /// Copies within the store.
    ///
    /// # Errors
    /// Those of [`Self::get`] and [`Self::put`].
    async fn copy(&self, from: &Location, to: &Location) -> Result<Put>;

    /// Begins a multipart upload of `at` and returns its id.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn create_multipart(&self, at: &Location) -> Result<String>;

    /// Stores one part (1..=10000); the same number again replaces it.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], also for an id that belongs to another address, and once it is completed;
    /// [`Error::InvalidPart`] for a number out of bounds; those of [`Self::put`].
    async fn put_part(
        &self,
        at: &Location,
        upload_id: &str,
        number: u32,
        body: ByteStream,
    ) -> Result<PartInfo>;

    /// The parts uploaded so far, by number.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], [`Error::Storage`].
    async fn list_parts(&self, at: &Location, upload_id: &str) -> Result<Vec<PartInfo>>;

    /// Joins the named parts (ascending) to the object. The tag is that of S3:
    /// MD5 of the parts' MD5s, `-`, their number.
    ///
    /// Of completions at the same time, in whatever processes, one list of parts wins. The same list again gives the
    /// same answer, also after a crash, until [`Self::abort_multipart`] forgets the upload. Whoever completes
    /// notes the answer durably, then forgets.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], also for other parts than those that it was completed with; [`Error::InvalidPart`] if
    /// none is named, one is missing, out of order or has another tag: the upload stays; [`Error::Storage`].
    async fn complete_multipart(
        &self,
        at: &Location,
        upload_id: &str,
        parts: &[CompletedPart],
    ) -> Result<Put>;

    /// Drops an upload and its parts; no error if it is gone. Of a completed upload the object stays, and
    /// what remembers the completion goes.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Storage`].
    async fn abort_multipart(&self, at: &Location, upload_id: &str) -> Result<()>;
}
