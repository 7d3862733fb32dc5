//! Read and write costs: equal ranges are not opened, and a lookup reads blocks instead of files.

use crate::committed::Summary;
use crate::committed::testing::{
    Model, NAMESPACE, Trees, changes, model, read_all, read_diffs, show_diffs, value,
};
use crate::{MergeStrategy, MetaRangeId, Options, Value};

/// Eight ranges of one key each.
const BASE: &str = "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1";

/// Applies staged changes to `base`.
async fn changed(trees: &Trees, base: &MetaRangeId, staged: &str) -> MetaRangeId {
    trees.apply(base, &changes(staged)).await.0
}

fn with_trees(mut tables: Vec<String>, trees: &[&MetaRangeId]) -> Vec<String> {
    tables.extend(trees.iter().map(|tree| tree.as_str().to_owned()));
    tables.sort();
    tables
}

/// Stores `BASE` with one range per key; returns the range ids in key order, and the tree.
async fn base_tree(trees: &Trees) -> (Vec<String>, MetaRangeId) {
    let base = trees.tree(&model(BASE)).await;
    let mut puts = trees.store.puts();
    assert_eq!(
        (puts.len(), puts.pop()),
        (9, Some(base.as_str().to_owned())),
        "ranges must be stored before the metarange"
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
async fn diff_opens_only_ranges_that_differ() {
    let mut trees = Trees::with_raggedness(1);
    let (ranges, base) = base_tree(&trees).await;
    let right = changed(&trees, &base, "c=2").await;
    let new_range = trees.store.puts()[0].clone();
    trees.clear_caches();
    assert_eq!(show_diffs(&trees.diff(&base, &right).await), "~c:1>2");
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![ranges[2].clone(), new_range], &[&base, &right])
    );
}

#[tokio::test]
async fn diff_of_a_tree_with_itself_reads_nothing() {
    let mut trees = Trees::with_raggedness(1);
    let (_, base) = base_tree(&trees).await;
    trees.clear_caches();
    assert_eq!(trees.diff(&base, &base).await, []);
    assert_eq!(trees.store.tables_read(), Vec::<String>::new());
}

#[tokio::test]
async fn seek_in_a_diff_skips_earlier_ranges() {
    let mut trees = Trees::with_raggedness(1);
    let (ranges, base) = base_tree(&trees).await;
    let right = changed(&trees, &base, "b=2 g=2").await;
    let new_range = trees.store.puts()[1].clone();
    trees.clear_caches();
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

/// Guards against a bug: a diff of one prefix also opened the ranges after the prefix, to find a difference that its caller
/// ignored. Each commit makes two such diffs.
#[tokio::test]
async fn diff_opens_nothing_after_its_end() {
    let mut trees = Trees::with_raggedness(1);
    let (ranges, base) = base_tree(&trees).await;
    let left = changed(&trees, &base, "b=3 f=3 g=3").await;
    trees.store.reset();
    let right = changed(&trees, &base, "b=2 f=2 g=2").await;
    let new_range = trees.store.puts()[1].clone();
    for (start, end) in [("c", "f"), ("ee", "f"), ("h", "ha"), ("bb", "bc")] {
        trees.clear_caches();
        let diff = trees.committed.diff(NAMESPACE, &base, &right);
        let compared = trees.committed.compare(NAMESPACE, &base, &left, &right);
        for mut diffs in [diff.await.unwrap(), compared.await.unwrap()] {
            diffs.seek(start.as_bytes());
            diffs.end_at(end.as_bytes());
            assert_eq!(show_diffs(&read_diffs(diffs).await), "");
        }
        assert_eq!(
            trees.store.tables_read(),
            with_trees(Vec::new(), &[&base, &left, &right]),
            "{start} to {end}"
        );
    }
    trees.clear_caches();
    let diff = trees.committed.diff(NAMESPACE, &base, &right);
    let mut diffs = diff.await.unwrap();
    diffs.seek(b"c");
    diffs.end_at(b"g");
    assert_eq!(show_diffs(&read_diffs(diffs).await), "~f:1>2");
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![ranges[5].clone(), new_range], &[&base, &right])
    );
}

#[tokio::test]
async fn cursor_opens_nothing_after_its_end() {
    let mut trees = Trees::with_raggedness(1);
    let (ranges, base) = base_tree(&trees).await;
    for (start, end, shown, opened) in [
        ("c", "d", "c", &ranges[2..3]),
        ("cc", "d", "", &ranges[..0]),
        ("", "c", "ab", &ranges[..2]),
    ] {
        trees.clear_caches();
        let mut cursor = trees.committed.cursor(NAMESPACE, &base).await.unwrap();
        cursor.seek(start.as_bytes());
        cursor.end_at(end.as_bytes());
        let keys: String = read_all(&mut *cursor).await.into_keys().collect();
        assert_eq!(keys, shown, "{start} to {end}");
        let expected = with_trees(opened.to_vec(), &[&base]);
        assert_eq!(trees.store.tables_read(), expected, "{start} to {end}");
    }
}

#[tokio::test]
async fn apply_opens_only_ranges_with_changes() {
    let mut trees = Trees::with_raggedness(1);
    let (ranges, base) = base_tree(&trees).await;
    trees.clear_caches();
    let result = changed(&trees, &base, "c=2 cc=1 z=1").await;
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![ranges[2].clone()], &[&base])
    );
    assert_eq!(trees.store.puts().len(), 4, "c, cc, z and the metarange");
    assert_eq!(trees.store.puts()[3], result.as_str());
}

#[tokio::test]
async fn unchanged_range_is_not_stored_again() {
    let mut trees = Trees::with_raggedness(1);
    let (_, base) = base_tree(&trees).await;
    trees.clear_caches();
    // The changes of `a` and `c` enter two ranges without changing them; only `h` changes its range.
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
async fn comparison_opens_no_left_range_that_base_or_right_contain() {
    let mut trees = Trees::with_raggedness(1);
    let (ranges, base) = base_tree(&trees).await;
    let right = changed(&trees, &base, "c=2 e=2").await;
    let new = trees.store.puts()[..2].to_vec();
    let left = changed(&trees, &base, "e=2 g=2").await;
    trees.clear_caches();
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
async fn merge_of_changes_in_different_ranges_opens_no_range() {
    let mut trees = Trees::with_raggedness(1);
    let (_, base) = base_tree(&trees).await;
    let ours = changed(&trees, &base, "a=2 d=- dd=1 z=1").await;
    let theirs = changed(&trees, &base, "c=2 f=- k=1").await;
    trees.clear_caches();
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
async fn merge_opens_only_ranges_that_both_sides_changed() {
    let mut trees = Trees::with_raggedness(1);
    let (ranges, base) = base_tree(&trees).await;
    let ours = changed(&trees, &base, "a=2 c=2").await;
    let theirs = changed(&trees, &base, "c=3 h=2").await;
    let opened = vec![
        ranges[2].clone(),
        trees.store.puts()[1].clone(),
        trees.store.puts()[3].clone(),
    ];
    trees.clear_caches();
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
        "the winner's range is already stored"
    );
}

async fn get(trees: &Trees, tree: &MetaRangeId, key: &str) -> Option<Value> {
    let found = trees.committed.get(NAMESPACE, tree, key.as_bytes());
    found.await.unwrap()
}

#[tokio::test]
async fn lookup_reads_a_small_part_of_a_large_range() {
    let mut trees = Trees::new(Options::default());
    let content = large();
    let tree = trees.tree(&content).await;
    assert_eq!(trees.store.puts().len(), 2, "one range and the metarange");
    trees.clear_caches();
    for (key, value) in content.iter().step_by(6007) {
        assert_eq!(get(&trees, &tree, key).await.as_ref(), Some(value));
    }
    for missing in ["data/", "data/00000003x", "zzz"] {
        assert_eq!(get(&trees, &tree, missing).await, None);
    }
    let (read, stored) = (trees.store.bytes_read(), trees.store.bytes_stored());
    assert!(
        read < 80 << 10 && stored > 10 * read,
        "read {read} of {stored} bytes"
    );
}

#[tokio::test]
async fn repeated_lookup_reads_only_from_the_cache() {
    let mut trees = Trees::new(Options::default());
    let content = large();
    let tree = trees.tree(&content).await;
    trees.clear_caches();
    let found = get(&trees, &tree, "data/00000000").await;
    let before = trees.store.bytes_read();
    assert_ne!(before, 0, "the first lookup reads from the store");
    assert_eq!(get(&trees, &tree, "data/00000000").await, found);
    assert_eq!(
        trees.store.bytes_read(),
        before,
        "a cached block is not read again"
    );
}

#[tokio::test]
async fn large_tree_reads_back_with_any_range_limits() {
    let content = large();
    let by_size = Options {
        max_range_size_bytes: 64 << 10,
        ..Options::default()
    };
    for mut trees in [
        Trees::new(Options::default()),
        Trees::with_raggedness(700),
        Trees::new(by_size),
    ] {
        let tree = trees.tree(&content).await;
        trees.clear_caches();
        assert_eq!(trees.read(&tree).await, content);
    }
}

#[tokio::test]
async fn seek_skips_ranges_without_opening_them() {
    let mut trees = Trees::with_raggedness(1);
    let (ranges, base) = base_tree(&trees).await;
    trees.clear_caches();
    let mut cursor = trees.committed.cursor(NAMESPACE, &base).await.unwrap();
    cursor.seek(b"f");
    assert_eq!(
        trees.store.tables_read(),
        [base.as_str()],
        "a seek must not read"
    );
    assert_eq!(cursor.next().await.unwrap().unwrap().key, "f");
    assert_eq!(
        trees.store.tables_read(),
        with_trees(vec![ranges[5].clone()], &[&base])
    );
}
