//! Small trees as text: the semantics of apply, diff, comparison and merge.

use expect_test::expect;

use crate::committed::testing::{
    NAMESPACE, Trees, changes, check_apply, check_compare, check_diff, check_merge,
    check_merge_with, model, show,
};
use crate::committed::{MAX_REPORTED_CONFLICTS, Summary};
use crate::{Error, MergeStrategy, MetaRangeId};

const EMPTY_METARANGE: &str = "00fb7eff1a97c500eb3ca8d2ef5464131d6b6a5f9512e41eba97843522213b66";

#[tokio::test]
async fn apply_adds_changes_and_removes_keys() {
    check_apply(
        "a=1 b=1 c=1",
        "a=2 b=- d=1",
        expect!["a=2 c=1 d=1 (+1 ~1 -1)"],
    )
    .await;
    check_apply("", "b=1 a=1", expect!["a=1 b=1 (+2 ~0 -0)"]).await;
}

#[tokio::test]
async fn deleting_a_missing_key_is_no_change() {
    check_apply("b=1", "a=- c=-", expect!["b=1 (+0 ~0 -0)"]).await;
}

#[tokio::test]
async fn value_with_the_same_identity_keeps_the_base_bytes() {
    check_apply(
        "a=1/old b=1",
        "a=1/new b=2",
        expect!["a=1/old b=2 (+0 ~1 -0)"],
    )
    .await;
}

#[tokio::test]
async fn applying_no_changes_returns_the_base_and_stores_nothing() {
    let trees = Trees::with_raggedness(2);
    let base = trees.tree(&model("a=1 b=1 c=1 d=1")).await;
    trees.store.reset();
    for staged in ["", "a=1/other c=1", "x=- aa=-"] {
        assert_eq!(
            trees.apply(&base, &changes(staged)).await,
            (base.clone(), Summary::default())
        );
    }
    assert_eq!(trees.store.puts(), Vec::<String>::new());
    let empty = MetaRangeId::trusted("");
    assert_eq!(trees.apply(&empty, &changes("a=-")).await.0, empty);
}

#[tokio::test]
async fn emptied_tree_is_the_empty_metarange() {
    let trees = Trees::with_raggedness(2);
    let base = trees.tree(&model("a=1 b=1 c=1")).await;
    let (empty, summary) = trees.apply(&base, &changes("a=- b=- c=-")).await;
    assert_eq!(empty.as_str(), EMPTY_METARANGE);
    assert_eq!(
        summary,
        Summary {
            removed: 3,
            ..Summary::default()
        }
    );
    assert_eq!(show(&trees.read(&empty).await), "");
    assert_eq!(
        trees.committed.get(NAMESPACE, &empty, b"a").await.unwrap(),
        None
    );
    // The empty metarange and the empty id name equal trees.
    assert_eq!(trees.diff(&empty, &MetaRangeId::trusted("")).await, []);
    let (again, _) = trees.apply(&empty, &changes("a=1 b=1 c=1")).await;
    assert_eq!(again, base);
}

#[tokio::test]
async fn diff_lists_the_changes_from_left_to_right() {
    check_diff(
        "a=1 b=1 c=1",
        "a=1 b=2 d=1",
        expect!["~b:1>2 -c:1>- +d:->1"],
    )
    .await;
    check_diff("", "a=1", expect!["+a:->1"]).await;
    check_diff("a=1", "", expect!["-a:1>-"]).await;
    check_diff("a=1/x b=1", "a=1/y b=1", expect![""]).await;
}

#[tokio::test]
async fn comparison_shows_changes_of_theirs_since_the_base() {
    let base = "base: a=1 b=1 c=1 d=1";
    check_compare(
        base,
        "ours: a=2 b=1 c=1 d=1",
        "theirs: a=1 b=2 d=1 e=1",
        expect!["~b:1>2 -c:1>- +e:->1"],
    )
    .await;
    check_compare(
        base,
        "ours: a=1 b=1 c=1 d=1",
        "theirs: a=1 b=1 c=1 d=2",
        expect!["~d:1>2"],
    )
    .await;
}

#[tokio::test]
async fn comparison_shows_different_changes_of_a_key_as_conflict() {
    let base = "base: a=1 b=1 c=1";
    check_compare(
        base,
        "ours: a=2 b=1 c=1",
        "theirs: a=3 b=1 c=1",
        expect!["!a:2>3"],
    )
    .await;
    check_compare(
        base,
        "ours: b=1 c=1",
        "theirs: a=3 b=1 c=1",
        expect!["!a:->3"],
    )
    .await;
    check_compare(
        base,
        "ours: a=2 b=1 c=1",
        "theirs: b=1 c=1",
        expect!["!a:2>-"],
    )
    .await;
    check_compare(
        base,
        "ours: a=1 b=1 c=1 d=1",
        "theirs: a=1 b=1 c=1 d=2",
        expect!["!d:1>2"],
    )
    .await;
    check_compare(
        base,
        "ours: a=2 b=1 d=1",
        "theirs: a=2 b=1 d=1",
        expect![""],
    )
    .await;
}

#[tokio::test]
async fn merge_takes_the_changes_of_both_sides() {
    check_merge(
        "base: a=1 b=1",
        "ours: a=2 b=1",
        "theirs: a=1 b=1 c=3",
        expect!["a=2 b=1 c=3"],
    )
    .await;
    check_merge(
        "base: a=1 b=1 c=1",
        "ours: a=1 c=1",
        "theirs: a=1 b=1 c=2",
        expect!["a=1 c=2"],
    )
    .await;
    check_merge("base: a=1 b=1", "ours: b=1", "theirs: a=1", expect![""]).await;
    check_merge(
        "base:",
        "ours: a=1 c=1",
        "theirs: b=1 d=1",
        expect!["a=1 b=1 c=1 d=1"],
    )
    .await;
    check_merge(
        "base: a=1 b=1",
        "ours: a=2 b=1 c=1",
        "theirs: a=2 b=1 c=1 d=1",
        expect!["a=2 b=1 c=1 d=1"],
    )
    .await;
}

#[tokio::test]
async fn merge_reports_all_conflicts_in_order() {
    let (base, ours, theirs) = (
        "base: a=1 b=1 c=1",
        "ours: a=2 b=2 d=1 e=1",
        "theirs: a=3 b=1 c=2 d=2 e=1",
    );
    check_merge(base, ours, theirs, expect!["conflict: a c d"]).await;
    check_merge_with(
        MergeStrategy::DestWins,
        base,
        ours,
        theirs,
        expect!["a=2 b=2 d=1 e=1"],
    )
    .await;
    check_merge_with(
        MergeStrategy::SourceWins,
        base,
        ours,
        theirs,
        expect!["a=3 b=2 c=2 d=2 e=1"],
    )
    .await;
}

#[tokio::test]
async fn merge_lists_a_bounded_number_of_conflicts_and_counts_all() {
    let trees = Trees::with_raggedness(50);
    let tree = |value: &str| {
        model(
            &(0..1500)
                .map(|key| format!("{key:04}={value} "))
                .collect::<String>(),
        )
    };
    let (base, ours, theirs) = (
        trees.tree(&tree("1")).await,
        trees.tree(&tree("2")).await,
        trees.tree(&tree("3")).await,
    );
    let Err(Error::Conflict { keys, count }) = trees
        .merge(&base, &theirs, &ours, MergeStrategy::None)
        .await
    else {
        panic!("expected conflicts");
    };
    assert_eq!((keys.len(), count), (MAX_REPORTED_CONFLICTS, 1500));
    assert_eq!((&keys[0][..], &keys[999][..]), (&b"0000"[..], &b"0999"[..]));
}

/// Once one side has ended, lakeFS compares a new key with the next base key by identity alone. It
/// then loses an object that has the same content as its neighbor.
#[tokio::test]
async fn new_object_with_its_neighbors_content_survives_a_merge() {
    check_merge(
        "base: a=1 z=7",
        "ours: a=2 z=7",
        "theirs: a=1 y=7 z=7",
        expect!["a=2 y=7 z=7"],
    )
    .await;
    check_merge(
        "base: a=1 z=7",
        "ours: a=2",
        "theirs: a=1 y=7 z=7",
        expect!["a=2 y=7"],
    )
    .await;
    check_merge(
        "base: a=1 z=7",
        "ours: a=1 y=7 z=8",
        "theirs: a=2 y=7 z=7",
        expect!["a=2 y=7 z=8"],
    )
    .await;
}

/// lakeFS compares a key that both sides have with the next record of the base, whatever that record's
/// key. If the record has the content of one side's new object, lakeFS sees a change of only the other
/// side, and no conflict.
#[tokio::test]
async fn different_new_objects_conflict_regardless_of_neighbors() {
    for (ours, theirs) in [
        ("ours: a=1 y=7 z=7", "theirs: a=1 y=8 z=7"),
        ("ours: a=1 y=8 z=7", "theirs: a=1 y=7 z=7"),
        ("ours: a=2 y=7 z=7", "theirs: a=1 y=8"),
        ("ours: y=8", "theirs: a=1 y=7 z=7 zz=7"),
    ] {
        check_merge("base: a=1 z=7", ours, theirs, expect!["conflict: y"]).await;
    }
}

#[tokio::test]
async fn merge_with_an_unchanged_side_returns_the_other_tree() {
    let trees = Trees::with_raggedness(2);
    let base = trees.tree(&model("a=1 b=1")).await;
    let other = trees.tree(&model("a=2 c=1")).await;
    let merge = |source, destination| trees.merge(&base, source, destination, MergeStrategy::None);
    trees.store.reset();
    assert_eq!(merge(&other, &base).await.unwrap(), other);
    assert_eq!(merge(&base, &other).await.unwrap(), other);
    assert_eq!(merge(&other, &other).await.unwrap(), other);
    let empty = MetaRangeId::trusted("");
    assert_eq!(
        trees
            .merge(&empty, &empty, &other, MergeStrategy::None)
            .await
            .unwrap(),
        other
    );
    assert_eq!(
        (trees.store.tables_read(), trees.store.puts()),
        (vec![], vec![])
    );
}
