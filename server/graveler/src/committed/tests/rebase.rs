//! Merges rebased onto a destination that moved: they equal a full merge, and their cost depends only
//! on what moved.

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::model::{Edits, Sizes, config, content, edited, edits, key, run, sizes, trees};
use crate::committed::Merged;
use crate::committed::testing::{Model, NAMESPACE, Trees, changes, value};
use crate::{Error, MergeStrategy, MetaRangeId};

const STRATEGIES: [MergeStrategy; 3] = [
    MergeStrategy::None,
    MergeStrategy::DestWins,
    MergeStrategy::SourceWins,
];

/// Edits of a source and a destination since their base, and later edits by others at the destination.
#[derive(Debug, Clone)]
struct Case {
    sizes: Sizes,
    base: Model,
    theirs: Edits,
    ours: Edits,
    others: Edits,
}

fn case() -> impl Strategy<Value = Case> {
    let base = btree_map(key(), content("base"), 0..50);
    // Few edits: with many, the two sides have a changed key in common in nearly every case.
    let few =
        |origin| edits(origin).prop_map(|edits| edits.into_iter().step_by(3).collect::<Edits>());
    (sizes(), base, few("theirs"), few("ours"), few("others")).prop_map(
        |(sizes, base, theirs, ours, others)| Case {
            sizes,
            base,
            theirs,
            ours,
            others,
        },
    )
}

async fn merge_from(
    trees: &Trees,
    before: Option<&Merged>,
    [base, source, destination]: [&MetaRangeId; 3],
    strategy: MergeStrategy,
) -> crate::Result<Merged> {
    trees
        .committed
        .merge_incrementally(NAMESPACE, before, base, source, destination, strategy)
        .await
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rebased_merge_equals_a_full_merge(case in case()) {
        run(async {
            let trees = trees(&case.sizes);
            let base = trees.tree(&case.base).await;
            let theirs = trees.apply(&base, &case.theirs).await.0;
            let ours = trees.apply(&base, &case.ours).await.0;
            // Edits that take the destination back to the base.
            let back: Edits = edited(&case.base, &case.ours).0.keys().chain(case.base.keys())
                .map(|key| (key.clone(), case.base.get(key).cloned())).collect();
            let moved = trees.apply(&ours, &case.others).await.0;
            let undone = trees.apply(&ours, &back).await.0;
            for strategy in STRATEGIES {
                let Ok(before) = merge_from(&trees, None, [&base, &theirs, &ours], strategy).await else {
                    continue;
                };
                for now in [&moved, &undone, &ours] {
                    let rebased = merge_from(&trees, Some(&before), [&base, &theirs, now], strategy).await;
                    let full = trees.merge(&base, &theirs, now, strategy).await;
                    match (rebased, full) {
                        (Ok(rebased), Ok(full)) => {
                            prop_assert_eq!(trees.read(&rebased.tree).await, trees.read(&full).await);
                        }
                        (Err(Error::Conflict { keys: rebased, .. }), Err(Error::Conflict { keys: full, .. })) => {
                            prop_assert_eq!(rebased, full);
                        }
                        (rebased, full) => {
                            return Err(TestCaseError::fail(format!("rebased: {rebased:?}, full merge: {full:?}")));
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
}

/// A hundred ranges with one key each. Source and destination each changed 40 of them; 20 were changed
/// by both.
#[tokio::test]
async fn rebased_merge_reads_only_what_moved() {
    let mut trees = Trees::with_raggedness(1);
    let base: Model = (0..100).map(|n| (format!("k{n:02}"), value("1"))).collect();
    let base = trees.tree(&base).await;
    let changed = |keys: std::ops::Range<u32>, to: &str| -> Edits {
        keys.map(|n| (format!("k{n:02}"), Some(value(to))))
            .collect()
    };
    // A full merge has to open the 20 ranges that both sides changed.
    let theirs = trees.apply(&base, &changed(0..40, "theirs")).await.0;
    let ours = trees.apply(&base, &changed(20..60, "ours")).await.0;
    let strategy = MergeStrategy::SourceWins;
    let before = merge_from(&trees, None, [&base, &theirs, &ours], strategy)
        .await
        .unwrap();

    let now = trees
        .apply(&ours, &changes("k70=others k71a=others"))
        .await
        .0;
    trees.clear_caches();
    let full = trees.merge(&base, &theirs, &now, strategy).await.unwrap();
    assert!(
        trees.store.tables_read().len() > 40,
        "a full merge must have a cost to compare with"
    );

    trees.clear_caches();
    let rebased = merge_from(&trees, Some(&before), [&base, &theirs, &now], strategy)
        .await
        .unwrap();
    // Five metaranges, and the ranges where the destination moved: the old and new ones of `k70`, and
    // that of `k71a`.
    assert_eq!(trees.store.tables_read().len(), 5 + 3);
    assert_eq!(trees.store.puts(), [rebased.tree.as_str()]);
    assert_eq!(trees.read(&rebased.tree).await, trees.read(&full).await);
}

/// Both sides changed `b` in the same way, and then the destination changed it back: the source's
/// change counts again.
#[tokio::test]
async fn key_changed_by_both_is_merged_again() {
    let trees = Trees::with_raggedness(1);
    let base = trees
        .tree(
            &[("a", "1"), ("b", "1"), ("c", "1")]
                .map(|(k, v)| (k.to_owned(), value(v)))
                .into(),
        )
        .await;
    let theirs = trees.apply(&base, &changes("b=2")).await.0;
    let ours = trees.apply(&base, &changes("a=2 b=2")).await.0;
    let strategy = MergeStrategy::None;
    let before = merge_from(&trees, None, [&base, &theirs, &ours], strategy)
        .await
        .unwrap();
    let read = async |destination: &MetaRangeId| {
        let merged = merge_from(
            &trees,
            Some(&before),
            [&base, &theirs, destination],
            strategy,
        )
        .await;
        match merged {
            Ok(merged) => crate::committed::testing::show(&trees.read(&merged.tree).await),
            Err(error) => error.to_string(),
        }
    };
    let undone = trees.apply(&ours, &changes("b=1")).await.0;
    assert_eq!(read(&undone).await, "a=2 b=2 c=1");
    let other = trees.apply(&ours, &changes("b=3")).await.0;
    assert!(
        read(&other).await.contains("conflict"),
        "{}",
        read(&other).await
    );
    let elsewhere = trees.apply(&ours, &changes("c=3")).await.0;
    assert_eq!(read(&elsewhere).await, "a=2 b=2 c=3");
}
