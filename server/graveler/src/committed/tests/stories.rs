//! Small trees as text: what applying, comparing and merging mean.

use expect_test::expect;

use crate::committed::testing::{
    NAMESPACE, Trees, changes, check_apply, check_compare, check_diff, check_merge,
    check_merge_with, model, show,
};
use crate::committed::{MAX_REPORTED_CONFLICTS, Summary};
use crate::{Error, MergeStrategy, MetaRangeId};

const EMPTY_METARANGE: &str = "00fb7eff1a97c500eb3ca8d2ef5464131d6b6a5f9512e41eba97843522213b66";

#[tokio::test]
async fn applying_adds_changes_and_removes() {
    check_apply(
        "a=1 b=1 c=1",
        "a=2 b=- d=1",
        expect!["a=2 c=1 d=1 (+1 ~1 -1)"],
    )
    .await;
    check_apply("", "b=1 a=1", expect!["a=1 b=1 (+2 ~0 -0)"]).await;
}

#[tokio::test]
async fn deleting_what_is_not_there_is_no_change() {
    check_apply("b=1", "a=- c=-", expect!["b=1 (+0 ~0 -0)"]).await;
}

#[tokio::test]
async fn a_value_of_the_same_identity_keeps_the_bases_bytes() {
    check_apply(
        "a=1/old b=1",
        "a=1/new b=2",
        expect!["a=1/old b=2 (+0 ~1 -0)"],
    )
    .await;
}

#[tokio::test]
async fn without_changes_the_result_is_the_base_and_nothing_is_stored() {
    let trees = Trees::ragged(2);
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
async fn a_tree_that_becomes_empty_is_the_empty_metarange() {
    let trees = Trees::ragged(2);
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
    // Both kinds of empty tree are alike.
    assert_eq!(trees.diff(&empty, &MetaRangeId::trusted("")).await, []);
    let (again, _) = trees.apply(&empty, &changes("a=1 b=1 c=1")).await;
    assert_eq!(again, base);
}

#[tokio::test]
async fn a_diff_tells_what_must_happen_to_the_left() {
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
async fn a_comparison_shows_what_theirs_changed_since_the_base() {
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
async fn a_comparison_shows_as_conflict_what_both_changed_each_otherwise() {
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
async fn a_merge_takes_each_sides_changes() {
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
async fn a_merge_reports_all_conflicts_in_order() {
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
async fn a_merge_tells_a_bounded_number_of_conflicts_and_counts_them_all() {
    let trees = Trees::ragged(50);
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

/// lakeFS compares a new key with the next base key by identity alone, when one side has
/// ended, and so loses an object with the same content as its neighbour.
#[tokio::test]
async fn a_new_object_with_the_content_of_its_neighbour_survives_a_merge() {
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

/// lakeFS judges a key that both sides have by the next record of the base, whatever its key,
/// and so takes two new objects for a change of one side if a neighbour has the content of the other's.
#[tokio::test]
async fn new_objects_that_differ_conflict_whatever_their_neighbours_content() {
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
async fn a_merge_with_one_unchanged_side_is_exactly_the_other() {
    let trees = Trees::ragged(2);
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
