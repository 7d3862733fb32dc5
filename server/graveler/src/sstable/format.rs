//! The basic encodings of the format: varints, value frames, internal keys, separators, block
//! handles, checksums and the footer.
//!
//! All functions are pure. Decoders accept any input: they return an error, never panic, and never
//! allocate more than the input's length justifies.

use bytes::Bytes;

use super::error::{Error, Result};

/// The uncompressed size at which a data or index block is closed, in bytes.
pub(super) const BLOCK_BYTES: usize = 4096;
/// A block with more bytes than this (90 %) is closed if the next record would not fit.
pub(super) const FLUSH_THRESHOLD_BYTES: usize = 3687;
/// In data blocks, every 16th key is stored whole; the others share prefixes with their predecessors.
pub(super) const DATA_RESTART_INTERVAL: usize = 16;
/// In index blocks, every key is stored whole.
pub(super) const INDEX_RESTART_INTERVAL: usize = 1;
/// The writer's estimate of an index value's length, before it is known.
pub(super) const ESTIMATED_HANDLE_BYTES: usize = 20;
/// The compression type and the checksum after each block.
pub(super) const BLOCK_TRAILER_BYTES: usize = 5;
/// The footer's length.
pub(super) const FOOTER_BYTES: usize = 53;
/// The sequence number and kind after each user key.
pub(super) const KEY_TRAILER_BYTES: usize = 8;

/// The trailer of every record: sequence number 0, kind "set".
pub(super) const TRAILER_SET: u64 = 1;
/// The trailer of index keys that are not a record's key: the greatest sequence number, kind
/// "separator".
pub(super) const TRAILER_SEPARATOR: u64 = (((1 << 56) - 1) << 8) | 17;
/// The trailer of the only index entry in a table without records.
pub(super) const TRAILER_INVALID: u64 = 255;

/// The maximum length of a value's identity or data that lakeFS reads, in bytes.
pub const MAX_PART_BYTES: usize = 640 * 65_536;
/// The maximum length of a value frame: two parts and their lengths.
pub(super) const MAX_VALUE_BYTES: usize = 2 * (MAX_PART_BYTES + MAX_VARINT_BYTES);
/// The maximum length of a key, in bytes. Object paths are far shorter.
pub(super) const MAX_KEY_BYTES: usize = 1 << 20;
/// The maximum length of an uncompressed block payload: one record of maximum size and the block's
/// overhead.
pub(super) const MAX_BLOCK_BYTES: usize = MAX_VALUE_BYTES + MAX_KEY_BYTES + 2 * BLOCK_BYTES;

const MAX_VARINT_BYTES: usize = 10;
/// The metaindex key of the properties block.
pub(super) const PROPERTIES_KEY: &[u8] = b"rocksdb.properties";

const FOOTER_MAGIC: [u8; 8] = [0xf7, 0xcf, 0xf4, 0x85, 0xb7, 0x41, 0xe2, 0x88];
const FOOTER_VERSION: u32 = 2;
const CHECKSUM_CRC32C: u8 = 1;
const FOOTER_HANDLES_END: usize = 41;

/// Appends an unsigned LEB128 number.
pub(super) fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The encoded length of `value` as an unsigned varint.
pub(super) fn uvarint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Decodes an unsigned varint at the front of `input`; `None` if it is truncated or overlong.
pub(super) fn take_uvarint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (at, &byte) in input.iter().take(MAX_VARINT_BYTES).enumerate() {
        if at == MAX_VARINT_BYTES - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *input = &input[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Decodes an unsigned varint that must fit into a `usize`.
pub(super) fn take_len(input: &mut &[u8]) -> Option<usize> {
    take_uvarint(input).and_then(|value| usize::try_from(value).ok())
}

/// Frames a value: its identity and its data, each preceded by its zig-zag length.
#[must_use]
pub fn encode_value(identity: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(identity.len() + data.len() + 2 * MAX_VARINT_BYTES);
    put_uvarint(&mut out, (identity.len() as u64) << 1);
    out.extend_from_slice(identity);
    put_uvarint(&mut out, (data.len() as u64) << 1);
    out.extend_from_slice(data);
    out
}

/// Splits a framed value into its identity and data. Trailing bytes are ignored.
///
/// # Errors
/// [`Error::Corrupt`] if a length is negative, beyond [`MAX_PART_BYTES`] or beyond the value.
pub fn decode_value(value: &Bytes) -> Result<(Bytes, Bytes)> {
    let mut rest = &value[..];
    let identity = take_part(&mut rest)
        .ok_or_else(|| Error::corrupt("a value's identity is truncated or too long"))?;
    let data = take_part(&mut rest)
        .ok_or_else(|| Error::corrupt("a value's data is truncated or too long"))?;
    Ok((value.slice_ref(identity), value.slice_ref(data)))
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let zigzag = take_uvarint(rest)?;
    if zigzag & 1 == 1 {
        return None;
    }
    let len = usize::try_from(zigzag >> 1)
        .ok()
        .filter(|len| *len <= MAX_PART_BYTES)?;
    let (part, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(part)
}

/// Splits an internal key into the user key and the trailer.
pub(super) fn split_internal_key(key: &[u8]) -> Option<(&[u8], u64)> {
    let (user_key, trailer) = key.split_last_chunk::<KEY_TRAILER_BYTES>()?;
    Some((user_key, u64::from_le_bytes(*trailer)))
}

/// The length of the common prefix of `a` and `b`.
pub(super) fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// The index key, with its trailer, between the last key `a` of a block and the first key `b` of the
/// next: a short key in `a..b`, or `a` itself.
pub(super) fn separator(a: &[u8], b: &[u8]) -> (Vec<u8>, u64) {
    let at = common_prefix_len(a, b);
    if at >= a.len().min(b.len()) || a[at] >= b[at] {
        return (a.to_vec(), TRAILER_SET);
    }
    if at < b.len() - 1 || a[at] + 1 < b[at] {
        return shortened(a, at);
    }
    shorten_from(a, at + 1)
}

/// The index key of the last block: a short key that is >= its last key `a`.
pub(super) fn successor(a: &[u8]) -> (Vec<u8>, u64) {
    shorten_from(a, 0)
}

/// Increments the first byte at or after `from` that is not 0xff, and truncates after it.
fn shorten_from(a: &[u8], from: usize) -> (Vec<u8>, u64) {
    match a[from..].iter().position(|byte| *byte != 0xff) {
        Some(at) => shortened(a, from + at),
        None => (a.to_vec(), TRAILER_SET),
    }
}

fn shortened(a: &[u8], at: usize) -> (Vec<u8>, u64) {
    let mut key = a[..=at].to_vec();
    key[at] += 1;
    (key, TRAILER_SEPARATOR)
}

/// The position of a block: the file offset and length of its payload, without the trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHandle {
    pub(super) offset: u64,
    pub(super) len: usize,
}

impl BlockHandle {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        put_uvarint(out, self.offset);
        put_uvarint(out, self.len as u64);
    }

    pub(super) fn take(input: &mut &[u8]) -> Option<Self> {
        let offset = take_uvarint(input)?;
        let len = take_len(input)?;
        Some(Self { offset, len })
    }

    /// Decodes an index value, which contains only a handle.
    pub(super) fn decode_exact(mut value: &[u8]) -> Result<Self> {
        Self::take(&mut value)
            .filter(|_| value.is_empty())
            .ok_or_else(|| Error::corrupt("an index entry has no valid block handle"))
    }

    /// The length on disk, including the trailer.
    pub(super) fn stored_len(self) -> usize {
        self.len + BLOCK_TRAILER_BYTES
    }

    /// Checks that the block ends at or before `end` and does not exceed the maximum length.
    pub(super) fn check(self, end: u64) -> Result<Self> {
        let fits = self.len <= MAX_BLOCK_BYTES
            && self
                .offset
                .checked_add(self.stored_len() as u64)
                .is_some_and(|block_end| block_end <= end);
        if fits {
            Ok(self)
        } else {
            Err(Error::corrupt(format!(
                "a block handle points outside of the file: {self:?}"
            )))
        }
    }
}

/// The masked CRC-32C that is stored after a block.
pub(super) fn checksum(payload: &[u8], kind: u8) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(payload), &[kind]);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The last 53 bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) metaindex: BlockHandle,
    pub(super) index: BlockHandle,
}

impl Footer {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(CHECKSUM_CRC32C);
        self.metaindex.encode(out);
        self.index.encode(out);
        out.resize(start + FOOTER_HANDLES_END, 0);
        out.extend_from_slice(&FOOTER_VERSION.to_le_bytes());
        out.extend_from_slice(&FOOTER_MAGIC);
    }

    /// Decodes the footer of a file of `file_len` bytes.
    pub(super) fn decode(footer: &[u8], file_len: u64) -> Result<Self> {
        let footer: &[u8; FOOTER_BYTES] = footer
            .try_into()
            .map_err(|_| Error::corrupt("the file is shorter than a footer"))?;
        if footer[FOOTER_BYTES - 8..] != FOOTER_MAGIC {
            return Err(Error::Unsupported(
                "the footer is not that of a RocksDB block-based table".to_owned(),
            ));
        }
        let version = u32::from_le_bytes(
            footer[FOOTER_HANDLES_END..FOOTER_HANDLES_END + 4]
                .try_into()
                .expect("4 bytes"),
        );
        if version != FOOTER_VERSION {
            return Err(Error::Unsupported(format!("footer version {version}")));
        }
        if footer[0] != CHECKSUM_CRC32C {
            return Err(Error::Unsupported(format!("checksum type {}", footer[0])));
        }
        let blocks_end = file_len - FOOTER_BYTES as u64;
        let mut handles = &footer[1..FOOTER_HANDLES_END];
        let mut take = || {
            BlockHandle::take(&mut handles)
                .ok_or_else(|| Error::corrupt("the footer has no valid block handles"))
                .and_then(|handle| handle.check(blocks_end))
        };
        let (metaindex, index) = (take()?, take()?);
        Ok(Self { metaindex, index })
    }
}
