//! The operations of the engine, as a list. Each is worked out in a module of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Clock, IdGenerator, Page};
use block::BlockStore;
use kv::Store;

use crate::{
    Branch, BranchId, Commit, CommitId, CommitParams, Condition, CreateRepository, Cursor, Diff, Hooks, LogRequest,
    MergeBase, MergeOutcome, MergeParams, MetaRangeId, Repository, RepositoryId, ResolvedRef, Result, Tag, TagId, Value,
};

/// Tuning of the committed format and the caches.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of ranges and metaranges below the namespace: `_lakefs`.
    pub block_storage_prefix: String,
    pub min_range_size_bytes: u64,
    pub max_range_size_bytes: u64,
    pub range_raggedness_entries: f64,
    pub commit_cache_entries: u64,
    pub sstable_cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_storage_prefix: "_lakefs".to_owned(),
            min_range_size_bytes: 0,
            max_range_size_bytes: 20 << 20,
            range_raggedness_entries: 50_000.0,
            commit_cache_entries: 50_000,
            sstable_cache_bytes: 256 << 20,
        }
    }
}

/// The engine. Cheap to clone; shared by every request.
#[derive(Debug, Clone)]
pub struct Graveler {}

#[expect(unused_variables, clippy::unused_async, reason = "skeleton")]
impl Graveler {
    /// Puts the engine together.
    #[must_use]
    pub fn new(
        kv: Arc<dyn Store>,
        block: Arc<dyn BlockStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: Options,
    ) -> Self {
        todo!()
    }

    /// Finishes what a server that died left: retired staging tokens, deletions of repositories.
    pub async fn recover(&self) -> Result<()> {
        todo!()
    }

    // ---- repositories
    pub async fn create_repository(&self, request: CreateRepository) -> Result<Repository> {
        todo!()
    }
    /// Served from a cache for a bounded time. [`crate::Error::InDeletion`] while it is being deleted.
    pub async fn repository(&self, id: &RepositoryId) -> Result<Repository> {
        todo!()
    }
    /// Repositories by name from `after` (exclusive), `limit` at most, with names that start with `prefix` and contain `search`.
    pub async fn list_repositories(&self, prefix: &str, after: &str, search: &str, limit: usize) -> Result<Page<Repository>> {
        todo!()
    }
    pub async fn delete_repository(&self, id: &RepositoryId, force: bool) -> Result<()> {
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

    // ---- refs
    pub async fn resolve(&self, repository: &Repository, reference: &str) -> Result<ResolvedRef> {
        todo!()
    }
    pub async fn branch(&self, repository: &Repository, id: &BranchId) -> Result<Branch> {
        todo!()
    }
    pub async fn list_branches(&self, repository: &Repository, prefix: &str, after: &str, show_hidden: bool, limit: usize) -> Result<Page<Branch>> {
        todo!()
    }
    pub async fn create_branch(&self, repository: &Repository, id: &BranchId, source: &str, hidden: bool, force: bool, actor: &str, hooks: &dyn Hooks) -> Result<Branch> {
        todo!()
    }
    pub async fn delete_branch(&self, repository: &Repository, id: &BranchId, force: bool, actor: &str, hooks: &dyn Hooks) -> Result<()> {
        todo!()
    }
    pub async fn tag(&self, repository: &Repository, id: &TagId) -> Result<Tag> {
        todo!()
    }
    pub async fn list_tags(&self, repository: &Repository, prefix: &str, after: &str, limit: usize) -> Result<Page<Tag>> {
        todo!()
    }
    pub async fn create_tag(&self, repository: &Repository, id: &TagId, source: &str, force: bool, actor: &str, hooks: &dyn Hooks) -> Result<Tag> {
        todo!()
    }
    pub async fn delete_tag(&self, repository: &Repository, id: &TagId, force: bool, actor: &str, hooks: &dyn Hooks) -> Result<()> {
        todo!()
    }

    // ---- staging
    /// The value of a key at a reference, or none (also behind a tombstone).
    pub async fn get(&self, repository: &Repository, reference: &ResolvedRef, key: &[u8]) -> Result<Option<Value>> {
        todo!()
    }
    /// The value of a key in a stored tree.
    pub async fn get_in(&self, repository: &Repository, tree: &MetaRangeId, key: &[u8]) -> Result<Option<Value>> {
        todo!()
    }
    pub async fn set(&self, repository: &Repository, branch: &BranchId, key: &[u8], value: Value, condition: Condition, force: bool) -> Result<()> {
        todo!()
    }
    /// Deletes keys; those that do not exist are no error.
    pub async fn delete(&self, repository: &Repository, branch: &BranchId, keys: &[Vec<u8>], force: bool) -> Result<()> {
        todo!()
    }
    /// Live records at a reference: staged over committed.
    pub async fn cursor(&self, repository: &Repository, reference: &ResolvedRef) -> Result<Box<dyn Cursor>> {
        todo!()
    }
    /// Records of a stored tree.
    pub async fn tree_cursor(&self, repository: &Repository, tree: &MetaRangeId) -> Result<Box<dyn Cursor>> {
        todo!()
    }

    // ---- commits
    pub async fn commit(&self, repository: &Repository, branch: &BranchId, params: CommitParams, hooks: &dyn Hooks) -> Result<Commit> {
        todo!()
    }
    pub async fn get_commit(&self, repository: &Repository, id: &CommitId) -> Result<Commit> {
        todo!()
    }
    /// Commits in the order of the log; the caller stops when it has enough.
    pub async fn log(&self, repository: &Repository, request: LogRequest) -> Result<CommitLog> {
        todo!()
    }
    /// Whether a commit changed one of `keys` or anything below one of `prefixes`, against its first parent.
    pub async fn touches(&self, repository: &Repository, commit: &Commit, keys: &[Vec<u8>], prefixes: &[Vec<u8>]) -> Result<bool> {
        todo!()
    }

    // ---- diff and merge
    /// Uncommitted changes of a branch, in key order.
    pub async fn diff_uncommitted(&self, repository: &Repository, branch: &BranchId) -> Result<DiffCursor> {
        todo!()
    }
    /// Two-dot: what must happen to `left` to become `right`.
    pub async fn diff(&self, repository: &Repository, left: &ResolvedRef, right: &ResolvedRef) -> Result<DiffCursor> {
        todo!()
    }
    /// Three-dot: what `right` changed since its merge base with `left`; a key both changed is a conflict.
    pub async fn compare(&self, repository: &Repository, left: &ResolvedRef, right: &ResolvedRef) -> Result<DiffCursor> {
        todo!()
    }
    /// Between two stored trees.
    pub async fn diff_trees(&self, repository: &Repository, left: &MetaRangeId, right: &MetaRangeId) -> Result<DiffCursor> {
        todo!()
    }
    pub async fn find_merge_base(&self, repository: &Repository, source: &str, destination: &str) -> Result<MergeBase> {
        todo!()
    }
    pub async fn merge(&self, repository: &Repository, destination: &BranchId, source: &str, params: MergeParams, hooks: &dyn Hooks) -> Result<MergeOutcome> {
        todo!()
    }
}

/// Commits, newest first.
#[derive(Debug)]
pub struct CommitLog {}

impl CommitLog {
    /// The next commit, or none at the end.
    pub async fn next(&mut self) -> Result<Option<Commit>> {
        todo!()
    }
}

/// Differences in key order.
#[derive(Debug)]
pub struct DiffCursor {}

impl DiffCursor {
    /// The next difference, or none at the end.
    pub async fn next(&mut self) -> Result<Option<Diff>> {
        todo!()
    }
    /// Moves forward to the first key >= `key`.
    pub fn seek(&mut self, _key: &[u8]) {
        todo!()
    }
}
