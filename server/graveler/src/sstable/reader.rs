//! Looks up records of a table, block by block.

use std::sync::Arc;

use bytes::Bytes;

use super::block::{self, Block, KeyForm};
use super::cache::Cache;
use super::error::{Error, Result};
use super::format::{self, BlockHandle};
use super::properties::Properties;
use super::source::Source;
use super::table::{Table, read_exact};

/// A record of a table. Key and value are slices of the block they were read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Bytes,
    /// The framed value as stored; copying it to another table needs no decoding.
    pub value: Bytes,
}

impl Record {
    pub(super) fn of(block: &Block, at: usize) -> Self {
        Self {
            key: block.key(at),
            value: block.value(at),
        }
    }

    /// Splits the value into its identity (32 raw bytes for an entry, the hex id for a range) and its
    /// data.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the value is not a frame.
    pub fn split_value(&self) -> Result<(Bytes, Bytes)> {
        format::decode_value(&self.value)
    }
}

/// An open table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) table: Arc<Table>,
    pub(super) source: Arc<dyn Source>,
    cached: Option<(Cache, Arc<str>)>,
}

impl Reader {
    /// Opens a table without a cache.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Unsupported`] if the file is not a table of lakeFS,
    /// [`Error::Read`] if the source fails.
    pub async fn open(source: Arc<dyn Source>) -> Result<Self> {
        let table = Arc::new(Table::read(&*source, 0).await?);
        Ok(Self {
            table,
            source,
            cached: None,
        })
    }

    /// Opens a table that is in memory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn from_bytes(bytes: Bytes) -> Result<Self> {
        Self::open(Arc::new(bytes)).await
    }

    /// Opens a table through a cache. `location` is its full address. It must always name the same
    /// file, since a cached table is not opened again.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_cached(
        cache: &Cache,
        location: &str,
        source: Arc<dyn Source>,
    ) -> Result<Self> {
        let location: Arc<str> = Arc::from(location);
        let table = match cache.table(&location) {
            Some(table) => table,
            None => {
                let table = Arc::new(Table::read(&*source, cache.next_table()).await?);
                cache.keep_table(Arc::clone(&location), Arc::clone(&table));
                table
            }
        };
        Ok(Self {
            table,
            source,
            cached: Some((cache.clone(), location)),
        })
    }

    /// The table's properties.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.table.properties
    }

    /// The record with this key, if any.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`] or [`Error::Read`].
    pub async fn get(&self, key: &[u8]) -> Result<Option<Record>> {
        let mut block = Arc::clone(&self.table.root);
        for level in 1..=self.table.index_levels {
            let at = block.lower_bound(key);
            if at == block.len() {
                return Ok(None);
            }
            let handle = self.handle(&block, at)?;
            block = match self.cached_block(handle) {
                Some(kept) => kept,
                None => {
                    let stored =
                        read_exact(&*self.source, handle.offset, handle.stored_len()).await;
                    self.decode(handle, stored, self.form_below(level), true)?
                }
            };
        }
        let at = block.lower_bound(key);
        if at == block.len() || block.key_slice(at) != key {
            return Ok(None);
        }
        Ok(Some(Record::of(&block, at)))
    }

    /// The kind of block that index level `level` (the root is 1) points to.
    pub(super) fn form_below(&self, level: usize) -> KeyForm {
        if level == self.table.index_levels {
            KeyForm::Record
        } else {
            KeyForm::Index
        }
    }

    /// The handle in entry `at` of an index block.
    pub(super) fn handle(&self, index: &Block, at: usize) -> Result<BlockHandle> {
        BlockHandle::decode_exact(index.value_slice(at))
            .and_then(|handle| handle.check(self.table.blocks_end))
    }

    /// A block from the cache.
    pub(super) fn cached_block(&self, handle: BlockHandle) -> Option<Arc<Block>> {
        let (cache, _) = self.cached.as_ref()?;
        cache.block(self.table.number, handle.offset)
    }

    /// Decodes a stored block, and caches it if `keep_in_cache`.
    ///
    /// A corrupt table is dropped from the cache, so that a replacement file is opened anew.
    pub(super) fn decode(
        &self,
        handle: BlockHandle,
        stored: Result<Bytes>,
        form: KeyForm,
        keep_in_cache: bool,
    ) -> Result<Arc<Block>> {
        let is_kept = self.cached.is_some() && keep_in_cache;
        let decoded = stored
            .map(|stored| {
                // Copied, so that the cached block does not keep the whole piece in memory.
                if is_kept {
                    Bytes::copy_from_slice(&stored)
                } else {
                    stored
                }
            })
            .and_then(|stored| block::unpack(&stored))
            .and_then(|payload| Block::decode(payload, form))
            .map(|mut block| {
                if is_kept {
                    block.shrink_to_fit();
                }
                Arc::new(block)
            });
        if let Some((cache, location)) = &self.cached {
            match &decoded {
                Ok(block) if is_kept => {
                    cache.keep_block(self.table.number, handle.offset, Arc::clone(block));
                }
                Ok(_) => {}
                Err(Error::Corrupt(_) | Error::Unsupported(_)) => cache.forget_table(location),
                Err(_) => {}
            }
        }
        decoded
    }
}
