//! A bounded cache of opened tables and decoded blocks.
//!
//! Tables are identified by location; blocks by their opened table and offset. Two writers may give
//! the same id to files with different bytes. A block therefore belongs to one opening of a file, and
//! is not used after the file is opened again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::block::Block;
use super::table::Table;

/// The default size of the cache for opened tables (properties and top index), in bytes.
pub const DEFAULT_TABLE_CACHE_BYTES: u64 = 16 << 20;
/// The default size of the cache for decoded blocks, in bytes.
pub const DEFAULT_BLOCK_CACHE_BYTES: u64 = 128 << 20;

/// The sizes of a [`Cache`].
#[derive(Debug, Clone, Copy)]
pub struct CacheBounds {
    /// For opened tables, in bytes.
    pub tables_bytes: u64,
    /// For decoded blocks, in bytes.
    pub blocks_bytes: u64,
}

impl Default for CacheBounds {
    fn default() -> Self {
        Self {
            tables_bytes: DEFAULT_TABLE_CACHE_BYTES,
            blocks_bytes: DEFAULT_BLOCK_CACHE_BYTES,
        }
    }
}

/// A cache that readers share. Cheap to clone; clones share their content.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tables: moka::sync::Cache<Arc<str>, Arc<Table>>,
    blocks: moka::sync::Cache<BlockKey, Arc<Block>>,
    next_table: AtomicU64,
}

/// A block of an opened table: the table's number in this cache and the block's offset.
type BlockKey = (u64, u64);

impl Default for Cache {
    fn default() -> Self {
        Self::new(CacheBounds::default())
    }
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(bounds: CacheBounds) -> Self {
        let clamp = |weight: usize| u32::try_from(weight).unwrap_or(u32::MAX);
        Self(Arc::new(Inner {
            tables: moka::sync::Cache::builder()
                .max_capacity(bounds.tables_bytes)
                .weigher(move |location: &Arc<str>, table: &Arc<Table>| {
                    clamp(location.len() + table.weight())
                })
                .build(),
            blocks: moka::sync::Cache::builder()
                .max_capacity(bounds.blocks_bytes)
                .weigher(move |_: &BlockKey, block: &Arc<Block>| {
                    clamp(size_of::<BlockKey>() + block.weight())
                })
                .build(),
            next_table: AtomicU64::new(0),
        }))
    }

    /// A unique number for a table that is being opened.
    pub(super) fn next_table(&self) -> u64 {
        self.0.next_table.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn table(&self, location: &str) -> Option<Arc<Table>> {
        self.0.tables.get(location)
    }

    pub(super) fn keep_table(&self, location: Arc<str>, table: Arc<Table>) {
        self.0.tables.insert(location, table);
    }

    /// Drops an opened table, which also makes its blocks unreachable.
    pub(super) fn forget_table(&self, location: &str) {
        self.0.tables.invalidate(location);
    }

    pub(super) fn block(&self, table: u64, offset: u64) -> Option<Arc<Block>> {
        self.0.blocks.get(&(table, offset))
    }

    pub(super) fn keep_block(&self, table: u64, offset: u64, block: Arc<Block>) {
        self.0.blocks.insert((table, offset), block);
    }
}
