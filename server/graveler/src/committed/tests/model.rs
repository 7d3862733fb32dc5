//! Property tests of trees: whatever their content and range sizes, they must give the same answers as
//! sorted maps.
//!
//! `base::testing` sets the number of cases.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::committed::Summary;
use crate::committed::testing::{Model, NAMESPACE, Trees, value};
use crate::tests::walk::{model_walk, steps, walk_cursor, walk_diff};
use crate::{Diff, DiffKind, Error, MergeStrategy, MetaRangeId, Options, Value};

pub(super) type Edits = BTreeMap<String, Option<Value>>;

/// Limits for ranges, small enough that about forty keys fill several.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    raggedness: u32,
    min_bytes: u64,
    max_bytes: u64,
}

/// A base, and the edits of two sides.
#[derive(Debug, Clone)]
struct Case {
    sizes: Sizes,
    base: Model,
    ours: Edits,
    theirs: Edits,
    /// Whether the sides are made by edits of the stored base, or written from scratch.
    is_shared: bool,
}

pub(super) fn config() -> ProptestConfig {
    ProptestConfig {
        cases: base::testing::cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(super) fn sizes() -> impl Strategy<Value = Sizes> {
    let max_bytes = prop_oneof![Just(20 << 20), 60..600u64];
    (1..10u32, 0..120u64, max_bytes).prop_map(|(raggedness, min_bytes, max_bytes)| Sizes {
        raggedness,
        min_bytes,
        max_bytes,
    })
}

pub(super) fn key() -> impl Strategy<Value = String> {
    (0..40u32, prop_oneof![3 => Just(""), 1 => Just("/x")])
        .prop_map(|(number, end)| format!("k{number:02}{end}"))
}

/// A value with one of three identities, so that different keys often share one. The data names the
/// origin.
pub(super) fn content(origin: &'static str) -> impl Strategy<Value = Value> {
    (0..3u8).prop_map(move |identity| value(&format!("{identity}/{origin}")))
}

pub(super) fn edits(origin: &'static str) -> impl Strategy<Value = Edits> {
    btree_map(
        key(),
        proptest::option::weighted(0.7, content(origin)),
        0..20,
    )
}

fn case() -> impl Strategy<Value = Case> {
    let base = btree_map(key(), content("base"), 0..50);
    (sizes(), base, edits("ours"), edits("theirs"), any::<bool>()).prop_map(
        |(sizes, base, ours, theirs, is_shared)| Case {
            sizes,
            base,
            ours,
            theirs,
            is_shared,
        },
    )
}

/// A stored tree and its model.
struct Stored {
    id: MetaRangeId,
    model: Model,
}

/// The trees of a [`Case`], stored.
struct StoredCase {
    trees: Trees,
    base: Stored,
    ours: Stored,
    theirs: Stored,
}

pub(super) fn trees(sizes: &Sizes) -> Trees {
    Trees::new(Options {
        range_raggedness_entries: f64::from(sizes.raggedness),
        min_range_size_bytes: sizes.min_bytes,
        max_range_size_bytes: sizes.max_bytes,
        ..Options::default()
    })
}

/// Applies edits to a model. A value with the base's identity does not replace the base's bytes.
pub(super) fn edited(base: &Model, edits: &Edits) -> (Model, Summary) {
    let (mut model, mut summary) = (base.clone(), Summary::default());
    for (key, new) in edits {
        match (base.get(key), new) {
            (None, None) => {}
            (Some(_), None) => {
                model.remove(key);
                summary.removed += 1;
            }
            (Some(old), Some(new)) if old.identity == new.identity => {}
            (old, Some(new)) => {
                model.insert(key.clone(), new.clone());
                *(if old.is_none() {
                    &mut summary.added
                } else {
                    &mut summary.changed
                }) += 1;
            }
        }
    }
    (model, summary)
}

impl Case {
    async fn store(&self) -> StoredCase {
        let trees = trees(&self.sizes);
        let base = Stored {
            id: trees.tree(&self.base).await,
            model: self.base.clone(),
        };
        let mut sides = Vec::new();
        for edits in [&self.ours, &self.theirs] {
            let model = edited(&self.base, edits).0;
            let id = if self.is_shared {
                trees.apply(&base.id, edits).await.0
            } else {
                trees.tree(&model).await
            };
            sides.push(Stored { id, model });
        }
        let (theirs, ours) = (sides.pop().unwrap(), sides.pop().unwrap());
        StoredCase {
            trees,
            base,
            ours,
            theirs,
        }
    }
}

fn identity<'a>(model: &'a Model, key: &str) -> Option<&'a Bytes> {
    model.get(key).map(|value| &value.identity)
}

fn keys<'a>(models: &[&'a Model]) -> BTreeSet<&'a String> {
    models.iter().flat_map(|model| model.keys()).collect()
}

fn difference(kind: Option<DiffKind>, key: &str, left: &Model, right: &Model) -> Diff {
    let (left, right) = (left.get(key).cloned(), right.get(key).cloned());
    let shown = match (&left, &right) {
        (None, _) => DiffKind::Added,
        (_, None) => DiffKind::Removed,
        _ => DiffKind::Changed,
    };
    Diff {
        kind: kind.unwrap_or(shown),
        key: Bytes::from(key.to_owned()),
        left,
        right,
    }
}

fn model_diff(left: &Model, right: &Model) -> Vec<Diff> {
    let differs = |key: &&String| identity(left, key) != identity(right, key);
    keys(&[left, right])
        .into_iter()
        .filter(differs)
        .map(|key| difference(None, key, left, right))
        .collect()
}

fn model_compare(base: &Model, left: &Model, right: &Model) -> Vec<Diff> {
    let mut diffs = Vec::new();
    for key in keys(&[base, left, right]) {
        let [base, ours, theirs] = [base, left, right].map(|model| identity(model, key));
        if theirs != base && theirs != ours {
            let kind = (ours != base).then_some(DiffKind::Conflict);
            diffs.push(difference(kind, key, left, right));
        }
    }
    diffs
}

/// The merged identities, or the conflicting keys.
fn model_merge(
    case: &StoredCase,
    strategy: MergeStrategy,
) -> Result<BTreeMap<String, Bytes>, Vec<Vec<u8>>> {
    let (mut merged, mut conflicts) = (BTreeMap::new(), Vec::new());
    for key in keys(&[&case.base.model, &case.ours.model, &case.theirs.model]) {
        let [base, ours, theirs] = [&case.base, &case.ours, &case.theirs]
            .map(|stored| identity(&stored.model, key).cloned());
        let winner = if theirs == base || theirs == ours {
            ours
        } else if ours == base {
            theirs
        } else {
            match strategy {
                MergeStrategy::None => {
                    conflicts.push(key.clone().into_bytes());
                    continue;
                }
                MergeStrategy::DestWins => ours,
                MergeStrategy::SourceWins => theirs,
            }
        };
        merged.extend(winner.map(|identity| (key.clone(), identity)));
    }
    if conflicts.is_empty() {
        Ok(merged)
    } else {
        Err(conflicts)
    }
}

pub(super) fn run(test: impl Future<Output = TestCaseResult>) -> TestCaseResult {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(test)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn apply_matches_the_model(case in case()) {
        run(async {
            let trees = trees(&case.sizes);
            let base = trees.tree(&case.base).await;
            prop_assert_eq!(trees.read(&base).await, case.base.clone());
            let (expected, expected_summary) = edited(&case.base, &case.ours);
            let (result, summary) = trees.apply(&base, &case.ours).await;
            prop_assert_eq!(trees.read(&result).await, expected.clone());
            prop_assert_eq!(summary, expected_summary);
            prop_assert_eq!(result == base, summary.is_empty());
            for key in keys(&[&case.base, &expected]) {
                let found = trees.committed.get(NAMESPACE, &result, key.as_bytes()).await.unwrap();
                prop_assert_eq!(found.as_ref(), expected.get(key));
            }
            Ok(())
        })?;
    }

    #[test]
    fn equal_trees_have_equal_ids_regardless_of_reused_ranges(
        raggedness in 1..10u32,
        base in btree_map(key(), content("base"), 1..50),
        new in vec(0..3u8, 50),
    ) {
        run(async {
            let trees = Trees::with_raggedness(raggedness);
            let base_id = trees.tree(&base).await;
            // The set of keys stays the same, so ranges end at the same keys.
            let new: Model = base.keys().cloned().zip(new.iter().map(|new| value(&format!("{new}/base")))).collect();
            let staged = |model: &Model| model.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
            let (there, _) = trees.apply(&base_id, &staged(&new)).await;
            prop_assert_eq!(&there, &trees.tree(&new).await);
            let (back, _) = trees.apply(&there, &staged(&base)).await;
            prop_assert_eq!(back, base_id);
            Ok(())
        })?;
    }

    #[test]
    fn diff_matches_the_model(case in case()) {
        run(async {
            let StoredCase { trees, base, ours, theirs } = case.store().await;
            for (left, right) in [(&base, &ours), (&ours, &base), (&ours, &theirs)] {
                prop_assert_eq!(trees.diff(&left.id, &right.id).await, model_diff(&left.model, &right.model));
            }
            Ok(())
        })?;
    }

    #[test]
    fn comparison_matches_the_model(case in case()) {
        run(async {
            let StoredCase { trees, base, ours, theirs } = case.store().await;
            for (base, left, right) in [(&base, &ours, &theirs), (&ours, &theirs, &base), (&base, &base, &ours)] {
                let found = trees.compare(&base.id, &left.id, &right.id).await;
                prop_assert_eq!(found, model_compare(&base.model, &left.model, &right.model));
            }
            Ok(())
        })?;
    }

    #[test]
    fn merge_matches_the_model(case in case()) {
        run(async {
            let stored = case.store().await;
            for strategy in [MergeStrategy::None, MergeStrategy::DestWins, MergeStrategy::SourceWins] {
                let merged = stored.trees.merge(&stored.base.id, &stored.theirs.id, &stored.ours.id, strategy).await;
                let merged = match merged {
                    Ok(id) => {
                        let read = stored.trees.read(&id).await;
                        let known = [&stored.ours.model, &stored.theirs.model];
                        for (key, value) in &read {
                            prop_assert!(known.iter().any(|side| side.get(key) == Some(value)), "the bytes of {} must come from one side", key);
                        }
                        Ok(read.into_iter().map(|(key, value)| (key, value.identity)).collect())
                    }
                    Err(Error::Conflict { keys, count }) => {
                        prop_assert_eq!(keys.len() as u64, count);
                        Err(keys)
                    }
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                };
                prop_assert_eq!(merged, model_merge(&stored, strategy));
            }
            Ok(())
        })?;
    }

    #[test]
    fn cursor_walks_match_the_model(sizes in sizes(), base in btree_map(key(), content("base"), 0..50), steps in steps()) {
        run(async {
            let trees = trees(&sizes);
            let tree = trees.tree(&base).await;
            let mut cursor = trees.committed.cursor(NAMESPACE, &tree).await.unwrap();
            let found = walk_cursor(&mut *cursor, &steps).await;
            let keys: Vec<_> = base.keys().map(|key| Bytes::from(key.clone())).collect();
            prop_assert_eq!(found, model_walk(&keys, &steps));
            Ok(())
        })?;
    }

    #[test]
    fn diff_and_comparison_walks_match_the_model(case in case(), steps in steps()) {
        run(async {
            let StoredCase { trees, base, ours, theirs } = case.store().await;
            let diff = trees.committed.diff(NAMESPACE, &ours.id, &theirs.id).await.unwrap();
            let comparison = trees.committed.compare(NAMESPACE, &base.id, &ours.id, &theirs.id).await.unwrap();
            let in_diff = model_diff(&ours.model, &theirs.model);
            let in_comparison = model_compare(&base.model, &ours.model, &theirs.model);
            for (mut cursor, expected) in [(diff, in_diff), (comparison, in_comparison)] {
                let found = walk_diff(&mut cursor, &steps).await;
                let keys: Vec<_> = expected.into_iter().map(|diff| diff.key).collect();
                prop_assert_eq!(found, model_walk(&keys, &steps));
            }
            Ok(())
        })?;
    }
}
