//! A naive table reader that shares no code with [`super::Reader`], and has no cache and no limits.
//! In this crate's tests, [`super::Writer::finish`] uses it to check each table and its id.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::Finished;

/// Keys and values in order.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Properties that the writer computes. All others, except RocksDB's own, come from the caller, and
/// the id covers them.
const COMPUTED: [&str; 4] = ["min_key", "max_key", "count", "estimated_size_bytes"];

fn uvarint(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn block(file: &[u8], offset: usize, len: usize) -> Vec<u8> {
    let payload = &file[offset..offset + len];
    match file[offset + len] {
        0 => payload.to_vec(),
        1 => snap::raw::Decoder::new().decompress_vec(payload).unwrap(),
        other => panic!("compression {other}"),
    }
}

fn entries(payload: &[u8]) -> Entries {
    let end = payload.len() - 4 - 4 * u32_at(payload, payload.len() - 4);
    let (mut at, mut key, mut out) = (0, Vec::new(), Vec::new());
    while at < end {
        let shared = uvarint(payload, &mut at);
        let unshared = uvarint(payload, &mut at);
        let value_len = uvarint(payload, &mut at);
        key.truncate(shared);
        key.extend_from_slice(&payload[at..at + unshared]);
        at += unshared;
        out.push((key.clone(), payload[at..at + value_len].to_vec()));
        at += value_len;
    }
    out
}

fn below(file: &[u8], handle: &[u8]) -> Entries {
    let mut at = 0;
    let (offset, len) = (uvarint(handle, &mut at), uvarint(handle, &mut at));
    assert_eq!(at, handle.len());
    entries(&block(file, offset, len))
}

/// The records of a table: user keys and framed values.
pub(super) fn read(file: &[u8]) -> Entries {
    let (index, properties) = tail(file);
    let kind = &properties
        .iter()
        .find(|(name, _)| name == b"rocksdb.block.based.table.index.type")
        .unwrap()
        .1;
    let mut index = entries(&block(file, index.0, index.1));
    if u32_at(kind, 0) == 2 {
        index = index
            .iter()
            .flat_map(|(_, handle)| below(file, handle))
            .collect();
    }
    let records = index.iter().flat_map(|(_, handle)| below(file, handle));
    records
        .map(|(mut key, value)| {
            let trailer = key.split_off(key.len() - 8);
            assert_eq!(trailer, [1, 0, 0, 0, 0, 0, 0, 0]);
            (key, value)
        })
        .collect()
}

/// The position of the top index, and the properties.
fn tail(file: &[u8]) -> ((usize, usize), Entries) {
    let footer = &file[file.len() - 53..];
    let mut at = 1;
    let metaindex = (uvarint(footer, &mut at), uvarint(footer, &mut at));
    let index = (uvarint(footer, &mut at), uvarint(footer, &mut at));
    let meta = entries(&block(file, metaindex.0, metaindex.1));
    (index, below(file, &meta[0].1))
}

/// Panics unless the file has the records that the writer reported, and its id is their digest.
pub(super) fn check(table: &Finished) {
    let records = read(&table.bytes);
    assert_eq!(records.len() as u64, table.count, "records of {}", table.id);
    let bounds = match (records.first(), records.last()) {
        (Some((first, _)), Some((last, _))) => (first.as_slice(), last.as_slice()),
        _ => (&[][..], &[][..]),
    };
    assert_eq!((&table.min_key[..], &table.max_key[..]), bounds);
    assert!(records.is_sorted_by(|(one, _), (other, _)| one < other));
    let given: BTreeMap<String, Vec<u8>> = tail(&table.bytes)
        .1
        .into_iter()
        .map(|(name, value)| (String::from_utf8(name).unwrap(), value))
        .filter(|(name, _)| !name.starts_with("rocksdb.") && !COMPUTED.contains(&name.as_str()))
        .collect();
    assert_eq!(id_of(&records, &given), table.id);
}

/// Computes the id: a hash of the records in order, then of the caller's properties, in the encoding
/// of identities.
fn id_of(records: &[(Vec<u8>, Vec<u8>)], given: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for part in records.iter().flat_map(|(key, value)| [key, value]) {
        hash.update(part.len().to_string());
        hash.update(part);
        hash.update(b"|");
    }
    let number = |hash: &mut Sha256, n: usize| {
        hash.update([2, 8]);
        hash.update((n as u64).to_be_bytes());
    };
    hash.update([4]);
    number(&mut hash, given.len());
    for text in given
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_slice()])
    {
        hash.update([1]);
        number(&mut hash, text.len());
        hash.update(text);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
