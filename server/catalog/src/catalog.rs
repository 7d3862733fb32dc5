//! The writing half: reads, and the operations that change something.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Clock, IdGenerator, Page};
use block::{ByteStream, CompletedPart, PartInfo};
use graveler::{Commit, CommitParams, CreateRepository, Branch, Hooks, MergeOutcome, MergeParams, Repository, Tag};

use crate::{Object, Reader, Result};

/// How to store an object.
#[derive(Debug, Clone, Default)]
pub struct UploadOptions {
    /// Empty: `application/octet-stream`.
    pub content_type: String,
    pub metadata: BTreeMap<String, String>,
    /// Fail with [`crate::Error::PreconditionFailed`] if there is an object.
    pub if_absent: bool,
    /// Write to a read-only repository.
    pub force: bool,
    /// Hex MD5 that the body must have ([`crate::Error::InvalidValue`] otherwise).
    pub expected_md5: Option<String>,
}

/// Options of deletions.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    pub force: bool,
}

/// Where an upload goes.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    pub repository: &'a Repository,
    pub branch: &'a str,
    pub path: &'a str,
}

/// A multipart upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipartUpload {
    pub upload_id: String,
    /// `branch/path`, as the gateway's key.
    pub path: String,
    pub physical_address: String,
    pub metadata: BTreeMap<String, String>,
    pub content_type: String,
    pub creation_date: base::OffsetDateTime,
}

/// Everything that can be done. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {}

impl std::ops::Deref for Catalog {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        todo!()
    }
}

#[expect(unused_variables, clippy::unused_async, reason = "skeleton")]
impl Catalog {
    #[must_use]
    pub fn new(reader: Reader, kv: Arc<dyn kv::Store>, hooks: Arc<dyn Hooks>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>) -> Self {
        todo!()
    }
    /// Checks the namespace (scheme, in use), marks it with `_lakefs/dummy`, then creates.
    pub async fn create_repository(&self, request: CreateRepository) -> Result<Repository> {
        todo!()
    }
    /// Fills a new repository with sample objects on its default branch, committed.
    pub async fn add_sample_data(&self, repository: &Repository, committer: &str) -> Result<()> {
        todo!()
    }
    pub async fn delete_repository(&self, id: &str, force: bool) -> Result<()> {
        todo!()
    }
    pub async fn repository_metadata(&self, repository: &Repository) -> Result<BTreeMap<String, String>> {
        todo!()
    }
    pub async fn set_repository_metadata(&self, repository: &Repository, set: BTreeMap<String, String>) -> Result<()> {
        todo!()
    }
    pub async fn delete_repository_metadata(&self, repository: &Repository, keys: &[String]) -> Result<()> {
        todo!()
    }
    pub async fn create_branch(&self, repository: &Repository, id: &str, source: &str, hidden: bool, force: bool, actor: &str) -> Result<Branch> {
        todo!()
    }
    pub async fn delete_branch(&self, repository: &Repository, id: &str, force: bool, actor: &str) -> Result<()> {
        todo!()
    }
    pub async fn create_tag(&self, repository: &Repository, id: &str, reference: &str, force: bool, actor: &str) -> Result<Tag> {
        todo!()
    }
    pub async fn delete_tag(&self, repository: &Repository, id: &str, force: bool, actor: &str) -> Result<()> {
        todo!()
    }
    /// Stores the bytes, then stages the entry. A body that fails leaves nothing.
    pub async fn upload(&self, to: Upload<'_>, body: ByteStream, options: UploadOptions) -> Result<Object> {
        todo!()
    }
    /// Deletes paths; those that do not exist are no error.
    pub async fn delete_objects(&self, repository: &Repository, branch: &str, paths: &[String], options: WriteOptions) -> Result<()> {
        todo!()
    }
    /// Copies an object (also from another repository of the same store). `options` none: keeps type and metadata.
    pub async fn copy(&self, from: (&Repository, &str, &str), to: Upload<'_>, options: Option<UploadOptions>, force: bool) -> Result<Object> {
        todo!()
    }
    pub async fn commit_branch(&self, repository: &Repository, branch: &str, params: CommitParams) -> Result<Commit> {
        todo!()
    }
    pub async fn merge(&self, repository: &Repository, source: &str, destination: &str, params: MergeParams) -> Result<MergeOutcome> {
        todo!()
    }

    // ---- multipart uploads, tracked in the partition `multiparts`
    pub async fn create_multipart(&self, to: Upload<'_>, options: &UploadOptions) -> Result<MultipartUpload> {
        todo!()
    }
    pub async fn multipart(&self, to: Upload<'_>, upload_id: &str) -> Result<MultipartUpload> {
        todo!()
    }
    /// Open uploads of a repository by path then upload id.
    pub async fn list_multiparts(&self, repository: &Repository, prefix: &str, after: (&str, &str), limit: usize) -> Result<Page<MultipartUpload>> {
        todo!()
    }
    pub async fn put_part(&self, to: Upload<'_>, upload_id: &str, number: u32, body: ByteStream) -> Result<PartInfo> {
        todo!()
    }
    /// Copies (a range of) an object as a part.
    pub async fn put_part_copy(&self, to: Upload<'_>, upload_id: &str, number: u32, from: (&Repository, &str, &str), range: Option<std::ops::Range<u64>>) -> Result<PartInfo> {
        todo!()
    }
    pub async fn list_parts(&self, to: Upload<'_>, upload_id: &str) -> Result<Vec<PartInfo>> {
        todo!()
    }
    pub async fn complete_multipart(&self, to: Upload<'_>, upload_id: &str, parts: &[CompletedPart], if_absent: bool) -> Result<Object> {
        todo!()
    }
    pub async fn abort_multipart(&self, to: Upload<'_>, upload_id: &str) -> Result<()> {
        todo!()
    }
}
