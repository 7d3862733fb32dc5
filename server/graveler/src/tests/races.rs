//! Races and failures: no acknowledged write is ever lost.
//!
//! Tests of one server run on memory, SQLite, and PostgreSQL if `WEIR_TEST_POSTGRES` is set. Those of
//! two servers and of store failures run on memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kv::Store;
use kv::testing::{Faults, FaultyStore};

use crate::testing::{Lake, branch, stores};
use crate::{Condition, Error, LogRequest, NoHooks, Options};

const WRITERS: usize = 8;
const COMMITS: usize = 50;
const LOOPS: usize = 64;
/// How many rounds each loop makes.
const ROUNDS: usize = 2;

/// Creates the repository again, in case the store has one from an earlier run.
async fn lake_on(store: Arc<dyn Store>, name: &str) -> Lake {
    let before = Lake::with(Arc::clone(&store), name, Options::default()).await;
    before
        .graveler
        .delete_repository(&before.repo.id, true)
        .await
        .unwrap();
    Lake::with(store, name, Options::default()).await
}

/// The acknowledged writes: the number last written to each key.
type Acknowledged = BTreeMap<String, u32>;

/// Writes ascending numbers until `stop` is set: to a few keys of this writer, and sometimes
/// conditionally to a new key.
async fn write_until(lake: Lake, writer: usize, stop: Arc<AtomicBool>) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let (key, condition) = if n % 16 == 0 {
            (format!("w{writer}-new{n}"), Condition::IfAbsent)
        } else {
            (format!("w{writer}-{}", n % 20), Condition::Always)
        };
        match lake.set("main", &key, &n.to_string(), condition).await {
            Ok(()) => {
                acknowledged.insert(key, n);
            }
            // Not acknowledged, so it may or may not be stored.
            Err(Error::Kv(_) | Error::TooManyTries(_)) => {}
            Err(other) => panic!("{other}"),
        }
        tokio::task::yield_now().await;
    }
    acknowledged
}

/// Asserts that every acknowledged write, or a later one of the same key, is stored.
async fn assert_there(lake: &Lake, acknowledged: Vec<Acknowledged>, what: &str) {
    let shown = lake.show("main").await;
    let there: BTreeMap<&str, u32> = shown
        .split_whitespace()
        .filter_map(|r| r.split_once('='))
        .map(|(k, v)| (k, v.parse().unwrap()))
        .collect();
    let all: Vec<_> = acknowledged.into_iter().flatten().collect();
    assert!(
        all.len() >= WRITERS,
        "{what}: the writers must have written"
    );
    let lost: Vec<_> = all
        .iter()
        .filter(|(key, n)| there.get(key.as_str()).is_none_or(|found| found < n))
        .collect();
    assert!(lost.is_empty(), "{what}: lost {lost:?} of {}", all.len());
}

async fn joined(writers: Vec<tokio::task::JoinHandle<Acknowledged>>) -> Vec<Acknowledged> {
    let mut all = Vec::new();
    for writer in writers {
        all.push(writer.await.unwrap());
    }
    all
}

async fn keys_on(lake: &Lake, reference: &str) -> BTreeSet<String> {
    lake.show(reference)
        .await
        .split_whitespace()
        .map(|r| r.split_once('=').unwrap().0.to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_lose_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder, "races").await {
        let lake = lake_on(store, "race-of-writers").await;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write_until(lake.clone(), writer, Arc::clone(&stop))))
            .collect();
        let mut landed = 0;
        while landed < COMMITS {
            match lake.commit("main", "race").await {
                Ok(_) => landed += 1,
                Err(Error::NoChanges(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{}: {other}", lake.kv.name()),
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert_there(&lake, joined(writers).await, lake.kv.name()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_merges_into_one_branch_all_succeed() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder, "races").await {
        let lake = lake_on(store, "race-of-merges").await;
        lake.put("main", "base=1").await;
        lake.commit("main", "base").await.unwrap();
        let work = |i: usize| {
            let lake = lake.clone();
            async move {
                for round in 0..ROUNDS {
                    let name = format!("b{i}-{round}");
                    lake.branch_from(&name, "main").await;
                    lake.put(&name, &format!("{name}=1")).await;
                    lake.commit(&name, &name).await.unwrap();
                    lake.merge(&name, "main").await.unwrap();
                    lake.graveler
                        .delete_branch(&lake.repo, &branch(&name), false, "tester", &NoHooks)
                        .await
                        .unwrap();
                }
            }
        };
        let loops: Vec<_> = (0..LOOPS).map(|i| tokio::spawn(work(i))).collect();
        for one in loops {
            one.await.unwrap();
        }
        assert_eq!(keys_on(&lake, "main@").await.len(), 1 + ROUNDS * LOOPS);
        let request = LogRequest {
            from: lake.head("main").await.id,
            first_parent: true,
            since: None,
            stop_at: None,
        };
        let mut log = lake.graveler.log(&lake.repo, request).await.unwrap();
        let mut merges = 0;
        while let Some(commit) = log.next().await.unwrap() {
            merges += usize::from(commit.parents.len() == 2);
        }
        assert_eq!(merges, ROUNDS * LOOPS, "{}", lake.kv.name());
    }
}

/// Two servers merge into one branch. They share no queue, so losers rebase their merges.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_of_two_servers_into_one_branch_all_succeed() {
    const LOOPS_OF_EACH: usize = 16;
    let one = Lake::new().await;
    one.put("main", "base=1").await;
    one.commit("main", "base").await.unwrap();
    let two = one.other_server();
    let mut running = Vec::new();
    for (server, lake) in [("one", &one), ("two", &two)] {
        for i in 0..LOOPS_OF_EACH {
            let (lake, name) = (lake.clone(), format!("{server}-{i:02}"));
            running.push(tokio::spawn(async move {
                lake.branch_from(&name, "main").await;
                lake.put(&name, &format!("{name}=1")).await;
                lake.commit(&name, &name).await.unwrap();
                lake.merge(&name, "main").await.unwrap();
            }));
        }
    }
    for one in running {
        one.await.unwrap();
    }
    assert_eq!(keys_on(&one, "main@").await.len(), 1 + 2 * LOOPS_OF_EACH);
}

/// Two servers commit and write concurrently. They share no queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_two_servers_lose_no_writes() {
    let one = Lake::new().await;
    let two = one.other_server();
    let work = |lake: Lake, name: &'static str| async move {
        let mut acknowledged = BTreeSet::new();
        for n in 0..40 {
            let key = format!("{name}-{n:02}");
            lake.put("main", &format!("{key}=1")).await;
            acknowledged.insert(key);
            match lake.commit("main", name).await {
                Ok(_) | Err(Error::NoChanges(_) | Error::TooManyTries(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        acknowledged
    };
    let (first, second) = (
        tokio::spawn(work(one.clone(), "one")),
        tokio::spawn(work(two.clone(), "two")),
    );
    let mut acknowledged = first.await.unwrap();
    acknowledged.extend(second.await.unwrap());
    assert_eq!(keys_on(&one, "main").await, acknowledged);
    assert_eq!(keys_on(&two, "main").await, acknowledged);
}

/// The store fails before or after writes. The client gets an error and may not know whether the
/// write took effect, but every acknowledged write must be stored.
#[tokio::test]
async fn store_failures_lose_no_acknowledged_write() {
    for seed in 0..20 {
        let inner: Arc<dyn Store> = Arc::new(kv::MemoryStore::default());
        let faults = Faults {
            read: 4,
            before_write: 16,
            after_write: 32,
            yields: 64,
        };
        let faulty = Lake::on(Arc::new(FaultyStore::new(Arc::clone(&inner), seed, faults))).await;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| tokio::spawn(write_until(faulty.clone(), writer, Arc::clone(&stop))))
            .collect();
        let mut commits = BTreeSet::new();
        for n in 0..30 {
            match faulty.commit("main", &n.to_string()).await {
                Ok(commit) => {
                    commits.insert(commit.id);
                }
                Err(Error::Kv(_) | Error::NoChanges(_)) => {}
                Err(other) => panic!("seed {seed}: {other}"),
            }
            tokio::task::yield_now().await;
        }
        stop.store(true, Ordering::Relaxed);
        let acknowledged = joined(writers).await;
        // Check with a server whose store does not fail.
        let sound = Lake {
            graveler: faulty.graveler.on_store_for_tests(&inner),
            kv: inner,
            ..faulty
        };
        assert_there(&sound, acknowledged, &format!("seed {seed}")).await;
        let request = LogRequest {
            from: sound.head("main").await.id,
            first_parent: false,
            since: None,
            stop_at: None,
        };
        let mut log = sound.graveler.log(&sound.repo, request).await.unwrap();
        while let Some(commit) = log.next().await.unwrap() {
            commits.remove(&commit.id);
        }
        assert!(
            commits.is_empty(),
            "seed {seed}: acknowledged commits that are not ancestors of main: {commits:?}"
        );
    }
}
