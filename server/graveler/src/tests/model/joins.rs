//! Merges, reverts and cherry-picks between two branches of a common base; resets and their undo.

use proptest::prelude::*;

use super::maps::{Edits, Tree, identities, model_diff, model_merge, with_staged};
use super::stage::{
    Stage, case, check_merge_result, config, edits, key, picking, read, reverting, run, write,
};
use crate::testing::{branch, merging};
use crate::{Error, MergeStrategy, NoHooks, RefName, ResetScope, UndoParams};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn merge_matches_the_model_or_leaves_the_branch_unchanged(case in case()) {
        run(async {
            let stage = case.stage().await;
            let Stage { lake, base, ours, theirs, .. } = &stage;
            let source = lake.head("theirs").await.id;
            for strategy in [MergeStrategy::None, MergeStrategy::DestWins, MergeStrategy::SourceWins] {
                for squash in [false, true] {
                    let on = format!("merged-{strategy:?}-{squash}");
                    lake.branch_from(&on, "ours").await;
                    let before = lake.graveler.branch(&lake.repo, &branch(&on)).await.unwrap();
                    let mut params = merging();
                    (params.strategy, params.squash) = (strategy, squash);
                    let merged = lake.merge_with("theirs", &on, params, &NoHooks).await;
                    let after = lake.graveler.branch(&lake.repo, &branch(&on)).await.unwrap();
                    match (merged, model_merge(base, ours, theirs, strategy)) {
                        (Err(Error::NoChanges(_)), expected) => {
                            // A squash without changes records nothing.
                            let is_empty_squash = squash
                                && expected == Ok(identities(ours));
                            prop_assert!(is_empty_squash || identities(base) == identities(theirs));
                            prop_assert_eq!(before, after);
                        }
                        (Err(Error::Conflict { keys, .. }), Err(expected)) => {
                            prop_assert_eq!(keys, expected);
                            prop_assert_eq!(before, after);
                        }
                        (Ok(made), Ok(expected)) => {
                            let head = lake.head(&on).await;
                            prop_assert_eq!(&head.id, &made.commit_id);
                            let mut parents = vec![before.record.commit_id];
                            parents.extend((!squash).then(|| source.clone()));
                            prop_assert_eq!(head.parents, parents);
                            check_merge_result(lake, &on, &expected, &[ours, theirs]).await?;
                        }
                        (other, expected) => prop_assert!(false, "{:?} instead of {:?}", other, expected),
                    }
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn revert_and_cherry_pick_match_the_model(case in case()) {
        run(async {
            let stage = case.stage().await;
            let Stage { lake, base, ours, theirs, .. } = &stage;
            let (graveler, repo) = (&lake.graveler, &lake.repo);
            for is_revert in [true, false] {
                let on = if is_revert { "reverted" } else { "picked" };
                lake.branch_from(on, "ours").await;
                let before = graveler.branch(repo, &branch(on)).await.unwrap();
                let (made, expected, brought) = match is_revert {
                    true => (
                        graveler.revert(repo, &branch(on), "theirs", reverting(), &NoHooks).await,
                        model_merge(theirs, ours, base, MergeStrategy::None),
                        base,
                    ),
                    false => (
                        graveler.cherry_pick(repo, &branch(on), "theirs", picking(), &NoHooks).await,
                        model_merge(base, ours, theirs, MergeStrategy::None),
                        theirs,
                    ),
                };
                let after = graveler.branch(repo, &branch(on)).await.unwrap();
                match (made, expected) {
                    (Err(Error::NoChanges(_)), Ok(expected)) => {
                        prop_assert!(is_revert);
                        prop_assert_eq!(expected, identities(ours));
                        prop_assert_eq!(before, after);
                    }
                    (Err(Error::Conflict { keys, count }), Err(expected)) => {
                        prop_assert_eq!(count, expected.len() as u64);
                        prop_assert_eq!(keys, expected);
                        prop_assert_eq!(before, after);
                    }
                    (Ok(made), Ok(expected)) => {
                        prop_assert!(!is_revert || expected != identities(ours));
                        prop_assert_eq!(&made.parents, &[before.record.commit_id]);
                        prop_assert_eq!(made.id, after.record.commit_id);
                        check_merge_result(lake, on, &expected, &[ours, brought]).await?;
                    }
                    (other, expected) => prop_assert!(false, "{:?} instead of {:?}", other, expected),
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn reset_keeps_commits_and_hard_reset_keeps_staged_changes(
        case in case(), prefix in prop_oneof![Just(String::new()), "k[012]", key()],
    ) {
        run(async {
            let stage = case.stage().await;
            let Stage { lake, base, theirs, shown, .. } = &stage;
            let (graveler, repo, on) = (&lake.graveler, &lake.repo, branch("theirs"));
            let scope = ResetScope::Prefix(prefix.clone().into_bytes());
            graveler.reset(repo, &on, scope, false, "tester").await.unwrap();
            let pick = |tree: &Tree, inside: bool| -> Tree {
                let of = tree.iter().filter(|(key, _)| key.starts_with(&prefix) == inside);
                of.map(|(key, value)| (key.clone(), value.clone())).collect()
            };
            let mut left = pick(shown, false);
            left.extend(pick(theirs, true));
            prop_assert_eq!(&read(&stage.lake, "theirs").await, &left);
            prop_assert_eq!(&read(&stage.lake, "theirs@").await, theirs);

            graveler.hard_reset(repo, &on, "main", false, "tester").await.unwrap();
            let mut moved = base.clone();
            for diff in model_diff(theirs, &left) {
                let key = String::from_utf8(diff.key.to_vec()).unwrap();
                match diff.right {
                    Some(value) => moved.insert(key, value),
                    None => moved.remove(&key),
                };
            }
            prop_assert_eq!(&identities(&read(&stage.lake, "theirs").await), &identities(&moved));
            prop_assert_eq!(&read(&stage.lake, "theirs@").await, base);
            Ok(())
        })?;
    }

    #[test]
    fn undo_of_a_reset_restores_changes_below_later_ones(
        case in case(), later in edits("later")
    ) {
        run(async {
            let stage = case.stage().await;
            let Stage { lake, theirs, .. } = &stage;
            let (graveler, repo, on) = (&lake.graveler, &lake.repo, branch("theirs"));
            // Deleting a missing key stages nothing.
            let counts = |edits: &Edits| -> Edits {
                let of = edits.iter().filter(|(key, value)| value.is_some() || theirs.contains_key(*key));
                of.map(|(key, value)| (key.clone(), value.clone())).collect()
            };
            let (thrown, later) = (counts(&case.staged), counts(&later));
            if thrown.is_empty() {
                return Ok(());
            }
            graveler.reset(repo, &on, ResetScope::All, false, "tester").await.unwrap();
            prop_assert_eq!(&read(lake, "theirs").await, theirs);
            write(lake, "theirs", &later).await;
            let without = with_staged(theirs, &[&later]);
            prop_assert_eq!(&read(lake, "theirs").await, &without);
            let whole = with_staged(theirs, &[&thrown, &later]);
            // Undo the reset, undo the undo, and undo that.
            for expected in [&whole, &without, &whole] {
                let params = UndoParams { actor: "tester".to_owned(), ..UndoParams::default() };
                graveler.undo(repo, &RefName::Branch(on.clone()), &params).await.unwrap();
                prop_assert_eq!(&read(lake, "theirs").await, expected);
                prop_assert_eq!(&read(lake, "theirs@").await, theirs);
            }
            Ok(())
        })?;
    }
}
