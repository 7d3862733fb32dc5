//! Merges and differences between references.

use expect_test::{Expect, expect};

use crate::testing::{Lake, merging, show_diff};
use crate::{Error, MergeParams, MergeStrategy, NoHooks};

/// Commits `base` on main, changes both sides, and merges theirs (dev) into ours (main).
async fn merged(
    base: &str,
    ours: &str,
    theirs: &str,
    strategy: MergeStrategy,
) -> (Lake, crate::Result<()>) {
    let lake = Lake::new().await;
    lake.put("main", base).await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    for (on, changes) in [("main", ours), ("dev", theirs)] {
        for change in changes.split_whitespace() {
            match change.strip_prefix('-') {
                Some(key) => lake.delete(on, key).await.unwrap(),
                None => lake.put(on, change).await,
            }
        }
        if !changes.is_empty() {
            lake.commit(on, on).await.unwrap();
        }
    }
    let outcome = lake
        .merge_with(
            "dev",
            "main",
            MergeParams {
                strategy,
                ..merging()
            },
            &NoHooks,
        )
        .await;
    (lake, outcome.map(|_| ()))
}

/// The part of an error message before the first colon.
fn words(error: &Error) -> String {
    let message = error.to_string();
    message.split(':').next().unwrap_or_default().to_owned()
}

async fn check(base: &str, ours: &str, theirs: &str, strategy: MergeStrategy, expected: &Expect) {
    let (lake, outcome) = merged(base, ours, theirs, strategy).await;
    let shown = match outcome {
        Ok(()) => lake.show("main@").await,
        Err(Error::Conflict { keys, .. }) => format!(
            "conflict {}",
            keys.iter()
                .map(|k| k.escape_ascii().to_string())
                .collect::<Vec<_>>()
                .join(" ")
        ),
        Err(other) => words(&other),
    };
    expected.assert_eq(&shown);
}

#[tokio::test]
async fn three_way_merges_follow_the_strategy() {
    use MergeStrategy::{DestWins, None, SourceWins};
    check("a=1 b=1", "a=2", "c=3", None, &expect!["a=2 b=1 c=3"]).await;
    check("a=1 b=1", "", "c=3 -b", None, &expect!["a=1 c=3"]).await;
    check("a=1 b=1", "a=2", "", None, &expect!["no changes"]).await;
    check("a=1", "a=2 b=2", "a=2 c=3", None, &expect!["a=2 b=2 c=3"]).await;
    check("a=1 b=1", "a=2", "a=3", None, &expect!["conflict a"]).await;
    check("a=1 b=1", "-a b=2", "a=3 b=2", None, &expect!["conflict a"]).await;
    check("a=1 b=1", "a=2", "a=3 b=3", DestWins, &expect!["a=2 b=3"]).await;
    check("a=1 b=1", "a=2", "a=3 b=3", SourceWins, &expect!["a=3 b=3"]).await;
}

/// `dev` with `a=1 c=1`, merged into `main` with `a=1 b=1`.
async fn merged_cleanly() -> Lake {
    let (lake, outcome) = merged("a=1", "b=1", "c=1", MergeStrategy::None).await;
    outcome.unwrap();
    lake
}

#[tokio::test]
async fn merge_commit_records_parents_strategy_and_message() {
    let lake = merged_cleanly().await;
    let head = lake.head("main").await;
    assert_eq!(head.message, "Merge 'dev' into 'main'");
    assert_eq!(head.metadata[".lakefs.merge.strategy"], "default");
    assert_eq!(head.parents.len(), 2);
    assert_eq!(head.parents[1], lake.head("dev").await.id);
    assert_eq!(head.generation, 4);
}

#[tokio::test]
async fn repeated_merge_is_no_change() {
    let lake = merged_cleanly().await;
    let again = lake.merge("dev", "main").await.unwrap_err();
    assert!(matches!(again, Error::NoChanges(_)), "{again:?}");
    expect!["no changes: 'dev' is already merged"].assert_eq(&again.to_string());
}

#[tokio::test]
async fn merge_back_takes_exactly_the_merged_tree() {
    let lake = merged_cleanly().await;
    lake.merge("main", "dev").await.unwrap();
    let (main, dev) = (lake.head("main").await, lake.head("dev").await);
    assert_eq!(dev.meta_range_id, main.meta_range_id);
}

#[tokio::test]
async fn allowed_empty_merge_has_the_given_message_and_the_same_tree() {
    let lake = merged_cleanly().await;
    lake.merge("main", "dev").await.unwrap();
    let before = lake.head("main").await;
    let params = MergeParams {
        allow_empty: true,
        message: "own".into(),
        ..merging()
    };
    lake.merge_with("dev", "main", params, &NoHooks)
        .await
        .unwrap();
    let head = lake.head("main").await;
    assert_eq!(head.message, "own");
    assert_eq!(head.meta_range_id, before.meta_range_id);
}

#[tokio::test]
async fn squash_merge_has_one_parent() {
    let lake = Lake::new().await;
    lake.branch_from("dev", "main").await;
    for key in ["a", "b", "c"] {
        lake.put("dev", &format!("{key}=1")).await;
        lake.commit("dev", key).await.unwrap();
    }
    let root = lake.head("main").await;
    lake.merge_with(
        "dev",
        "main",
        MergeParams {
            squash: true,
            ..merging()
        },
        &NoHooks,
    )
    .await
    .unwrap();
    let head = lake.head("main").await;
    assert_eq!(head.parents, [root.id]);
    assert_eq!(head.generation, 5);
    assert_eq!(lake.show("main").await, "a=1 b=1 c=1");
}

/// Merges twice with the same parameters; shows each outcome and the head's number of parents.
async fn merge_twice(base: &str, ours: &str, theirs: &str, params: MergeParams) -> String {
    let (lake, _) = merged(base, ours, theirs, MergeStrategy::None).await;
    // If the setup merged, go back to ours.
    if lake.head("main").await.parents.len() == 2 {
        lake.hard_reset("main", "main~1").await.unwrap();
    }
    let mut shown = Vec::new();
    for _ in 0..2 {
        let before = lake.head("main").await;
        let outcome = lake
            .merge_with("dev", "main", params.clone(), &NoHooks)
            .await;
        let after = lake.head("main").await;
        shown.push(match outcome {
            Ok(_) if after.meta_range_id == before.meta_range_id => {
                format!("same tree, {} parents", after.parents.len())
            }
            Ok(_) => format!("changed, {} parents", after.parents.len()),
            Err(error) => {
                assert_eq!(before, after, "a refused merge must not move the head");
                words(&error)
            }
        });
    }
    shown.join("; ")
}

fn with(strategy: MergeStrategy, squash: bool) -> MergeParams {
    MergeParams {
        strategy,
        squash,
        ..merging()
    }
}

#[tokio::test]
async fn merge_of_an_unchanged_source_is_refused() {
    for squash in [false, true] {
        let params = with(MergeStrategy::None, squash);
        expect!["no changes; no changes"].assert_eq(&merge_twice("a=1", "b=1", "", params).await);
    }
}

#[tokio::test]
async fn second_merge_of_a_change_is_refused() {
    let plain = with(MergeStrategy::None, false);
    expect!["changed, 2 parents; no changes"]
        .assert_eq(&merge_twice("a=1", "b=1", "c=1", plain).await);
    let squash = with(MergeStrategy::None, true);
    expect!["changed, 1 parents; no changes"]
        .assert_eq(&merge_twice("a=1", "b=1", "c=1", squash).await);
}

/// A merge commit with two parents records that the source is merged, even if the tree stays the same.
/// A squash that changes nothing records nothing.
#[tokio::test]
async fn merge_of_a_change_that_both_sides_made_keeps_the_tree() {
    let plain = with(MergeStrategy::None, false);
    expect!["same tree, 2 parents; no changes"]
        .assert_eq(&merge_twice("a=1", "b=1", "b=1", plain).await);
    let squash = with(MergeStrategy::None, true);
    expect!["no changes; no changes"].assert_eq(&merge_twice("a=1", "b=1", "b=1", squash).await);
}

#[tokio::test]
async fn merge_whose_changes_all_lose_keeps_the_tree() {
    let plain = with(MergeStrategy::DestWins, false);
    expect!["same tree, 2 parents; no changes"]
        .assert_eq(&merge_twice("a=1", "a=2", "a=3", plain).await);
    let squash = with(MergeStrategy::DestWins, true);
    expect!["no changes; no changes"].assert_eq(&merge_twice("a=1", "a=2", "a=3", squash).await);
}

/// `force` allows empty merges too, as lakeFS clients expect.
#[tokio::test]
async fn empty_merge_needs_allow_empty_or_force() {
    for (allow_empty, force) in [(true, false), (false, true)] {
        let allowed = |squash| MergeParams {
            allow_empty,
            force,
            ..with(MergeStrategy::DestWins, squash)
        };
        expect!["same tree, 1 parents; same tree, 1 parents"]
            .assert_eq(&merge_twice("a=1", "a=2", "a=3", allowed(true)).await);
        expect!["same tree, 2 parents; same tree, 2 parents"]
            .assert_eq(&merge_twice("a=1", "b=1", "", allowed(false)).await);
    }
}

/// The empty tree has two ids: the empty string in a new repository, and the id of a metarange without
/// ranges.
#[tokio::test]
async fn empty_trees_with_different_ids_are_equal() {
    let lake = Lake::new().await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    lake.commit("dev", "there").await.unwrap();
    lake.delete("dev", "a").await.unwrap();
    let empty = lake.commit("dev", "and gone").await.unwrap().meta_range_id;
    let none = lake.head("main").await.meta_range_id;
    assert_ne!(empty, none, "the ids must differ for this test");
    let merged = lake.merge("dev", "main").await;
    assert!(matches!(merged, Err(Error::NoChanges(_))), "{merged:?}");
    for (branch, other) in [("main", &empty), ("dev", &none)] {
        let params = crate::CommitParams {
            source_metarange: Some(other.clone()),
            ..crate::testing::committing("the same")
        };
        let committed = lake.commit_with(branch, params, &NoHooks).await;
        assert!(
            matches!(committed, Err(Error::NoChanges(_))),
            "{committed:?}"
        );
    }
}

#[tokio::test]
async fn merge_needs_a_destination_without_effective_changes() {
    let lake = Lake::new().await;
    lake.put("main", "a=1 b=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=2").await;
    lake.commit("dev", "change").await.unwrap();
    lake.put("main", "c=1").await;
    assert!(matches!(
        lake.merge("dev", "main").await,
        Err(Error::DirtyBranch(_))
    ));
    lake.delete("main", "c").await.unwrap();
    // A staged value that equals the head is no change. It must not undo the merge.
    lake.put("main", "a=1").await;
    lake.merge("dev", "main").await.unwrap();
    assert_eq!(lake.show("main").await, "a=2 b=1");
    assert_eq!(lake.uncommitted("main").await, "");
}

#[tokio::test]
async fn merge_refuses_missing_and_staging_references() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    assert!(matches!(
        lake.merge("none", "main").await,
        Err(Error::NotFound {
            kind: crate::Kind::Reference,
            ..
        })
    ));
    assert!(matches!(
        lake.merge("main", "none").await,
        Err(Error::NotFound {
            kind: crate::Kind::Branch,
            ..
        })
    ));
    assert!(matches!(
        lake.merge("main$", "main").await,
        Err(Error::InvalidReference { .. })
    ));
}

/// `main` and `dev` have diverged, and conflict at `a`.
async fn diverged() -> Lake {
    let (lake, outcome) = merged("a=1 b=1 e=1", "a=2 d=2", "a=3 -b", MergeStrategy::None).await;
    assert!(matches!(outcome, Err(Error::Conflict { .. })));
    lake
}

async fn diff(lake: &Lake, left: &str, right: &str) -> String {
    let left = lake.graveler.resolve(&lake.repo, left).await.unwrap();
    let right = lake.graveler.resolve(&lake.repo, right).await.unwrap();
    show_diff(lake.graveler.diff(&lake.repo, &left, &right).await.unwrap()).await
}

#[tokio::test]
async fn two_dot_diff_shows_the_changes_of_both_sides() {
    let lake = diverged().await;
    expect!["~a:2>3 -b:1> -d:2>"].assert_eq(&diff(&lake, "main", "dev").await);
}

#[tokio::test]
async fn three_dot_diff_shows_only_the_changes_of_the_right() {
    let lake = diverged().await;
    let left = lake.graveler.resolve(&lake.repo, "main").await.unwrap();
    let right = lake.graveler.resolve(&lake.repo, "dev").await.unwrap();
    let compared = lake.graveler.compare(&lake.repo, &left, &right).await;
    expect!["!a:2>3 -b:1>"].assert_eq(&show_diff(compared.unwrap()).await);
}

#[tokio::test]
async fn two_dot_diff_with_a_branch_without_staged_changes_is_empty() {
    let lake = diverged().await;
    expect![""].assert_eq(&diff(&lake, "main", "main$").await);
}

#[tokio::test]
async fn two_dot_diff_shows_staged_changes_only_if_requested() {
    let lake = diverged().await;
    lake.put("dev", "a=2 c=4 e=5").await;
    expect!["~a:2>3 -b:1> -d:2>"].assert_eq(&diff(&lake, "main", "dev").await);
    expect!["-b:1> +c:>4 -d:2> ~e:1>5"].assert_eq(&diff(&lake, "main", "dev$").await);
    expect!["~a:3>2 +c:>4 ~e:1>5"].assert_eq(&diff(&lake, "dev@", "dev$").await);
}

#[tokio::test]
async fn two_dot_diff_shows_staged_deletions() {
    let lake = diverged().await;
    lake.put("dev", "c=4 e=5").await;
    lake.delete("dev", "a c").await.unwrap();
    expect!["-a:2> -b:1> -d:2> ~e:1>5"].assert_eq(&diff(&lake, "main", "dev$").await);
}

#[tokio::test]
async fn diffs_refuse_staged_changes_where_they_need_a_commit() {
    let lake = diverged().await;
    let main = lake.graveler.resolve(&lake.repo, "main").await.unwrap();
    let staged = lake.graveler.resolve(&lake.repo, "dev$").await.unwrap();
    for refused in [
        lake.graveler.diff(&lake.repo, &staged, &main).await,
        lake.graveler.compare(&lake.repo, &main, &staged).await,
    ] {
        let is_refused = matches!(refused, Err(Error::InvalidReference { .. }));
        assert!(is_refused, "{refused:?}");
    }
}
