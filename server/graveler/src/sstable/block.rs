//! Blocks: sorted entries that share key prefixes, stored compressed and with a checksum.
//!
//! [`BlockBuilder`] makes a payload and [`Packer`] appends it to the file; [`unpack`] and
//! [`Block::decode`] reverse this. A decoded block has all its keys in one allocation. A record's key
//! is a slice of that allocation, and its value is a slice of the payload. Decoding checks every
//! length once, so later accesses cannot be out of bounds.

use std::ops::Range;

use bytes::Bytes;

use super::error::{Error, Result};
use super::format::{
    self, BLOCK_BYTES, BLOCK_TRAILER_BYTES, BlockHandle, FLUSH_THRESHOLD_BYTES, MAX_BLOCK_BYTES,
};

const KIND_RAW: u8 = 0;
const KIND_SNAPPY: u8 = 1;
/// Snappy's densest element makes 64 bytes out of 3; a block that claims a higher ratio is malformed.
const SNAPPY_MAX_RATIO: usize = 22;
/// Maximum number of bytes by which decoded keys may exceed the payload, in which they share prefixes.
/// With a restart every 16 records, the keys take at most 16 times the payload. For a payload of 256 KiB, that is this
/// limit. Longer blocks have few records.
const MAX_SHARED_BYTES: usize = 4 << 20;
/// Maximum number of entries in a block. It bounds memory, since an [`Entry`] takes up to three times
/// the entry's minimum stored length.
const MAX_ENTRIES: usize = 1 << 20;

/// Builds the payloads of blocks, one after another.
#[derive(Debug)]
pub(super) struct BlockBuilder {
    restart_interval: usize,
    payload: Vec<u8>,
    restarts: Vec<u32>,
    entries: usize,
    last_key: Vec<u8>,
    key: Vec<u8>,
}

impl BlockBuilder {
    pub(super) fn new(restart_interval: usize) -> Self {
        Self {
            restart_interval,
            payload: Vec::new(),
            restarts: Vec::new(),
            entries: 0,
            last_key: Vec::new(),
            key: Vec::new(),
        }
    }

    /// The last key as written, including its trailer.
    pub(super) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// The payload's length if it were finished now.
    pub(super) fn estimated_size(&self) -> usize {
        self.payload.len() + 4 * self.restarts.len() + 4
    }

    /// Whether the block must be finished before a record of these lengths is added.
    pub(super) fn should_flush(&self, key_len: usize, value_len: usize) -> bool {
        let size = self.estimated_size();
        if self.entries == 0 || size <= FLUSH_THRESHOLD_BYTES {
            return false;
        }
        let restart = if self.entries.is_multiple_of(self.restart_interval) {
            4
        } else {
            0
        };
        let lengths = 4 + format::uvarint_len(key_len) + format::uvarint_len(value_len);
        size >= BLOCK_BYTES || size + key_len + value_len + restart + lengths > BLOCK_BYTES
    }

    /// Adds a record with an internal key. Only the user key shares a prefix with the previous key.
    pub(super) fn add(&mut self, user_key: &[u8], trailer: u64, value: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(user_key);
        self.key.extend_from_slice(&trailer.to_le_bytes());
        self.push(user_key.len(), value);
    }

    /// Adds an entry whose key has no trailer.
    pub(super) fn add_raw(&mut self, key: &[u8], value: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.push(key.len(), value);
    }

    fn push(&mut self, max_shared: usize, value: &[u8]) {
        let shared = if self.entries.is_multiple_of(self.restart_interval) {
            self.restarts.push(
                u32::try_from(self.payload.len()).expect("records are bounded, so blocks are"),
            );
            0
        } else {
            format::common_prefix_len(&self.last_key, &self.key[..max_shared])
        };
        format::put_uvarint(&mut self.payload, shared as u64);
        format::put_uvarint(&mut self.payload, (self.key.len() - shared) as u64);
        format::put_uvarint(&mut self.payload, value.len() as u64);
        self.payload.extend_from_slice(&self.key[shared..]);
        self.payload.extend_from_slice(value);
        self.entries += 1;
        std::mem::swap(&mut self.last_key, &mut self.key);
    }

    /// Returns the payload and starts the next block.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if self.restarts.is_empty() {
            self.restarts.push(0);
        }
        let mut payload = std::mem::take(&mut self.payload);
        for restart in &self.restarts {
            payload.extend_from_slice(&restart.to_le_bytes());
        }
        let restarts =
            u32::try_from(self.restarts.len()).expect("there are fewer restarts than bytes");
        payload.extend_from_slice(&restarts.to_le_bytes());
        self.restarts.clear();
        self.entries = 0;
        self.last_key.clear();
        payload
    }
}

/// Appends blocks to a file, compressed if that is worthwhile.
pub(super) struct Packer {
    encoder: snap::raw::Encoder,
    compressed: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            encoder: snap::raw::Encoder::new(),
            compressed: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    /// Appends a block; compresses it only if that saves more than an eighth.
    pub(super) fn append(&mut self, file: &mut Vec<u8>, payload: &[u8]) -> BlockHandle {
        self.compressed
            .resize(snap::raw::max_compress_len(payload.len()), 0);
        let len = self.encoder.compress(payload, &mut self.compressed).expect(
            "the buffer has the length that the encoder asks for and a block is below 4 GiB",
        );
        if len < payload.len() - payload.len() / 8 {
            append_stored(file, &self.compressed[..len], KIND_SNAPPY)
        } else {
            append_stored(file, payload, KIND_RAW)
        }
    }

    /// Appends an uncompressed block: properties and metaindex.
    pub(super) fn append_raw(file: &mut Vec<u8>, payload: &[u8]) -> BlockHandle {
        append_stored(file, payload, KIND_RAW)
    }
}

fn append_stored(file: &mut Vec<u8>, stored: &[u8], kind: u8) -> BlockHandle {
    let handle = BlockHandle {
        offset: file.len() as u64,
        len: stored.len(),
    };
    file.extend_from_slice(stored);
    file.push(kind);
    file.extend_from_slice(&format::checksum(stored, kind).to_le_bytes());
    handle
}

/// Verifies a block as stored (with its trailer) and returns its payload.
pub(super) fn unpack(stored: &Bytes) -> Result<Bytes> {
    let Some(len) = stored.len().checked_sub(BLOCK_TRAILER_BYTES) else {
        return Err(Error::corrupt("a block is shorter than its trailer"));
    };
    let kind = stored[len];
    let expected = u32::from_le_bytes(
        stored[len + 1..]
            .try_into()
            .expect("a trailer's last 4 bytes"),
    );
    if format::checksum(&stored[..len], kind) != expected {
        return Err(Error::corrupt("a block does not match its checksum"));
    }
    match kind {
        KIND_RAW => Ok(stored.slice(..len)),
        KIND_SNAPPY => decompress(&stored[..len]),
        other => Err(Error::Unsupported(format!("block compression {other}"))),
    }
}

fn decompress(compressed: &[u8]) -> Result<Bytes> {
    let bad = |error: snap::Error| Error::corrupt(format!("a block does not decompress: {error}"));
    let len = snap::raw::decompress_len(compressed).map_err(bad)?;
    if len > MAX_BLOCK_BYTES.min(compressed.len() * SNAPPY_MAX_RATIO) {
        return Err(Error::corrupt(format!(
            "a block of {} bytes claims to hold {len}",
            compressed.len()
        )));
    }
    let mut payload = vec![0; len];
    let written = snap::raw::Decoder::new()
        .decompress(compressed, &mut payload)
        .map_err(bad)?;
    payload.truncate(written);
    Ok(Bytes::from(payload))
}

/// The form of a block's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// A record's key, with a trailer whose kind must be "set".
    Record,
    /// An index separator; its trailer is ignored.
    Index,
    /// A key without a trailer.
    Raw,
}

/// A decoded block: ascending keys, and values as stored.
#[derive(Debug)]
pub(super) struct Block {
    keys: Bytes,
    payload: Bytes,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key_end: u32,
    value_start: u32,
    value_end: u32,
}

impl Block {
    /// Decodes a payload. Its keys must ascend (strictly, except for index keys).
    pub(super) fn decode(payload: Bytes, form: KeyForm) -> Result<Self> {
        let entries_len = entries_len(&payload)?;
        let keys_limit = payload.len().saturating_add(MAX_SHARED_BYTES);
        let cut = || Error::corrupt("a block's entry is truncated");
        let mut rest = &payload[..entries_len];
        let mut keys: Vec<u8> = Vec::with_capacity(payload.len().min(2 * BLOCK_BYTES));
        let mut entries: Vec<Entry> = Vec::new();
        let (mut last_start, mut last) = (0, Vec::new());
        while !rest.is_empty() {
            let shared = format::take_len(&mut rest).ok_or_else(cut)?;
            let unshared = format::take_len(&mut rest).ok_or_else(cut)?;
            let value_len = format::take_len(&mut rest).ok_or_else(cut)?;
            let (suffix, behind) = rest.split_at_checked(unshared).ok_or_else(cut)?;
            let (value, behind) = behind.split_at_checked(value_len).ok_or_else(cut)?;
            rest = behind;
            if shared > last.len() {
                return Err(Error::corrupt(
                    "a block's entry shares more bytes than the previous key has",
                ));
            }
            last.truncate(shared);
            last.extend_from_slice(suffix);
            let user_key = user_key(&last, form)?;
            let unordered = match form {
                KeyForm::Index => &keys[last_start..] > user_key,
                KeyForm::Record | KeyForm::Raw => &keys[last_start..] >= user_key,
            };
            if unordered && !entries.is_empty() {
                return Err(Error::corrupt("a block's keys do not ascend"));
            }
            if keys.len() + user_key.len() > keys_limit {
                return Err(Error::corrupt("a block's keys are too long"));
            }
            if entries.len() == MAX_ENTRIES {
                return Err(Error::corrupt(format!(
                    "a block has more than {MAX_ENTRIES} entries"
                )));
            }
            last_start = keys.len();
            keys.extend_from_slice(user_key);
            let value_end = entries_len - rest.len();
            entries.push(Entry {
                key_end: to_u32(keys.len())?,
                value_start: to_u32(value_end - value.len())?,
                value_end: to_u32(value_end)?,
            });
        }
        Ok(Self {
            keys: Bytes::from(keys),
            payload,
            entries,
        })
    }

    /// Releases spare capacity. Call it only for blocks that stay in memory. For other blocks, copying costs more time
    /// than the memory is worth.
    pub(super) fn shrink_to_fit(&mut self) {
        self.keys = Bytes::copy_from_slice(&self.keys);
        self.entries.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The block's size in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.keys.len()
            + self.payload.len()
            + self.entries.len() * size_of::<Entry>()
            + size_of::<Self>()
    }

    /// The user key of entry `at` as a borrowed slice. `at` must be below [`Self::len`].
    pub(super) fn key_slice(&self, at: usize) -> &[u8] {
        let (start, end) = self.key_span(at);
        &self.keys[start..end]
    }

    /// The user key of entry `at` as shared bytes.
    pub(super) fn key(&self, at: usize) -> Bytes {
        let (start, end) = self.key_span(at);
        self.keys.slice(start..end)
    }

    /// The value of entry `at` as a borrowed slice.
    pub(super) fn value_slice(&self, at: usize) -> &[u8] {
        &self.payload[self.value_span(at)]
    }

    /// The value of entry `at` as shared bytes.
    pub(super) fn value(&self, at: usize) -> Bytes {
        self.payload.slice(self.value_span(at))
    }

    fn value_span(&self, at: usize) -> Range<usize> {
        let entry = self.entries[at];
        entry.value_start as usize..entry.value_end as usize
    }

    /// The first entry whose key is >= `key`, or [`Self::len`].
    pub(super) fn lower_bound(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.key_slice(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn key_span(&self, at: usize) -> (usize, usize) {
        let start = if at == 0 {
            0
        } else {
            self.entries[at - 1].key_end
        };
        (start as usize, self.entries[at].key_end as usize)
    }
}

fn to_u32(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| Error::corrupt("a block is over 4 GiB"))
}

/// The length of a payload's entries, without the restarts after them.
fn entries_len(payload: &[u8]) -> Result<usize> {
    payload
        .split_last_chunk::<4>()
        .and_then(|(rest, restarts)| {
            let restarts = usize::try_from(u32::from_le_bytes(*restarts)).ok()?;
            rest.len().checked_sub(restarts.checked_mul(4)?)
        })
        .ok_or_else(|| Error::corrupt("a block is shorter than its restarts"))
}

fn user_key(key: &[u8], form: KeyForm) -> Result<&[u8]> {
    if form == KeyForm::Raw {
        return Ok(key);
    }
    let (user_key, trailer) = format::split_internal_key(key)
        .ok_or_else(|| Error::corrupt("a key is shorter than its trailer"))?;
    if form == KeyForm::Record && trailer & 0xff != format::TRAILER_SET {
        return Err(Error::Unsupported(format!(
            "a record of kind {}",
            trailer & 0xff
        )));
    }
    Ok(user_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a bug: each cached block kept room for as many bytes of keys as its payload has.
    #[test]
    fn shrunk_block_has_no_spare_memory() {
        let mut builder = BlockBuilder::new(16);
        for n in 0..40 {
            let key = format!("key{n:03}");
            builder.add(key.as_bytes(), format::TRAILER_SET, &[0; 80]);
        }
        let payload = Bytes::from(builder.finish());
        let mut block = Block::decode(payload, KeyForm::Record).unwrap();
        block.shrink_to_fit();
        assert_eq!(block.entries.capacity(), 40);
        let keys = block
            .keys
            .try_into_mut()
            .expect("nothing else refers to them");
        assert_eq!((keys.len(), keys.capacity()), (40 * 6, 40 * 6));
    }
}
