//! Missing and oversized input, failed uploads and dropped futures: the errors, and what is left
//! behind.

use std::fmt::Debug;

use futures::FutureExt as _;
use tokio::runtime::Runtime;

use crate::committed::testing::{NAMESPACE, Trees, changes, model, show_diffs};
use crate::sstable::Reader;
use crate::{DiffCursor, Error, Kind, MetaRangeId, Options, Result};

fn assert_not_found<T: Debug>(outcome: &Result<T>, expected: Kind) {
    assert!(
        matches!(outcome, Err(Error::NotFound { kind, .. }) if *kind == expected),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn lost_range_is_not_found() {
    let mut trees = Trees::with_raggedness(1);
    let tree = trees.tree(&model("a=1 b=1")).await;
    trees.store.remove(&trees.store.puts()[0]);
    trees.clear_caches();
    let lost = trees.committed.get(NAMESPACE, &tree, b"a").await;
    assert_not_found(&lost, Kind::Range);
}

#[tokio::test]
async fn absent_or_malformed_metarange_id_is_not_found() {
    let trees = Trees::with_raggedness(1);
    for id in ["../../etc/passwd", "00", &"g".repeat(64), &"0".repeat(64)] {
        let id = MetaRangeId::trusted(id);
        let missing = trees.committed.cursor(NAMESPACE, &id).await;
        assert_not_found(&missing, Kind::MetaRange);
    }
}

#[tokio::test]
async fn range_opened_as_metarange_is_not_found() {
    let trees = Trees::with_raggedness(1);
    trees.tree(&model("a=1")).await;
    let range = MetaRangeId::trusted(trees.store.puts()[0].as_str());
    let refused = trees.committed.get(NAMESPACE, &range, b"a").await;
    assert_not_found(&refused, Kind::MetaRange);
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

/// Stores a base and two trees that changed it in different ways.
async fn diverged(trees: &Trees) -> [MetaRangeId; 3] {
    let base = trees.tree(&model("a=1 b=1 c=1 d=1 e=1")).await;
    let (ours, _) = trees.apply(&base, &changes("a=2 c=2 f=2")).await;
    let (theirs, _) = trees.apply(&base, &changes("b=3 c=3 e=- g=3")).await;
    [base, ours, theirs]
}

#[tokio::test]
async fn dropped_futures_of_a_comparison_lose_no_difference() {
    let mut trees = Trees::with_raggedness(1);
    let [base, ours, theirs] = diverged(&trees).await;
    let expected = trees.compare(&base, &ours, &theirs).await;
    trees.clear_caches();
    let compared = trees.committed.compare(NAMESPACE, &base, &ours, &theirs);
    let comparison = compared.await.unwrap();
    trees.store.wait_once_for_each_read();
    let (found, dropped) = read_polling_once(comparison);
    assert_eq!(found, show_diffs(&expected));
    assert!(dropped > 5, "only {dropped} futures were dropped");
}

#[tokio::test]
async fn dropped_futures_of_a_diff_lose_no_difference() {
    let mut trees = Trees::with_raggedness(1);
    let [_, ours, theirs] = diverged(&trees).await;
    let expected = trees.diff(&ours, &theirs).await;
    trees.clear_caches();
    let diff = trees.committed.diff(NAMESPACE, &ours, &theirs);
    let diff = diff.await.unwrap();
    trees.store.wait_once_for_each_read();
    let (found, dropped) = read_polling_once(diff);
    assert_eq!(found, show_diffs(&expected));
    assert!(dropped > 5, "only {dropped} futures were dropped");
}

#[tokio::test]
async fn dropped_futures_of_a_cursor_lose_no_record() {
    let mut trees = Trees::with_raggedness(1);
    let [_, ours, _] = diverged(&trees).await;
    trees.clear_caches();
    let mut cursor = trees.committed.cursor(NAMESPACE, &ours).await.unwrap();
    trees.store.wait_once_for_each_read();
    let (mut keys, mut dropped) = (Vec::new(), 0);
    loop {
        match cursor.next().now_or_never() {
            Some(Ok(Some(record))) => keys.extend_from_slice(&record.key),
            Some(end) => break assert_eq!(end.unwrap(), None),
            None => dropped += 1,
        }
    }
    assert_eq!(keys, b"abcdef");
    assert!(dropped > 5, "only {dropped} futures were dropped");
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

/// Guards against a bug: work that the runtime cancelled at its shutdown made the writer panic. The task that used the
/// writer was recorded as failed, so no other server continued it.
#[test]
fn write_waits_when_the_runtime_shuts_down() {
    let runtime = Runtime::new().unwrap();
    let stopped = runtime.handle().clone();
    runtime.shutdown_background();
    let _inside = stopped.enter();
    let trees = Trees::with_raggedness(1);
    let (empty, changes) = (MetaRangeId::trusted(""), changes("a=1"));
    let write = trees.try_apply(&empty, &changes);
    assert!(write.now_or_never().is_none());
}
