//! Commits, the log, and the keys that a commit touches.

use base::OffsetDateTime;
use expect_test::expect;

use crate::testing::{Lake, Recorder, branch, committing};
use crate::{CommitId, CommitParams, Error, EventKind, LogRequest, MetaRangeId, NoHooks};

async fn log(lake: &Lake, change: impl Fn(&mut LogRequest)) -> String {
    let mut request = LogRequest {
        from: lake.head("main").await.id,
        first_parent: false,
        since: None,
        stop_at: None,
    };
    change(&mut request);
    let mut log = lake.graveler.log(&lake.repo, request).await.unwrap();
    let mut messages = Vec::new();
    while let Some(commit) = log.next().await.unwrap() {
        messages.push(commit.message);
    }
    messages.join(" ")
}

#[tokio::test]
async fn commit_contains_the_staged_changes() {
    let lake = Lake::new().await;
    let root = lake.head("main").await;
    assert_eq!(
        (
            root.message.as_str(),
            root.generation,
            root.meta_range_id.as_str()
        ),
        ("Repository created", 1, "")
    );
    lake.put("main", "a=1 b=1").await;
    let mut params = committing("first");
    params.metadata.insert("job".into(), "etl".into());
    let commit = lake.commit_with("main", params, &NoHooks).await.unwrap();
    assert_eq!(commit, lake.head("main").await);
    assert_eq!(commit.parents, [root.id]);
    assert_eq!(
        (commit.generation, commit.version, commit.committer.as_str()),
        (2, 1, "tester")
    );
    assert_eq!(commit.metadata["job"], "etl");
    assert_eq!(lake.uncommitted("main").await, "");
    let record = lake
        .graveler
        .branch(&lake.repo, &branch("main"))
        .await
        .unwrap()
        .record;
    assert!(record.sealed_tokens.is_empty());
    assert_eq!(
        lake.graveler
            .get_commit(&lake.repo, &CommitId::trusted(&commit.id.as_str()[..10]))
            .await
            .unwrap(),
        commit
    );
}

#[tokio::test]
async fn commit_without_changes_needs_allow_empty() {
    let lake = Lake::new().await;
    assert!(matches!(
        lake.commit("main", "none").await,
        Err(Error::NoChanges(_))
    ));
    let empty = CommitParams {
        allow_empty: true,
        ..committing("empty")
    };
    let date = OffsetDateTime::from_unix_timestamp(1_600_000_000).unwrap();
    let commit = lake
        .commit_with(
            "main",
            CommitParams {
                date: Some(date),
                ..empty
            },
            &NoHooks,
        )
        .await
        .unwrap();
    assert_eq!(commit.meta_range_id.as_str(), "");
    assert_eq!(commit.creation_date, date);
    assert!(matches!(
        lake.commit("none", "x").await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn given_tree_can_be_committed_to_a_clean_branch() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let first = lake.commit("main", "first").await.unwrap();
    lake.put("main", "b=1").await;
    lake.commit("main", "second").await.unwrap();
    let back = CommitParams {
        source_metarange: Some(first.meta_range_id.clone()),
        ..committing("back")
    };
    lake.put("main", "c=1").await;
    assert!(matches!(
        lake.commit_with("main", back.clone(), &NoHooks).await,
        Err(Error::DirtyBranch(_))
    ));
    lake.delete("main", "c").await.unwrap();
    lake.commit_with("main", back.clone(), &NoHooks)
        .await
        .unwrap();
    assert_eq!(lake.show("main").await, "a=1");
    assert!(matches!(
        lake.commit_with("main", back, &NoHooks).await,
        Err(Error::NoChanges(_))
    ));
    let none = CommitParams {
        source_metarange: Some(MetaRangeId::trusted("f".repeat(64))),
        ..committing("none")
    };
    assert!(matches!(
        lake.commit_with("main", none, &NoHooks).await,
        Err(Error::NotFound { .. })
    ));
}

async fn read_only_lake() -> Lake {
    let mut lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.repo.read_only = true;
    lake
}

#[tokio::test]
async fn read_only_repository_refuses_commits() {
    let refused = read_only_lake().await.commit("main", "x").await;
    assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
}

#[tokio::test]
async fn forced_commit_to_a_read_only_repository_runs_no_hooks() {
    let hooks = Recorder::refusing(EventKind::PreCommit);
    let forced = CommitParams {
        force: true,
        ..committing("forced")
    };
    let lake = read_only_lake().await;
    lake.commit_with("main", forced, &hooks).await.unwrap();
    assert!(
        hooks.take().is_empty(),
        "hooks must not run on read-only repositories"
    );
}

#[tokio::test]
async fn log_follows_all_parents_in_order_of_time() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let first = lake.commit("main", "1").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("main", "b=1").await;
    lake.commit("main", "2").await.unwrap();
    lake.put("dev", "c=1").await;
    let third = lake.commit("dev", "3").await.unwrap();
    lake.put("main", "d=1").await;
    lake.commit("main", "4").await.unwrap();
    lake.merge("dev", "main").await.unwrap();
    expect!["Merge 'dev' into 'main' 4 3 2 1 Repository created"]
        .assert_eq(&log(&lake, |_| {}).await);
    expect!["Merge 'dev' into 'main' 4 2 1 Repository created"]
        .assert_eq(&log(&lake, |r| r.first_parent = true).await);
    expect!["Merge 'dev' into 'main' 4 3"]
        .assert_eq(&log(&lake, |r| r.since = Some(third.creation_date)).await);
    expect!["Merge 'dev' into 'main' 4 3 2 1"]
        .assert_eq(&log(&lake, |r| r.stop_at = Some(first.id.clone())).await);
}

#[tokio::test]
async fn commit_touches_changed_keys_and_prefixes() {
    let lake = Lake::new().await;
    lake.put("main", "a/1=1 a/2=1 b/1=1").await;
    let first = lake.commit("main", "first").await.unwrap();
    lake.put("main", "a/2=2").await;
    let second = lake.commit("main", "second").await.unwrap();
    lake.delete("main", "b/1").await.unwrap();
    let third = lake.commit("main", "third").await.unwrap();
    for (commit, key, prefix, expected) in [
        (&first, "a/1", "", [true, true]),
        (&second, "a/1", "a/", [false, true]),
        (&second, "a/2", "b", [true, false]),
        (&third, "b/1", "b/", [true, true]),
        (&third, "b/", "a/", [false, false]),
    ] {
        let (key, prefix) = (key.as_bytes().to_vec(), prefix.as_bytes().to_vec());
        let by_key = lake
            .graveler
            .touches(&lake.repo, commit, std::slice::from_ref(&key), &[])
            .await
            .unwrap();
        let by_prefix = lake
            .graveler
            .touches(&lake.repo, commit, &[], std::slice::from_ref(&prefix))
            .await
            .unwrap();
        assert_eq!(
            [by_key, by_prefix],
            expected,
            "{} {key:?} {prefix:?}",
            commit.message
        );
    }
}
