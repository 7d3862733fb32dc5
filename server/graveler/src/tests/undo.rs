//! Undo: what it restores.

use std::sync::Arc;

use kv::{MemoryStore, Store};

use crate::testing::{Lake, branch};
use crate::{
    Error, NoHooks, Operation, Options, RefName, ReflogEntry, Result, TagId, UndoOutcome,
    UndoParams,
};

pub(super) fn on(name: &str) -> RefName {
    RefName::Branch(branch(name))
}

pub(super) async fn undo(lake: &Lake, of: &RefName, entry: Option<&str>) -> Result<UndoOutcome> {
    let params = UndoParams {
        entry: entry.map(str::to_owned),
        force: false,
        actor: "helper".to_owned(),
    };
    lake.graveler.undo(&lake.repo, of, &params).await
}

pub(super) async fn newest(lake: &Lake, of: &RefName) -> String {
    let entry = lake.graveler.entry_to_undo(&lake.repo, of, None).await;
    entry.unwrap().id
}

pub(super) async fn entries(lake: &Lake, name: &str) -> Vec<ReflogEntry> {
    let of = on(name);
    let page = lake.graveler.reflog(&lake.repo, Some(&of), "", 1_000);
    page.await.unwrap().results
}

/// Advances the clock until no discarded changes are kept, and retires them.
pub(super) async fn wait_and_retire(lake: &Lake) -> usize {
    lake.clock.advance(Options::default().keep_staged);
    lake.graveler.retire_kept().await.unwrap()
}

/// `main` with `a=1`, and `dev` on top of it with `a=2 b=2` committed.
pub(super) async fn lake_with_dev() -> Lake {
    lake_on(Arc::new(MemoryStore::default())).await
}

pub(super) async fn lake_on(kv: Arc<dyn Store>) -> Lake {
    let lake = Lake::on(kv).await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=2 b=2").await;
    lake.commit("dev", "change").await.unwrap();
    lake
}

#[tokio::test]
async fn merge_is_undone_and_redone() {
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
    let summaries: Vec<_> = log
        .iter()
        .map(|e| format!("{} by {}: {}", e.operation.as_str(), e.actor, e.reason))
        .collect();
    assert_eq!(
        summaries[..4],
        [
            "undo by helper: undo: undo: merge: Merge 'dev' into 'main'",
            "undo by helper: undo: merge: Merge 'dev' into 'main'",
            "undo by helper: merge: Merge 'dev' into 'main'",
            "merge by tester: Merge 'dev' into 'main'",
        ]
    );
    assert_eq!(log[0].undone.as_deref(), Some(log[1].id.as_str()));
    // The merge commit still exists, and the next commit builds on the restored head.
    lake.put("main", "c=3").await;
    lake.commit("main", "later").await.unwrap();
    assert_eq!(lake.head("main").await.parents, [before]);
}

#[tokio::test]
async fn undo_of_a_merge_keeps_staged_changes() {
    let lake = lake_with_dev().await;
    lake.merge("dev", "main").await.unwrap();
    // `b=2` equals the merged head, so it is dropped with it.
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

/// Staged entries that equal the undone head are dropped, even next to entries that differ.
#[tokio::test]
async fn undo_drops_staged_entries_equal_to_the_head() {
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
        "the replaced token must be retired"
    );
}

#[tokio::test]
async fn reset_is_undone_and_redone() {
    let lake = lake_with_dev().await;
    lake.put("dev", "a=5 c=5").await;
    lake.delete("dev", "b").await.unwrap();
    lake.reset("dev", "*").await.unwrap();
    assert_eq!(lake.show("dev").await, "a=2 b=2");
    lake.put("dev", "c=6").await;

    let undone = undo(&lake, &on("dev"), None).await.unwrap();
    assert!(undone.restored_staged);
    assert_eq!(
        lake.show("dev").await,
        "a=5 c=6",
        "later staged changes must win"
    );
    undo(&lake, &on("dev"), None).await.unwrap();
    assert_eq!(
        lake.show("dev").await,
        "a=2 b=2 c=6",
        "a redo must discard only what the undo restored"
    );
    undo(&lake, &on("dev"), None).await.unwrap();
    assert_eq!(lake.show("dev").await, "a=5 c=6");

    lake.commit("dev", "all of it").await.unwrap();
    let undos = entries(&lake, "dev").await;
    undo(&lake, &on("dev"), None).await.unwrap();
    let late = undo(&lake, &on("dev"), Some(&undos[1].id)).await;
    assert!(
        matches!(&late, Err(Error::MovedOn { advice, .. }) if advice.contains("reset the branch")),
        "{late:?}"
    );
}

#[tokio::test]
async fn undo_of_a_hard_reset_keeps_staged_changes() {
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
async fn revert_and_cherry_pick_are_undone() {
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
async fn reset_of_a_key_or_prefix_cannot_be_undone() {
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

#[tokio::test]
async fn deleted_tag_is_restored() {
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
    assert!(matches!(refused, Err(Error::MovedOn { .. })), "{refused:?}");
    assert_eq!(lake.graveler.tag(&lake.repo, &v1).await.unwrap(), other);
}
