//! Heads that branches were moved away from: garbage collection keeps them for an undo.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::retention::{KeptCommits, MAX_INDEXED_COMMITS, Retention};
use crate::testing::{Lake, branch};
use crate::{CommitId, NoHooks, Options, RefName, UndoParams};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The commits kept now, with this many days by default and for `dev`.
async fn kept(lake: &Lake, default: u32, dev: Option<u32>) -> BTreeSet<CommitId> {
    use base::Clock as _;
    let ago = |days: u32| lake.clock.now() - DAY * days;
    let retention = Retention {
        default: ago(default),
        branches: BTreeMap::from_iter(dev.map(|days| (branch("dev"), ago(days)))),
    };
    // The result must not depend on how many commits fit into memory.
    let all = collect_kept_commits(lake, &retention, MAX_INDEXED_COMMITS).await;
    assert_eq!(collect_kept_commits(lake, &retention, 2).await, all);
    all
}

async fn collect_kept_commits(
    lake: &Lake,
    retention: &Retention,
    max_indexed: usize,
) -> BTreeSet<CommitId> {
    let engine = &lake.graveler;
    let kept = KeptCommits::open(engine, &lake.repo, retention, max_indexed).await;
    let (mut kept, mut ids) = (kept.unwrap(), BTreeSet::new());
    while let Some(commit) = kept.next().await.unwrap() {
        assert!(ids.insert(commit.id), "each commit must be returned once");
    }
    ids
}

async fn undo(lake: &Lake, name: &str) {
    let of = RefName::Branch(branch(name));
    let undone = lake
        .graveler
        .undo(&lake.repo, &of, &UndoParams::default())
        .await;
    undone.unwrap();
}

async fn delete(lake: &Lake, name: &str) {
    lake.graveler
        .delete_branch(&lake.repo, &branch(name), false, "tester", &NoHooks)
        .await
        .unwrap();
}

/// `dev` with two commits of its own on top of `main`.
async fn lake_with_dev() -> (Lake, [CommitId; 2]) {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "b=1").await;
    let one = lake.commit("dev", "one").await.unwrap().id;
    lake.put("dev", "b=2").await;
    let two = lake.commit("dev", "two").await.unwrap().id;
    (lake, [one, two])
}

#[tokio::test]
async fn old_branch_deleted_today_can_be_restored_tomorrow() {
    let (lake, [one, two]) = lake_with_dev().await;
    lake.clock.advance(DAY * 30);
    delete(&lake, "dev").await;
    lake.clock.advance(DAY / 2);
    let by_night = kept(&lake, 7, None).await;
    assert!(by_night.contains(&two));
    assert!(!by_night.contains(&one), "it stopped being a head long ago");

    lake.clock.advance(DAY / 2);
    undo(&lake, "dev").await;
    assert_eq!(lake.head("dev").await.id, two);
    assert!(by_night.contains(&lake.head("dev").await.id));
    assert_eq!(lake.show("dev").await, "a=1 b=2");
}

#[tokio::test]
async fn retention_of_an_abandoned_head_starts_when_its_branch_leaves_it() {
    for leave in ["delete", "reset", "undo"] {
        let (lake, [_, two]) = lake_with_dev().await;
        lake.clock.advance(DAY * 30);
        match leave {
            "delete" => delete(&lake, "dev").await,
            "reset" => lake.hard_reset("dev", "main").await.unwrap(),
            _ => undo(&lake, "dev").await,
        }
        lake.clock.advance(DAY * 7);
        assert!(kept(&lake, 7, None).await.contains(&two), "{leave}");
        lake.clock.advance(Duration::from_secs(1));
        assert!(!kept(&lake, 7, None).await.contains(&two), "{leave}");
        // The longer of the branch's own time and the default applies.
        assert!(kept(&lake, 7, Some(8)).await.contains(&two), "{leave}");
        assert!(kept(&lake, 8, Some(0)).await.contains(&two), "{leave}");
    }
}

/// Even with short retention times, abandoned heads are kept as long as discarded staged changes, so
/// that an undo finds both.
#[tokio::test]
async fn abandoned_head_is_kept_as_long_as_staged_changes() {
    let (lake, [one, two]) = lake_with_dev().await;
    lake.clock.advance(DAY * 30);
    lake.put("dev", "b=3").await;
    lake.commit("dev", "three").await.unwrap();
    lake.clock.advance(Options::default().keep_staged);
    let kept_then = kept(&lake, 0, None).await;
    assert!(kept_then.contains(&two));
    assert!(!kept_then.contains(&one), "abandoned long ago");
    lake.clock.advance(Duration::from_secs(1));
    assert!(!kept(&lake, 0, None).await.contains(&two));

    undo(&lake, "dev").await;
    assert_eq!(lake.show("dev").await, "a=1 b=2");
    assert!(kept_then.contains(&lake.head("dev").await.id));
}

/// A commit's parent stays an ancestor of the head, so only the branch's own retention time keeps it.
#[tokio::test]
async fn parents_of_new_commits_are_kept_by_the_branchs_own_time() {
    let (lake, [one, _]) = lake_with_dev().await;
    lake.clock.advance(DAY * 3);
    assert!(kept(&lake, 90, Some(4)).await.contains(&one));
    assert!(!kept(&lake, 90, Some(2)).await.contains(&one));
}
