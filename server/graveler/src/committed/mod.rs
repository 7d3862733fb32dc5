//! Committed trees: ranges and metaranges, their cursors, writer, diff and merge.
//!
//! A tree is a metarange, the sorted list of its ranges; a range is a sorted table of
//! records. Both are files named by what they hold, so that equal content is found equal
//! by its name alone.
//!
//! ```text
//! metarange   [a..f] 3c0f..   [g..m] 91aa..   [n..z] 07de..
//!                |               |               |
//! ranges      a b c .. f      g h .. m        n o .. z      key -> identity, data
//! ```
//!
//! Everything here walks trees with a [`walker::Walker`], which stands before a whole range
//! or, once it has entered one, before a record. [`diff`], [`compare`], [`merge`] and
//! [`apply`] decide from what is in front of each walker, and pass over or copy whole
//! ranges wherever they can.
//!
//! A committed range is never rewritten; equal range ids are never opened. Memory is
//! bounded by a block and a read-ahead for each walker, the list of ranges of the tree
//! that is written, and a few ranges on their way to the store.

mod apply;
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
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use block::BlockStore;
use bytes::Bytes;
use futures::future::{try_join, try_join3};

pub(crate) use self::apply::Applied;
use self::apply::SameIdentity;
use self::compare::TreeComparison;
use self::cursor::TreeCursor;
use self::diff::TreeDiff;
use self::tables::{TableKind, Tables};
use self::walker::Walker;
use self::writer::TreeWriter;
use crate::{Cursor, DiffCursor, MergeStrategy, MetaRangeId, Options, Record, Result, Value};

pub use self::merge::MAX_REPORTED_CONFLICTS;
pub use self::rebase::Merged;

/// Parses a metarange's record, for [`crate::fuzzing`].
pub(crate) fn try_range(record: &Record) {
    let id = [b'a'; 64];
    drop(metarange::RangeRef::parse(&crate::sstable::Record {
        key: record.key.clone(),
        value: crate::sstable::encode_value(&id, &record.value.data).into(),
    }));
}

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

/// Writes a tree of records that come in ascending order of key.
#[derive(Debug)]
pub(crate) struct RecordWriter(TreeWriter);

impl RecordWriter {
    /// Adds a record.
    pub(crate) async fn add(&mut self, record: Record) -> Result<()> {
        self.0.add(record::framed(record.key, &record.value)).await
    }

    /// Stores the tree and gives its id.
    pub(crate) async fn finish(self) -> Result<MetaRangeId> {
        self.0.finish().await
    }
}

/// The trees of all repositories. Cheap to clone. An empty tree id is the empty tree.
///
/// Every operation fails with [`crate::Error::NotFound`] if a metarange or range is not
/// there, with [`crate::Error::Corrupt`] if one does not parse, and with
/// [`crate::Error::Block`] if the store fails.
#[derive(Debug, Clone)]
pub struct Committed {
    tables: Tables,
}

impl Committed {
    /// Trees in `block`, with one cache for all of them.
    #[must_use]
    pub fn new(block: Arc<dyn BlockStore>, options: &Options) -> Self {
        Self {
            tables: Tables::new(block, options),
        }
    }

    /// The value of one key; reads the metarange's index, one range's index and one block.
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
            .map_err(|error| tables::reading(TableKind::Range, range.id.as_str(), error))?;
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
    /// A value whose identity the base already has keeps the base's bytes and is no change.
    /// Without changes the result is `base` and nothing is stored.
    ///
    /// # Errors
    /// As for all operations, and [`crate::Error::InvalidValue`] for a key or value that is
    /// too large for a range. Nothing but unreferenced ranges is left then.
    pub async fn apply(
        &self,
        namespace: &str,
        base: &MetaRangeId,
        changes: Box<dyn ChangeCursor>,
    ) -> Result<(MetaRangeId, Summary)> {
        let applied =
            apply::apply(&self.tables, namespace, base, changes, SameIdentity::OfBase).await?;
        Ok((applied.tree, applied.summary))
    }

    /// The same, but a value whose identity the base already has brings its own bytes: what reads of
    /// staged changes show.
    pub(crate) async fn apply_as_staged(
        &self,
        namespace: &str,
        base: &MetaRangeId,
        changes: Box<dyn ChangeCursor>,
    ) -> Result<Applied> {
        apply::apply(
            &self.tables,
            namespace,
            base,
            changes,
            SameIdentity::OfChange,
        )
        .await
    }

    /// Two-way differences of trees: what must happen to `left` to become `right`.
    ///
    /// # Errors
    /// As for all operations, see [`Self`].
    pub async fn diff(
        &self,
        namespace: &str,
        left: &MetaRangeId,
        right: &MetaRangeId,
    ) -> Result<DiffCursor> {
        // Equal trees differ nowhere: they need not be opened.
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

    /// Whether two trees hold the same records. Their ranges may differ all the same, by how they came to be.
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

    /// What `right` changed since `base`, and where `left` changed the same key otherwise: a conflict.
    ///
    /// A key that both sides changed alike is not shown. `left` and `right` of a difference
    /// are the values of those trees; the base's value is not shown.
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
        // A left that has changed nothing conflicts with nothing.
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

    /// Merges what `source` changed since `base` into `destination` and stores the result.
    ///
    /// The result is exactly `source` if the destination has not changed, and exactly
    /// `destination` if the source has not.
    ///
    /// # Errors
    /// As for all operations, and [`crate::Error::Conflict`] with the first
    /// [`MAX_REPORTED_CONFLICTS`] conflicting keys and their number, under [`MergeStrategy::None`].
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

    /// Where the file of a range or metarange lies below a storage namespace. Says nothing of
    /// whether it is there.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`] for what is no id of a table.
    pub fn key_of(&self, id: &str) -> Result<String> {
        self.tables.key_of(id)
    }

    /// Starts a tree that says more of itself than what kind of table it is: the dump of a repository's records.
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

    /// What a tree says of itself under a name. The empty tree says nothing.
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
        Ok(metarange.properties().get(name).cloned())
    }

    async fn walk(&self, namespace: &str, tree: &MetaRangeId) -> Result<Walker> {
        Walker::new(self.tables.clone(), namespace, tree).await
    }
}
