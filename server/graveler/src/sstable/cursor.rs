//! Walks a table's records in order of key, with seeks.
//!
//! A seek costs one block per level; walking on reads ahead, in ever longer pieces up to
//! a bound, so that a scan of a remote file is a few long reads, and decodes ahead. A cursor whose future is
//! dropped stands where it stood.

use std::sync::Arc;

use bytes::Bytes;

use super::ahead::{DecodeAhead, ReadAhead};
use super::block::{Block, KeyForm};
use super::error::{Error, Result};
use super::reader::{Reader, Record, read_exact};

/// Blocks of records behind a seek that a walk leaves in the cache: 1 MiB of them. What a longer one
/// passes is not read again soon, and would drive out what is.
const MAX_KEPT_BLOCKS: usize = 256;

/// A position between two records of a table.
#[derive(Debug)]
pub struct Cursor {
    reader: Reader,
    /// The way from the root to the position: index blocks, then the records' block.
    path: Vec<Position>,
    ahead: ReadAhead,
    decoded: DecodeAhead,
    /// The last key of the block that was walked through, which the next must be above.
    walked: Option<Bytes>,
    /// Blocks of records since the last seek.
    passed_blocks: usize,
}

/// A block and the entry that comes next in it.
#[derive(Debug)]
struct Position {
    block: Arc<Block>,
    at: usize,
}

impl Cursor {
    pub(super) fn new(reader: Reader) -> Self {
        let path = vec![Position {
            block: Arc::clone(&reader.table.root),
            at: 0,
        }];
        Self {
            reader,
            path,
            ahead: ReadAhead::default(),
            decoded: DecodeAhead::default(),
            walked: None,
            passed_blocks: 0,
        }
    }

    /// The table that is walked.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Moves before the first record whose key is not below `key`, forward or back.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`] or [`Error::Read`]; the cursor has not moved.
    pub async fn seek(&mut self, key: &[u8]) -> Result<()> {
        if self.seek_within_block(key) {
            return Ok(());
        }
        let mut path = Vec::with_capacity(self.reader.table.index_levels + 1);
        let mut block = Arc::clone(&self.reader.table.root);
        for level in 1..=self.reader.table.index_levels {
            let at = block.lower_bound(key);
            if at == block.len() {
                path.push(Position { block, at });
                self.land(path);
                return Ok(());
            }
            let below = self.load(&block, at, level).await?;
            path.push(Position { block, at: at + 1 });
            block = below;
        }
        let at = block.lower_bound(key);
        path.push(Position { block, at });
        self.land(path);
        Ok(())
    }

    /// The next record, or none at the end. Records ascend strictly.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`] or [`Error::Read`]; the same record is
    /// tried again by the next call.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        while let Some(position) = self.path.last() {
            let level = self.path.len();
            let at_records = level > self.reader.table.index_levels;
            if position.at == position.block.len() {
                if at_records && position.at > 0 {
                    self.walked = Some(position.block.key(position.at - 1));
                }
                if level == 1 {
                    return Ok(None);
                }
                self.path.pop();
                continue;
            }
            if at_records {
                let record = Record::of(&position.block, position.at);
                self.step();
                return Ok(Some(record));
            }
            let (index, at) = (Arc::clone(&position.block), position.at);
            let block = self.load(&index, at, level).await?;
            self.check_order(&block, level)?;
            self.step();
            self.path.push(Position { block, at: 0 });
        }
        Ok(None)
    }

    fn step(&mut self) {
        if let Some(position) = self.path.last_mut() {
            position.at += 1;
        }
    }

    fn land(&mut self, path: Vec<Position>) {
        self.path = path;
        self.walked = None;
        self.passed_blocks = 0;
    }

    /// Seeks without reading when `key` lies in the block the cursor stands in.
    fn seek_within_block(&mut self, key: &[u8]) -> bool {
        if self.path.len() <= self.reader.table.index_levels {
            return false;
        }
        let Some(Position { block, at }) = self.path.last_mut() else {
            return false;
        };
        let inside =
            block.len() > 0 && block.key_slice(0) <= key && key <= block.key_slice(block.len() - 1);
        if inside {
            *at = block.lower_bound(key);
        }
        inside
    }

    /// A walk must come to an end: each block is behind the one before it, and holds something, but for
    /// the only one of an empty table. Index entries may all point to one block, a million times a million.
    fn check_order(&self, block: &Block, level: usize) -> Result<()> {
        if block.len() == 0 && self.path.iter().any(|position| position.block.len() > 1) {
            return Err(Error::corrupt("a block without records among others"));
        }
        let Some(walked) = &self.walked else {
            return Ok(());
        };
        let is_records = self.reader.form_below(level) == KeyForm::Record;
        if is_records && block.len() > 0 && block.key_slice(0) <= &walked[..] {
            return Err(Error::corrupt("blocks are not in order of their keys"));
        }
        Ok(())
    }

    async fn load(&mut self, index: &Block, at: usize, level: usize) -> Result<Arc<Block>> {
        let handle = self.reader.handle(index, at)?;
        let form = self.reader.form_below(level);
        if form != KeyForm::Record {
            if let Some(kept) = self.reader.kept(handle) {
                return Ok(kept);
            }
            let stored = read_exact(&*self.reader.source, handle.offset, handle.stored_len()).await;
            return self.reader.decode(handle, stored, form, true);
        }
        let kept = MAX_KEPT_BLOCKS.saturating_sub(self.passed_blocks);
        self.passed_blocks += 1;
        if let Some(block) = self.decoded.take(&mut self.ahead, handle).await? {
            self.decoded
                .go_on(&self.reader, &self.ahead, index, at, kept);
            return Ok(block);
        }
        if let Some(kept) = self.reader.kept(handle) {
            return Ok(kept);
        }
        let stored = self.ahead.read(&self.reader, handle).await;
        self.decoded
            .go_on(&self.reader, &self.ahead, index, at, kept);
        self.reader.decode(handle, stored, form, kept > 0)
    }
}
