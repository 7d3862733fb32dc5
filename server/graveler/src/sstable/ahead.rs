//! What a cursor does ahead of its position: reads long pieces, and decodes on other threads.
//!
//! A walk that goes on and on finds its next blocks read and decoded, so that it costs its
//! thread only what it does with the records. A seek, or a walk of a few blocks, starts nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

use super::block::{Block, KeyForm};
use super::error::{Error, Result};
use super::format::BlockHandle;
use super::reader::{Reader, read_exact};

/// The first piece that is read ahead, in bytes.
const MIN_READ_AHEAD_BYTES: usize = 16 << 10;
/// The longest piece that is read ahead, in bytes: what a cursor may hold besides blocks.
const MAX_READ_AHEAD_BYTES: usize = 1 << 20;
/// Fewer blocks than this are not worth another thread.
const MIN_DECODED_BLOCKS: usize = 8;
/// Blocks that one task decodes; a cursor holds as many that are decoded, and has as many under way.
const MAX_DECODED_BLOCKS: usize = 64;

/// A stretch of the file that was read in one piece.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    start: u64,
    bytes: Bytes,
    /// Where the block that was asked for last ended.
    expected: u64,
    len: usize,
}

impl ReadAhead {
    pub(super) async fn read(&mut self, reader: &Reader, handle: BlockHandle) -> Result<Bytes> {
        if let Some(stored) = self.held(handle) {
            self.pass(handle);
            return Ok(stored);
        }
        let sequential = handle.offset == self.expected && self.expected > 0;
        let len = if sequential {
            (self.len * 2).clamp(MIN_READ_AHEAD_BYTES, MAX_READ_AHEAD_BYTES)
        } else {
            0
        };
        let to_end = usize::try_from(reader.table.blocks_end - handle.offset).unwrap_or(usize::MAX);
        let bytes = read_exact(
            &*reader.source,
            handle.offset,
            handle.stored_len().max(len).min(to_end),
        )
        .await?;
        let stored = bytes.slice(..handle.stored_len());
        *self = Self {
            start: handle.offset,
            bytes,
            expected: handle.offset + handle.stored_len() as u64,
            len,
        };
        Ok(stored)
    }

    /// The next block to be asked for is the one behind this.
    fn pass(&mut self, handle: BlockHandle) {
        self.expected = handle.offset + handle.stored_len() as u64;
    }

    fn held(&self, handle: BlockHandle) -> Option<Bytes> {
        let start = usize::try_from(handle.offset.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(handle.stored_len())?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

/// A block that was decoded ahead, by its offset.
type Decoded = (u64, Result<Arc<Block>>);

/// Blocks of records that are decoded before they are asked for.
#[derive(Debug, Default)]
pub(super) struct DecodeAhead {
    ready: VecDeque<Decoded>,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    first: u64,
    last: u64,
    task: JoinHandle<Vec<Decoded>>,
}

impl DecodeAhead {
    /// The block, if it was decoded ahead. Otherwise what was is forgotten.
    pub(super) async fn take(
        &mut self,
        ahead: &mut ReadAhead,
        handle: BlockHandle,
    ) -> Result<Option<Arc<Block>>> {
        if self.ready.is_empty()
            && let Some(under_way) = &mut self.under_way
            && (under_way.first..=under_way.last).contains(&handle.offset)
        {
            let decoded = (&mut under_way.task).await;
            self.under_way = None;
            self.ready = decoded
                .map_err(|error| Error::Read(interrupted(error)))?
                .into();
        }
        while let Some((offset, block)) = self.ready.pop_front() {
            if offset == handle.offset {
                ahead.pass(handle);
                return block.map(Some);
            }
        }
        self.under_way = None;
        Ok(None)
    }

    /// Has the blocks behind entry `at` of the index decoded, as far as their bytes are at hand.
    /// The first `kept` of them are kept as if they had been asked for.
    pub(super) fn go_on(
        &mut self,
        reader: &Reader,
        ahead: &ReadAhead,
        index: &Block,
        at: usize,
        kept: usize,
    ) {
        // Without other threads the walk decodes each block as it comes to it.
        let Some(runtime) = threads() else {
            return;
        };
        if self.under_way.is_some() {
            return;
        }
        let mut stored = Vec::new();
        for at in at + 1 + self.ready.len()..index.len() {
            let Ok(handle) = reader.handle(index, at) else {
                break;
            };
            let Some(bytes) = ahead.held(handle) else {
                break;
            };
            stored.push((handle, bytes));
            if stored.len() == MAX_DECODED_BLOCKS {
                break;
            }
        }
        let (Some((first, _)), Some((last, _)), true) = (
            stored.first(),
            stored.last(),
            stored.len() >= MIN_DECODED_BLOCKS,
        ) else {
            return;
        };
        let (first, last) = (first.offset, last.offset);
        let reader = reader.clone();
        let task = runtime.spawn_blocking(move || {
            stored
                .into_iter()
                .enumerate()
                .map(|(n, (handle, bytes))| {
                    let block = match reader.kept(handle) {
                        Some(kept) => Ok(kept),
                        None => reader.decode(handle, Ok(bytes), KeyForm::Record, n < kept),
                    };
                    (handle.offset, block)
                })
                .collect()
        });
        self.under_way = Some(UnderWay { first, last, task });
    }
}

/// The runtime, if it has threads besides this one.
fn threads() -> Option<Handle> {
    Handle::try_current()
        .ok()
        .filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

fn interrupted(error: tokio::task::JoinError) -> block::Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => block::Error::Body(std::io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use crate::sstable::{Reader, Writer, encode_value};

    const RECORDS: usize = 30_000;

    fn key(n: usize) -> String {
        format!("tables/{n:08}")
    }

    /// Many blocks of distinct content; the index has two levels.
    fn table() -> Bytes {
        let mut writer = Writer::new();
        for n in 0..RECORDS {
            let data = format!("{:064}", n * 7919);
            let value = encode_value(b"id", data.as_bytes());
            writer.add(key(n).as_bytes(), &value).unwrap();
        }
        let properties = BTreeMap::from([("type".to_owned(), "ranges".to_owned())]);
        writer.finish(&properties).bytes
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_walk_with_seeks_misses_nothing() {
        let reader = Reader::from_bytes(table()).await.unwrap();
        let mut cursor = reader.cursor();
        let mut at = 0;
        // Runs long enough to be decoded ahead, then a jump: forward, back, and a short one.
        for (run, next) in [
            (4_000, 9_000),
            (3_000, 500),
            (5_000, 5_510),
            (7_000, 29_000),
        ] {
            for n in at..at + run {
                let record = cursor.next().await.unwrap().unwrap();
                assert_eq!(record.key, key(n));
            }
            cursor.seek(key(next).as_bytes()).await.unwrap();
            at = next;
        }
        for n in at..RECORDS {
            assert_eq!(cursor.next().await.unwrap().unwrap().key, key(n));
        }
        assert_eq!(cursor.next().await.unwrap(), None);
        assert_eq!(cursor.next().await.unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_damaged_block_is_told_of_where_it_is_and_again() {
        let mut bytes = table().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        let reader = Reader::from_bytes(bytes.into()).await.unwrap();
        let mut cursor = reader.cursor();
        let mut read = 0;
        while let Ok(record) = cursor.next().await {
            assert_eq!(record.unwrap().key, key(read));
            read += 1;
        }
        assert!((RECORDS / 3..RECORDS * 2 / 3).contains(&read), "{read}");
        cursor.next().await.unwrap_err();
    }
}
