//! Committed trees: ranges and metaranges, their cursors, writer, diff and merge.
//!
//! A committed range is never rewritten; equal range ids are never opened.

use std::sync::Arc;

use async_trait::async_trait;
use block::BlockStore;
use bytes::Bytes;

use crate::{Cursor, DiffCursor, MergeStrategy, MetaRangeId, Options, Result, Value};

/// A staged change: a new value, or none for a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: Bytes,
    pub value: Option<Value>,
}

/// Changes in ascending key order, each key once.
#[async_trait]
pub trait ChangeCursor: std::fmt::Debug + Send {
    async fn next(&mut self) -> Result<Option<Change>>;
}

/// How many keys an application changed, by value identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
}

impl Summary {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The trees of all repositories. Cheap to clone. An empty tree id is the empty tree.
#[derive(Debug, Clone)]
pub struct Committed {}

#[expect(unused_variables, clippy::unused_async, reason = "skeleton")]
impl Committed {
    #[must_use]
    pub fn new(block: Arc<dyn BlockStore>, options: &Options) -> Self {
        todo!()
    }
    /// The value of one key; reads the metarange's index, one range's index and one block.
    pub async fn get(&self, namespace: &str, tree: &MetaRangeId, key: &[u8]) -> Result<Option<Value>> {
        todo!()
    }
    pub async fn cursor(&self, namespace: &str, tree: &MetaRangeId) -> Result<Box<dyn Cursor>> {
        todo!()
    }
    /// Applies changes to a tree and stores the result: ranges first, then the metarange.
    /// A value whose identity the base already has keeps the base's bytes.
    pub async fn apply(&self, namespace: &str, base: &MetaRangeId, changes: Box<dyn ChangeCursor>) -> Result<(MetaRangeId, Summary)> {
        todo!()
    }
    /// Two-way differences of trees.
    pub async fn diff(&self, namespace: &str, left: &MetaRangeId, right: &MetaRangeId) -> Result<DiffCursor> {
        todo!()
    }
    /// What `right` changed since `base`, and where `left` changed the same key otherwise: a conflict.
    pub async fn compare(&self, namespace: &str, base: &MetaRangeId, left: &MetaRangeId, right: &MetaRangeId) -> Result<DiffCursor> {
        todo!()
    }
    /// Merges what `source` changed since `base` into `destination` and stores the result.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] with the first conflicting keys, under [`MergeStrategy::None`].
    pub async fn merge(&self, namespace: &str, base: &MetaRangeId, source: &MetaRangeId, destination: &MetaRangeId, strategy: MergeStrategy) -> Result<(MetaRangeId, Summary)> {
        todo!()
    }
}
