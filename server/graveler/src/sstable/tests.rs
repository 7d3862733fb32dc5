//! Tests of tables: against reference files, a naive reader and a `BTreeMap`, and with damaged bytes.
//!
//! `testdata/sst/g*.sst` were written by the format's reference implementation. Set `WEIR_SST_G3` to
//! the paths of larger files to check them too.

mod sources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::executor::block_on;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::block::{Block, BlockBuilder, KeyForm, Packer, unpack};
use super::format::{
    self, BlockHandle, Footer, TRAILER_SEPARATOR, TRAILER_SET, separator, successor,
};
use super::naive;
use super::{Error, Finished, Reader, Record, Writer, encode_value};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn ranges() -> BTreeMap<String, String> {
    BTreeMap::from([("type".to_owned(), "ranges".to_owned())])
}

fn write(records: &Model) -> Finished {
    let mut writer = Writer::new();
    for (key, data) in records {
        writer.add(key, &encode_value(b"id", data)).unwrap();
    }
    writer.finish(&ranges())
}

fn data(record: &Record) -> Vec<u8> {
    let (identity, data) = record.split_value().unwrap();
    assert_eq!(identity, "id");
    data.to_vec()
}

/// Reads every record until the end or an error.
async fn scan(reader: &Reader) -> super::Result<Vec<Record>> {
    let mut cursor = reader.cursor();
    let mut records = Vec::new();
    while let Some(record) = cursor.next().await? {
        records.push(record);
    }
    Ok(records)
}

/// Enough incompressible records for a two-level index.
fn large() -> Model {
    let mut state = 7u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 24).to_be_bytes()
    };
    (0..4000u32)
        .map(|n| {
            (
                format!("tables/{n:08}").into_bytes(),
                (0..25).flat_map(|_| random()).collect(),
            )
        })
        .collect()
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/sst")
        .join(name)
}

/// Reads a file, writes its records again, and expects the same bytes.
async fn check_rewrite(path: &Path) {
    let original = Bytes::from(std::fs::read(path).unwrap());
    let reader = Reader::from_bytes(original.clone()).await.unwrap();
    let records = scan(&reader).await.unwrap();
    let naive = naive::read(&original);
    assert_eq!(records.len(), naive.len(), "{path:?}");
    let mut writer = Writer::new();
    for (record, (key, value)) in records.iter().zip(&naive) {
        assert_eq!(record.key, key);
        assert_eq!(record.value, *value);
        writer.add(&record.key, &record.value).unwrap();
        assert_eq!(
            reader.get(&record.key).await.unwrap().as_ref(),
            Some(record)
        );
    }
    let kind = String::from_utf8(reader.properties().kind().to_vec()).unwrap();
    // Values in the reference files are not all frames, so skip the check of the written table.
    let finished = writer.finish_unchecked(&BTreeMap::from([("type".to_owned(), kind)]));
    assert_eq!(reader.properties().count(), Some(finished.count));
    assert_eq!(
        reader.properties().estimated_size_bytes(),
        Some(finished.estimated_size_bytes)
    );
    assert_eq!(reader.properties().min_key(), finished.min_key);
    assert_eq!(reader.properties().max_key(), finished.max_key);
    assert!(
        finished.bytes == original,
        "{path:?} changes when it is rewritten"
    );
}

#[tokio::test]
async fn rewriting_a_reference_file_keeps_its_bytes() {
    for name in ["g0.sst", "g1.sst", "g2.sst"] {
        check_rewrite(&testdata(name)).await;
    }
    if let Some(files) = std::env::var_os("WEIR_SST_G3") {
        for path in std::env::split_paths(&files) {
            check_rewrite(&path).await;
        }
    }
}

#[test]
fn empty_metarange_has_its_known_id() {
    let finished = Writer::new().finish(&BTreeMap::from([(
        "type".to_owned(),
        "metaranges".to_owned(),
    )]));
    assert_eq!(
        finished.id,
        "00fb7eff1a97c500eb3ca8d2ef5464131d6b6a5f9512e41eba97843522213b66"
    );
}

#[tokio::test]
async fn both_readers_read_a_two_level_index() {
    let model = large();
    let finished = write(&model);
    let expected: Vec<_> = model
        .iter()
        .map(|(key, data)| (key.clone(), encode_value(b"id", data)))
        .collect();
    assert_eq!(naive::read(&finished.bytes), expected);

    let reader = Reader::from_bytes(finished.bytes).await.unwrap();
    assert_eq!(reader.table.index_levels, 2);
    let records = scan(&reader).await.unwrap();
    assert_eq!(records.len(), model.len());
    for (record, (key, expected)) in records.iter().zip(&model) {
        assert_eq!(
            (&record.key[..], data(record)),
            (&key[..], expected.clone())
        );
        assert_eq!(reader.get(key).await.unwrap().as_ref(), Some(record));
    }
    assert_eq!(reader.get(b"tables/00000001x").await.unwrap(), None);
    assert_eq!(reader.get(b"zzz").await.unwrap(), None);
}

#[test]
fn separators_match_the_reference_implementation() {
    let cut = |key: &[u8]| (key.to_vec(), TRAILER_SEPARATOR);
    let whole = |key: &[u8]| (key.to_vec(), TRAILER_SET);
    assert_eq!(separator(b"abcdef", b"abzz"), cut(b"abd"));
    assert_eq!(separator(b"abc", b"abcd"), whole(b"abc"));
    assert_eq!(
        separator(b"a", b"b"),
        whole(b"a"),
        "no key between them is as short"
    );
    assert_eq!(separator(b"ac1", b"b"), cut(b"ad"));
    assert_eq!(separator(b"a\xff\xff", b"b"), whole(b"a\xff\xff"));
    assert_eq!(separator(b"ax", b"bx"), cut(b"b"));
    assert_eq!(successor(b"abc"), cut(b"b"));
    assert_eq!(successor(b"\xff\xffa"), cut(b"\xff\xffb"));
    assert_eq!(successor(b"\xff\xff"), whole(b"\xff\xff"));
}

#[test]
fn unordered_and_oversized_records_are_refused() {
    let mut writer = Writer::new();
    writer.add(b"b", b"").unwrap();
    for key in [&b"b"[..], b"a", b""] {
        assert!(matches!(
            writer.add(key, b""),
            Err(Error::OutOfOrder { .. })
        ));
    }
    let long = vec![b'c'; format::MAX_KEY_BYTES + 1];
    assert!(matches!(
        writer.add(&long, b""),
        Err(Error::TooLarge { what: "key", .. })
    ));
    writer.add(b"c", b"").unwrap();
    assert_eq!(writer.count(), 2);
}

/// Guards against a bug: each cached table kept all properties, most of which only matter when it is opened. After some
/// hundred commits, they took several MiB.
#[tokio::test]
async fn opened_table_keeps_only_the_properties_of_users() {
    let records = Model::from([(b"a".to_vec(), b"1".to_vec())]);
    let reader = Reader::from_bytes(write(&records).bytes).await.unwrap();
    let properties = reader.properties();
    assert_eq!(
        (properties.kind(), properties.count()),
        (&b"ranges"[..], Some(1))
    );
    assert_eq!(properties.get("rocksdb.comparator"), None);
    let weight = properties.weight();
    assert!(weight < 400, "{weight} bytes");
}

#[tokio::test]
async fn unsupported_table_names_the_property() {
    let bytes = write(&Model::from([(b"a".to_vec(), b"1".to_vec())])).bytes;
    for (from, to, expected) in [
        (
            "leveldb.BytewiseComparator",
            "leveldb.BytewiseComparat0r",
            "rocksdb.comparator",
        ),
        (
            "pebble.concatenate",
            "pebble.c0ncatenate",
            "rocksdb.merge.operator",
        ),
    ] {
        let error = Reader::from_bytes(replace_in_properties(&bytes, from, to))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::Unsupported(what) if what.contains(expected)),
            "{error}"
        );
    }
    let mut pebble_magic = bytes.to_vec();
    let at = pebble_magic.len() - 8;
    pebble_magic[at..].copy_from_slice(b"\xf0\x9f\xaa\xb3\xf0\x9f\xaa\xb3");
    assert!(matches!(
        Reader::from_bytes(pebble_magic.into()).await,
        Err(Error::Unsupported(_))
    ));
}

/// Changes a property and fixes the block's checksum.
fn replace_in_properties(file: &Bytes, from: &str, to: &str) -> Bytes {
    let mut file = file.to_vec();
    let at = file
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    file[at..at + from.len()].copy_from_slice(to.as_bytes());
    let footer = Footer::decode(
        &file[file.len() - format::FOOTER_BYTES..],
        file.len() as u64,
    )
    .unwrap();
    let start = footer.metaindex.offset as usize;
    let metaindex = Block::decode(
        Bytes::copy_from_slice(&file[start..][..footer.metaindex.len]),
        KeyForm::Raw,
    )
    .unwrap();
    let handle = BlockHandle::decode_exact(&metaindex.value(0)).unwrap();
    let end = handle.offset as usize + handle.len;
    let crc = format::checksum(&file[handle.offset as usize..end], 0);
    file[end + 1..end + 5].copy_from_slice(&crc.to_le_bytes());
    file.into()
}

/// Regression: a walk through 25 MB of index entries that all pointed to one empty block never ended.
#[tokio::test]
async fn walk_fails_at_an_empty_block_among_others() {
    let empty = write(&Model::new()).bytes;
    let (blocks, end) = empty.split_at(empty.len() - format::FOOTER_BYTES);
    let footer = Footer::decode(end, empty.len() as u64).unwrap();
    let start = usize::try_from(footer.index.offset).unwrap();
    let index = unpack(&empty.slice(start..start + footer.index.stored_len())).unwrap();
    let handle = Block::decode(index, KeyForm::Index).unwrap().value(0);
    let mut index = BlockBuilder::new(1);
    for _ in 0..1000 {
        index.add(b"k", TRAILER_SET, &handle);
    }
    let mut table = blocks.to_vec();
    let index = Packer::append_raw(&mut table, &index.finish());
    Footer { index, ..footer }.encode(&mut table);
    let reader = Reader::from_bytes(table.into()).await.unwrap();
    let error = scan(&reader).await.unwrap_err();
    assert!(error.to_string().contains("has no records"), "{error}");
}

#[test]
fn block_with_too_many_entries_is_refused() {
    let mut builder = BlockBuilder::new(16);
    for n in 0..=1_u32 << 20 {
        builder.add_raw(&n.to_be_bytes(), b"");
    }
    let error = Block::decode(builder.finish().into(), KeyForm::Raw).unwrap_err();
    assert!(error.to_string().contains("entries"), "{error}");
}

#[test]
fn block_with_a_false_length_is_refused_before_allocating() {
    // A compressed block of a few bytes that claims 80 MiB.
    let mut claim = Vec::new();
    format::put_uvarint(&mut claim, 80 << 20);
    claim.extend_from_slice(&[0xfe, 1, 0]);
    let mut stored = claim.clone();
    stored.push(1);
    stored.extend_from_slice(&format::checksum(&claim, 1).to_le_bytes());
    let error = unpack(&stored.into()).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt(what) if what.contains("claims to hold")),
        "{error}"
    );
}

/// Prefix sharing makes the keys grow: each entry repeats the previous key and adds one byte.
#[test]
fn block_whose_shared_keys_expand_too_much_is_refused() {
    let mut builder = BlockBuilder::new(usize::MAX);
    let mut key = vec![b'k'; 20_000];
    for _ in 0..2000 {
        key.push(b'k');
        builder.add_raw(&key, b"");
    }
    let error = Block::decode(builder.finish().into(), KeyForm::Raw).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt(what) if what.contains("too long")),
        "{error}"
    );
}

fn records() -> impl Strategy<Value = Model> {
    let key = proptest::collection::vec(
        proptest::sample::select(vec![0u8, b'a', b'b', 0xfe, 0xff]),
        0..12,
    );
    let data = (any::<u8>(), 0..600usize).prop_map(|(byte, len)| vec![byte; len]);
    proptest::collection::btree_map(key, data, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(base::testing::effort(96, 10_000)))]

    #[test]
    fn written_records_are_read_back(model in records()) {
        let finished = write(&model);
        let expected: Vec<_> = model.iter().map(|(key, data)| (key.clone(), encode_value(b"id", data))).collect();
        prop_assert_eq!(naive::read(&finished.bytes), expected);
        let reader = block_on(Reader::from_bytes(finished.bytes)).unwrap();
        let read: Model =
            block_on(scan(&reader)).unwrap().into_iter().map(|r| (r.key.to_vec(), data(&r))).collect();
        prop_assert_eq!(read, model);
    }

    #[test]
    fn seek_finds_the_lower_bound(model in records(), probes in proptest::collection::vec(records(), 1..3)) {
        let reader = block_on(Reader::from_bytes(write(&model).bytes)).unwrap();
        let mut cursor = reader.cursor();
        for probe in probes.iter().flat_map(BTreeMap::keys).chain(model.keys()) {
            block_on(cursor.seek(probe)).unwrap();
            for (key, expected) in model.range(probe.clone()..).take(3) {
                let record = block_on(cursor.next()).unwrap().unwrap();
                prop_assert_eq!((&record.key[..], data(&record)), (&key[..], expected.clone()));
            }
            if model.range(probe.clone()..).count() < 3 {
                prop_assert!(block_on(cursor.next()).unwrap().is_none());
            }
            let got = block_on(reader.get(probe)).unwrap().map(|record| data(&record));
            prop_assert_eq!(got.as_ref(), model.get(probe));
        }
    }

    #[test]
    fn damage_is_detected_or_harmless(model in records(), at in any::<proptest::sample::Index>(), flip in 1..=255u8, cut in any::<bool>()) {
        let whole = write(&model).bytes;
        let mut damaged = whole.to_vec();
        let at = at.index(damaged.len());
        if cut { damaged.truncate(at) } else { damaged[at] ^= flip }
        let read = block_on(async { scan(&Reader::from_bytes(damaged.into()).await?).await });
        if let Ok(records) = read {
            prop_assert!(!cut);
            let read: Model = records.into_iter().map(|r| (r.key.to_vec(), data(&r))).collect();
            prop_assert_eq!(read, model, "only damage in the footer's padding may go undetected");
        }
    }

    #[test]
    fn decoding_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), form in 0..3) {
        let form = [KeyForm::Raw, KeyForm::Index, KeyForm::Record][form as usize];
        if let Ok(block) = Block::decode(bytes.clone().into(), form) {
            for at in 0..block.len() {
                prop_assert_eq!(&block.key(at)[..], block.key_slice(at));
                drop(block.value(at));
            }
        }
        drop(format::decode_value(&bytes.clone().into()));
        drop(BlockHandle::decode_exact(&bytes));
        drop(unpack(&bytes.into()));
    }

    #[test]
    fn damaged_payload_with_a_valid_checksum_decodes_in_order_or_fails(model in records(), at in any::<proptest::sample::Index>(), flip in 1..=255u8) {
        let mut builder = BlockBuilder::new(16);
        for (key, data) in &model {
            builder.add(key, TRAILER_SET, data);
        }
        let mut payload = builder.finish();
        let at = at.index(payload.len());
        payload[at] ^= flip;
        let mut file = Vec::new();
        Packer::default().append(&mut file, &payload);
        if let Ok(block) = Block::decode(unpack(&file.into()).unwrap(), KeyForm::Record) {
            prop_assert!((1..block.len()).all(|at| block.key_slice(at - 1) < block.key_slice(at)));
        }
    }

    #[test]
    fn varint_length_matches_its_encoding(value in any::<u32>(), shift in 0..32) {
        let value = value as usize >> shift;
        let mut out = Vec::new();
        format::put_uvarint(&mut out, value as u64);
        prop_assert_eq!(out.len(), format::uvarint_len(value));
        let mut rest = &out[..];
        prop_assert_eq!(format::take_len(&mut rest), Some(value));
        prop_assert!(rest.is_empty());
    }
}
