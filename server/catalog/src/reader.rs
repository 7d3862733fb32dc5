//! The read-only half: what the API, the gateway and hooks look at.

use std::ops::Range;
use std::sync::Arc;

use base::{OffsetDateTime, Page};
use block::{BlockStore, ByteStream, StoreInfo};
use graveler::{Branch, BranchId, Commit, CommitId, Graveler, MergeBase, MetaRangeId, Repository, RepositoryId, Tag, TagId};

use crate::{Entry, Result};

/// An object at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub path: String,
    pub entry: Entry,
    /// 32 bytes: equal identities mean equal content.
    pub identity: bytes::Bytes,
    /// The full URI of its bytes.
    pub physical_address: String,
}

/// A row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectOrPrefix {
    Object(Box<Object>),
    /// Ends in the delimiter.
    Prefix(String),
}

/// What to list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    pub prefix: String,
    /// Exclusive; may be a common prefix, which skips all below it.
    pub after: String,
    /// Empty: recursive.
    pub delimiter: String,
    pub limit: usize,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    Added,
    Changed,
    Removed,
    Conflict,
    /// Something below a common prefix differs.
    PrefixChanged,
}

/// A row of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub kind: DifferenceKind,
    pub path: String,
    pub is_prefix: bool,
    pub left: Option<Entry>,
    pub right: Option<Entry>,
}

/// Which differences.
#[derive(Debug, Clone)]
pub struct DiffQuery {
    pub prefix: String,
    pub after: String,
    pub delimiter: String,
    pub limit: usize,
}

/// Which commits.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// A commit to continue after (exclusive); empty: from the start.
    pub after: String,
    pub amount: usize,
    pub objects: Vec<String>,
    pub prefixes: Vec<String>,
    /// Look at `amount` commits only, however few of them match.
    pub limit: bool,
    pub first_parent: bool,
    pub since: Option<OffsetDateTime>,
    /// A reference; the commit itself is included.
    pub stop_at: Option<String>,
}

/// Reads everything. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {}

#[expect(unused_variables, clippy::unused_async, reason = "skeleton")]
impl Reader {
    #[must_use]
    pub fn new(graveler: Graveler, block: Arc<dyn BlockStore>) -> Self {
        todo!()
    }
    #[must_use]
    pub fn store_info(&self) -> StoreInfo {
        todo!()
    }
    pub async fn repository(&self, id: &str) -> Result<Repository> {
        todo!()
    }
    pub async fn list_repositories(&self, prefix: &str, after: &str, search: &str, limit: usize) -> Result<Page<Repository>> {
        todo!()
    }
    pub async fn branch(&self, repository: &Repository, id: &str) -> Result<Branch> {
        todo!()
    }
    pub async fn list_branches(&self, repository: &Repository, prefix: &str, after: &str, show_hidden: bool, limit: usize) -> Result<Page<Branch>> {
        todo!()
    }
    pub async fn tag(&self, repository: &Repository, id: &str) -> Result<Tag> {
        todo!()
    }
    pub async fn list_tags(&self, repository: &Repository, prefix: &str, after: &str, limit: usize) -> Result<Page<Tag>> {
        todo!()
    }
    /// The entry at a path.
    ///
    /// # Errors
    /// [`crate::Error::ObjectNotFound`], or the reference's.
    pub async fn stat(&self, repository: &Repository, reference: &str, path: &str) -> Result<Object> {
        todo!()
    }
    /// Streams an object's bytes or a range of them (end exclusive).
    pub async fn open(&self, object: &Object, range: Option<Range<u64>>) -> Result<ByteStream> {
        todo!()
    }
    pub async fn list_objects(&self, repository: &Repository, reference: &str, request: &ListRequest) -> Result<Page<ObjectOrPrefix>> {
        todo!()
    }
    /// The commit that any reference resolves to.
    pub async fn commit(&self, repository: &Repository, reference: &str) -> Result<Commit> {
        todo!()
    }
    pub async fn log(&self, repository: &Repository, reference: &str, query: &LogQuery) -> Result<Page<Commit>> {
        todo!()
    }
    pub async fn diff_uncommitted(&self, repository: &Repository, branch: &str, query: &DiffQuery) -> Result<Page<Difference>> {
        todo!()
    }
    /// `two_dot`: left against right; else what right changed since the merge base.
    pub async fn diff_refs(&self, repository: &Repository, left: &str, right: &str, two_dot: bool, query: &DiffQuery) -> Result<Page<Difference>> {
        todo!()
    }
    pub async fn find_merge_base(&self, repository: &Repository, source: &str, destination: &str) -> Result<MergeBase> {
        todo!()
    }
    /// A stored tree (empty id: the empty tree) to look around in.
    #[must_use]
    pub fn snapshot(&self, repository: &Repository, tree: &MetaRangeId) -> Snapshot {
        todo!()
    }
    /// Stores bytes of the server's own below `_lakefs/` (hook logs, manifests).
    pub async fn put_internal(&self, repository: &Repository, key: &str, body: bytes::Bytes) -> Result<()> {
        todo!()
    }
    /// Reads them back; none if absent.
    pub async fn get_internal(&self, repository: &Repository, key: &str) -> Result<Option<ByteStream>> {
        todo!()
    }
}

/// One stored tree.
#[derive(Debug, Clone)]
pub struct Snapshot {}

#[expect(unused_variables, clippy::unused_async, reason = "skeleton")]
impl Snapshot {
    #[must_use]
    pub fn tree_id(&self) -> &MetaRangeId {
        todo!()
    }
    /// The object at a path, or none.
    pub async fn stat(&self, path: &str) -> Result<Option<Object>> {
        todo!()
    }
    /// Objects below a prefix after a path (exclusive), up to `limit`.
    pub async fn walk(&self, prefix: &str, after: &str, limit: usize) -> Result<Page<Object>> {
        todo!()
    }
    /// What must happen to this tree to become `other`, below a prefix, after a path.
    /// Objects carry the identities of both sides.
    pub async fn diff(&self, other: &Self, prefix: &str, after: &str, limit: usize) -> Result<Page<(Option<Object>, Option<Object>)>> {
        todo!()
    }
}

#[expect(dead_code, reason = "skeleton")]
type Unused = (RepositoryId, BranchId, TagId, CommitId, Arc<()>);
