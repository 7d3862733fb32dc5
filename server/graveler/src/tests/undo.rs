//! Undo: what it brings back, what it refuses, and that nothing is lost on the way.

use std::sync::Arc;
use std::time::Duration;

use kv::testing::{Faults, FaultyStore};
use kv::{MemoryStore, Op, Predicate, Store};

use crate::records::{BRANCHES, Stored as _, branch_key};
use crate::testing::{Lake, branch, committing, value};
use crate::{
    Branch, BranchRecord, CommitId, Condition, Error, Kind, NoHooks, Operation, Options, RefName,
    ReflogEntry, Result, TagId, UndoParams, Undone,
};

fn on(name: &str) -> RefName {
    RefName::Branch(branch(name))
}

async fn undo(lake: &Lake, of: &RefName, entry: Option<&str>) -> Result<Undone> {
    let params = UndoParams {
        entry: entry.map(str::to_owned),
        force: false,
        actor: "helper".to_owned(),
    };
    lake.graveler.undo(&lake.repo, of, &params).await
}

async fn newest(lake: &Lake, of: &RefName) -> String {
    let entry = lake.graveler.entry_to_undo(&lake.repo, of, None).await;
    entry.unwrap().id
}

async fn entries(lake: &Lake, name: &str) -> Vec<ReflogEntry> {
    let of = on(name);
    let page = lake.graveler.reflog(&lake.repo, Some(&of), "", 1_000);
    page.await.unwrap().results
}

async fn delete_branch(lake: &Lake, name: &str) {
    lake.graveler
        .delete_branch(&lake.repo, &branch(name), false, "tester", &NoHooks)
        .await
        .unwrap();
}

/// Lets so much time pass that nothing thrown away is kept any more.
async fn wait_and_retire(lake: &Lake) -> usize {
    lake.clock.advance(Options::default().keep_staged);
    lake.graveler.retire_kept().await.unwrap()
}

/// `main` with `a=1`, and `dev` on top of it with `a=2 b=2` committed.
async fn lake_with_dev() -> Lake {
    lake_on(Arc::new(MemoryStore::default())).await
}

async fn lake_on(kv: Arc<dyn Store>) -> Lake {
    let lake = Lake::on(kv).await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=2 b=2").await;
    lake.commit("dev", "change").await.unwrap();
    lake
}

#[tokio::test]
async fn a_bad_merge_is_taken_back_and_done_again() {
    let lake = lake_with_dev().await;
    let before = lake.head("main").await.id;
    let merged = lake.merge("dev", "main").await.unwrap().commit_id;
    for (commit, shown) in [(&before, "a=1"), (&merged, "a=2 b=2"), (&before, "a=1")] {
        let undone = undo(&lake, &on("main"), None).await.unwrap();
        assert_eq!(undone.commit_id, *commit);
        assert_eq!(lake.head("main").await.id, *commit);
        assert_eq!(lake.show("main").await, shown);
    }
    let log = entries(&lake, "main").await;
    let told: Vec<_> = log
        .iter()
        .map(|e| format!("{} by {}: {}", e.operation.as_str(), e.actor, e.reason))
        .collect();
    assert_eq!(
        told[..4],
        [
            "undo by helper: undo: undo: merge: Merge 'dev' into 'main'",
            "undo by helper: undo: merge: Merge 'dev' into 'main'",
            "undo by helper: merge: Merge 'dev' into 'main'",
            "merge by tester: Merge 'dev' into 'main'",
        ]
    );
    assert_eq!(log[0].undone.as_deref(), Some(log[1].id.as_str()));
    // The commit is still there, and a later change goes on from where the head is.
    lake.put("main", "c=3").await;
    lake.commit("main", "later").await.unwrap();
    assert_eq!(lake.head("main").await.parents, [before]);
}

#[tokio::test]
async fn what_is_staged_stays_when_the_head_goes_back() {
    let lake = lake_with_dev().await;
    lake.merge("dev", "main").await.unwrap();
    // `b=2` makes no difference to the merged head, and so none to the one before.
    lake.put("main", "b=2").await;
    undo(&lake, &on("main"), None).await.unwrap();
    assert_eq!(lake.show("main").await, "a=1");
    assert_eq!(lake.uncommitted("main").await, "");

    undo(&lake, &on("main"), None).await.unwrap();
    lake.put("main", "c=3 a=7").await;
    lake.delete("main", "b").await.unwrap();
    undo(&lake, &on("main"), None).await.unwrap();
    assert_eq!(lake.show("main").await, "a=7 c=3");
    assert_eq!(lake.uncommitted("main").await, "~a:1>7 +c:>3");
}

/// What a refused or lost commit left behind may be equal to the head, beside what is not.
#[tokio::test]
async fn what_made_no_difference_makes_none_beside_what_did() {
    let lake = lake_with_dev().await;
    lake.merge("dev", "main").await.unwrap();
    lake.put("main", "b=2 c=5").await;
    let retired = lake.retired_tokens().await;
    undo(&lake, &on("main"), None).await.unwrap();
    assert_eq!(lake.uncommitted("main").await, "+c:>5");
    assert_eq!(lake.show("main").await, "a=1 c=5");
    assert_eq!(
        lake.retired_tokens().await,
        retired + 1,
        "and not left over"
    );
}

#[tokio::test]
async fn a_deleted_branch_comes_back_with_what_was_staged_on_it() {
    let lake = lake_with_dev().await;
    lake.graveler
        .create_branch(
            &lake.repo,
            &branch("quiet"),
            "dev",
            true,
            false,
            "tester",
            &NoHooks,
        )
        .await
        .unwrap();
    lake.put("quiet", "b=3 c=3").await;
    // A refused commit leaves a sealed token, and what comes after lies above it.
    let refusing = crate::testing::Recorder::refusing(crate::EventKind::PreCommit);
    let refused = lake.commit_with("quiet", committing("no"), &refusing).await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    lake.put("quiet", "c=4").await;
    lake.delete("quiet", "a").await.unwrap();
    let before = lake
        .graveler
        .branch(&lake.repo, &branch("quiet"))
        .await
        .unwrap();
    let retired = lake.retired_tokens().await;
    delete_branch(&lake, "quiet").await;
    assert_eq!(lake.retired_tokens().await, retired, "kept, not retired");

    let undone = undo(&lake, &on("quiet"), None).await.unwrap();
    assert_eq!(undone.entry.operation, Operation::Delete);
    assert!(undone.staged_came_back);
    let after = lake
        .graveler
        .branch(&lake.repo, &branch("quiet"))
        .await
        .unwrap();
    assert_eq!(after.record.commit_id, before.record.commit_id);
    assert!(after.record.hidden);
    assert_eq!(lake.show("quiet").await, "b=3 c=4");
    // It is a branch as any other: what came back can be committed, and is not retired later.
    wait_and_retire(&lake).await;
    lake.commit("quiet", "after all").await.unwrap();
    assert_eq!(lake.show("quiet@").await, "b=3 c=4");
}

#[tokio::test]
async fn staged_changes_are_kept_for_a_while_only() {
    let lake = lake_with_dev().await;
    let retired = lake.retired_tokens().await;
    lake.put("dev", "c=3").await;
    delete_branch(&lake, "dev").await;
    lake.clock
        .advance(Options::default().keep_staged - Duration::from_secs(1));
    assert_eq!(lake.graveler.retire_kept().await.unwrap(), 0);
    lake.clock.advance(Duration::from_secs(1));
    assert_eq!(lake.graveler.retire_kept().await.unwrap(), 1);
    assert_eq!(lake.retired_tokens().await, retired + 1);
    assert_eq!(lake.graveler.retire_kept().await.unwrap(), 0, "once");

    let undone = undo(&lake, &on("dev"), None).await.unwrap();
    assert!(!undone.staged_came_back);
    assert_eq!(lake.show("dev").await, "a=2 b=2");
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_is_to_be() {
    let options = Options {
        keep_staged: Duration::ZERO,
        ..Options::default()
    };
    let lake = Lake::with(Arc::new(MemoryStore::default()), "lake", options).await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    delete_branch(&lake, "dev").await;
    assert_eq!(lake.retired_tokens().await, 1);
    assert!(
        !undo(&lake, &on("dev"), None)
            .await
            .unwrap()
            .staged_came_back
    );
    assert_eq!(lake.show("dev").await, "");
}

#[tokio::test]
async fn a_repository_that_goes_takes_along_what_was_kept() {
    let lake = lake_with_dev().await;
    lake.put("dev", "c=3").await;
    let tokens = lake
        .graveler
        .branch(&lake.repo, &branch("dev"))
        .await
        .unwrap();
    delete_branch(&lake, "dev").await;
    lake.graveler
        .delete_repository(&lake.repo.id, false)
        .await
        .unwrap();
    let token = tokens.record.staging_token.to_string();
    let recorded = lake
        .kv
        .get(b"cleanup-tokens", token.as_bytes())
        .await
        .unwrap();
    assert!(recorded.is_some(), "retired at once");
    let partition = format!("weir-reflog-{}", lake.repo.partition());
    let left = lake.kv.scan(partition.as_bytes(), b"", 9).await.unwrap();
    assert_eq!(left, []);
    let late = undo(&lake, &on("dev"), None).await;
    assert!(
        matches!(
            late,
            Err(Error::NotFound {
                kind: Kind::ReflogEntry,
                ..
            })
        ),
        "{late:?}"
    );
}

fn set_branch(
    lake: &Lake,
    name: &crate::BranchId,
    record: BranchRecord,
    predicate: Option<Predicate>,
) -> Op {
    let value = Branch {
        id: name.clone(),
        record,
    };
    Op::Set {
        partition: lake.repo.partition().into(),
        key: branch_key(name.as_str()),
        value: value.encode(),
        predicate,
    }
}

/// What a server does that keeps no reflog.
async fn move_unseen(lake: &Lake, name: &str, to: &CommitId) {
    let record = BranchRecord {
        commit_id: to.clone(),
        ..lake
            .graveler
            .branch(&lake.repo, &branch(name))
            .await
            .unwrap()
            .record
    };
    let op = set_branch(lake, &branch(name), record, None);
    lake.kv.batch(vec![op]).await.unwrap();
}

#[tokio::test]
async fn a_reset_is_taken_back_and_done_again() {
    let lake = lake_with_dev().await;
    lake.put("dev", "a=5 c=5").await;
    lake.delete("dev", "b").await.unwrap();
    lake.reset("dev", "*").await.unwrap();
    assert_eq!(lake.show("dev").await, "a=2 b=2");
    lake.put("dev", "c=6").await;

    let undone = undo(&lake, &on("dev"), None).await.unwrap();
    assert!(undone.staged_came_back);
    assert_eq!(
        lake.show("dev").await,
        "a=5 c=6",
        "what was staged later stays"
    );
    undo(&lake, &on("dev"), None).await.unwrap();
    assert_eq!(
        lake.show("dev").await,
        "a=2 b=2 c=6",
        "and only what came back goes again"
    );
    undo(&lake, &on("dev"), None).await.unwrap();
    assert_eq!(lake.show("dev").await, "a=5 c=6");

    lake.commit("dev", "all of it").await.unwrap();
    let undos = entries(&lake, "dev").await;
    undo(&lake, &on("dev"), None).await.unwrap();
    let late = undo(&lake, &on("dev"), Some(&undos[1].id)).await;
    assert!(
        matches!(&late, Err(Error::MovedOn(why)) if why.contains("reset the branch")),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_hard_reset_is_taken_back_and_what_was_staged_stays() {
    let lake = lake_with_dev().await;
    let before = lake.head("dev").await.id;
    lake.put("dev", "c=3").await;
    lake.hard_reset("dev", "main").await.unwrap();
    assert_eq!(lake.show("dev").await, "a=1 c=3");
    lake.put("dev", "d=4").await;

    let undone = undo(&lake, &on("dev"), None).await.unwrap();
    assert_eq!(undone.entry.operation, Operation::HardReset);
    assert_eq!(undone.entry.reason, "main");
    assert_eq!(lake.head("dev").await.id, before);
    assert_eq!(lake.show("dev").await, "a=2 b=2 c=3 d=4");
    assert_eq!(lake.uncommitted("dev").await, "+c:>3 +d:>4");
    undo(&lake, &on("dev"), None).await.unwrap();
    assert_eq!(lake.show("dev").await, "a=1 c=3 d=4");
}

#[tokio::test]
async fn a_revert_and_a_cherry_pick_are_taken_back() {
    let lake = lake_with_dev().await;
    lake.revert("dev", "dev").await.unwrap();
    assert_eq!(lake.show("dev").await, "a=1");
    let undone = undo(&lake, &on("dev"), None).await.unwrap();
    assert_eq!(undone.entry.operation, Operation::Revert);
    assert_eq!(lake.show("dev").await, "a=2 b=2");

    lake.pick("main", "dev").await.unwrap();
    assert_eq!(lake.show("main").await, "a=2 b=2");
    let undone = undo(&lake, &on("main"), None).await.unwrap();
    assert_eq!(undone.entry.operation, Operation::CherryPick);
    assert_eq!(lake.show("main").await, "a=1");
}

#[tokio::test]
async fn a_reset_of_one_object_or_prefix_is_told_and_not_taken_back() {
    let lake = lake_with_dev().await;
    lake.put("dev", "a=5 c/1=5").await;
    for what in ["a", "c/*"] {
        lake.reset("dev", what).await.unwrap();
        let refused = undo(&lake, &on("dev"), None).await;
        assert!(
            matches!(&refused, Err(Error::InvalidValue(why)) if why.contains("nothing to undo")),
            "{refused:?}"
        );
    }
    assert_eq!(lake.show("dev").await, "a=2 b=2");
}

/// Protection gates what is new: what the branch has been, its gates let through.
#[tokio::test]
async fn protection_stops_only_an_undo_that_throws_changes_away() {
    let mut lake = lake_with_dev().await;
    lake.put("dev", "c=3").await;
    lake.reset("dev", "*").await.unwrap();
    lake.protect("*").await;
    undo(&lake, &on("dev"), None).await.unwrap();
    assert_eq!(lake.show("dev").await, "a=2 b=2 c=3");
    let refused = undo(&lake, &on("dev"), None).await;
    assert!(
        matches!(refused, Err(Error::Protected { .. })),
        "{refused:?}"
    );
    assert_eq!(lake.show("dev").await, "a=2 b=2 c=3");

    undo(&lake, &on("main"), None).await.unwrap();
    assert_eq!(lake.show("main").await, "");
}

#[tokio::test]
async fn a_reset_that_kept_nothing_is_refused() {
    let lake = lake_with_dev().await;
    lake.put("dev", "a=5").await;
    lake.reset("dev", "*").await.unwrap();
    assert_eq!(wait_and_retire(&lake).await, 1);
    let late = undo(&lake, &on("dev"), None).await;
    assert!(
        matches!(&late, Err(Error::InvalidValue(why)) if why.contains("nothing to undo")),
        "{late:?}"
    );
}

#[tokio::test]
async fn what_moved_on_is_not_touched_and_the_refusal_says_why() {
    let lake = lake_with_dev().await;
    lake.merge("dev", "main").await.unwrap();
    let merge = newest(&lake, &on("main")).await;
    lake.put("main", "c=3").await;
    let later = lake.commit("main", "later").await.unwrap();
    let commit = newest(&lake, &on("main")).await;
    let refused = undo(&lake, &on("main"), Some(&merge)).await;
    let Err(Error::MovedOn(why)) = refused else {
        panic!("{refused:?}");
    };
    for part in [
        format!("cannot undo merge {merge} of branch main"),
        format!("now it is at commit {}", later.id),
        format!("newest first: commit {commit} by tester;"),
        "undo what came later first".to_owned(),
    ] {
        assert!(why.contains(&part), "{part}: {why}");
    }
    assert_eq!(lake.head("main").await.id, later.id);
    // Step by step it goes.
    undo(&lake, &on("main"), None).await.unwrap();
    undo(&lake, &on("main"), Some(&merge)).await.unwrap();
    assert_eq!(lake.show("main").await, "a=1");
}

#[tokio::test]
async fn a_change_that_the_reflog_does_not_tell_of_is_noticed() {
    let lake = lake_with_dev().await;
    let elsewhere = lake.head("main").await.id;
    move_unseen(&lake, "dev", &elsewhere).await;
    let refused = undo(&lake, &on("dev"), None).await;
    assert!(
        matches!(&refused, Err(Error::MovedOn(why)) if why.contains("does not tell")),
        "{refused:?}"
    );
    assert_eq!(lake.head("dev").await.id, elsewhere);
}

#[tokio::test]
async fn undo_deletes_nothing_and_replaces_nothing() {
    let lake = lake_with_dev().await;
    lake.branch_from("new", "main").await;
    let refused = undo(&lake, &on("new"), None).await;
    assert!(
        matches!(&refused, Err(Error::InvalidValue(why)) if why.contains("delete the branch")),
        "{refused:?}"
    );

    delete_branch(&lake, "new").await;
    let deletion = newest(&lake, &on("new")).await;
    let v1 = TagId::trusted("new");
    lake.graveler
        .create_tag(&lake.repo, &v1, "main", false, "t", &NoHooks)
        .await
        .unwrap();
    let taken = undo(&lake, &on("new"), None).await;
    assert!(
        matches!(
            taken,
            Err(Error::NotUnique {
                kind: Kind::Tag,
                ..
            })
        ),
        "{taken:?}"
    );
    lake.graveler
        .delete_tag(&lake.repo, &v1, false, "t", &NoHooks)
        .await
        .unwrap();
    lake.branch_from("new", "dev").await;
    let refused = undo(&lake, &on("new"), Some(&deletion)).await;
    assert!(
        matches!(&refused, Err(Error::MovedOn(why)) if why.contains("delete the branch of that name")),
        "{refused:?}"
    );
    assert_eq!(lake.show("new").await, "a=2 b=2");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let lake = lake_with_dev().await;
    let main = newest(&lake, &on("main")).await;
    for (of, entry) in [
        (on("none"), None),
        (on("dev"), Some(main.as_str())),
        (on("dev"), Some("")),
        (on("dev"), Some("../main/x")),
        (on("dev"), Some(&*"x".repeat(5_000))),
        (RefName::Tag(TagId::trusted("v1")), None),
    ] {
        let none = undo(&lake, &of, entry).await;
        assert!(
            matches!(
                none,
                Err(Error::NotFound {
                    kind: Kind::ReflogEntry,
                    ..
                })
            ),
            "{of:?} {none:?}"
        );
    }
}

#[tokio::test]
async fn a_deleted_tag_comes_back() {
    let lake = lake_with_dev().await;
    let v1 = TagId::trusted("v1");
    let of = RefName::Tag(v1.clone());
    let create = async |source: &str| {
        lake.graveler
            .create_tag(&lake.repo, &v1, source, false, "tester", &NoHooks)
            .await
            .unwrap()
    };
    let tag = create("dev").await;
    lake.graveler
        .delete_tag(&lake.repo, &v1, false, "tester", &NoHooks)
        .await
        .unwrap();
    let deletion = newest(&lake, &of).await;
    undo(&lake, &of, None).await.unwrap();
    assert_eq!(lake.graveler.tag(&lake.repo, &v1).await.unwrap(), tag);

    lake.graveler
        .delete_tag(&lake.repo, &v1, false, "tester", &NoHooks)
        .await
        .unwrap();
    let other = create("main").await;
    let refused = undo(&lake, &of, Some(&deletion)).await;
    assert!(matches!(refused, Err(Error::MovedOn(_))), "{refused:?}");
    assert_eq!(lake.graveler.tag(&lake.repo, &v1).await.unwrap(), other);
}

#[tokio::test]
async fn a_read_only_repository_takes_an_undo_by_force_only() {
    let lake = lake_with_dev().await;
    let mut repo = lake.repo.clone();
    repo.read_only = true;
    let mut params = UndoParams::default();
    let refused = lake.graveler.undo(&repo, &on("dev"), &params).await;
    assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    params.force = true;
    lake.graveler
        .undo(&repo, &on("dev"), &params)
        .await
        .unwrap();
    assert_eq!(lake.show("dev").await, "a=1");
}

/// Either the commit lands on what the undo left, or the undo is refused: and in no order is a
/// staged write lost, or a change undone that was not meant.
#[tokio::test]
async fn a_commit_and_an_undo_at_once() {
    for seed in 0..60 {
        let inner: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let lake = lake_on(Arc::clone(&inner)).await;
        let before = lake.head("main").await.id;
        let merged = lake.merge("dev", "main").await.unwrap().commit_id;
        let faults = Faults {
            yields: 128,
            ..Faults::default()
        };
        let stirred: Arc<dyn Store> = Arc::new(FaultyStore::new(inner, seed, faults));
        let (one, other) = (
            lake.graveler.on_store_for_tests(&stirred),
            lake.graveler.on_store_for_tests(&stirred),
        );
        lake.put("main", "c=3").await;
        let (main, of) = (branch("main"), on("main"));
        let params = UndoParams::default();
        let (commit, undone, write) = tokio::join!(
            one.commit(&lake.repo, &main, committing("c"), &NoHooks),
            other.undo(&lake.repo, &of, &params),
            lake.graveler.set(
                &lake.repo,
                &main,
                b"d",
                value("4"),
                Condition::Always,
                false
            ),
        );
        write.unwrap();
        let head = lake.head("main").await;
        match (&commit, &undone) {
            (Ok(commit), Ok(undone)) if undone.commit_id == before => {
                assert_eq!(
                    (&head.id, &head.parents),
                    (&commit.id, &vec![before]),
                    "{seed}"
                );
                assert_eq!(lake.show("main").await, "a=1 c=3 d=4");
            }
            // It chose the commit.
            (Ok(commit), Ok(undone)) => {
                assert_eq!(undone.entry.to.as_ref(), Some(&commit.id), "{seed}");
                assert_eq!(head.id, merged);
            }
            (Ok(commit), Err(Error::MovedOn(_))) => {
                assert_eq!(
                    (&head.id, &head.parents),
                    (&commit.id, &vec![merged]),
                    "{seed}"
                );
                assert_eq!(lake.show("main").await, "a=2 b=2 c=3 d=4");
            }
            other => panic!("{seed}: {other:?}"),
        }
    }
}

/// A branch is deleted and brought back over and over on a store that loses acknowledgements:
/// what the answers say is what is there, and no staged change is lost.
#[tokio::test]
async fn lost_acknowledgements_lose_nothing() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let lake = lake_on(Arc::clone(&inner)).await;
    lake.put("dev", "c=3").await;
    let faults = Faults {
        before_write: 60,
        after_write: 90,
        ..Faults::default()
    };
    let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(inner, 7, faults));
    let graveler = lake.graveler.on_store_for_tests(&faulty);
    let (repo, dev) = (&lake.repo, branch("dev"));
    let (mut lost, mut done) = (0, 0);
    for _ in 0..100 {
        let deleted = graveler
            .delete_branch(repo, &dev, false, "tester", &NoHooks)
            .await;
        let there = lake.graveler.branch(repo, &dev).await.is_ok();
        assert_eq!(deleted.is_err(), there, "{deleted:?}");
        if there {
            continue;
        }
        loop {
            let undone = graveler
                .undo(repo, &on("dev"), &UndoParams::default())
                .await;
            let there = lake.graveler.branch(repo, &dev).await.is_ok();
            assert_eq!(undone.is_ok(), there, "{undone:?}");
            if there {
                done += 1;
                break;
            }
            lost += 1;
        }
        assert_eq!(lake.show("dev").await, "a=2 b=2 c=3");
    }
    assert!(done > 20 && lost > 5, "{done} {lost}");
    let log = entries(&lake, "dev").await;
    let undos = log.iter().filter(|e| e.operation == Operation::Undo);
    assert_eq!(undos.count(), done);
}

#[tokio::test]
async fn old_entries_and_those_beyond_a_number_are_forgotten() {
    let lake = lake_with_dev().await;
    lake.put("dev", "c=3").await;
    delete_branch(&lake, "dev").await;
    let old = 5;
    let all = || async {
        let page = lake
            .graveler
            .reflog(&lake.repo, None, "", 1_000)
            .await
            .unwrap();
        assert!(!page.has_more);
        page.results
    };
    assert_eq!(all().await.len(), old);
    assert_eq!(lake.graveler.prune_reflog().await.unwrap(), 0);

    lake.clock.advance(Options::default().keep_reflog);
    for n in 0..8 {
        lake.put("main", &format!("n={n}")).await;
        lake.commit("main", &n.to_string()).await.unwrap();
    }
    assert_eq!(lake.graveler.prune_reflog().await.unwrap(), old);
    assert_eq!(all().await.len(), 8);
    let partition = format!("weir-reflog-{}", lake.repo.partition());
    let kept = lake
        .kv
        .scan(partition.as_bytes(), b"kept/", 1)
        .await
        .unwrap();
    assert!(kept[0].key.starts_with(b"log/"), "{kept:?}");
    let gone = undo(&lake, &on("dev"), None).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");

    let engine = &lake.graveler.engine;
    assert_eq!(engine.prune_in(&lake.repo, BRANCHES, 3).await.unwrap(), 5);
    let reasons: Vec<_> = all().await.into_iter().map(|e| e.reason).collect();
    assert_eq!(reasons, ["7", "6", "5"]);
}
