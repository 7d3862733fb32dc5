//! The parts of a table that are read once, at opening.

use std::sync::Arc;

use bytes::Bytes;

use super::block::{self, Block, KeyForm};
use super::error::{Error, Result};
use super::format::{BlockHandle, FOOTER_BYTES, Footer, PROPERTIES_KEY};
use super::properties::Properties;
use super::source::Source;

/// Number of bytes read at opening: footer, metaindex, properties and usually the top index.
const TAIL_BYTES: usize = 16 << 10;
/// Maximum length of a properties or metaindex block, in bytes.
const MAX_META_BYTES: usize = 1 << 20;

/// The parts of an opened table that stay in memory: all but its records and lower index blocks.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) properties: Properties,
    pub(super) root: Arc<Block>,
    /// Number of index levels, including the root: 1 or 2.
    pub(super) index_levels: usize,
    /// Every block ends at or before this offset.
    pub(super) blocks_end: u64,
    /// Identifies the opened table in the cache of blocks; unique in that cache.
    pub(super) number: u64,
}

impl Table {
    /// The table's size in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.properties.weight() + self.root.weight() + size_of::<Self>()
    }

    /// Reads the end of the file: footer, metaindex, properties and the top index.
    pub(super) async fn read(source: &dyn Source, number: u64) -> Result<Self> {
        let file_len = source.size().await.map_err(Error::Read)?;
        let Some(blocks_end) = file_len.checked_sub(FOOTER_BYTES as u64) else {
            return Err(Error::corrupt("the file is shorter than a footer"));
        };
        let tail = Tail::read(source, file_len).await?;
        let footer = Footer::decode(&tail.bytes[tail.bytes.len() - FOOTER_BYTES..], file_len)?;

        let metaindex = Block::decode(
            tail.meta_block(source, footer.metaindex).await?,
            KeyForm::Raw,
        )?;
        let at = metaindex.lower_bound(PROPERTIES_KEY);
        if at == metaindex.len() || metaindex.key_slice(at) != PROPERTIES_KEY {
            return Err(Error::Unsupported("the table has no properties".to_owned()));
        }
        let handle = BlockHandle::decode_exact(metaindex.value_slice(at))?.check(blocks_end)?;
        let properties = Properties::decode(tail.meta_block(source, handle).await?)?;
        let index_levels = 1 + usize::from(properties.has_two_level_index);
        let mut root = Block::decode(tail.block(source, footer.index).await?, KeyForm::Index)?;
        root.shrink_to_fit();
        Ok(Self {
            properties,
            root: Arc::new(root),
            index_levels,
            blocks_end,
            number,
        })
    }
}

/// The end of a file, which usually contains everything that opening needs.
struct Tail {
    start: u64,
    bytes: Bytes,
}

impl Tail {
    async fn read(source: &dyn Source, file_len: u64) -> Result<Self> {
        let len = TAIL_BYTES.min(usize::try_from(file_len).unwrap_or(TAIL_BYTES));
        let start = file_len - len as u64;
        Ok(Self {
            start,
            bytes: read_exact(source, start, len).await?,
        })
    }

    async fn meta_block(&self, source: &dyn Source, handle: BlockHandle) -> Result<Bytes> {
        if handle.len > MAX_META_BYTES {
            return Err(Error::Unsupported(format!(
                "properties of {} bytes",
                handle.len
            )));
        }
        self.block(source, handle).await
    }

    async fn block(&self, source: &dyn Source, handle: BlockHandle) -> Result<Bytes> {
        let inside = handle
            .offset
            .checked_sub(self.start)
            .and_then(|start| usize::try_from(start).ok());
        let stored = match inside {
            // Copied, so that a cached block does not keep the whole tail in memory.
            Some(start) => Bytes::copy_from_slice(&self.bytes[start..start + handle.stored_len()]),
            None => read_exact(source, handle.offset, handle.stored_len()).await?,
        };
        block::unpack(&stored)
    }
}

/// Reads exactly `len` bytes.
pub(super) async fn read_exact(source: &dyn Source, offset: u64, len: usize) -> Result<Bytes> {
    let bytes = source.read_at(offset, len).await.map_err(Error::Read)?;
    if bytes.len() == len {
        Ok(bytes)
    } else {
        Err(Error::corrupt(format!(
            "the file ends inside a block: {} of {len} bytes at {offset}",
            bytes.len()
        )))
    }
}
