//! Concurrent changes of settings: on one server all are stored, and on two servers each is stored or
//! refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::testing::{FaultSchedule, Turn};
use kv::Store;
use kv::testing::{Faults, FaultyStore};

use crate::testing::Lake;
use crate::{Error, Result};

/// A server that yields to other tasks at every request to the store.
fn yielding(lake: &Lake, seed: u64) -> Lake {
    let faults = Faults {
        yields: 128,
        ..Faults::default()
    };
    let kv: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::clone(&lake.kv), seed, faults));
    Lake {
        graveler: lake.graveler.on_store_for_tests(&kv),
        ..lake.clone()
    }
}

async fn set_key(lake: &Lake, key: &str) -> Result<()> {
    let set = BTreeMap::from([(key.to_owned(), String::new())]);
    let set = lake
        .graveler
        .set_repository_metadata(&lake.repo, set, 10_000);
    set.await
}

async fn add_rule(lake: &Lake, pattern: &str) -> Result<()> {
    let added = lake.graveler.add_protected_pattern(&lake.repo, pattern);
    added.await
}

async fn keys(lake: &Lake) -> Vec<String> {
    let metadata = lake.graveler.repository_metadata(&lake.repo).await;
    metadata.unwrap().into_keys().collect()
}

async fn rules(lake: &Lake) -> Vec<String> {
    let rules = lake.graveler.branch_protection(&lake.repo).await.unwrap();
    let mut patterns = rules.patterns;
    patterns.sort();
    patterns
}

#[tokio::test]
async fn concurrent_changes_on_one_server_are_all_stored() {
    let lake = Lake::new().await;
    let server = yielding(&lake, 1);
    let names: Vec<String> = (0..60).map(|n| format!("n{n:02}")).collect();
    let set = names.iter().map(|name| set_key(&server, name));
    for set in futures::future::join_all(set).await {
        set.unwrap();
    }
    assert_eq!(keys(&lake).await, names);
    let added = names.iter().map(|name| add_rule(&server, name));
    for added in futures::future::join_all(added).await {
        added.unwrap();
    }
    assert_eq!(rules(&lake).await, names);
    let removed = names.iter().map(|name| {
        let graveler = &server.graveler;
        graveler.remove_protected_pattern(&lake.repo, name)
    });
    for removed in futures::future::join_all(removed).await {
        removed.unwrap();
    }
    assert!(rules(&lake).await.is_empty());
}

#[tokio::test]
async fn changes_on_two_servers_are_stored_or_refused() {
    for seed in 0..20 {
        let lake = Lake::new().await;
        let servers = [yielding(&lake, seed), yielding(&lake, seed + 1_000)];
        let names: Vec<String> = (0..20).map(|n| format!("n{n:02}")).collect();
        let set = names.iter().enumerate();
        let set = set.map(|(n, name)| set_key(&servers[n % 2], name));
        let done = futures::future::join_all(set).await;
        let mut there = Vec::new();
        for (name, done) in names.iter().zip(done) {
            match done {
                Ok(()) => there.push(name.clone()),
                Err(Error::TooManyTries(what)) => assert!(what.contains("metadata"), "{what}"),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(keys(&lake).await, there);
    }
}

/// Another server changes the settings before each request to the store.
#[derive(Debug)]
struct OvertakingServer {
    by: Lake,
    changes: AtomicUsize,
}

impl FaultSchedule for OvertakingServer {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            let name = format!("by-other-{}", self.changes.fetch_add(1, Ordering::Relaxed));
            set_key(&self.by, &name).await.unwrap();
            add_rule(&self.by, &name).await.unwrap();
        })
    }
}

#[tokio::test]
async fn change_that_loses_every_race_asks_to_retry() {
    let lake = Lake::new().await;
    let schedule = Arc::new(OvertakingServer {
        by: lake.clone(),
        changes: AtomicUsize::new(0),
    });
    let kv = Arc::clone(&lake.kv);
    let store: Arc<dyn Store> =
        Arc::new(FaultyStore::with_schedule(kv, Faults::default(), schedule));
    let server = Lake {
        graveler: lake.graveler.on_store_for_tests(&store),
        ..lake.clone()
    };
    let removed = server
        .graveler
        .remove_protected_pattern(&lake.repo, "by-other-0");
    for (refused, what) in [
        (
            set_key(&server, "k").await,
            "the metadata of repository lake",
        ),
        (
            add_rule(&server, "main").await,
            "the branch protection rules of repository lake",
        ),
        (
            removed.await,
            "the branch protection rules of repository lake",
        ),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::TooManyTries(_)), "{error}");
        let expected = format!("too many concurrent changes of {what}: try again");
        assert_eq!(error.to_string(), expected);
    }
}

/// Every write loses its acknowledgement.
#[tokio::test]
async fn lost_acknowledgements_are_resolved() {
    let lake = Lake::new().await;
    let lost_acknowledgements = Faults {
        after_write: 255,
        ..Faults::default()
    };
    let kv: Arc<dyn Store> = Arc::new(FaultyStore::new(
        Arc::clone(&lake.kv),
        3,
        lost_acknowledgements,
    ));
    let server = Lake {
        graveler: lake.graveler.on_store_for_tests(&kv),
        ..lake.clone()
    };
    for name in ["one", "two", "three"] {
        set_key(&server, name).await.unwrap();
        add_rule(&server, name).await.unwrap();
    }
    assert_eq!(keys(&lake).await.len(), 3);
    assert_eq!(rules(&lake).await.len(), 3);
}
