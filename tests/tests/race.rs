//! Races on whole servers: writers against commits, and many clients that merge into one branch.
//!
//! Eight writers write to one branch while it is committed fifty times: every acknowledged write
//! must be committed or still staged. Sixty-four clients branch, write, commit and merge at the same
//! time: none may get an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use system_tests::{Backend, MAIN, Repo, TestServer};

const WRITERS: usize = 8;
const COMMITS: usize = 50;
/// Every n-th write overwrites the writer's fixed path.
const OVERWRITE_EVERY: usize = 4;

/// Acknowledged writes: path and the number that it holds.
type Acknowledged = BTreeMap<String, usize>;

async fn write(repo: Repo, writer: usize, stop: Arc<AtomicBool>) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let path = if number % OVERWRITE_EVERY == 0 {
            format!("{writer}/hot")
        } else {
            format!("{writer}/{number}")
        };
        repo.put(MAIN, &path, number.to_string()).await.unwrap();
        acknowledged.insert(path, number);
        number += 1;
    }
    acknowledged
}

/// Commits until there are [`COMMITS`] commits. Retries if nothing is staged.
async fn commit(repo: &Repo) -> Vec<String> {
    let mut made = Vec::new();
    while made.len() < COMMITS {
        match repo.commit(MAIN, "whatever is staged").await {
            Ok(commit) => made.push(commit.id),
            Err(e) => assert!(
                e.status() == Some(400) && e.to_string().contains("no changes"),
                "{e}"
            ),
        }
    }
    made
}

async fn race(backend: Backend) {
    let server = TestServer::start(backend);
    let repo = server.repo("race").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|w| tokio::spawn(write(repo.clone(), w, Arc::clone(&stop))))
        .collect();
    let commits = commit(&repo).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Acknowledged::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }

    // Committed or still staged.
    let staged: BTreeSet<String> = repo
        .uncommitted(MAIN)
        .await
        .unwrap()
        .into_iter()
        .map(|d| d.path)
        .collect();
    let committed: BTreeSet<String> = repo
        .list(&repo.head(MAIN).await.unwrap(), "")
        .await
        .unwrap()
        .into_iter()
        .collect();
    for path in acknowledged.keys() {
        assert!(
            staged.contains(path) || committed.contains(path),
            "{path} is lost"
        );
    }
    // There are no other objects, and each path has the last content written.
    let listed = repo.list(MAIN, "").await.unwrap();
    assert_eq!(listed, acknowledged.keys().cloned().collect::<Vec<_>>());
    for (path, number) in &acknowledged {
        assert_eq!(
            repo.get(MAIN, path).await.unwrap(),
            Some(number.to_string().into_bytes()),
            "{path}"
        );
    }
    let log: Vec<String> = repo
        .log(MAIN, None)
        .await
        .unwrap()
        .into_iter()
        .map(|c| c.id)
        .collect();
    assert_eq!(
        log[..COMMITS],
        commits.iter().rev().cloned().collect::<Vec<_>>()
    );

    // One more commit includes the rest.
    if !staged.is_empty() {
        repo.commit(MAIN, "the rest").await.unwrap();
    }
    assert!(repo.uncommitted(MAIN).await.unwrap().is_empty());
    assert_eq!(
        repo.list(&repo.head(MAIN).await.unwrap(), "")
            .await
            .unwrap(),
        listed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_to_commits_on_sqlite() {
    race(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_to_commits_on_postgres() {
    race(Backend::Postgres).await;
}

/// Number of concurrent clients.
const LOOPS: usize = 64;

/// Runs all clients at the same time, each on the branch's current head. Any refusal fails the test.
async fn loops(backend: Backend) {
    let server = TestServer::start(backend);
    let repo = server.repo("loops").await;
    repo.put(MAIN, "base", "base").await.unwrap();
    repo.commit(MAIN, "base").await.unwrap();
    let one = |n: usize| {
        let repo = repo.clone();
        async move {
            let name = format!("loop-{n:02}");
            repo.branch(&name, MAIN).await.unwrap();
            repo.put(&name, &name, name.clone()).await.unwrap();
            repo.commit(&name, &name).await.unwrap();
            repo.merge(&name, MAIN).await.unwrap();
        }
    };
    let running: Vec<_> = (0..LOOPS).map(|n| tokio::spawn(one(n))).collect();
    for one in running {
        one.await.unwrap();
    }
    let mut expected: Vec<String> = (0..LOOPS).map(|n| format!("loop-{n:02}")).collect();
    expected.insert(0, "base".to_owned());
    assert_eq!(repo.list(MAIN, "").await.unwrap(), expected);
    let merges = repo.log(MAIN, None).await.unwrap();
    let merges = merges.iter().filter(|commit| commit.parents.len() == 2);
    assert_eq!(merges.count(), LOOPS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_merges_into_one_branch_all_succeed_on_sqlite() {
    loops(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_merges_into_one_branch_all_succeed_on_postgres() {
    loops(Backend::Postgres).await;
}
