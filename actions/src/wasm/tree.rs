//! The trees of an event, as a trait between hooks and storage.
//!
//! There are two implementations: stored trees in this file, and in-memory trees in tests.
//! Implementations do not check capabilities; `session` checks them before every call.

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use base::Page;
use block::ByteStream;
use catalog::{Object, Reader, Result, Snapshot};
use graveler::{Event, MetaRangeId};

/// Selects a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The tree after the change.
    Candidate,
    /// The tree before the change.
    Base,
    /// The source tree of a merge.
    Source,
}

/// The trees of one event. They are immutable while a hook runs.
///
/// Implementations list in byte order of paths and return where the next page starts.
#[async_trait]
pub trait Trees: Debug + Send + Sync {
    /// Returns the id of a tree. Equal ids mean equal trees. `None` if the event has no such tree.
    fn tree_id(&self, side: Side) -> Option<String>;

    /// Returns the object at a path, or `None` if there is none. A missing tree is empty.
    async fn stat(&self, side: Side, path: &str) -> Result<Option<Object>>;

    /// Lists up to `limit` objects under a prefix, after a path (exclusive). A missing tree is empty.
    async fn walk(
        &self,
        side: Side,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<Object>>;

    /// Lists up to `limit` differences (before, after) from base to candidate under a prefix, after a
    /// path (exclusive). Without a base or a candidate there are no differences.
    async fn diff(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<(Option<Object>, Option<Object>)>>;

    /// Streams a range of an object's bytes (end exclusive).
    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream>;
}

/// The stored trees of an event.
#[derive(Debug)]
pub struct SnapshotTrees {
    reader: Reader,
    candidate: Option<Snapshot>,
    base: Option<Snapshot>,
    source: Option<Snapshot>,
    empty: Snapshot,
}

impl SnapshotTrees {
    /// Opens the trees that an event refers to.
    #[must_use]
    pub fn new(reader: Reader, event: &Event) -> Self {
        let at = |tree: Option<&MetaRangeId>| tree.map(|id| reader.snapshot(&event.repository, id));
        let (candidate, base, source) =
            (at(event.candidate()), at(event.base()), at(event.source()));
        let empty = reader.snapshot(&event.repository, &MetaRangeId::trusted(""));
        Self {
            reader,
            candidate,
            base,
            source,
            empty,
        }
    }

    fn side(&self, side: Side) -> Option<&Snapshot> {
        match side {
            Side::Candidate => self.candidate.as_ref(),
            Side::Base => self.base.as_ref(),
            Side::Source => self.source.as_ref(),
        }
    }
}

#[async_trait]
impl Trees for SnapshotTrees {
    fn tree_id(&self, side: Side) -> Option<String> {
        self.side(side).map(|s| s.tree_id().to_string())
    }

    async fn stat(&self, side: Side, path: &str) -> Result<Option<Object>> {
        self.side(side).unwrap_or(&self.empty).stat(path).await
    }

    async fn walk(
        &self,
        side: Side,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<Object>> {
        self.side(side)
            .unwrap_or(&self.empty)
            .walk(prefix, after, limit)
            .await
    }

    async fn diff(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<(Option<Object>, Option<Object>)>> {
        let (Some(base), Some(candidate)) = (&self.base, &self.candidate) else {
            return Ok(Page::empty());
        };
        base.diff(candidate, prefix, after, limit).await
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream> {
        self.reader
            .open(self.empty.repository(), object, Some(range))
            .await
    }
}
