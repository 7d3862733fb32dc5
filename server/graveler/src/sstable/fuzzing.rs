//! Entry points for fuzzing tables and blocks. They fix checksums first, since the fuzzer would hardly
//! ever find valid ones.

use bytes::Bytes;
use futures::executor::block_on;

use super::block::{Block, KeyForm, unpack};
use super::format::{self, BLOCK_TRAILER_BYTES, BlockHandle, FOOTER_BYTES, Footer};
use super::{Reader, decode_value};

/// Maximum number of blocks whose checksums are fixed.
const MAX_BLOCKS: usize = 64;
/// Maximum number of records that are read.
const MAX_RECORDS: usize = 10_000;

/// Fuzzes a block; the first byte selects its form.
pub fn block(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else {
        return;
    };
    let form = [KeyForm::Record, KeyForm::Index, KeyForm::Raw][usize::from(form % 3)];
    let stored = Bytes::copy_from_slice(rest);
    if let Ok(block) = Block::decode(stored.clone(), form) {
        for at in 0..block.len() {
            drop(block.key(at));
            drop(decode_value(&block.value(at)));
        }
        block.lower_bound(b"m");
    }
    drop(BlockHandle::decode_exact(rest));
    // The same bytes as a compressed block.
    let mut packed = [rest, &[1, 0, 0, 0, 0]].concat();
    fix_checksum(&mut packed, rest.len());
    drop(unpack(&packed.into()));
}

/// Fuzzes a whole table: opens, reads and searches it.
pub fn table(data: &[u8]) {
    let mut file = data.to_vec();
    fix_checksums(&mut file);
    block_on(async {
        let Ok(reader) = Reader::from_bytes(file.into()).await else {
            return;
        };
        let mut cursor = reader.cursor();
        let mut walked = 0;
        while let Ok(Some(record)) = cursor.next().await {
            drop(record.split_value());
            walked += 1;
            if walked == MAX_RECORDS {
                break;
            }
        }
        drop(cursor.seek(b"m").await);
        drop(cursor.next().await);
        drop(reader.get(b"a").await);
        std::hint::black_box(reader.properties().count());
    });
}

/// Fixes the checksums of the blocks that the footer and the indexes refer to.
fn fix_checksums(file: &mut [u8]) {
    let Some(end) = file.len().checked_sub(FOOTER_BYTES) else {
        return;
    };
    let Ok(footer) = Footer::decode(&file[end..], file.len() as u64) else {
        return;
    };
    let mut open = vec![
        (footer.metaindex, KeyForm::Raw),
        (footer.index, KeyForm::Index),
    ];
    for _ in 0..MAX_BLOCKS {
        let Some((handle, form)) = open.pop() else {
            return;
        };
        let Ok(start) = usize::try_from(handle.offset) else {
            continue;
        };
        let stored = &mut file[start..start + handle.stored_len()];
        fix_checksum(stored, handle.len);
        let payload = unpack(&Bytes::copy_from_slice(stored));
        let Ok(block) = payload.and_then(|payload| Block::decode(payload, form)) else {
            continue;
        };
        for at in 0..block.len().min(MAX_BLOCKS) {
            let below = BlockHandle::decode_exact(&block.value(at));
            if let Ok(handle) = below.and_then(|handle| handle.check(end as u64)) {
                open.push((handle, KeyForm::Index));
            }
        }
    }
}

/// Fixes the checksum after `len` bytes of payload.
fn fix_checksum(stored: &mut [u8], len: usize) {
    let crc = format::checksum(&stored[..len], stored[len]);
    stored[len + 1..len + BLOCK_TRAILER_BYTES].copy_from_slice(&crc.to_le_bytes());
}
