//! Simulation: a seeded scheduler runs many actors on one store that fails and delays calls, and a
//! checker finds lost writes.
//!
//! Repeat one seed with `WEIR_TEST_SEED=N cargo test -p graveler simulation`. Tests that also check what
//! all seeds together cover skip that check then.

mod actors;
mod checker;
mod effects;
mod gate;
mod history;
mod linear;
mod random;
mod runs;
mod stores;

use std::sync::{Arc, Mutex};

use base::testing::{FaultSchedule, SeededFaults, seeds};
use base::{ManualClock, SeededIds};
use block::BlockStore;
use kv::Store;

use self::gate::Gate;
use self::history::{Answer, Call};
use self::runs::{Plan, Run, Simulation, clock};
use self::stores::Guarding;
use crate::testing::stores;

/// A single-threaded runtime that releases the next waiting store call whenever its thread would park.
struct Runner {
    runtime: tokio::runtime::Runtime,
    gate: Arc<Mutex<Option<Arc<Gate>>>>,
}

impl Runner {
    fn new() -> Self {
        let gate = Arc::new(Mutex::new(None::<Arc<Gate>>));
        let opener = Arc::clone(&gate);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                let gate = opener.lock().expect("no holder panics").clone();
                if let Some(gate) = gate {
                    gate.release_next();
                }
            })
            .build()
            .unwrap();
        Self { runtime, gate }
    }

    /// Makes one scheduled run.
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
        let schedule: Arc<dyn FaultSchedule> = Arc::<Gate>::clone(&gate);
        let simulation =
            Simulation::new(plan.clone(), name, kv, block, clock, schedule, Some(gate));
        let run = self.runtime.block_on(simulation.run());
        *self.gate.lock().expect("no holder panics") = None;
        run
    }
}

/// Makes one scheduled run on stores in memory.
fn scheduled(plan: &Plan) -> Run {
    let clock = clock();
    let kv: Arc<dyn Store> = Arc::new(kv::MemoryStore::default());
    let block = Arc::new(block::MemoryStore::new(Arc::<ManualClock>::clone(&clock)));
    Runner::new().run(plan, "lake", kv, block, clock)
}

#[track_caller]
fn assert_no_violations(what: &str, seed: u64, run: &Run) {
    assert!(
        run.violations.is_empty(),
        "{what}, seed {seed} (again: WEIR_TEST_SEED={seed} cargo test -p graveler simulation):\n  {}",
        run.violations.join("\n  ")
    );
}

/// Whether only one seed is repeated. A single run need not cover everything.
fn is_one_seed() -> bool {
    std::env::var_os("WEIR_TEST_SEED").is_some()
}

#[test]
fn scheduled_runs_are_linearizable() {
    let (mut done, mut unknown) = (0, 0);
    // Branches restored, heads moved back, staged changes restored.
    let mut undone = [0; 3];
    let mut emptied = 0;
    for seed in seeds(300, 20_000) {
        let run = scheduled(&Plan::in_memory(seed));
        assert_no_violations("scheduled", seed, &run);
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
    if is_one_seed() {
        return;
    }
    assert!(
        done > 0 && unknown > 0,
        "some calls must succeed and some must have unknown outcomes"
    );
    assert!(emptied > 0, "some tokens must be emptied during reads");
    assert!(
        !undone.contains(&0),
        "each kind of change must be undone: {undone:?}"
    );
}

#[test]
fn equal_seeds_give_equal_runs() {
    for seed in 0..8 {
        let plan = Plan::in_memory(seed);
        let (one, two) = (scheduled(&plan), scheduled(&plan));
        assert_eq!(one.calls, two.calls, "seed {seed}");
    }
}

/// Proves that the checker works: without the second check of the branch, writes go into tokens that
/// a commit has already read, and are lost.
#[test]
fn checker_catches_a_store_that_checks_only_before_the_write() {
    let caught = (0..60).find(|&seed| {
        let run = scheduled(&Plan {
            guarding: Guarding::CheckBeforeOnly,
            ..Plan::of(seed)
        });
        run.violations
            .iter()
            .any(|violation| violation.contains("cannot be explained"))
    });
    assert!(caught.is_some(), "the checker must notice a lost write");
}

/// If a token is sealed before the check, such a store leaves the write in it and reports only that the
/// guard failed. Deleted keys must stay deleted nevertheless.
#[test]
fn store_that_checks_after_the_write_loses_nothing() {
    for seed in seeds(100, 20_000) {
        let run = scheduled(&Plan::writing_first(seed));
        assert_no_violations("a store that writes first", seed, &run);
    }
}

/// Makes a run on a real driver, with threads instead of the scheduler. Such runs are not repeatable.
async fn unscheduled(kv: Arc<dyn Store>, block: Arc<dyn BlockStore>, seed: u64) -> Run {
    let schedule = Arc::new(SeededFaults::new(seed, 32));
    let plan = Plan::of(seed);
    let simulation = Simulation::new(plan, "simulated", kv, block, clock(), schedule, None);
    simulation.run().await
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
async fn runs_on_real_drivers_are_linearizable() {
    let folder = tempfile::tempdir().unwrap();
    let block = local_blocks(&folder).await;
    for kv in stores(&folder, "simulated").await {
        for seed in seeds(6, 300) {
            let run = unscheduled(Arc::clone(&kv), Arc::clone(&block), seed).await;
            assert_no_violations(kv.name(), seed, &run);
        }
    }
}

/// The scheduler decides the order of calls and their time, and the driver their duration. Tokens are
/// emptied during reads, and clients abandon calls.
#[test]
fn scheduled_runs_on_real_drivers_with_emptied_tokens_are_linearizable() {
    let folder = tempfile::tempdir().unwrap();
    let runner = Runner::new();
    let block = runner.runtime.block_on(local_blocks(&folder));
    for kv in runner.runtime.block_on(stores(&folder, "emptied")) {
        let mut emptied = 0;
        for seed in seeds(6, 300) {
            let plan = Plan::emptying(seed);
            let run = runner.run(
                &plan,
                "emptied",
                Arc::clone(&kv),
                Arc::clone(&block),
                clock(),
            );
            assert_no_violations(kv.name(), seed, &run);
            emptied += run.emptied;
        }
        assert!(
            emptied > 0 || is_one_seed(),
            "{}: some tokens must be emptied",
            kv.name()
        );
    }
}
