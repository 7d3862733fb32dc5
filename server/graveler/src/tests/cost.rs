//! Costs of operations, measured in round trips to the stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::OffsetDateTime;
use kv::testing::{CountingStore, Counts, Faults, FaultyStore};

use crate::ident::commit_id;
use crate::records::{Stored as _, commit_key};
use crate::testing::{Lake, branch, value};
use crate::{Commit, CommitId, Condition, LogRequest, MetaRangeId, Record};

/// A lake that counts requests to its KV store.
async fn counted() -> (Lake, Arc<CountingStore>) {
    let store = Arc::new(CountingStore::new(Arc::new(kv::MemoryStore::default())));
    let lake = Lake::on(Arc::clone(&store) as Arc<dyn kv::Store>).await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.put("main", "warm=1").await;
    store.take();
    (lake, store)
}

const ONE_WRITE: Counts = Counts {
    reads: 0,
    writes: 1,
};

fn numbered(count: usize) -> Vec<Record> {
    let record = |n| Record {
        key: format!("many/{n:04}").into(),
        value: value("1"),
    };
    (0..count).map(record).collect()
}

#[tokio::test]
async fn staged_write_is_one_round_trip() {
    let (lake, store) = counted().await;
    lake.put("main", "b=1").await;
    assert_eq!(store.take(), ONE_WRITE);
}

#[tokio::test]
async fn batch_of_a_thousand_keys_is_one_round_trip() {
    let (lake, store) = counted().await;
    let batch = numbered(1_000);
    lake.graveler
        .set_many(&lake.repo, &branch("main"), &batch, false)
        .await
        .unwrap();
    assert_eq!(store.take(), ONE_WRITE);
}

#[tokio::test]
async fn deletion_reads_once_for_all_keys() {
    let (lake, store) = counted().await;
    let batch = numbered(3);
    lake.graveler
        .set_many(&lake.repo, &branch("main"), &batch, false)
        .await
        .unwrap();
    store.take();
    lake.delete("main", "warm many/0000 many/0001")
        .await
        .unwrap();
    let expected = Counts {
        reads: 1,
        writes: 1,
    };
    assert_eq!(store.take(), expected);
}

/// A lake whose cached record of the branch is stale, because another server committed to it.
async fn moved_by_another_server() -> (Lake, Arc<CountingStore>) {
    let (lake, store) = counted().await;
    let other = lake.other_server();
    other.commit("main", "elsewhere").await.unwrap();
    store.take();
    (lake, store)
}

#[tokio::test]
async fn first_write_after_the_branch_moved_costs_a_read_and_a_second_attempt() {
    let (lake, store) = moved_by_another_server().await;
    lake.put("main", "c=1").await;
    let expected = Counts {
        reads: 1,
        writes: 2,
    };
    assert_eq!(store.take(), expected);
}

#[tokio::test]
async fn second_write_after_the_branch_moved_is_one_round_trip() {
    let (lake, store) = moved_by_another_server().await;
    lake.put("main", "c=1").await;
    store.take();
    lake.put("main", "d=1").await;
    assert_eq!(store.take(), ONE_WRITE);
}

#[test]
fn writes_never_wait_for_a_timer() {
    let with_timers = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let lake = with_timers.block_on(async {
        let (lake, _) = counted().await;
        let other = lake.other_server();
        other.commit("main", "elsewhere").await.unwrap();
        lake
    });
    // On this runtime, using a timer panics.
    let without = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    without.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..64 {
            let lake = lake.clone();
            writers.spawn(async move {
                lake.put("main", &format!("many/{n:02}=1")).await;
                let new = format!("new/{n:02}");
                let set = lake.set("main", &new, "1", Condition::IfAbsent);
                set.await.unwrap();
                lake.delete("main", &format!("many/{n:02}")).await.unwrap();
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
    });
}

#[tokio::test]
async fn conditional_write_is_one_read_and_one_write() {
    let (lake, store) = counted().await;
    lake.set("main", "new", "1", Condition::IfAbsent)
        .await
        .unwrap();
    assert_eq!(
        store.take(),
        Counts {
            reads: 1,
            writes: 1
        }
    );
}

#[tokio::test]
async fn commit_is_two_durable_writes() {
    let (lake, store) = counted().await;
    lake.commit("main", "one").await.unwrap();
    let Counts { reads, writes } = store.take();
    assert_eq!(writes, 2, "one for the seal, one for landing");
    assert!(reads <= 6, "{reads} reads");
}

#[tokio::test]
async fn merge_is_one_durable_write() {
    let (lake, store) = counted().await;
    lake.commit("main", "one").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "b=1").await;
    lake.commit("dev", "theirs").await.unwrap();
    store.take();
    lake.merge("dev", "main").await.unwrap();
    let Counts { reads, writes } = store.take();
    assert_eq!(
        writes, 1,
        "only landing; nothing is staged, so nothing is sealed"
    );
    assert!(reads <= 8, "{reads} reads");
}

/// Stores a line of commits with a side branch at its middle. Returns the head, the middle and the
/// side branch's head.
async fn history(lake: &Lake, length: usize) -> (Commit, Commit, Commit) {
    history_of(lake, length, 0).await
}

/// Like [`history`], with this many bytes of metadata per commit.
async fn history_of(lake: &Lake, length: usize, bytes: usize) -> (Commit, Commit, Commit) {
    let mut parents: Vec<CommitId> = Vec::new();
    let mut made = Vec::new();
    let make = async |n: usize, parents: Vec<CommitId>| {
        let mut commit = Commit {
            id: CommitId::trusted(""),
            committer: "tester".to_owned(),
            message: n.to_string(),
            metadata: BTreeMap::from([("key".to_owned(), "x".repeat(bytes))]),
            creation_date: OffsetDateTime::from_unix_timestamp(1_600_000_000 + n as i64).unwrap(),
            meta_range_id: MetaRangeId::trusted(""),
            parents,
            version: 1,
            generation: i32::try_from(n + 1).unwrap(),
        };
        commit.id = commit_id(&commit);
        lake.kv
            .set(
                lake.repo.partition().as_bytes(),
                &commit_key(commit.id.as_str()),
                commit.encode(),
            )
            .await
            .unwrap();
        commit
    };
    for n in 0..length {
        let commit = make(n, parents).await;
        parents = vec![commit.id.clone()];
        made.push(commit);
    }
    let middle = made[length / 2].clone();
    let side = make(length, vec![middle.id.clone()]).await;
    (made.pop().unwrap(), middle, side)
}

async fn log_of(lake: &Lake, from: &Commit) -> usize {
    let request = LogRequest {
        from: from.id.clone(),
        first_parent: false,
        since: None,
        stop_at: None,
    };
    let mut log = lake.graveler.log(&lake.repo, request).await.unwrap();
    let mut length = 0;
    while log.next().await.unwrap().is_some() {
        length += 1;
    }
    length
}

#[tokio::test]
async fn log_and_merge_base_read_history_in_pages_and_then_from_cache() {
    let (lake, store) = counted().await;
    let length = 5_000;
    let (head, middle, side) = history(&lake, length).await;
    store.take();
    let base = async || {
        lake.graveler
            .find_merge_base(&lake.repo, head.id.as_str(), side.id.as_str())
            .await
            .unwrap()
            .base
    };
    assert_eq!(base().await, Some(middle.id.clone()));
    let Counts { reads, .. } = store.take();
    assert!(reads < 25, "cold: {reads} reads");
    base().await;
    // Resolving the names still reads; commits come from the cache.
    let names = store.take().reads;
    assert!(names <= 4, "warm: {names} reads");
    assert_eq!(log_of(&lake, &head).await, length);
    assert_eq!(store.take().reads, 0, "warm");

    let cold = lake.other_server();
    assert_eq!(log_of(&cold, &head).await, length);
    let reads = store.take().reads;
    assert!(reads < 20, "cold: {reads} reads");
    // A short walk loads no pages.
    let request = LogRequest {
        from: head.id.clone(),
        first_parent: true,
        since: None,
        stop_at: None,
    };
    let cold = lake.graveler.fork_for_tests();
    let mut log = cold.log(&lake.repo, request).await.unwrap();
    for _ in 0..4 {
        log.next().await.unwrap();
    }
    assert_eq!(
        store.take().reads,
        5,
        "the four commits and the parent of the last"
    );
}

/// Guards against a bug: a log read a thousand commits at once, each of which can have a megabyte of metadata.
#[tokio::test]
async fn log_of_large_commits_reads_small_pages() {
    let (lake, store) = counted().await;
    let (head, ..) = history_of(&lake, 30, 1 << 20).await;
    assert_eq!(log_of(&lake.other_server(), &head).await, 30);
    let largest = store.largest_page_bytes();
    assert!(largest < kv::SCAN_PAGE_BYTES + (2 << 20), "{largest}");
}

/// Guards against a bug: each of several concurrent walks read all pages of a history that was not cached.
#[tokio::test]
async fn concurrent_walks_share_reading_history() {
    let (lake, store) = counted().await;
    let (head, ..) = history(&lake, 6_000).await;
    let yielding = Faults {
        yields: 200,
        ..Faults::default()
    };
    let counting: Arc<dyn kv::Store> = store.clone();
    let yielding: Arc<dyn kv::Store> = Arc::new(FaultyStore::new(counting, 1, yielding));
    let cold = Lake {
        graveler: lake.graveler.on_store_for_tests(&yielding),
        kv: yielding,
        ..lake.clone()
    };
    store.take();
    let walks = (0..8).map(|_| log_of(&cold, &head));
    let lengths = futures::future::join_all(walks).await;
    assert_eq!(lengths, [6_000; 8]);
    // Each walk reads a few commits one by one. Together they then read the pages once.
    let (single_reads, pages) = (8 * 9, 7);
    let reads = store.take().reads;
    assert!(reads <= single_reads + pages, "{reads} reads");
}

#[tokio::test]
async fn distant_ancestor_is_found_by_reading_pages() {
    let (lake, store) = counted().await;
    let length = 5_000;
    let (head, _, _) = history(&lake, length).await;
    let ancestor = async |server: &crate::Graveler, steps: usize| {
        let expression = format!("{}~{steps}", head.id);
        let resolved = server.resolve(&lake.repo, &expression);
        resolved.await.unwrap().commit_id
    };
    let cold = lake.graveler.fork_for_tests();
    store.take();
    let first = ancestor(&cold, length - 1).await;
    let reads = store.take().reads;
    assert!(reads < 20, "cold: {reads} reads");
    let root = lake.graveler.get_commit(&lake.repo, &first).await.unwrap();
    assert_eq!(root.message, "0");
    store.take();
    assert_eq!(ancestor(&cold, length - 1).await, first);
    assert_eq!(store.take().reads, 0, "warm");
    // A few steps load no pages.
    let cold = lake.graveler.fork_for_tests();
    ancestor(&cold, 4).await;
    assert_eq!(store.take().reads, 4);
}

/// Twenty folders of a hundred keys, the first half of each deleted. A listing of the folders seeks
/// from one to the next.
#[tokio::test]
async fn seek_past_staged_deletions_costs_at_most_two_reads() {
    let (lake, store) = counted().await;
    let key = |folder: usize, n: usize| format!("folder{folder:02}/{n:03}");
    let records: Vec<Record> = (0..2_000)
        .map(|n| Record {
            key: key(n / 100, n % 100).into(),
            value: value("1"),
        })
        .collect();
    let main = branch("main");
    lake.graveler
        .set_many(&lake.repo, &main, &records, false)
        .await
        .unwrap();
    lake.commit("main", "folders").await.unwrap();
    let deleted: Vec<Vec<u8>> = (0..1_000)
        .map(|n| key(n / 50, n % 50).into_bytes())
        .collect();
    lake.graveler
        .delete(&lake.repo, &main, &deleted, false)
        .await
        .unwrap();
    let resolved = lake.graveler.resolve(&lake.repo, "main").await.unwrap();
    let mut cursor = lake.graveler.cursor(&lake.repo, &resolved).await.unwrap();
    store.take();
    for folder in 0..20 {
        cursor.seek(key(folder, 0).as_bytes());
        let found = cursor.next().await.unwrap().unwrap();
        assert_eq!(found.key, key(folder, 50));
    }
    let reads = store.take().reads;
    assert!(reads <= 2 * 20, "{reads} reads");
}

/// Guards against a bug: the rarely needed load of all commits, and of protection rules, more than doubled these futures.
/// Each request moves them, so their size costs time.
#[tokio::test]
async fn futures_of_requests_are_small() {
    let lake = Lake::new().await;
    let (graveler, main) = (&lake.graveler, branch("main"));
    let resolved = size_of_val(&graveler.resolve(&lake.repo, "main"));
    let action = crate::protection::Blocked::StagingWrite;
    let checked = size_of_val(&graveler.protection.check(&lake.repo, &main, action));
    assert!(resolved <= 1_500, "resolve: {resolved} bytes");
    assert!(checked <= 500, "check of protection: {checked} bytes");
}
