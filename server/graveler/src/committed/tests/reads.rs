//! What is read and written: equal ranges stay closed, a lookup reads blocks and not files.

use crate::committed::Summary;
use crate::committed::testing::{
    Model, NAMESPACE, Trees, changes, model, read_diffs, show_diffs, value,
};
use crate::{MergeStrategy, MetaRangeId, Options};

/// Eight ranges of one key each.
const BASE: &str = "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1";

/// `BASE`, with other values.
async fn changed(trees: &Trees, base: &MetaRangeId, staged: &str) -> MetaRangeId {
    trees.apply(base, &changes(staged)).await.0
}

fn with_trees(mut tables: Vec<String>, trees: &[&MetaRangeId]) -> Vec<String> {
    tables.extend(trees.iter().map(|tree| tree.as_str().to_owned()));
    tables.sort();
    tables
}

/// The range of each of `BASE`'s keys, in order of key.
async fn base_tree(trees: &Trees) -> (Vec<String>, MetaRangeId) {
    let base = trees.tree(&model(BASE)).await;
    let mut puts = trees.store.puts();
    assert_eq!(
        (puts.len(), puts.pop()),
        (9, Some(base.as_str().to_owned())),
        "ranges are stored before the metarange"
    );
    trees.store.reset();
    (puts, base)
}

fn large() -> Model {
    (0..20_000)
        .map(|key| {
            (
                format!("data/{key:08}"),
                value(&format!("{:064}", key * 7919)),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_diff_opens_only_ranges_that_differ() {
    let mut trees = Trees::ragged(1);
    let (ranges, base) = base_tree(&trees).await;
    let right = changed(&trees, &base, "c=2").await;
    let new_range = trees.store.puts()[0].clone();
    trees.cool();
    assert_eq!(show_diffs(&trees.diff(&base, &right).await), "~c:1>2");
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![ranges[2].clone(), new_range], &[&base, &right])
    );

    trees.cool();
    assert_eq!(trees.diff(&base, &base).await, []);
    assert_eq!(trees.store.tables_read(), Vec::<String>::new());
}

#[tokio::test]
async fn a_diff_that_seeks_opens_nothing_before() {
    let mut trees = Trees::ragged(1);
    let (ranges, base) = base_tree(&trees).await;
    let right = changed(&trees, &base, "b=2 g=2").await;
    let new_range = trees.store.puts()[1].clone();
    trees.cool();
    let mut diffs = trees
        .committed
        .diff(NAMESPACE, &base, &right)
        .await
        .unwrap();
    diffs.seek(b"c");
    assert_eq!(show_diffs(&read_diffs(diffs).await), "~g:1>2");
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![ranges[6].clone(), new_range], &[&base, &right])
    );
}

#[tokio::test]
async fn applying_opens_only_ranges_that_a_change_falls_into() {
    let mut trees = Trees::ragged(1);
    let (ranges, base) = base_tree(&trees).await;
    trees.cool();
    let result = changed(&trees, &base, "c=2 cc=1 z=1").await;
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![ranges[2].clone()], &[&base])
    );
    assert_eq!(trees.store.puts().len(), 4, "c, cc, z and the metarange");
    assert_eq!(trees.store.puts()[3], result.as_str());
}

#[tokio::test]
async fn a_range_that_comes_out_as_it_was_is_not_stored_again() {
    let mut trees = Trees::ragged(1);
    let (_, base) = base_tree(&trees).await;
    trees.cool();
    // The tombstone and the equal value enter two ranges that stay; only `h` is new.
    let (_, summary) = trees.apply(&base, &changes("a=1 c=1 h=2")).await;
    assert_eq!(
        summary,
        Summary {
            changed: 1,
            ..Summary::default()
        }
    );
    assert_eq!(trees.store.puts().len(), 2);
}

#[tokio::test]
async fn a_comparison_leaves_the_left_closed_where_it_is_the_base_or_the_right() {
    let mut trees = Trees::ragged(1);
    let (ranges, base) = base_tree(&trees).await;
    let right = changed(&trees, &base, "c=2 e=2").await;
    let new = trees.store.puts()[..2].to_vec();
    let left = changed(&trees, &base, "e=2 g=2").await;
    trees.cool();
    assert_eq!(
        show_diffs(&trees.compare(&base, &left, &right).await),
        "~c:1>2"
    );
    let opened = vec![
        ranges[2].clone(),
        ranges[4].clone(),
        new[0].clone(),
        new[1].clone(),
    ];
    assert_eq!(
        trees.store.tables_read(),
        with_trees(opened, &[&base, &left, &right])
    );
}

#[tokio::test]
async fn a_merge_of_changes_in_different_ranges_opens_no_range() {
    let mut trees = Trees::ragged(1);
    let (_, base) = base_tree(&trees).await;
    let ours = changed(&trees, &base, "a=2 d=- dd=1 z=1").await;
    let theirs = changed(&trees, &base, "c=2 f=- k=1").await;
    trees.cool();
    let merged = trees
        .merge(&base, &theirs, &ours, MergeStrategy::None)
        .await
        .unwrap();
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![], &[&base, &ours, &theirs])
    );
    assert_eq!(
        trees.store.puts(),
        [merged.as_str()],
        "only the metarange is new"
    );
    assert_eq!(
        trees.read(&merged).await,
        model("a=2 b=1 c=2 dd=1 e=1 g=1 h=1 k=1 z=1")
    );
}

#[tokio::test]
async fn a_merge_opens_the_ranges_that_both_sides_changed() {
    let mut trees = Trees::ragged(1);
    let (ranges, base) = base_tree(&trees).await;
    let ours = changed(&trees, &base, "a=2 c=2").await;
    let theirs = changed(&trees, &base, "c=3 h=2").await;
    let opened = vec![
        ranges[2].clone(),
        trees.store.puts()[1].clone(),
        trees.store.puts()[3].clone(),
    ];
    trees.cool();
    let merged = trees
        .merge(&base, &theirs, &ours, MergeStrategy::SourceWins)
        .await
        .unwrap();
    assert_eq!(
        trees.store.tables_read(),
        with_trees(opened, &[&base, &ours, &theirs])
    );
    assert_eq!(
        trees.store.puts(),
        [merged.as_str()],
        "the winner's range is there already"
    );
}

#[tokio::test]
async fn looking_a_key_up_reads_a_small_part_of_a_large_range() {
    let mut trees = Trees::new(Options::default());
    let content = large();
    let tree = trees.tree(&content).await;
    assert_eq!(trees.store.puts().len(), 2, "one range and the metarange");
    trees.cool();
    for (key, value) in content.iter().step_by(6007) {
        assert_eq!(
            trees
                .committed
                .get(NAMESPACE, &tree, key.as_bytes())
                .await
                .unwrap()
                .as_ref(),
            Some(value)
        );
    }
    assert_eq!(
        trees
            .committed
            .get(NAMESPACE, &tree, b"data/")
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        trees
            .committed
            .get(NAMESPACE, &tree, b"data/00000003x")
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        trees.committed.get(NAMESPACE, &tree, b"zzz").await.unwrap(),
        None
    );
    let (read, stored) = (trees.store.bytes_read(), trees.store.bytes_stored());
    assert!(
        read < 80 << 10 && stored > 10 * read,
        "read {read} of {stored} bytes"
    );

    let before = trees.store.bytes_read();
    trees
        .committed
        .get(NAMESPACE, &tree, b"data/00000000")
        .await
        .unwrap();
    assert_eq!(trees.store.bytes_read(), before, "a hot block is read once");
}

#[tokio::test]
async fn a_large_tree_is_read_back_whatever_its_ranges() {
    let content = large();
    let by_size = Options {
        max_range_size_bytes: 64 << 10,
        ..Options::default()
    };
    for mut trees in [
        Trees::new(Options::default()),
        Trees::ragged(700),
        Trees::new(by_size),
    ] {
        let tree = trees.tree(&content).await;
        trees.cool();
        assert_eq!(trees.read(&tree).await, content);
    }
}

#[tokio::test]
async fn a_cursor_that_seeks_passes_over_ranges_unopened() {
    let mut trees = Trees::ragged(1);
    let (ranges, base) = base_tree(&trees).await;
    trees.cool();
    let mut cursor = trees.committed.cursor(NAMESPACE, &base).await.unwrap();
    cursor.seek(b"f");
    assert_eq!(
        trees.store.tables_read(),
        [base.as_str()],
        "a seek reads nothing"
    );
    assert_eq!(cursor.next().await.unwrap().unwrap().key, "f");
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![ranges[5].clone()], &[&base])
    );
}
