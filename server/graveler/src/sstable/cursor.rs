//! A cursor over a table's records in key order, with seeks.
//!
//! A seek reads one block per level. A walk from there reads ahead in pieces that grow up to a limit,
//! so that a scan of a remote file needs few long reads. It also decodes ahead. Dropping a cursor's
//! future leaves the cursor where it was.

use std::sync::Arc;

use bytes::Bytes;

use super::block::{Block, KeyForm};
use super::error::{Error, Result};
use super::read_ahead::{DecodeAhead, ReadAhead};
use super::reader::{Reader, Record};
use super::table::read_exact;

/// Number of record blocks after a seek that go into the cache, about 1 MiB. Later blocks of a long
/// walk are unlikely to be needed again soon, and would evict blocks that are.
const MAX_KEPT_BLOCKS: usize = 256;

/// A position between two records of a table.
#[derive(Debug)]
pub struct Cursor {
    reader: Reader,
    /// The path from the root to the position: index blocks, then the block of records.
    path: Vec<Position>,
    ahead: ReadAhead,
    decoded: DecodeAhead,
    /// The last key of the previous block; the next block must be above it.
    last_passed: Option<Bytes>,
    /// Number of record blocks read since the last seek.
    passed_blocks: usize,
}

/// A block, and the index of the next entry in it.
#[derive(Debug)]
struct Position {
    block: Arc<Block>,
    at: usize,
}

impl Reader {
    /// A cursor before the first record.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.clone())
    }
}

impl Cursor {
    fn new(reader: Reader) -> Self {
        let path = vec![Position {
            block: Arc::clone(&reader.table.root),
            at: 0,
        }];
        Self {
            reader,
            path,
            ahead: ReadAhead::default(),
            decoded: DecodeAhead::default(),
            last_passed: None,
            passed_blocks: 0,
        }
    }

    /// The table being read.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Moves before the first record whose key is >= `key`, forward or backward.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`] or [`Error::Read`]; the cursor is then where it was.
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

    /// The next record, or `None` at the end. Keys ascend strictly.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`] or [`Error::Read`]; the next call tries the same
    /// record again.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        while let Some(position) = self.path.last() {
            let level = self.path.len();
            let at_records = level > self.reader.table.index_levels;
            if position.at == position.block.len() {
                if at_records && position.at > 0 {
                    self.last_passed = Some(position.block.key(position.at - 1));
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
        self.last_passed = None;
        self.passed_blocks = 0;
    }

    /// Seeks without reading if `key` lies in the current block.
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

    /// Ensures that a walk ends. Each block must lie after the previous one and must not be empty,
    /// except for the only block of an empty table. Otherwise a malformed two-level index could refer
    /// to the same block a million times a million times.
    fn check_order(&self, block: &Block, level: usize) -> Result<()> {
        if block.len() == 0 && self.path.iter().any(|position| position.block.len() > 1) {
            return Err(Error::corrupt("a block has no records, but others have"));
        }
        let Some(last_passed) = &self.last_passed else {
            return Ok(());
        };
        let is_records = self.reader.form_below(level) == KeyForm::Record;
        if is_records && block.len() > 0 && block.key_slice(0) <= &last_passed[..] {
            return Err(Error::corrupt("blocks are not in order of their keys"));
        }
        Ok(())
    }

    async fn load(&mut self, index: &Block, at: usize, level: usize) -> Result<Arc<Block>> {
        let handle = self.reader.handle(index, at)?;
        let form = self.reader.form_below(level);
        if form != KeyForm::Record {
            if let Some(kept) = self.reader.cached_block(handle) {
                return Ok(kept);
            }
            let stored = read_exact(&*self.reader.source, handle.offset, handle.stored_len()).await;
            return self.reader.decode(handle, stored, form, true);
        }
        let kept = MAX_KEPT_BLOCKS.saturating_sub(self.passed_blocks);
        self.passed_blocks += 1;
        if let Some(block) = self.decoded.take(&mut self.ahead, handle).await? {
            self.decoded
                .start_decoding(&self.reader, &self.ahead, index, at, kept);
            return Ok(block);
        }
        if let Some(kept) = self.reader.cached_block(handle) {
            return Ok(kept);
        }
        let stored = self.ahead.read(&self.reader, handle).await;
        self.decoded
            .start_decoding(&self.reader, &self.ahead, index, at, kept);
        self.reader.decode(handle, stored, form, kept > 0)
    }
}
