//! Opens and stores the files of trees: `<namespace>/<prefix>/<id>`.
//!
//! One bounded cache holds parsed indexes and recently used blocks of opened tables. A lookup reads
//! blocks, never a whole file. An id must be 64 hex digits before it becomes part of a path.

use std::sync::Arc;

use block::{BlockStore, Location, from_bytes};

use crate::sstable::{self, Cache, CacheBounds, Finished, Reader, StoreSource};
use crate::{Error, Kind, Options, Result};

/// Opened tables get an eighth of the cache's size, and blocks get the rest.
const OPENED_TABLES_DIVISOR: u64 = 8;
/// Length of a table's id: a SHA-256 in hex.
const ID_LEN: usize = 64;

/// The two kinds of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    Range,
    MetaRange,
}

impl TableKind {
    /// The table's `type` property, which its id covers.
    pub(super) fn property(self) -> &'static str {
        match self {
            Self::Range => "ranges",
            Self::MetaRange => "metaranges",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::MetaRange => "metarange",
        }
    }

    fn not_found(self, id: &str) -> Error {
        let kind = match self {
            Self::Range => Kind::Range,
            Self::MetaRange => Kind::MetaRange,
        };
        Error::NotFound {
            kind,
            id: id.to_owned(),
        }
    }
}

/// Decides where a range ends, by lakeFS's rule.
///
/// The decision depends on the key alone, unless the range is too small or too large. Trees that share
/// keys therefore mostly split at the same keys, however they were made.
#[derive(Debug, Clone, Copy)]
pub(super) struct RangeSplitter {
    min_size_bytes: u64,
    max_size_bytes: u64,
    raggedness: u64,
}

impl RangeSplitter {
    fn new(options: &Options) -> Self {
        Self {
            min_size_bytes: options.min_range_size_bytes,
            max_size_bytes: options.max_range_size_bytes,
            // Truncated, as in lakeFS. A raggedness below one would divide by zero.
            raggedness: (options.range_raggedness_entries as u64).max(1),
        }
    }

    /// Whether a range of `size_bytes` (estimated) ends after `key`.
    pub(super) fn splits_after(&self, key: &[u8], size_bytes: u64) -> bool {
        use std::hash::Hasher as _;
        if size_bytes < self.min_size_bytes {
            return false;
        }
        if size_bytes >= self.max_size_bytes {
            return true;
        }
        let mut hasher = fnv::FnvHasher::default();
        hasher.write(key);
        hasher.finish().is_multiple_of(self.raggedness)
    }
}

/// The files of all trees. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    block: Arc<dyn BlockStore>,
    cache: Cache,
    prefix: Arc<str>,
    pub(super) splitter: RangeSplitter,
}

impl Tables {
    pub(super) fn new(block: Arc<dyn BlockStore>, options: &Options) -> Self {
        let tables_bytes = options.sstable_cache_bytes / OPENED_TABLES_DIVISOR;
        let bounds = CacheBounds {
            tables_bytes,
            blocks_bytes: options.sstable_cache_bytes - tables_bytes,
        };
        Self {
            block,
            cache: Cache::new(bounds),
            prefix: Arc::from(options.block_storage_prefix.as_str()),
            splitter: RangeSplitter::new(options),
        }
    }

    /// Opens a table: reads its properties and index from the cache or the end of the file.
    pub(super) async fn open(&self, namespace: &str, kind: TableKind, id: &str) -> Result<Reader> {
        if !is_table_id(id) {
            return Err(kind.not_found(id));
        }
        let location = self.location(namespace, id);
        let source = Arc::new(StoreSource::new(Arc::clone(&self.block), location.clone()));
        let reader = Reader::open_cached(&self.cache, location.as_str(), source)
            .await
            .map_err(|error| match error {
                sstable::Error::Read(block::Error::NotFound(_)) => kind.not_found(id),
                error => read_error(kind, id, error),
            })?;
        // A user may give the id of a range where a metarange is expected.
        if reader.properties().kind() == kind.property().as_bytes() {
            Ok(reader)
        } else {
            Err(kind.not_found(id))
        }
    }

    /// Stores a finished table. Storing it again is harmless.
    pub(super) async fn store(&self, namespace: &str, table: Finished) -> Result<()> {
        let location = self.location(namespace, &table.id);
        self.block.put(&location, from_bytes(table.bytes)).await?;
        Ok(())
    }

    /// The key of a table's file below any namespace, for an id given by a user.
    pub(super) fn key_of(&self, id: &str) -> Result<String> {
        if is_table_id(id) {
            Ok(self.key(id))
        } else {
            Err(Error::InvalidValue(format!(
                "invalid id {id:?}: ids of ranges and metaranges have {ID_LEN} lower-case hex digits"
            )))
        }
    }

    fn location(&self, namespace: &str, id: &str) -> Location {
        Location::below(namespace, &self.key(id))
    }

    fn key(&self, id: &str) -> String {
        format!("{}/{id}", self.prefix)
    }
}

/// Whether an id has the form of a table id: 64 lower-case hex digits.
pub(super) fn is_table_id(id: &str) -> bool {
    id.len() == ID_LEN
        && id
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The engine's error for a table that could not be read.
pub(super) fn read_error(kind: TableKind, id: &str, error: sstable::Error) -> Error {
    match error {
        sstable::Error::Read(source) => Error::Block(source),
        other => Error::Corrupt {
            what: format!("{} {id}", kind.noun()),
            reason: other.to_string(),
        },
    }
}

/// The engine's error for a record that could not be added to a table.
pub(super) fn add_error(error: &sstable::Error) -> Error {
    match error {
        sstable::Error::TooLarge { .. } => Error::InvalidValue(error.to_string()),
        other => Error::Corrupt {
            what: "tree".to_owned(),
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::RangeSplitter;

    /// The 64-bit FNV-1a hash of `a`.
    const HASH_OF_A: u64 = 0xaf63_dc4c_8601_ec8c;

    fn splitter(min_size_bytes: u64, max_size_bytes: u64, raggedness: u64) -> RangeSplitter {
        RangeSplitter {
            min_size_bytes,
            max_size_bytes,
            raggedness,
        }
    }

    #[test]
    fn range_ends_after_a_key_whose_hash_is_a_multiple_of_the_raggedness() {
        assert!(splitter(0, 1000, HASH_OF_A).splits_after(b"a", 10));
        assert!(splitter(0, 1000, 4).splits_after(b"a", 10));
        assert!(!splitter(0, 1000, 8).splits_after(b"a", 10));
        assert!(!splitter(0, 1000, HASH_OF_A).splits_after(b"b", 10));
    }

    #[test]
    fn size_limits_override_the_hash_of_the_key() {
        assert!(splitter(0, 1000, 8).splits_after(b"a", 1000));
        assert!(!splitter(0, 1000, 8).splits_after(b"a", 999));
        assert!(!splitter(11, 1000, 4).splits_after(b"a", 10));
        assert!(splitter(11, 1000, 4).splits_after(b"a", 11));
    }
}
