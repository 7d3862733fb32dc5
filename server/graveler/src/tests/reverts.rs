//! Reverts and cherry-picks.

use expect_test::expect;

use crate::testing::{Lake, Recorder, branch, committing, merging, picking, reverting};
use crate::{
    CherryPickParams, Commit, CommitParams, Error, EventKind, NoHooks, RevertParams, TreeSource,
};

/// Four commits on main: `f0=1`, `f1=1`, `f2=1`, and `f0=2 f3=1`.
async fn four_commits() -> Lake {
    let lake = Lake::new().await;
    for (n, records) in ["f0=1", "f1=1", "f2=1", "f0=2 f3=1"].iter().enumerate() {
        lake.put("main", records).await;
        lake.commit("main", &format!("commit {n}")).await.unwrap();
    }
    lake
}

/// `main` has merged `dev`. `dev` wrote `d=1`, `main` wrote `m=1`.
async fn merged() -> Lake {
    let lake = four_commits().await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "d=1").await;
    lake.commit("dev", "on dev").await.unwrap();
    lake.put("main", "m=1").await;
    lake.commit("main", "on main").await.unwrap();
    lake.merge("dev", "main").await.unwrap();
    lake
}

#[tokio::test]
async fn revert_undoes_only_the_given_commit() {
    let lake = four_commits().await;
    let before = lake.head("main").await;
    let commit = lake.revert("main", "main~1").await.unwrap();
    assert_eq!(lake.show("main").await, "f0=2 f1=1 f3=1");
    assert_eq!(commit, lake.head("main").await);
    assert_eq!(commit.parents, [before.id]);
    assert_eq!(commit.generation, before.generation + 1);
    assert_eq!(
        (commit.message.as_str(), commit.committer.as_str()),
        ("Revert main~1", "tester")
    );
    assert!(commit.metadata.is_empty());
    // Reverting the revert restores the change.
    lake.revert("main", "main").await.unwrap();
    assert_eq!(lake.show("main").await, "f0=2 f1=1 f2=1 f3=1");
    assert_eq!(lake.head("main").await.meta_range_id, before.meta_range_id);
}

#[tokio::test]
async fn second_revert_of_a_commit_is_no_change() {
    let lake = four_commits().await;
    let third = lake.head("main").await.parents[0].clone();
    lake.revert("main", third.as_str()).await.unwrap();
    let once = lake.head("main").await;
    let again = lake.revert("main", third.as_str()).await.unwrap_err();
    assert!(matches!(again, Error::NoChanges(_)), "{again:?}");
    assert_eq!(
        again.to_string(),
        "no changes: the branch no longer has the changes of that commit"
    );
    assert_eq!(lake.head("main").await, once);
    let params = RevertParams {
        allow_empty: true,
        message: "own words".to_owned(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        ..reverting()
    };
    let empty = lake
        .revert_with("main", third.as_str(), params, &NoHooks)
        .await
        .unwrap();
    assert_eq!(empty.meta_range_id, once.meta_range_id);
    assert_eq!(
        (empty.message.as_str(), empty.metadata["k"].as_str()),
        ("own words", "v")
    );
}

/// Two trees without objects are equal, even if only one of them is stored.
#[tokio::test]
async fn revert_on_an_empty_branch_is_no_change() {
    let lake = four_commits().await;
    lake.branch_from("empty", "main~4").await;
    assert_eq!(lake.show("empty").await, "");
    let deleted = async {
        lake.delete("main", "f0 f1 f2 f3").await.unwrap();
        lake.commit("main", "all gone").await.unwrap();
    };
    deleted.await;
    for commit in ["main~2", "main~4"] {
        assert!(
            matches!(lake.revert("empty", commit).await, Err(Error::NoChanges(_))),
            "{commit}"
        );
    }
}

#[tokio::test]
async fn revert_conflicts_with_later_changes() {
    let lake = four_commits().await;
    let before = lake.head("main").await;
    let Err(Error::Conflict { keys, count }) = lake.revert("main", "main~3").await else {
        panic!("f0 was changed again, so the revert must conflict");
    };
    assert_eq!((keys, count), (vec![b"f0".to_vec()], 1));
    assert_eq!(lake.head("main").await, before);
}

#[tokio::test]
async fn replaying_a_merge_needs_a_parent_number() {
    let lake = merged().await;
    let refused = lake.revert("main", "main").await;
    assert!(matches!(refused, Err(Error::ParentRequired)), "{refused:?}");
    let refused = lake.pick("main", "main").await;
    assert!(
        matches!(refused, Err(Error::CherryPickParentRequired)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn revert_refuses_the_number_of_a_missing_parent() {
    let lake = merged().await;
    let refused = lake.revert("main", "main -m 3").await;
    assert!(
        matches!(
            refused,
            Err(Error::NoSuchParent {
                number: 3,
                parents: 2,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn revert_of_a_merge_keeps_the_changes_of_the_given_parent() {
    for (parent, shown) in [
        (1, "f0=2 f1=1 f2=1 f3=1 m=1"),
        (2, "d=1 f0=2 f1=1 f2=1 f3=1"),
    ] {
        let lake = merged().await;
        let revert = lake.revert("main", &format!("main -m {parent}")).await;
        revert.unwrap();
        assert_eq!(lake.show("main").await, shown);
    }
}

/// Parent 1 gives the changes of dev, parent 2 those of main.
#[tokio::test]
async fn cherry_pick_of_a_merge_takes_the_changes_since_the_given_parent() {
    let lake = merged().await;
    for (name, parent, shown) in [("one", 1, "d=1 f0=1"), ("two", 2, "f0=1 m=1")] {
        lake.branch_from(name, "dev~4").await;
        let commit = lake.pick(name, &format!("main -m {parent}")).await.unwrap();
        assert_eq!(lake.show(name).await, shown);
        assert_eq!(commit.parents.len(), 1);
    }
}

#[tokio::test]
async fn root_commit_has_no_parent_to_compare_with() {
    let lake = four_commits().await;
    for refused in [
        lake.revert("main", "main~4").await,
        lake.pick("main", "main~4").await,
    ] {
        assert!(
            matches!(
                refused,
                Err(Error::NoSuchParent {
                    number: 1,
                    parents: 0,
                    ..
                })
            ),
            "{refused:?}"
        );
    }
}

/// Four commits on main, and two on `side`: `side=1`, and then `later=1`. Returns the first of side.
async fn lake_with_side() -> (Lake, Commit) {
    let lake = four_commits().await;
    lake.branch_from("side", "main~3").await;
    lake.put("side", "side=1").await;
    let params = CommitParams {
        metadata: [("job".to_owned(), "etl".to_owned())].into(),
        ..committing("side work")
    };
    let side = lake.commit_with("side", params, &NoHooks).await.unwrap();
    lake.put("side", "later=1").await;
    lake.commit("side", "later").await.unwrap();
    (lake, side)
}

#[tokio::test]
async fn cherry_pick_applies_one_change_and_records_its_origin() {
    let (lake, side) = lake_with_side().await;
    let before = lake.head("main").await;
    let commit = lake.pick("main", "side~1").await.unwrap();
    assert_eq!(lake.show("main").await, "f0=2 f1=1 f2=1 f3=1 side=1");
    assert_eq!(commit.parents, [before.id]);
    assert_eq!(commit.generation, before.generation + 1);
    assert_eq!(
        (commit.message.as_str(), commit.committer.as_str()),
        ("side work", "picker")
    );
    expect![[r#"{"cherry-pick-committer": "tester", "cherry-pick-origin": "SIDE", "job": "etl"}"#]]
        .assert_eq(&format!("{:?}", commit.metadata).replace(side.id.as_str(), "SIDE"));
}

#[tokio::test]
async fn repeated_cherry_pick_makes_a_commit_with_the_same_tree() {
    let (lake, side) = lake_with_side().await;
    let commit = lake.pick("main", side.id.as_str()).await.unwrap();
    let again = lake.pick("main", side.id.as_str()).await.unwrap();
    assert_eq!(again.meta_range_id, commit.meta_range_id);
    assert_eq!(again.parents, [commit.id]);
}

#[tokio::test]
async fn cherry_pick_may_replace_the_message_and_metadata() {
    let (lake, _) = lake_with_side().await;
    let params = CherryPickParams {
        message: Some("own words".to_owned()),
        metadata: Some([("k".to_owned(), "v".to_owned())].into()),
        ..picking()
    };
    let own = lake
        .pick_with("main", "side~1", params, &NoHooks)
        .await
        .unwrap();
    assert_eq!(own.message, "own words");
    assert_eq!(
        own.metadata.keys().collect::<Vec<_>>(),
        ["cherry-pick-committer", "cherry-pick-origin", "k"]
    );
}

#[tokio::test]
async fn cherry_pick_conflicts_with_another_change_of_the_key() {
    let (lake, _) = lake_with_side().await;
    lake.put("main", "later=2").await;
    lake.commit("main", "otherwise").await.unwrap();
    let refused = lake.pick("main", "side").await;
    assert!(
        matches!(refused, Err(Error::Conflict { count: 1, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn replay_needs_a_branch_without_effective_changes() {
    let lake = four_commits().await;
    lake.put("main", "dirty=1").await;
    for refused in [
        lake.revert("main", "main").await,
        lake.pick("main", "main").await,
    ] {
        assert!(matches!(refused, Err(Error::DirtyBranch(_))), "{refused:?}");
    }
    lake.delete("main", "dirty").await.unwrap();
    // A staged value that equals the head is no change, and must not hide what is reverted.
    lake.put("main", "f0=2").await;
    lake.revert("main", "main").await.unwrap();
    assert_eq!(lake.show("main").await, "f0=1 f1=1 f2=1");
    assert_eq!(lake.uncommitted("main").await, "");
}

#[tokio::test]
async fn replay_refuses_missing_references_and_read_only_repositories() {
    let mut lake = four_commits().await;
    for (on, reference) in [("main", "none"), ("none", "main")] {
        for refused in [
            lake.revert(on, reference).await,
            lake.pick(on, reference).await,
        ] {
            assert!(
                matches!(refused, Err(Error::NotFound { .. })),
                "{refused:?}"
            );
        }
    }
    assert!(matches!(
        lake.revert("main", "main$").await,
        Err(Error::InvalidReference { .. })
    ));
    // A protected branch allows reverts and cherry-picks.
    lake.protect("main").await;
    lake.revert("main", "main").await.unwrap();
    lake.repo.read_only = true;
    for refused in [
        lake.revert("main", "main").await,
        lake.pick("main", "main").await,
    ] {
        assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    }
    let forced = RevertParams {
        force: true,
        ..reverting()
    };
    let hooks = Recorder::refusing(EventKind::PreRevert);
    lake.revert_with("main", "main", forced, &hooks)
        .await
        .unwrap();
    assert!(
        hooks.take().is_empty(),
        "hooks must not run in a read-only repository"
    );
}

#[tokio::test]
async fn rejected_replay_does_not_move_the_branch() {
    let lake = four_commits().await;
    let before = lake.head("main").await;
    let refusing = Recorder::refusing(EventKind::PreRevert);
    let refused = lake
        .revert_with("main", "main~1", reverting(), &refusing)
        .await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    let refusing = Recorder::refusing(EventKind::PreCherryPick);
    let refused = lake.pick_with("main", "main~1", picking(), &refusing).await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    assert_eq!(lake.head("main").await, before);
}

/// The actions on the branch judge the change, and see both trees.
#[tokio::test]
async fn events_of_a_revert_describe_both_trees() {
    let lake = four_commits().await;
    let before = lake.head("main").await;
    let hooks = Recorder::default();
    let commit = lake
        .revert_with("main", "main~1", reverting(), &hooks)
        .await
        .unwrap();
    let [pre, post] = <[_; 2]>::try_from(hooks.take()).unwrap();
    assert_eq!(
        (pre.kind(), post.kind()),
        (EventKind::PreRevert, EventKind::PostRevert)
    );
    assert_eq!(
        pre.actions_from(),
        TreeSource::MetaRange(&before.meta_range_id)
    );
    assert_eq!(pre.candidate(), Some(&commit.meta_range_id));
    assert_eq!(pre.base(), Some(&before.meta_range_id));
    assert_eq!(pre.commit().unwrap().parents, [before.id]);
    assert_eq!(post.pre_run_id(), Some(pre.run_id.as_str()));
    assert_ne!(post.run_id, pre.run_id);
    assert_eq!(
        post.actions_from(),
        TreeSource::MetaRange(&commit.meta_range_id)
    );
}

/// Hooks during which another server moves the branch, once.
#[derive(Debug)]
struct InterferingHooks {
    lake: Lake,
    judged: std::sync::atomic::AtomicUsize,
}

#[async_trait::async_trait]
impl crate::Hooks for InterferingHooks {
    async fn before(
        &self,
        event: &crate::Event,
    ) -> Result<crate::HookOutcome, Box<crate::Rejection>> {
        if self
            .judged
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            == 0
        {
            // Another server does not wait for this server's permit.
            let other = self.lake.graveler.fork_for_tests();
            let mut params = merging();
            params.allow_empty = true;
            let main = branch("main");
            other
                .merge(&event.repository, &main, "side", params, &NoHooks)
                .await
                .unwrap();
        }
        Ok(crate::HookOutcome::ran())
    }

    async fn after(&self, _event: crate::Event) {}
}

#[tokio::test]
async fn replay_that_loses_the_race_is_recomputed_and_judged_again() {
    let lake = four_commits().await;
    lake.branch_from("side", "main").await;
    lake.put("side", "s=1").await;
    lake.commit("side", "side").await.unwrap();
    let hooks = InterferingHooks {
        lake: lake.clone(),
        judged: 0.into(),
    };
    let target = lake.head("main").await.parents[0].clone();
    let commit = lake
        .revert_with("main", target.as_str(), reverting(), &hooks)
        .await
        .unwrap();
    assert_eq!(lake.show("main").await, "f0=2 f1=1 f3=1 s=1");
    assert_eq!(commit, lake.head("main").await);
    assert_eq!(
        hooks.judged.into_inner(),
        2,
        "the hooks must judge both candidates"
    );
}
