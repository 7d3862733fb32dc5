//! Listings and differences, compared with the model.

use bytes::Bytes;
use proptest::prelude::*;

use super::maps::{Edits, Tree, keys, model_compare, model_diff};
use super::stage::{Case, Stage, case, config, read, run};
use crate::Value;
use crate::committed::testing::read_diffs;
use crate::tests::walk::{model_walk, steps, walk_cursor, walk_diff};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn branch_listing_and_walks_match_the_model(
        case in case(), steps in steps(), materialized in proptest::option::of(0..16usize)
    ) {
        run(async {
            let stage = case.stage_materialized(materialized).await;
            prop_assert_eq!(&read(&stage.lake, "main").await, &stage.base);
            prop_assert_eq!(&read(&stage.lake, "theirs@").await, &stage.theirs);
            prop_assert_eq!(&read(&stage.lake, "theirs").await, &stage.shown);
            for key in keys(&[&stage.theirs, &stage.shown]) {
                let data = stage.shown.get(key).map(|value| String::from_utf8(value.data.to_vec()).unwrap());
                prop_assert_eq!(stage.lake.get("theirs", key).await, data);
            }
            let (graveler, repo) = (&stage.lake.graveler, &stage.lake.repo);
            let resolved = graveler.resolve(repo, "theirs").await.unwrap();
            let mut cursor = graveler.cursor(repo, &resolved).await.unwrap();
            let found = walk_cursor(&mut *cursor, &steps).await;
            let all: Vec<_> = stage.shown.keys().map(|key| Bytes::from(key.clone())).collect();
            prop_assert_eq!(found, model_walk(&all, &steps));
            Ok(())
        })?;
    }

    #[test]
    fn differences_match_the_model(case in case(), steps in steps()) {
        run(async {
            let stage = case.stage().await;
            let Stage { base, ours, theirs, shown, .. } = &stage;
            prop_assert_eq!(read_diffs(stage.uncommitted("theirs").await).await, model_diff(theirs, shown));
            prop_assert_eq!(read_diffs(stage.diff("ours", "theirs").await).await, model_diff(ours, theirs));
            prop_assert_eq!(read_diffs(stage.diff("theirs", "ours").await).await, model_diff(theirs, ours));
            prop_assert_eq!(read_diffs(stage.diff("ours", "theirs$").await).await, model_diff(ours, shown));
            prop_assert_eq!(read_diffs(stage.diff("main", "theirs$").await).await, model_diff(base, shown));
            let compared = read_diffs(stage.compare("ours", "theirs").await).await;
            prop_assert_eq!(compared, model_compare(base, ours, theirs));
            prop_assert_eq!(read_diffs(stage.compare("ours", "main").await).await, Vec::new());
            for (mut cursor, expected) in [
                (stage.uncommitted("theirs").await, model_diff(theirs, shown)),
                (stage.diff("ours", "theirs$").await, model_diff(ours, shown)),
                (stage.compare("ours", "theirs").await, model_compare(base, ours, theirs)),
            ] {
                let found = walk_diff(&mut cursor, &steps).await;
                let all: Vec<_> = expected.into_iter().map(|diff| diff.key).collect();
                prop_assert_eq!(found, model_walk(&all, &steps));
            }
            Ok(())
        })?;
    }
}

/// Regression: a key had the same identity but different bytes on both sides, and was staged as
/// deleted on the right. The difference then had the right side's bytes as its left value.
#[tokio::test]
async fn difference_has_the_bytes_of_the_left_side() {
    let one = |origin: &str| {
        let value = Value {
            identity: Bytes::from("3"),
            data: Bytes::from(format!("3 by {origin}")),
        };
        Edits::from([("k03".to_owned(), Some(value))])
    };
    let case = Case {
        raggedness: 1,
        min_bytes: 0,
        max_bytes: 20 << 20,
        base: Tree::new(),
        ours: one("ours"),
        theirs: one("theirs"),
        staged: Edits::from([("k03".to_owned(), None)]),
    };
    let stage = case.stage().await;
    let found = read_diffs(stage.diff("ours", "theirs$").await).await;
    assert_eq!(found, model_diff(&stage.ours, &stage.shown));
}
