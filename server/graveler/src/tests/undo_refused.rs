//! What an undo refuses; a refused undo changes nothing.

use kv::{Op, Predicate};

use super::undo::{lake_with_dev, newest, on, undo};
use crate::records::{Stored as _, branch_key};
use crate::testing::{Lake, branch};
use crate::{Branch, BranchRecord, CommitId, Error, Kind, NoHooks, RefName, TagId, UndoParams};

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

/// Moves a branch as a server without a reflog does.
async fn move_without_reflog(lake: &Lake, name: &str, to: &CommitId) {
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

/// Protection blocks new states. An undo restores an old state, which was allowed when it was made.
#[tokio::test]
async fn protection_blocks_only_an_undo_that_discards_changes() {
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
async fn undo_of_an_older_change_is_refused_with_the_later_ones() {
    let lake = lake_with_dev().await;
    lake.merge("dev", "main").await.unwrap();
    let merge = newest(&lake, &on("main")).await;
    lake.put("main", "c=3").await;
    let later = lake.commit("main", "later").await.unwrap();
    let commit = newest(&lake, &on("main")).await;
    let refused = undo(&lake, &on("main"), Some(&merge)).await;
    let Err(Error::MovedOn { problem, advice }) = refused else {
        panic!("{refused:?}");
    };
    for part in [
        format!("cannot undo merge {merge} of branch main"),
        format!("now it is at commit {}", later.id),
        format!("newest first: commit {commit} by tester"),
    ] {
        assert!(problem.contains(&part), "{part}: {problem}");
    }
    assert!(advice.starts_with("undo what came later first"), "{advice}");
    assert_eq!(lake.head("main").await.id, later.id);
    // Undoing step by step works.
    undo(&lake, &on("main"), None).await.unwrap();
    undo(&lake, &on("main"), Some(&merge)).await.unwrap();
    assert_eq!(lake.show("main").await, "a=1");
}

#[tokio::test]
async fn unrecorded_change_is_noticed() {
    let lake = lake_with_dev().await;
    let elsewhere = lake.head("main").await.id;
    move_without_reflog(&lake, "dev", &elsewhere).await;
    let refused = undo(&lake, &on("dev"), None).await;
    assert!(
        matches!(&refused, Err(Error::MovedOn { problem, .. }) if problem.contains("does not record")),
        "{refused:?}"
    );
    assert_eq!(lake.head("dev").await.id, elsewhere);
}

#[tokio::test]
async fn undo_never_deletes_or_replaces_a_reference() {
    let lake = lake_with_dev().await;
    lake.branch_from("new", "main").await;
    let refused = undo(&lake, &on("new"), None).await;
    assert!(
        matches!(&refused, Err(Error::Advised { advice, .. }) if advice.contains("delete the branch")),
        "{refused:?}"
    );

    lake.delete_branch("new").await.unwrap();
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
        matches!(&refused, Err(Error::MovedOn { advice, .. }) if advice.contains("delete the branch of that name")),
        "{refused:?}"
    );
    assert_eq!(lake.show("new").await, "a=2 b=2");
}

#[tokio::test]
async fn missing_entries_are_not_found() {
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
async fn read_only_repository_allows_an_undo_only_with_force() {
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
