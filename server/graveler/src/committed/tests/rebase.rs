//! Merges carried over to a destination that moved: the whole merge's answers, at the cost of what moved.

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

/// A source and a destination that both left the base, and what others then made of the destination.
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
    // Few edits: with many, nearly every case has a key that both sides changed.
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

async fn again(
    trees: &Trees,
    before: Option<&Merged>,
    [base, source, destination]: [&MetaRangeId; 3],
    strategy: MergeStrategy,
) -> crate::Result<Merged> {
    trees
        .committed
        .merge_again(NAMESPACE, before, base, source, destination, strategy)
        .await
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_merge_carried_over_is_the_whole_merge(case in case()) {
        run(async {
            let trees = trees(&case.sizes);
            let base = trees.tree(&case.base).await;
            let theirs = trees.apply(&base, &case.theirs).await.0;
            let ours = trees.apply(&base, &case.ours).await.0;
            // The destination may also go back to what it was.
            let back: Edits = edited(&case.base, &case.ours).0.keys().chain(case.base.keys())
                .map(|key| (key.clone(), case.base.get(key).cloned())).collect();
            let moved = trees.apply(&ours, &case.others).await.0;
            let undone = trees.apply(&ours, &back).await.0;
            for strategy in STRATEGIES {
                let Ok(before) = again(&trees, None, [&base, &theirs, &ours], strategy).await else {
                    continue;
                };
                for now in [&moved, &undone, &ours] {
                    let carried = again(&trees, Some(&before), [&base, &theirs, now], strategy).await;
                    let whole = trees.merge(&base, &theirs, now, strategy).await;
                    match (carried, whole) {
                        (Ok(carried), Ok(whole)) => {
                            prop_assert_eq!(trees.read(&carried.tree).await, trees.read(&whole).await);
                        }
                        (Err(Error::Conflict { keys: carried, .. }), Err(Error::Conflict { keys: whole, .. })) => {
                            prop_assert_eq!(carried, whole);
                        }
                        (carried, whole) => {
                            return Err(TestCaseError::fail(format!("{carried:?} is not {whole:?}")));
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
}

/// A hundred ranges of one key; the source changed 40 of them, the destination 40 others.
#[tokio::test]
async fn carrying_over_reads_what_moved_and_not_what_was_merged() {
    let mut trees = Trees::ragged(1);
    let base: Model = (0..100).map(|n| (format!("k{n:02}"), value("1"))).collect();
    let base = trees.tree(&base).await;
    let changed = |keys: std::ops::Range<u32>, to: &str| -> Edits {
        keys.map(|n| (format!("k{n:02}"), Some(value(to))))
            .collect()
    };
    // Twenty keys were changed by both, alike: each whole merge has to look at none of them,
    // but the other ranges that both replaced are opened.
    let theirs = trees.apply(&base, &changed(0..40, "theirs")).await.0;
    let ours = trees.apply(&base, &changed(20..60, "ours")).await.0;
    let strategy = MergeStrategy::SourceWins;
    let before = again(&trees, None, [&base, &theirs, &ours], strategy)
        .await
        .unwrap();

    let now = trees
        .apply(&ours, &changes("k70=others k71a=others"))
        .await
        .0;
    trees.cool();
    let whole = trees.merge(&base, &theirs, &now, strategy).await.unwrap();
    assert!(
        trees.store.tables_read().len() > 40,
        "the merge is not free"
    );

    trees.cool();
    let carried = again(&trees, Some(&before), [&base, &theirs, &now], strategy)
        .await
        .unwrap();
    // Five metaranges, and the ranges in which the destination moved: `k70` old and new, `k71a`.
    assert_eq!(trees.store.tables_read().len(), 5 + 3);
    assert_eq!(trees.store.puts(), [carried.tree.as_str()]);
    assert_eq!(trees.read(&carried.tree).await, trees.read(&whole).await);
}

/// `b` was changed alike by both, and then put back on the destination: the source's change counts again.
#[tokio::test]
async fn a_key_that_both_changed_is_judged_anew() {
    let trees = Trees::ragged(1);
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
    let before = again(&trees, None, [&base, &theirs, &ours], strategy)
        .await
        .unwrap();
    let read = async |destination: &MetaRangeId| {
        let merged = again(
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
