//! Missing, corrupt and oversized input, failed uploads and dropped futures: the errors, and what is
//! left behind.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::FutureExt as _;

use crate::committed::metarange::RangeRef;
use crate::committed::testing::{NAMESPACE, Trees, changes, model, show_diffs};
use crate::sstable::{Finished, Reader, Writer, encode_value};
use crate::{DiffCursor, Error, Kind, MetaRangeId, Options};

#[tokio::test]
async fn missing_tables_and_malformed_ids_are_not_found() {
    let mut trees = Trees::with_raggedness(1);
    let tree = trees.tree(&model("a=1 b=1")).await;
    trees.store.remove(&trees.store.puts()[0]);
    trees.clear_caches();
    let lost = trees.committed.get(NAMESPACE, &tree, b"a").await;
    assert!(
        matches!(
            lost,
            Err(Error::NotFound {
                kind: Kind::Range,
                ..
            })
        ),
        "{lost:?}"
    );
    for id in ["../../etc/passwd", "00", &"g".repeat(64), &"0".repeat(64)] {
        let missing = trees
            .committed
            .cursor(NAMESPACE, &MetaRangeId::trusted(id))
            .await;
        assert!(
            matches!(
                missing,
                Err(Error::NotFound {
                    kind: Kind::MetaRange,
                    ..
                })
            ),
            "{missing:?}"
        );
    }
}

#[tokio::test]
async fn range_opened_as_metarange_is_not_found() {
    let trees = Trees::with_raggedness(1);
    trees.tree(&model("a=1")).await;
    let range = MetaRangeId::trusted(trees.store.puts()[0].as_str());
    let refused = trees.committed.get(NAMESPACE, &range, b"a").await;
    assert!(
        matches!(
            refused,
            Err(Error::NotFound {
                kind: Kind::MetaRange,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn malformed_metarange_is_corrupt() {
    let check = async |records: Vec<(&str, Vec<u8>)>, reason: &str| {
        let trees = Trees::with_raggedness(1);
        let mut writer = Writer::new();
        for (key, value) in records {
            writer.add(key.as_bytes(), &value).unwrap();
        }
        let table = writer.finish_unchecked(&BTreeMap::from([(
            "type".to_owned(),
            "metaranges".to_owned(),
        )]));
        trees.store.insert(&table.id, table.bytes.clone());
        let mut cursor = trees
            .committed
            .cursor(NAMESPACE, &MetaRangeId::trusted(table.id))
            .await
            .unwrap();
        cursor.seek(b"zz");
        let error = cursor.next().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    let range = |min, max| {
        let table = Finished {
            bytes: Bytes::new(),
            id: "a".repeat(64),
            min_key: Bytes::from_static(min),
            max_key: Bytes::from_static(max),
            count: 1,
            estimated_size_bytes: 1,
        };
        RangeRef::to(&table).record().1.to_vec()
    };
    check(vec![("zz", b"\x80".to_vec())], "identity is truncated").await;
    check(
        vec![("zz", encode_value(b"../secret", b""))],
        "not 64 hex digits",
    )
    .await;
    check(
        vec![("zz", encode_value("a".repeat(64).as_bytes(), b"\xff"))],
        "range aaaa",
    )
    .await;
    check(vec![("zz", range(b"a", b"b"))], "bounds").await;
    check(vec![("zz", range(b"zzz", b"zz"))], "bounds").await;
}

#[tokio::test]
async fn failed_upload_stores_no_metarange() {
    let trees = Trees::with_raggedness(1);
    let changes = changes("a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1");
    for puts in 0..8 {
        trees.store.reset();
        trees.store.fail_after_puts(puts);
        let failed = trees.try_apply(&MetaRangeId::trusted(""), &changes).await;
        assert!(matches!(failed, Err(Error::Block(_))), "{failed:?}");
        for id in trees.store.puts() {
            let reader = Reader::from_bytes(trees.store.object(&id).unwrap())
                .await
                .unwrap();
            assert_eq!(reader.properties().kind(), b"ranges");
        }
    }
    trees.store.fail_after_puts(9);
    trees
        .try_apply(&MetaRangeId::trusted(""), &changes)
        .await
        .unwrap();
}

#[tokio::test]
async fn oversized_key_is_an_invalid_value() {
    let trees = Trees::new(Options::default());
    let key = "k".repeat(2 << 20);
    let refused = trees
        .try_apply(&MetaRangeId::trusted(""), &changes(&format!("{key}=1")))
        .await;
    assert!(matches!(refused, Err(Error::InvalidValue(_))));
}

/// Reads differences with futures that are polled once and then dropped. Also returns the number of
/// futures dropped before they were ready.
fn read_polling_once(mut cursor: DiffCursor) -> (String, usize) {
    let (mut diffs, mut dropped) = (Vec::new(), 0);
    loop {
        match cursor.next().now_or_never() {
            Some(Ok(Some(diff))) => diffs.push(diff),
            Some(end) => {
                end.unwrap();
                return (show_diffs(&diffs), dropped);
            }
            None => dropped += 1,
        }
    }
}

#[tokio::test]
async fn dropped_futures_lose_no_record() {
    let mut trees = Trees::with_raggedness(1);
    let base = trees.tree(&model("a=1 b=1 c=1 d=1 e=1")).await;
    let (ours, _) = trees.apply(&base, &changes("a=2 c=2 f=2")).await;
    let (theirs, _) = trees.apply(&base, &changes("b=3 c=3 e=- g=3")).await;
    let diff = trees.diff(&ours, &theirs).await;
    let comparison = trees.compare(&base, &ours, &theirs).await;
    trees.clear_caches();

    let (mut cursor, open_diff, open_comparison) = (
        trees.committed.cursor(NAMESPACE, &ours).await.unwrap(),
        trees
            .committed
            .diff(NAMESPACE, &ours, &theirs)
            .await
            .unwrap(),
        trees
            .committed
            .compare(NAMESPACE, &base, &ours, &theirs)
            .await
            .unwrap(),
    );
    trees.store.wait_once_for_each_read();
    let (found, dropped) = read_polling_once(open_comparison);
    assert_eq!(found, show_diffs(&comparison));
    assert!(dropped > 5, "only {dropped} futures were dropped");
    let (found, dropped) = read_polling_once(open_diff);
    assert_eq!(found, show_diffs(&diff));
    assert!(dropped > 0, "only {dropped} futures were dropped");

    let mut keys = Vec::new();
    loop {
        match cursor.next().now_or_never() {
            Some(Ok(Some(record))) => keys.extend_from_slice(&record.key),
            Some(end) => break assert_eq!(end.unwrap(), None),
            None => {}
        }
    }
    assert_eq!(keys, b"abcdef");
}

#[tokio::test]
async fn seek_after_a_dropped_future_skips_earlier_keys() {
    let mut trees = Trees::with_raggedness(1);
    let base = trees.tree(&model("a=1 b=1 c=1 d=1")).await;
    let (ours, _) = trees.apply(&base, &changes("a=2 b=2 c=2")).await;
    let (theirs, _) = trees.apply(&base, &changes("a=3 b=3 c=3 d=3")).await;
    for polls in 0..12 {
        trees.clear_caches();
        let mut comparison = trees
            .committed
            .compare(NAMESPACE, &base, &ours, &theirs)
            .await
            .unwrap();
        trees.store.wait_once_for_each_read();
        for _ in 0..polls {
            // The seek must come before the second difference, so stop at the first.
            if let Some(found) = comparison.next().now_or_never() {
                assert_eq!(found.unwrap().unwrap().key, "a");
                break;
            }
        }
        comparison.seek(b"c");
        assert_eq!(read_polling_once(comparison).0, "!c:2>3 ~d:1>3");
    }
}

#[tokio::test]
async fn overlapping_ranges_are_corrupt() {
    let trees = Trees::with_raggedness(1);
    let mut writer = Writer::new();
    for (id, min_key, max_key) in [("a", "a", "c"), ("b", "b", "d")] {
        let range = RangeRef::to(&Finished {
            bytes: Bytes::new(),
            id: id.repeat(64),
            min_key: Bytes::from(min_key),
            max_key: Bytes::from(max_key),
            count: 1,
            estimated_size_bytes: 1,
        });
        writer.add(range.record().0, range.record().1).unwrap();
    }
    let properties = BTreeMap::from([("type".to_owned(), "metaranges".to_owned())]);
    let table = writer.finish_unchecked(&properties);
    trees.store.insert(&table.id, table.bytes.clone());
    let overlapping = MetaRangeId::trusted(table.id);
    let refused = trees.try_apply(&overlapping, &changes("z=1")).await;
    assert!(
        matches!(&refused, Err(Error::Corrupt { reason, .. }) if reason.contains("overlaps")),
        "{refused:?}"
    );
    assert_eq!(trees.store.puts(), Vec::<String>::new());
}
