//! Stored trees of staged changes: reads return the same records with and without such a tree, and are
//! cheap with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use kv::testing::CountingStore;

use crate::testing::{Lake, branch, value, within_a_minute};
use crate::{BranchRecord, Condition, Error, Options, Record, RefName, UndoParams, Value};

async fn lake_with_threshold(materialize_after_rows: u64) -> (Lake, Arc<CountingStore>) {
    let grace = Options::default().token_grace;
    lake_with(materialize_after_rows, grace).await
}

async fn lake_with(
    materialize_after_rows: u64,
    token_grace: Duration,
) -> (Lake, Arc<CountingStore>) {
    let store = Arc::new(CountingStore::new(Arc::new(kv::MemoryStore::default())));
    let options = Options {
        materialize_after_rows,
        materialize_when_quiet: Duration::ZERO,
        token_grace,
        ..Options::default()
    };
    let kv = Arc::clone(&store) as Arc<dyn kv::Store>;
    (Lake::with(kv, "lake", options).await, store)
}

/// Three committed records, with staged changes of them and next to them.
async fn lake_with_staged_changes() -> Lake {
    let (lake, _) = lake_with(5_000, Duration::ZERO).await;
    lake.put("main", "a=1 b=1 c=1").await;
    lake.commit("main", "first").await.unwrap();
    lake.put("main", "b=2 d=2").await;
    lake.delete("main", "a").await.unwrap();
    lake
}

fn has_tree(lake: &Lake) -> bool {
    let engine = &lake.graveler;
    engine.is_materialized(&lake.repo, &branch("main"))
}

async fn seal(lake: &Lake) -> BranchRecord {
    let engine = &lake.graveler;
    engine.seal_for_tests(&lake.repo, &branch("main")).await
}

async fn finish(lake: &Lake, sealed: BranchRecord) {
    let engine = &lake.graveler;
    engine
        .materialize_for_tests(&lake.repo, &branch("main"), sealed)
        .await;
}

#[tokio::test]
async fn newer_changes_hide_those_of_the_tree() {
    let lake = lake_with_staged_changes().await;
    lake.materialize("main").await;
    assert!(has_tree(&lake));
    assert_eq!(lake.show("main").await, "b=2 c=1 d=2");
    lake.put("main", "a=3 b=3").await;
    lake.delete("main", "d").await.unwrap();
    assert_eq!(lake.show("main").await, "a=3 b=3 c=1");
    for (key, expected) in [("a", Some("3")), ("c", Some("1")), ("d", None)] {
        assert_eq!(lake.get("main", key).await.as_deref(), expected, "{key}");
    }
    assert_eq!(lake.show("main$").await, "a=3 b=3");
    expect!["~a:1>3 ~b:1>3"].assert_eq(&lake.uncommitted("main").await);
    // The next tree contains everything.
    lake.materialize("main").await;
    assert_eq!(lake.show("main").await, "a=3 b=3 c=1");
    lake.commit("main", "second").await.unwrap();
    assert_eq!(lake.show("main").await, "a=3 b=3 c=1");
    assert_eq!(lake.show("main@").await, "a=3 b=3 c=1");
}

#[tokio::test]
async fn write_between_seal_and_tree_is_read() {
    let lake = lake_with_staged_changes().await;
    let sealed = seal(&lake).await;
    lake.put("main", "b=late e=late").await;
    finish(&lake, sealed).await;
    assert!(has_tree(&lake));
    assert_eq!(lake.show("main").await, "b=late c=1 d=2 e=late");
    assert_eq!(lake.get("main", "b").await.as_deref(), Some("late"));
}

#[tokio::test]
async fn tree_of_reset_tokens_is_not_used() {
    let lake = lake_with_staged_changes().await;
    lake.materialize("main").await;
    lake.put("main", "e=2").await;
    let sealed = seal(&lake).await;
    lake.reset("main", "*").await.unwrap();
    finish(&lake, sealed).await;
    assert_eq!(lake.show("main").await, "a=1 b=1 c=1");
    assert_eq!(lake.get("main", "b").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn reset_of_one_key_shows_the_committed_value() {
    let lake = lake_with_staged_changes().await;
    lake.materialize("main").await;
    lake.reset("main", "b").await.unwrap();
    assert_eq!(lake.show("main").await, "b=1 c=1 d=2");
    lake.materialize("main").await;
    assert_eq!(lake.show("main").await, "b=1 c=1 d=2");
    assert_eq!(lake.uncommitted("main").await, "-a:1> +d:>2");
}

/// The tokens are emptied while their tree is made, so the tree lacks changes.
#[tokio::test]
async fn tree_of_committed_tokens_is_not_remembered() {
    let lake = lake_with_staged_changes().await;
    let sealed = seal(&lake).await;
    lake.commit("main", "meanwhile").await.unwrap();
    lake.graveler.sweep_tokens().await.unwrap();
    finish(&lake, sealed).await;
    assert!(!has_tree(&lake));
    assert_eq!(lake.show("main").await, "b=2 c=1 d=2");
}

#[tokio::test]
async fn commit_reuses_the_tree_without_reading_rows() {
    let trees = async |is_materialized: bool| {
        let (lake, store) = lake_with_threshold(5_000).await;
        stage_many(&lake, 3_000).await;
        if is_materialized {
            lake.materialize("main").await;
        }
        store.take();
        let tree = lake.commit("main", "many").await.unwrap().meta_range_id;
        (tree, store.take().reads)
    };
    let ((with, few), (without, many)) = (trees(true).await, trees(false).await);
    assert_eq!(with, without);
    assert!(few < many, "{few} reads instead of {many}");
}

#[tokio::test]
async fn tree_without_changes_is_nothing_to_commit() {
    let lake = lake_with_staged_changes().await;
    lake.commit("main", "second").await.unwrap();
    lake.put("main", "b=2 x=1").await;
    lake.delete("main", "x").await.unwrap();
    lake.materialize("main").await;
    assert!(has_tree(&lake));
    let nothing = lake.commit("main", "nothing").await;
    assert!(matches!(nothing, Err(Error::NoChanges(_))), "{nothing:?}");
}

/// Reads return the staged bytes; a commit keeps the head's bytes if the identity is the same.
#[tokio::test]
async fn restaged_equal_value_is_read_but_not_committed() {
    let lake = lake_with_staged_changes().await;
    let same_identity = Value {
        identity: Bytes::from("1"),
        data: Bytes::from("1-new"),
    };
    let main = branch("main");
    lake.graveler
        .set(
            &lake.repo,
            &main,
            b"c",
            same_identity,
            Condition::Always,
            false,
        )
        .await
        .unwrap();
    lake.materialize("main").await;
    assert_eq!(lake.show("main").await, "b=2 c=1-new d=2");
    assert_eq!(lake.get("main", "c").await.as_deref(), Some("1-new"));
    lake.commit("main", "second").await.unwrap();
    assert_eq!(lake.show("main").await, "b=2 c=1 d=2");
}

/// Commits twice as many records as `deleted`, then stages the deletion of every other one.
async fn stage_many(lake: &Lake, deleted: usize) {
    let main = branch("main");
    let key = |n: usize| format!("{n:06}");
    let records: Vec<Record> = (0..2 * deleted)
        .map(|n| Record {
            key: key(n).into(),
            value: value("1"),
        })
        .collect();
    lake.graveler
        .set_many(&lake.repo, &main, &records, false)
        .await
        .unwrap();
    lake.commit("main", "records").await.unwrap();
    let keys: Vec<Vec<u8>> = (0..deleted).map(|n| key(2 * n).into_bytes()).collect();
    lake.graveler
        .delete(&lake.repo, &main, &keys, false)
        .await
        .unwrap();
}

/// Waits for the background work.
async fn wait_for_work(lake: &Lake) {
    lake.graveler.materializer.settled().await;
}

async fn count(lake: &Lake) -> usize {
    lake.show("main").await.split_whitespace().count()
}

#[tokio::test]
async fn read_past_many_deletions_makes_later_reads_cheap() {
    let mut reads = Vec::new();
    for deleted in [500, 4_000] {
        let (lake, store) = lake_with_threshold(400).await;
        stage_many(&lake, deleted).await;
        store.take();
        assert_eq!(count(&lake).await, deleted);
        let first = store.take().reads;
        wait_for_work(&lake).await;
        assert!(has_tree(&lake));
        store.take();
        assert_eq!(count(&lake).await, deleted);
        reads.push(store.take().reads);
        assert!(reads[0] < first, "{reads:?}, the first {first}");
    }
    assert_eq!(
        reads[0], reads[1],
        "the cost must not depend on the number of deletions"
    );
    assert!(reads[0] <= 3, "{reads:?}");
}

#[tokio::test]
async fn few_changes_trigger_no_tree() {
    let (lake, _) = lake_with_threshold(5_000).await;
    stage_many(&lake, 1_000).await;
    for _ in 0..20 {
        count(&lake).await;
    }
    wait_for_work(&lake).await;
    assert!(!has_tree(&lake));
    let head = lake.graveler.branch(&lake.repo, &branch("main")).await;
    assert_eq!(head.unwrap().record.sealed_tokens.len(), 0);
}

/// The next tree is due once reads have skipped a quarter of the rows that the last tree cost.
#[tokio::test]
async fn next_tree_is_due_after_a_quarter_of_the_last_cost() {
    let (lake, _) = lake_with_threshold(400).await;
    stage_many(&lake, 4_000).await;
    count(&lake).await;
    wait_for_work(&lake).await;
    let due = lake
        .graveler
        .skipped_rows_threshold(&lake.repo, &branch("main"));
    // Four thousand changes were read, and the four thousand remaining records were copied.
    assert_eq!(due, 2_000);
}

#[tokio::test]
async fn read_only_repository_gets_no_tree() {
    let (mut lake, _) = lake_with_threshold(400).await;
    stage_many(&lake, 1_000).await;
    lake.repo.read_only = true;
    count(&lake).await;
    wait_for_work(&lake).await;
    assert!(!has_tree(&lake));
    let head = lake.graveler.branch(&lake.repo, &branch("main")).await;
    assert_eq!(head.unwrap().record.sealed_tokens.len(), 0);
}

#[tokio::test]
async fn failed_tree_is_not_retried_at_once_and_reads_continue() {
    let (lake, _) = lake_with_threshold(400).await;
    stage_many(&lake, 1_000).await;
    let main = lake.graveler.branch(&lake.repo, &branch("main")).await;
    let token = main.unwrap().record.staging_token;
    let broken = Bytes::from_static(b"\xff");
    lake.kv
        .set(token.as_str().as_bytes(), b"zzz", broken)
        .await
        .unwrap();
    let resolved = lake.graveler.resolve(&lake.repo, "main").await.unwrap();
    for _ in 0..2 {
        let mut cursor = lake.graveler.cursor(&lake.repo, &resolved).await.unwrap();
        for _ in 0..900 {
            assert!(cursor.next().await.unwrap().is_some());
        }
        wait_for_work(&lake).await;
    }
    assert!(!has_tree(&lake));
    let due = lake
        .graveler
        .skipped_rows_threshold(&lake.repo, &branch("main"));
    assert_eq!(due, 8 * 400, "only one attempt must be made");
}

#[tokio::test]
async fn undone_reset_reads_as_before() {
    let lake = lake_with_staged_changes().await;
    lake.materialize("main").await;
    lake.put("main", "e=2").await;
    let before = lake.show("main").await;
    lake.reset("main", "*").await.unwrap();
    assert_eq!(lake.show("main").await, "a=1 b=1 c=1");
    let params = UndoParams {
        entry: None,
        force: false,
        actor: "helper".to_owned(),
    };
    let main = RefName::Branch(branch("main"));
    lake.graveler
        .undo(&lake.repo, &main, &params)
        .await
        .unwrap();
    assert_eq!(lake.show("main").await, before);
    lake.commit("main", "all").await.unwrap();
    assert_eq!(lake.show("main").await, before);
}

/// A lake where fifty deletions are enough for a tree.
async fn lake_with_quiet_time(when_quiet: Duration) -> Lake {
    let options = Options {
        materialize_after_rows: 50,
        materialize_when_quiet: when_quiet,
        ..Options::default()
    };
    Lake::with(Arc::new(kv::MemoryStore::default()), "lake", options).await
}

/// Whether a task waits for deletions to stop.
fn waits(lake: &Lake) -> bool {
    let materializer = &lake.graveler.materializer;
    materializer.waits(&lake.repo, &branch("main"))
}

/// Waits until no task waits for deletions to stop, and the work is done.
async fn wait_until_idle(lake: &Lake) {
    let idle = async {
        let mut polls = tokio::time::interval(Duration::from_millis(1));
        while waits(lake) {
            polls.tick().await;
        }
        wait_for_work(lake).await;
    };
    within_a_minute(idle, "waiting for deletions to stop").await;
}

#[tokio::test]
async fn many_deletions_trigger_a_tree_once_they_stop() {
    let lake = lake_with_quiet_time(Duration::from_millis(1)).await;
    stage_many(&lake, 60).await;
    wait_until_idle(&lake).await;
    assert!(has_tree(&lake), "the tree must be made without reads");
    assert_eq!(count(&lake).await, 60);
}

/// `staging/materializer.rs` tests when deletions have stopped.
#[tokio::test]
async fn many_deletions_trigger_no_tree_before_they_stop() {
    let lake = lake_with_quiet_time(Duration::from_secs(3600)).await;
    stage_many(&lake, 60).await;
    tokio::task::yield_now().await;
    wait_for_work(&lake).await;
    assert!(waits(&lake));
    assert!(!has_tree(&lake));
}

#[tokio::test]
async fn deletions_of_missing_keys_do_not_count() {
    let lake = lake_with_quiet_time(Duration::from_secs(3600)).await;
    let missing: Vec<String> = (0..60).map(|n| format!("missing/{n}")).collect();
    lake.delete("main", &missing.join(" ")).await.unwrap();
    assert!(!waits(&lake));
}

/// The first tree costs about 800 rows, so the next one is due after a quarter of that.
#[tokio::test]
async fn deletions_after_a_tree_count_toward_the_next_one() {
    let lake = lake_with_quiet_time(Duration::from_millis(1)).await;
    stage_many(&lake, 400).await;
    wait_until_idle(&lake).await;
    assert!(has_tree(&lake));
    let (engine, main) = (&lake.graveler, branch("main"));
    assert!(engine.skipped_rows_threshold(&lake.repo, &main) > 150);
    let sealed = async || {
        let found = engine.refs.branch(&lake.repo, &main).await.unwrap();
        found.record.sealed_tokens.len()
    };
    let before = sealed().await;
    let more: Vec<String> = (0..60).map(|n| format!("{:06}", 2 * n + 1)).collect();
    lake.delete("main", &more.join(" ")).await.unwrap();
    wait_until_idle(&lake).await;
    assert_eq!(sealed().await, before, "the threshold is not reached yet");
    assert_eq!(count(&lake).await, 340);
}

#[tokio::test]
async fn few_deletions_trigger_no_tree() {
    let lake = lake_with_quiet_time(Duration::from_millis(1)).await;
    stage_many(&lake, 40).await;
    wait_until_idle(&lake).await;
    assert!(!has_tree(&lake));
}

#[tokio::test]
async fn committed_deletions_trigger_no_tree() {
    let lake = lake_with_quiet_time(Duration::from_secs(3600)).await;
    stage_many(&lake, 60).await;
    let (engine, main) = (&lake.graveler, branch("main"));
    let before = lake.head("main").await.id;
    let is_due = async || engine.is_due_when_idle(&lake.repo, &main, &before).await;
    assert!(is_due().await);
    lake.commit("main", "deleted").await.unwrap();
    lake.put("main", "little=1").await;
    assert!(!is_due().await);
}
