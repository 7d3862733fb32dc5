//! Many actors on one store that fails and is late, by a seeded scheduler; a checker that
//! finds what was lost.
//!
//! `WEIR_TEST_SEED=N cargo test -p graveler simulation` tries one seed again.

mod actors;
mod checker;
mod effects;
mod gate;
mod history;
mod linear;
mod random;
mod stores;
mod world;

use std::sync::{Arc, Mutex};

use base::testing::{FaultSchedule, SeededFaults, seeds};
use base::{ManualClock, SeededIds};
use block::BlockStore;
use kv::Store;

use self::gate::Gate;
use self::history::{Answer, Call};
use self::stores::Guarding;
use self::world::{Plan, Run, World, clock};
use crate::testing::stores;

/// A thread on which the gate of the run that is on opens when nobody can go on otherwise.
struct Stage {
    runtime: tokio::runtime::Runtime,
    gate: Arc<Mutex<Option<Arc<Gate>>>>,
}

impl Stage {
    fn new() -> Self {
        let gate = Arc::new(Mutex::new(None::<Arc<Gate>>));
        let opener = Arc::clone(&gate);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                let gate = opener.lock().expect("no holder panics").clone();
                if let Some(gate) = gate {
                    gate.open();
                }
            })
            .build()
            .unwrap();
        Self { runtime, gate }
    }

    /// One run by the scheduler.
    fn run(
        &self,
        plan: &Plan,
        name: &str,
        kv: Arc<dyn Store>,
        block: Arc<dyn BlockStore>,
        clock: Arc<ManualClock>,
    ) -> Run {
        let gate = Arc::new(Gate::new(plan.seed, Arc::clone(&clock)));
        *self.gate.lock().expect("no holder panics") = Some(Arc::clone(&gate));
        let fate: Arc<dyn FaultSchedule> = Arc::<Gate>::clone(&gate);
        let world = World::new(plan.clone(), name, kv, block, clock, fate, Some(gate));
        let run = self.runtime.block_on(world.run());
        *self.gate.lock().expect("no holder panics") = None;
        run
    }
}

/// One run in memory, by the scheduler.
fn scheduled(plan: &Plan) -> Run {
    let clock = clock();
    let kv: Arc<dyn Store> = Arc::new(kv::MemoryStore::default());
    let block = Arc::new(block::MemoryStore::new(Arc::<ManualClock>::clone(&clock)));
    Stage::new().run(plan, "lake", kv, block, clock)
}

#[track_caller]
fn assert_explained(what: &str, seed: u64, run: &Run) {
    assert!(
        run.violations.is_empty(),
        "{what}, seed {seed} (again: WEIR_TEST_SEED={seed} cargo test -p graveler simulation):\n  {}",
        run.violations.join("\n  ")
    );
}

#[test]
fn every_answer_is_explained_whatever_fails_and_whoever_comes_first() {
    let (mut done, mut unknown) = (0, 0);
    // Branches that came back, heads that went back, staged changes that came back.
    let mut undone = [0; 3];
    let mut emptied = 0;
    for seed in seeds(300, 20_000) {
        let run = scheduled(&Plan::in_memory(seed));
        assert_explained("scheduled", seed, &run);
        let commits = |call: &&Call| matches!(call.answer, Answer::Commit(_));
        done += run.calls.iter().filter(commits).count();
        emptied += run.emptied;
        let unknown_ones = |call: &&Call| matches!(call.answer, Answer::Unknown(_));
        unknown += run.calls.iter().filter(unknown_ones).count();
        for call in &run.calls {
            if let Answer::Undone { from, to, .. } = &call.answer {
                let kind = from
                    .as_ref()
                    .map_or(0, |from| if from == to { 2 } else { 1 });
                undone[kind] += 1;
            }
        }
    }
    assert!(done > 0 && unknown > 0, "there was something to explain");
    assert!(emptied > 0, "no token was emptied under those who read");
    assert!(
        !undone.contains(&0),
        "something of each kind was undone: {undone:?}"
    );
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..8 {
        let plan = Plan::in_memory(seed);
        let (one, two) = (scheduled(&plan), scheduled(&plan));
        assert_eq!(one.calls, two.calls, "seed {seed}");
    }
}

/// The checker can fail: without the second look at the branch, writes fall into tokens that
/// a commit has read already, and it sees that they are gone.
#[test]
fn a_store_that_does_not_look_again_is_caught() {
    let caught = (0..60).find(|&seed| {
        let run = scheduled(&Plan {
            guarding: Guarding::LooksBefore,
            ..Plan::of(seed)
        });
        run.violations
            .iter()
            .any(|violation| violation.contains("can't be explained"))
    });
    assert!(caught.is_some(), "a write was lost, and nobody saw it");
}

/// Such a store leaves writes in tokens that were sealed meanwhile, and says only that the guard
/// failed. What was deleted stays deleted all the same.
#[test]
fn a_store_that_writes_first_and_looks_after_loses_nothing() {
    for seed in seeds(100, 20_000) {
        let run = scheduled(&Plan::writing_first(seed));
        assert_explained("a store that writes first", seed, &run);
    }
}

/// The same actors on a real driver, with threads: no two runs are alike.
async fn unscheduled(kv: Arc<dyn Store>, block: Arc<dyn BlockStore>, seed: u64) -> Run {
    let fate = Arc::new(SeededFaults::new(seed, 32));
    let plan = Plan::of(seed);
    let world = World::new(plan, "simulated", kv, block, clock(), fate, None);
    world.run().await
}

async fn local_blocks(folder: &tempfile::TempDir) -> Arc<dyn BlockStore> {
    let options = block::LocalOptions {
        path: folder.path().join("blocks"),
        default_namespace_prefix: "local://".to_owned(),
        import_enabled: false,
        allowed_external_prefixes: Vec::new(),
    };
    let ids = Arc::new(SeededIds::new(1, clock()));
    Arc::new(block::LocalStore::open(options, ids).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_explained_on_the_real_drivers() {
    let folder = tempfile::tempdir().unwrap();
    let block = local_blocks(&folder).await;
    for kv in stores(&folder, "simulated").await {
        for seed in seeds(6, 300) {
            let run = unscheduled(Arc::clone(&kv), Arc::clone(&block), seed).await;
            assert_explained(kv.name(), seed, &run);
        }
    }
}

/// The scheduler says who goes on and what time it is, the driver how long each call takes: tokens are
/// emptied under those who read them, and clients give up.
#[test]
fn every_answer_is_explained_on_the_real_drivers_while_tokens_are_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new();
    let block = stage.runtime.block_on(local_blocks(&folder));
    for kv in stage.runtime.block_on(stores(&folder, "emptied")) {
        let mut emptied = 0;
        for seed in seeds(6, 300) {
            let plan = Plan::emptying(seed);
            let run = stage.run(
                &plan,
                "emptied",
                Arc::clone(&kv),
                Arc::clone(&block),
                clock(),
            );
            assert_explained(kv.name(), seed, &run);
            emptied += run.emptied;
        }
        assert!(emptied > 0, "{}: nothing was emptied", kv.name());
    }
}
