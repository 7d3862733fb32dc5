//! Committed trees: ranges and metaranges, their cursors, writer, diff and merge.
//!
//! A tree is a metarange, which is the sorted list of its ranges. A range is a sorted table of
//! records. Both are files named by a hash of their content, so equal content has equal names.
//!
//! ```text
//! metarange   [a..f] 3c0f..   [g..m] 91aa..   [n..z] 07de..
//!                |               |               |
//! ranges      a b c .. f      g h .. m        n o .. z      key -> identity, data
//! ```
//!
//! Everything here walks trees with a [`walker::Walker`]. Its front is the next element: a whole range
//! or, inside an entered range, a record. [`diff`], [`compare`], [`merge`] and [`apply`] decide from
//! the fronts of their walkers what to do next, and skip or copy whole ranges wherever possible.
//!
//! Committed ranges are never rewritten. Ranges that the compared trees share are not opened. A walker
//! holds a block and its read-ahead in memory. A writer holds the list of the new tree's ranges and a
//! few ranges that are being uploaded.

mod apply;
mod change;
mod compare;
mod cursor;
mod diff;
mod merge;
mod metarange;
mod rebase;
mod record;
mod tables;
mod walker;
mod writer;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use block::BlockStore;
use bytes::Bytes;
use futures::future::{try_join, try_join3};

pub(crate) use self::apply::Applied;
use self::apply::KeptBytes;
use self::compare::TreeComparison;
use self::cursor::TreeCursor;
use self::diff::TreeDiff;
use self::tables::{TableKind, Tables};
use self::walker::Walker;
use self::writer::TreeWriter;
use crate::{Cursor, DiffCursor, MergeStrategy, MetaRangeId, Options, Record, Result, Value};

pub use self::change::{Change, ChangeCursor, Summary};
pub use self::merge::MAX_REPORTED_CONFLICTS;
pub use self::rebase::Merged;

/// Parses a record as one of a metarange, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_range(record: &Record) {
    let id = [b'a'; 64];
    let record = crate::sstable::Record {
        key: record.key.clone(),
        value: crate::sstable::encode_value(&id, &record.value.data).into(),
    };
    drop(metarange::RangeRef::parse(&record, ""));
}

/// Writes a tree from records in ascending key order.
#[derive(Debug)]
pub(crate) struct RecordWriter(TreeWriter);

impl RecordWriter {
    /// Adds a record.
    pub(crate) async fn add(&mut self, record: Record) -> Result<()> {
        self.0.add(record::frame(record.key, &record.value)).await
    }

    /// Stores the tree and returns its id.
    pub(crate) async fn finish(self) -> Result<MetaRangeId> {
        self.0.finish().await
    }
}

/// The trees of all repositories. Cheap to clone. An empty id means the empty tree.
///
/// Every operation can fail with [`crate::Error::NotFound`] if a metarange or range does not exist,
/// [`crate::Error::Corrupt`] if one is malformed, and [`crate::Error::Block`] if the store fails.
#[derive(Debug, Clone)]
pub struct Committed {
    tables: Tables,
}

impl Committed {
    /// Opens the trees in `block`, with one cache for all of them.
    #[must_use]
    pub fn new(block: Arc<dyn BlockStore>, options: &Options) -> Self {
        Self {
            tables: Tables::new(block, options),
        }
    }

    /// The value of one key. Reads the index and one block of the metarange and of one range, as far as
    /// they are not cached.
    ///
    /// # Errors
    /// As for all operations, see [`Self`].
    pub async fn get(
        &self,
        namespace: &str,
        tree: &MetaRangeId,
        key: &[u8],
    ) -> Result<Option<Value>> {
        if tree.as_str().is_empty() {
            return Ok(None);
        }
        let metarange = self
            .tables
            .open(namespace, TableKind::MetaRange, tree.as_str())
            .await?;
        let Some(range) = metarange::find(&metarange, tree.as_str(), key).await? else {
            return Ok(None);
        };
        let reader = self
            .tables
            .open(namespace, TableKind::Range, range.id.as_str())
            .await?;
        let record = reader
            .get(key)
            .await
            .map_err(|error| tables::read_error(TableKind::Range, range.id.as_str(), error))?;
        record.as_ref().map(record::value).transpose()
    }

    /// The records of a tree.
    ///
    /// # Errors
    /// As for all operations, see [`Self`].
    pub async fn cursor(&self, namespace: &str, tree: &MetaRangeId) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(TreeCursor::new(self.walk(namespace, tree).await?)))
    }

    /// Applies changes to a tree and stores the result: ranges first, then the metarange.
    ///
    /// A value with the identity that the base has at the key is no change, and the base's bytes stay.
    /// Without changes the result is `base`, and nothing is stored.
    ///
    /// # Errors
    /// As for all operations, and [`crate::Error::InvalidValue`] for a key or value that is too large
    /// for a range. An error may leave unreferenced tables behind.
    pub async fn apply(
        &self,
        namespace: &str,
        base: &MetaRangeId,
        changes: Box<dyn ChangeCursor>,
    ) -> Result<(MetaRangeId, Summary)> {
        let applied = apply::apply(&self.tables, namespace, base, changes, KeptBytes::Base).await?;
        Ok((applied.tree, applied.summary))
    }

    /// Like [`Self::apply`], but a value with the base's identity replaces the base's bytes, as reads
    /// of staged changes do.
    pub(crate) async fn apply_as_staged(
        &self,
        namespace: &str,
        base: &MetaRangeId,
        changes: Box<dyn ChangeCursor>,
    ) -> Result<Applied> {
        apply::apply(&self.tables, namespace, base, changes, KeptBytes::Change).await
    }

    /// Two-way diff: the changes that turn `left` into `right`.
    ///
    /// # Errors
    /// As for all operations, see [`Self`].
    pub async fn diff(
        &self,
        namespace: &str,
        left: &MetaRangeId,
        right: &MetaRangeId,
    ) -> Result<DiffCursor> {
        // Equal trees have no differences, so they need not be opened.
        let empty = MetaRangeId::trusted("");
        let (left, right) = if left == right {
            (&empty, &empty)
        } else {
            (left, right)
        };
        let (left, right) =
            try_join(self.walk(namespace, left), self.walk(namespace, right)).await?;
        Ok(DiffCursor::new(TreeDiff::new(left, right)))
    }

    /// Whether two trees hold the same records. Their ranges may still differ, depending on how they
    /// were made.
    ///
    /// # Errors
    /// As for all operations, see [`Self`].
    pub async fn is_same(
        &self,
        namespace: &str,
        one: &MetaRangeId,
        other: &MetaRangeId,
    ) -> Result<bool> {
        if one.is_same_tree(other) {
            return Ok(true);
        }
        let mut differences = self.diff(namespace, one, other).await?;
        Ok(differences.next().await?.is_none())
    }

    /// Three-way diff: what `right` changed since `base`. A key that `left` changed differently is a
    /// conflict.
    ///
    /// A key that both sides changed in the same way is left out. The values of a difference are
    /// those of `left` and `right`; the base's value is left out.
    ///
    /// # Errors
    /// As for all operations, see [`Self`].
    pub async fn compare(
        &self,
        namespace: &str,
        base: &MetaRangeId,
        left: &MetaRangeId,
        right: &MetaRangeId,
    ) -> Result<DiffCursor> {
        // A left side without changes conflicts with nothing.
        if left == base {
            return self.diff(namespace, base, right).await;
        }
        let (base, left, right) = try_join3(
            self.walk(namespace, base),
            self.walk(namespace, left),
            self.walk(namespace, right),
        )
        .await?;
        Ok(DiffCursor::new(TreeComparison::new(
            TreeDiff::new(base, right),
            left,
        )))
    }

    /// Merges the changes of `source` since `base` into `destination` and stores the result.
    ///
    /// The result is exactly `source` if the destination has no changes, and exactly `destination` if
    /// the source has none.
    ///
    /// # Errors
    /// As for all operations, and under [`MergeStrategy::None`] [`crate::Error::Conflict`] with the
    /// first [`MAX_REPORTED_CONFLICTS`] conflicting keys and their number.
    pub async fn merge(
        &self,
        namespace: &str,
        base: &MetaRangeId,
        source: &MetaRangeId,
        destination: &MetaRangeId,
        strategy: MergeStrategy,
    ) -> Result<MetaRangeId> {
        if destination == base {
            return Ok(source.clone());
        }
        if source == base || source == destination {
            return Ok(destination.clone());
        }
        let (base, source, destination) = try_join3(
            self.walk(namespace, base),
            self.walk(namespace, source),
            self.walk(namespace, destination),
        )
        .await?;
        merge::merge(&self.tables, namespace, base, source, destination, strategy).await
    }

    /// The key of a range's or metarange's file below a storage namespace, whether or not it exists.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`] if `id` is not a table id.
    pub fn key_of(&self, id: &str) -> Result<String> {
        self.tables.key_of(id)
    }

    /// Starts a tree whose tables have these properties besides their type. Dumps use it for a
    /// repository's records.
    pub(crate) fn record_writer(
        &self,
        namespace: &str,
        properties: BTreeMap<String, String>,
    ) -> RecordWriter {
        RecordWriter(TreeWriter::with_properties(
            self.tables.clone(),
            namespace,
            properties,
        ))
    }

    /// A property of a tree's metarange. The empty tree has none.
    pub(crate) async fn property(
        &self,
        namespace: &str,
        tree: &MetaRangeId,
        name: &str,
    ) -> Result<Option<Bytes>> {
        if tree.as_str().is_empty() {
            return Ok(None);
        }
        let metarange = self
            .tables
            .open(namespace, TableKind::MetaRange, tree.as_str())
            .await?;
        let stored = metarange.properties().get(name);
        Ok(stored.map(Bytes::copy_from_slice))
    }

    async fn walk(&self, namespace: &str, tree: &MetaRangeId) -> Result<Walker> {
        Walker::new(self.tables.clone(), namespace, tree).await
    }
}
