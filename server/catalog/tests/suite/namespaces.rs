//! Concurrent and failing creations of repositories: each namespace has at most one repository, and no failed creation
//! makes a namespace unusable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base::testing::{FaultSchedule, Turn};
use block::{BlockStore as _, Location};
use catalog::testing::{TestCatalog, creation};
use catalog::{Catalog, CreateRepository, Error, Kind, NamespaceProblem, Result};
use futures::TryStreamExt as _;
use kv::Store;
use kv::testing::{Faults, FaultyStore};
use tokio::sync::Notify;

fn request(name: &str, namespace: &str) -> CreateRepository {
    CreateRepository {
        storage_namespace: namespace.to_owned(),
        ..creation(name)
    }
}

async fn create(server: &Catalog, name: &str, namespace: &str) -> Result<()> {
    let created = server.create_repository(request(name, namespace));
    created.await.map(drop)
}

fn faulty(lake: &TestCatalog, seed: u64, faults: Faults) -> Catalog {
    let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(kv, seed, faults));
    lake.with_store(&store)
}

/// The text of the namespace's marker, if there is one.
async fn marker(lake: &TestCatalog, namespace: &str) -> Option<String> {
    let at = Location::below(namespace, "_lakefs/dummy");
    let body = lake.block.get(&at, None).await.ok()?.body;
    let read: Vec<bytes::Bytes> = body.try_collect().await.unwrap();
    Some(String::from_utf8(read.concat()).unwrap())
}

fn is_refused_namespace(result: &Result<()>) -> bool {
    matches!(
        result,
        Err(Error::Namespace(
            NamespaceProblem::InUse { .. } | NamespaceProblem::Overlaps { .. }
        ))
    )
}

/// Two servers that alternate at every step.
#[tokio::test]
async fn one_of_two_creations_in_the_same_namespace_is_refused() {
    let yields = Faults {
        yields: 128,
        ..Faults::default()
    };
    let mut won = [0, 0];
    for seed in 0..60 {
        let lake = TestCatalog::new();
        let (one, other) = (
            faulty(&lake, seed, yields),
            faulty(&lake, seed + 1_000, yields),
        );
        let theirs = ["mem://x", "mem://x/", "mem://x/inner"][usize::try_from(seed % 3).unwrap()];
        let created: [Result<()>; 2] = tokio::join!(
            create(&one, "one", "mem://x"),
            create(&other, "other", theirs),
        )
        .into();
        let winner = usize::from(created[1].is_ok());
        won[winner] += 1;
        assert!(created[winner].is_ok(), "{created:?}");
        assert!(is_refused_namespace(&created[1 - winner]), "{created:?}");

        let places = ["mem://x", theirs];
        let marked = marker(&lake, places[winner]).await.expect("a marker");
        assert!(marked.contains("in use"), "{marked}");
        if theirs.ends_with("inner") {
            assert_eq!(marker(&lake, places[1 - winner]).await, None);
        }
        // The marker stays after the repository's deletion.
        let name = ["one", "other"][winner];
        lake.delete_repository(name, false).await.unwrap();
        let again = create(&lake, "third", places[winner]).await;
        assert!(is_refused_namespace(&again), "{again:?}");
    }
    assert!(won[0] > 5 && won[1] > 5, "{won:?}");
}

#[tokio::test]
async fn loser_of_a_race_for_a_name_leaves_the_namespace_free() {
    let yields = Faults {
        yields: 128,
        ..Faults::default()
    };
    for seed in 0..30 {
        let lake = TestCatalog::new();
        let (one, other) = (
            faulty(&lake, seed, yields),
            faulty(&lake, seed + 1_000, yields),
        );
        let places = ["mem://x", "mem://y"];
        let created: [Result<()>; 2] = tokio::join!(
            create(&one, "lake", places[0]),
            create(&other, "lake", places[1]),
        )
        .into();
        let loser = usize::from(created[0].is_ok());
        assert!(
            matches!(
                &created[loser],
                Err(Error::NotUnique {
                    kind: Kind::Repository,
                    ..
                })
            ),
            "{created:?}"
        );
        assert!(created[1 - loser].is_ok(), "{created:?}");
        assert_eq!(marker(&lake, places[loser]).await, None);
        create(&lake, "next", places[loser]).await.unwrap();
    }
}

#[tokio::test]
async fn concurrent_creations_on_one_server_all_succeed() {
    let lake = TestCatalog::new();
    let yields = Faults {
        yields: 128,
        ..Faults::default()
    };
    let server = faulty(&lake, 7, yields);
    let creations = (0..20).map(|n| {
        let server = server.clone();
        async move { create(&server, &format!("lake-{n}"), &format!("mem://lake-{n}")).await }
    });
    for created in futures::future::join_all(creations).await {
        created.unwrap();
    }
}

/// The record store rejects writes for a while.
#[tokio::test]
async fn failed_creation_leaves_the_namespace_free() {
    let lake = TestCatalog::new();
    let refusing = Faults {
        before_write: 255,
        ..Faults::default()
    };
    for seed in 0..10 {
        let server = faulty(&lake, seed, refusing);
        let failed = create(&server, "lake", "mem://lake").await;
        assert!(matches!(failed, Err(Error::Records(_))), "{failed:?}");
        assert_eq!(marker(&lake, "mem://lake").await, None);
    }
    create(&lake, "lake", "mem://lake").await.unwrap();
}

/// Every write is applied, but its acknowledgement is lost.
#[tokio::test]
async fn creation_with_lost_acknowledgement_succeeds_and_marks_the_namespace() {
    let lost_acknowledgements = Faults {
        after_write: 255,
        ..Faults::default()
    };
    for seed in 0..10 {
        let lake = TestCatalog::new();
        let server = faulty(&lake, seed, lost_acknowledgements);
        create(&server, "lake", "mem://lake").await.unwrap();
        let marked = marker(&lake, "mem://lake").await.expect("a marker");
        assert!(marked.contains("in use"), "{marked}");
    }
}

/// The state of a blocked operation.
#[derive(Debug, Default)]
struct BlockState {
    calls: AtomicBool,
    entered: Notify,
    released: Notify,
}

/// Blocks the first operation of the record store after the marker was written.
#[derive(Debug)]
struct WaitsForMarker(Arc<BlockState>, Arc<block::MemoryStore>);

impl FaultSchedule for WaitsForMarker {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            let is_marked = !self.1.addresses().is_empty();
            if is_marked && !self.0.calls.swap(true, Ordering::Relaxed) {
                self.0.entered.notify_one();
                self.0.released.notified().await;
            }
        })
    }
}

/// A server hangs after it claimed the namespace and before the repository exists.
#[tokio::test]
async fn abandoned_claim_does_not_exclude_others() {
    let lake = TestCatalog::new();
    let block_state = Arc::new(BlockState::default());
    let schedule = WaitsForMarker(Arc::clone(&block_state), Arc::clone(&lake.block));
    let kv = Arc::<kv::MemoryStore>::clone(&lake.kv);
    let store: Arc<dyn Store> = Arc::new(FaultyStore::with_schedule(
        kv,
        Faults::default(),
        Arc::new(schedule),
    ));
    let hanging = lake.with_store(&store);
    let creation = tokio::spawn(async move { create(&hanging, "slow", "mem://lake").await });
    block_state.entered.notified().await;
    let claimed = marker(&lake, "mem://lake").await.expect("a marker");
    assert!(claimed.contains("about to be"), "{claimed}");

    create(&lake, "lake", "mem://lake").await.unwrap();
    block_state.released.notify_one();
    let late = creation.await.unwrap();
    assert!(is_refused_namespace(&late), "{late:?}");
    let marked = marker(&lake, "mem://lake").await.expect("a marker");
    assert!(marked.contains("in use"), "{marked}");
}

/// At a given scheduling turn, another creation fails and withdraws its claim.
#[derive(Debug)]
struct WithdrawnAt {
    turn: usize,
    turns: AtomicUsize,
    block: Arc<block::MemoryStore>,
}

impl FaultSchedule for WithdrawnAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.turns.fetch_add(1, Ordering::Relaxed) == self.turn {
                let at = Location::below("mem://lake", "_lakefs/dummy");
                self.block.delete(&at).await.unwrap();
            }
        })
    }
}

#[tokio::test]
async fn claim_withdrawn_during_a_creation_does_not_disturb_it() {
    for turn in 0.. {
        let lake = TestCatalog::new();
        let at = Location::below("mem://lake", "_lakefs/dummy");
        let claimed = "A repository is about to be created in this storage namespace.\n";
        let claimed = block::from_bytes(claimed.into());
        lake.block.put(&at, claimed).await.unwrap();
        let other = Arc::new(WithdrawnAt {
            turn,
            turns: AtomicUsize::new(0),
            block: Arc::clone(&lake.block),
        });
        let blocks: Arc<dyn block::BlockStore> =
            Arc::new(block::testing::FaultyStore::with_schedule(
                Arc::<block::MemoryStore>::clone(&lake.block),
                block::testing::Faults::default(),
                Arc::clone(&other) as _,
            ));
        let server = lake.over_blocks(&blocks);
        create(&server, "lake", "mem://lake").await.unwrap();
        if other.turns.load(Ordering::Relaxed) <= turn {
            assert!(turn > 4, "{turn}");
            break;
        }
    }
}
