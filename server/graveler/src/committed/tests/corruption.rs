//! Tests corrupt trees: which errors they cause, and that a caller who continues after an error skips nothing.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::committed::metarange::RangeRef;
use crate::committed::testing::{NAMESPACE, Trees, changes, show_diffs};
use crate::sstable::{Finished, Writer, encode_value};
use crate::{DiffCursor, Error, MetaRangeId, Result};

/// A value whose frame is cut off in its identity.
const TRUNCATED: &[u8] = b"\x80";

/// Stores a table with any records, even invalid ones.
fn store_table(trees: &Trees, kind: &str, records: &[(&[u8], &[u8])]) -> Finished {
    let mut writer = Writer::new();
    for (key, value) in records {
        writer.add(key, value).unwrap();
    }
    let properties = BTreeMap::from([("type".to_owned(), kind.to_owned())]);
    let table = writer.finish_unchecked(&properties);
    trees.store.insert(&table.id, table.bytes.clone());
    table
}

fn store_metarange(trees: &Trees, records: &[(&[u8], &[u8])]) -> MetaRangeId {
    MetaRangeId::trusted(store_table(trees, "metaranges", records).id)
}

/// Stores a tree of one range. A value of `?` is a truncated frame.
fn store_tree(trees: &Trees, text: &str) -> MetaRangeId {
    let records: Vec<(&str, Vec<u8>)> = text
        .split_whitespace()
        .map(|record| match record.split_once('=').unwrap() {
            (key, "?") => (key, TRUNCATED.to_vec()),
            (key, value) => (key, encode_value(value.as_bytes(), value.as_bytes())),
        })
        .collect();
    let records: Vec<(&[u8], &[u8])> = records
        .iter()
        .map(|(key, value)| (key.as_bytes(), value.as_slice()))
        .collect();
    let range = RangeRef::to(&store_table(trees, "ranges", &records));
    store_metarange(trees, &[range.record()])
}

/// A reference to a range that does not exist; `id` fills its id.
fn range(id: &str, min_key: &'static str, max_key: &'static str) -> RangeRef {
    RangeRef::to(&Finished {
        bytes: Bytes::new(),
        id: id.repeat(64),
        min_key: Bytes::from(min_key),
        max_key: Bytes::from(max_key),
        count: 1,
        estimated_size_bytes: 1,
    })
}

fn assert_corrupt<T: std::fmt::Debug>(outcome: &Result<T>, place: &str, why: &str) {
    assert!(
        matches!(outcome, Err(Error::Corrupt { what, reason })
            if what.contains(place) && reason.contains(why)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn malformed_metarange_is_corrupt() {
    let check = async |key: &[u8], value: &[u8], why: &str| {
        let trees = Trees::with_raggedness(1);
        let tree = store_metarange(&trees, &[(key, value)]);
        let mut cursor = trees.committed.cursor(NAMESPACE, &tree).await.unwrap();
        cursor.seek(b"zz");
        assert_corrupt(&cursor.next().await, &format!("metarange {tree}"), why);
        let found = trees.committed.get(NAMESPACE, &tree, b"zz").await;
        assert_corrupt(&found, &format!("metarange {tree}"), why);
    };
    let id = "a".repeat(64);
    check(b"zz", TRUNCATED, "identity is truncated").await;
    check(b"zz", &encode_value(b"../secret", b""), "not 64 hex digits").await;
    check(b"zz", &encode_value(id.as_bytes(), b"\xff"), "range aaaa").await;
    check(b"zz", range("a", "a", "b").record().1, "bounds").await;
    check(b"zz", range("a", "zzz", "zz").record().1, "bounds").await;
}

#[tokio::test]
async fn overlapping_ranges_are_corrupt() {
    let trees = Trees::with_raggedness(1);
    let (first, second) = (range("a", "a", "c"), range("b", "b", "d"));
    let overlapping = store_metarange(&trees, &[first.record(), second.record()]);
    let refused = trees.try_apply(&overlapping, &changes("z=1")).await;
    assert_corrupt(&refused, &format!("metarange {overlapping}"), "overlaps");
    assert_eq!(trees.store.puts(), Vec::<String>::new());
}

/// Expects the corrupt record `b` at each call, and reads the differences after it.
async fn check_stays_at_b(mut cursor: DiffCursor, after: &str) {
    for _ in 0..2 {
        let found = cursor.next().await;
        assert_corrupt(&found, "record \"b\"", "identity is truncated");
    }
    cursor.seek(b"c");
    let mut rest = Vec::new();
    while let Some(diff) = cursor.next().await.unwrap() {
        rest.push(diff);
    }
    assert_eq!(show_diffs(&rest), after);
}

#[tokio::test]
async fn diff_after_a_corrupt_record_that_both_sides_have_does_not_skip_it() {
    let trees = Trees::with_raggedness(1);
    let left = store_tree(&trees, "a=1 b=? c=1");
    let right = store_tree(&trees, "a=1 b=2 c=2");
    let diff = trees.committed.diff(NAMESPACE, &left, &right).await;
    check_stays_at_b(diff.unwrap(), "~c:1>2").await;
}

#[tokio::test]
async fn diff_after_a_corrupt_record_that_one_side_has_does_not_skip_it() {
    let trees = Trees::with_raggedness(1);
    let left = store_tree(&trees, "a=1 c=1");
    let right = store_tree(&trees, "a=1 b=? c=2");
    let diff = trees.committed.diff(NAMESPACE, &left, &right).await;
    check_stays_at_b(diff.unwrap(), "~c:1>2").await;
}

#[tokio::test]
async fn comparison_after_a_corrupt_change_does_not_skip_it() {
    let trees = Trees::with_raggedness(1);
    let base = store_tree(&trees, "a=1 c=1");
    let left = store_tree(&trees, "a=1 c=1 d=1");
    let right = store_tree(&trees, "a=1 b=? c=2");
    let comparison = trees.committed.compare(NAMESPACE, &base, &left, &right);
    check_stays_at_b(comparison.await.unwrap(), "~c:1>2").await;
}

#[tokio::test]
async fn walk_after_a_corrupt_range_reference_does_not_skip_it() {
    let trees = Trees::with_raggedness(1);
    let last = encode_value(b"1", b"1");
    let last = RangeRef::to(&store_table(&trees, "ranges", &[(b"c", &last)]));
    let tree = store_metarange(&trees, &[(b"b", TRUNCATED), last.record()]);
    let mut cursor = trees.committed.cursor(NAMESPACE, &tree).await.unwrap();
    for _ in 0..2 {
        let found = cursor.next().await;
        assert_corrupt(
            &found,
            &format!("metarange {tree}"),
            "identity is truncated",
        );
    }
    cursor.seek(b"c");
    assert_eq!(cursor.next().await.unwrap().unwrap().key, "c");
}
