//! Garbage collection lists every object, even if staged changes move between calls, if the client makes the calls in
//! the documented order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, ManualClock, OffsetDateTime};
use catalog::testing::TestCatalog;
use catalog::{Catalog, PreparedUncommitted, Repository};
use graveler::{RefName, ResetScope, UndoParams};
use kv::Store as _;

use super::gc_prepare::{Slow, read, relative, rules, uncommitted};

/// A catalog whose calls stop at the first opportunity.
fn slow(lake: &TestCatalog) -> Catalog {
    let clock = Slow(Arc::clone(&lake.clock), Duration::from_secs(70));
    lake.with_clock(Arc::new(clock))
}

/// A clock that lags behind another.
#[derive(Debug)]
struct LaggingClock(Arc<ManualClock>, Duration);

impl Clock for LaggingClock {
    fn now(&self) -> OffsetDateTime {
        self.0.now() - self.1
    }
}

/// What another client does between two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Deletes the branch, or undoes its deletion.
    Toggle,
    /// Rewrites the branch's staged changes into a fresh token and empties the earlier tokens.
    Rewrite,
}

use Meanwhile::{Nothing, Rewrite, Toggle};

/// A repository in which three branches were deleted, each with a staged object. The tests move that of `a-moving`.
struct Moving {
    lake: TestCatalog,
    /// The server that moves the staged changes.
    server: Catalog,
    repository: Repository,
    /// The address of the object.
    address: String,
}

impl Moving {
    async fn new(behind: Duration) -> Self {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let clock: Arc<dyn Clock> = Arc::new(LaggingClock(Arc::clone(&lake.clock), behind));
        let moving = Self {
            address: String::new(),
            server: lake.another_server_by(&clock),
            lake,
            repository,
        };
        let mut addresses = Vec::new();
        for branch in ["a-moving", "b-other", "c-other"] {
            let lake = &moving.lake;
            moving
                .server
                .create_branch(&moving.repository, branch, "main", false, false, "me")
                .await
                .unwrap();
            let object = lake.put(&moving.repository, branch, "kept", branch).await;
            addresses.push(relative(&object.physical_address));
            moving.delete(branch).await;
        }
        Self {
            address: addresses.swap_remove(0),
            ..moving
        }
    }

    async fn delete(&self, branch: &str) {
        self.server
            .delete_branch(&self.repository, branch, false, "me")
            .await
            .unwrap();
    }

    async fn undo(&self, server: &Catalog, branch: &str) {
        let of = RefName::branch(branch).unwrap();
        server
            .undo(&self.repository, &of, UndoParams::default())
            .await
            .unwrap();
    }

    async fn is_there(&self) -> bool {
        self.lake
            .reader()
            .branch(&self.repository, "a-moving")
            .await
            .is_ok()
    }

    async fn does(&self, meanwhile: Meanwhile) {
        match meanwhile {
            Nothing => {}
            Toggle if self.is_there().await => self.delete("a-moving").await,
            Toggle => self.undo(&self.server, "a-moving").await,
            Rewrite if !self.is_there().await => {}
            Rewrite => {
                let (lake, repository) = (&self.lake, &self.repository);
                lake.put(repository, "a-moving", "scratch", "x").await;
                let scratch = ResetScope::Key(b"scratch".to_vec());
                let server = &self.server;
                server
                    .reset_branch(repository, "a-moving", scratch, false, "me")
                    .await
                    .unwrap();
                for token in lake.records("cleanup-tokens").await {
                    lake.kv.delete_partition(token.as_bytes()).await.unwrap();
                }
            }
        }
        self.lake.clock.advance(Duration::from_secs(1));
    }

    /// Makes all calls of a run, with one step of `script` after each. Returns the number of calls.
    async fn run(&self, script: &[Meanwhile]) -> (PreparedUncommitted, usize) {
        let slow = slow(&self.lake);
        let mut script = script.iter();
        let (mut token, mut calls) = (None, 0);
        loop {
            let prepared = slow
                .prepare_gc_uncommitted(&self.repository, token.as_deref())
                .await
                .unwrap();
            calls += 1;
            token.clone_from(&prepared.continuation);
            if token.is_none() {
                return (prepared, calls);
            }
            if calls == 1 {
                // Adds moved changes, and so further positions at which a call can stop.
                self.undo(&self.lake, "c-other").await;
            }
            if let Some(meanwhile) = script.next() {
                self.does(*meanwhile).await;
            }
        }
    }
}

#[tokio::test]
async fn objects_that_move_between_calls_are_listed() {
    check_all_moves(Duration::ZERO).await;
}

/// The reflog entries of such a server sort after older entries of other servers.
#[tokio::test]
async fn objects_moved_by_a_server_with_a_slow_clock_are_listed() {
    for behind in [1, 299] {
        check_all_moves(Duration::from_secs(behind)).await;
    }
}

async fn check_all_moves(behind: Duration) {
    const LONGEST: u32 = 5;
    let mut most_calls = 0;
    for number in 0..3_usize.pow(LONGEST) {
        let script: Vec<Meanwhile> = (0..LONGEST)
            .map(|at| [Nothing, Toggle, Rewrite][number / 3_usize.pow(at) % 3])
            .collect();
        let moving = Moving::new(behind).await;
        let (prepared, calls) = moving.run(&script).await;
        most_calls = most_calls.max(calls);
        let rows = uncommitted(&moving.lake, &prepared).await;
        let named: BTreeSet<String> = rows.into_iter().map(|(address, _)| address).collect();
        assert!(named.contains(&moving.address), "{script:?}");
    }
    assert!(most_calls > LONGEST as usize, "{most_calls}");
}

/// The addresses of all objects in the commits that are kept.
async fn in_kept_commits(lake: &TestCatalog, repository: &Repository) -> BTreeSet<String> {
    let prepared = lake.prepare_gc_commits(repository).await.unwrap();
    let mut addresses = BTreeSet::new();
    for row in read(lake, &prepared.commits_location).await.lines().skip(1) {
        let commit = row.split(',').next().unwrap();
        let paths = lake.paths(repository, commit).await;
        for path in paths.split_whitespace() {
            let object = lake.reader().stat(repository, commit, path).await.unwrap();
            addresses.insert(relative(&object.physical_address));
        }
    }
    addresses
}

/// All addresses of a run. `b2` is committed after the given number of calls.
async fn in_uncommitted(
    lake: &TestCatalog,
    repository: &Repository,
    commit_behind: usize,
) -> (BTreeSet<String>, usize) {
    let slow = slow(lake);
    let (mut token, mut calls): (Option<String>, _) = (None, 0);
    loop {
        if calls == commit_behind {
            lake.commit(repository, "b2", "meanwhile").await;
        }
        let prepared = slow
            .prepare_gc_uncommitted(repository, token.as_deref())
            .await
            .unwrap();
        calls += 1;
        token = prepared.continuation.clone();
        if token.is_none() {
            let rows = uncommitted(lake, &prepared).await;
            return (
                rows.into_iter().map(|(address, _)| address).collect(),
                calls,
            );
        }
    }
}

async fn lake_with_three_branches() -> (TestCatalog, Repository, String) {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    rules(&lake, &repository, 7, 7).await;
    for branch in ["b1", "b2", "b3"] {
        lake.create_branch(&repository, branch, "main", false, false, "me")
            .await
            .unwrap();
    }
    let object = lake.put(&repository, "b2", "path", "1").await;
    (lake, repository, relative(&object.physical_address))
}

/// The documented order: uncommitted objects up to the last call, then commits.
#[tokio::test]
async fn objects_committed_between_calls_are_listed_in_the_documented_order() {
    let mut calls = 1;
    for commit_behind in 0.. {
        if commit_behind > calls {
            break;
        }
        let (lake, repository, address) = lake_with_three_branches().await;
        let (uncommitted, made) = in_uncommitted(&lake, &repository, commit_behind).await;
        calls = made;
        if commit_behind == calls {
            lake.commit(&repository, "b2", "meanwhile").await;
        }
        let committed = in_kept_commits(&lake, &repository).await;
        assert!(
            uncommitted.contains(&address) || committed.contains(&address),
            "{commit_behind}"
        );
    }
    assert!(calls >= 4, "{calls}");
}

/// Shows why the order matters; no bug.
#[tokio::test]
async fn objects_committed_between_calls_are_missed_in_the_other_order() {
    let (lake, repository, address) = lake_with_three_branches().await;
    let committed = in_kept_commits(&lake, &repository).await;
    let (uncommitted, _) = in_uncommitted(&lake, &repository, 0).await;
    assert!(!committed.contains(&address) && !uncommitted.contains(&address));
}
