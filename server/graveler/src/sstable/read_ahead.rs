//! Read-ahead for cursors: reads larger pieces of the file, and decodes blocks on other threads.
//!
//! A long walk finds its next blocks already read and decoded, so its thread only has to handle the
//! records. A seek or a walk over a few blocks starts no extra work.

use std::collections::VecDeque;
use std::sync::Arc;

use base::joined;
use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

use super::block::{Block, KeyForm};
use super::error::Result;
use super::format::BlockHandle;
use super::reader::Reader;
use super::table::read_exact;

/// Length of the first piece that is read ahead.
const MIN_READ_AHEAD_BYTES: usize = 16 << 10;
/// Maximum length of a piece that is read ahead. A cursor holds one such piece besides its blocks.
const MAX_READ_AHEAD_BYTES: usize = 1 << 20;
/// Fewer blocks than this are not worth another thread.
const MIN_DECODED_BLOCKS: usize = 8;
/// Number of blocks that one task decodes. A cursor holds at most this many decoded blocks, and as
/// many being decoded.
const MAX_DECODED_BLOCKS: usize = 64;

/// A piece of the file that was read at once.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    start: u64,
    bytes: Bytes,
    /// The end of the last block that was requested.
    expected: u64,
    len: usize,
}

impl ReadAhead {
    pub(super) async fn read(&mut self, reader: &Reader, handle: BlockHandle) -> Result<Bytes> {
        if let Some(stored) = self.slice_of(handle) {
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

    /// Notes that `handle` was consumed, so that the block after it counts as sequential.
    fn pass(&mut self, handle: BlockHandle) {
        self.expected = handle.offset + handle.stored_len() as u64;
    }

    fn slice_of(&self, handle: BlockHandle) -> Option<Bytes> {
        let start = usize::try_from(handle.offset.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(handle.stored_len())?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

/// A block that was decoded ahead, with its offset.
type Decoded = (u64, Result<Arc<Block>>);

/// Blocks of records that are decoded before they are requested.
#[derive(Debug, Default)]
pub(super) struct DecodeAhead {
    ready: VecDeque<Decoded>,
    running: Option<RunningDecode>,
}

/// A task that decodes the blocks from the offset `first` to the offset `last`.
#[derive(Debug)]
struct RunningDecode {
    first: u64,
    last: u64,
    task: JoinHandle<Vec<Decoded>>,
}

impl DecodeAhead {
    /// The block, if it was decoded ahead. Otherwise all blocks decoded ahead are dropped.
    pub(super) async fn take(
        &mut self,
        ahead: &mut ReadAhead,
        handle: BlockHandle,
    ) -> Result<Option<Arc<Block>>> {
        if self.ready.is_empty()
            && let Some(running) = &mut self.running
            && (running.first..=running.last).contains(&handle.offset)
        {
            let decoded = joined(&mut running.task).await;
            self.running = None;
            self.ready = decoded.into();
        }
        while let Some((offset, block)) = self.ready.pop_front() {
            if offset == handle.offset {
                ahead.pass(handle);
                return block.map(Some);
            }
        }
        self.running = None;
        Ok(None)
    }

    /// Starts decoding the blocks after index entry `at`, as far as their bytes are in memory. The
    /// first `kept` of them go into the cache, as if they had been requested.
    pub(super) fn start_decoding(
        &mut self,
        reader: &Reader,
        ahead: &ReadAhead,
        index: &Block,
        at: usize,
        kept: usize,
    ) {
        // On a single-threaded runtime the walk decodes each block when it reaches it.
        let Some(runtime) = multi_thread_runtime() else {
            return;
        };
        if self.running.is_some() {
            return;
        }
        let mut stored = Vec::new();
        for at in at + 1 + self.ready.len()..index.len() {
            let Ok(handle) = reader.handle(index, at) else {
                break;
            };
            let Some(bytes) = ahead.slice_of(handle) else {
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
                    let block = match reader.cached_block(handle) {
                        Some(kept) => Ok(kept),
                        None => reader.decode(handle, Ok(bytes), KeyForm::Record, n < kept),
                    };
                    (handle.offset, block)
                })
                .collect()
        });
        self.running = Some(RunningDecode { first, last, task });
    }
}

/// The runtime, if it has several threads.
fn multi_thread_runtime() -> Option<Handle> {
    Handle::try_current()
        .ok()
        .filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
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

    /// A table of many blocks with distinct content, so that its index has two levels.
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
    async fn long_walk_with_seeks_returns_every_record() {
        let reader = Reader::from_bytes(table()).await.unwrap();
        let mut cursor = reader.cursor();
        let mut at = 0;
        // Each run is long enough for decode-ahead. The jumps go forward, back, and a short way
        // forward.
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
    async fn damaged_block_fails_at_its_position_on_every_call() {
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
