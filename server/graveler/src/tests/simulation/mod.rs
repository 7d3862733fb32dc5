//! Many actors on one store that fails and is late, by a seeded scheduler; a checker that
//! finds what was lost.
//!
//! `WEIR_TEST_SEED=N cargo test -p graveler simulation` tries one seed again.

mod actors;
mod checker;
mod gate;
mod history;
mod linear;
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::testing::{Dice, Fate, seeds};
use base::{Clock, ManualClock, OffsetDateTime, SeededIds};
use block::BlockStore;
use bytes::Bytes;
use kv::{Batch, Entry, Guard, GuardOutcome, Predicate, Store, Versioned};

use self::actors::{Actor, BRANCHES, Emptier, list};
use self::checker::{Stored, check};
use self::gate::Gate;
use self::history::{Action, Answer, Call, History};
use self::random::Random;
use crate::records::commit_key;
use crate::testing::{new_repository, stores};
use crate::{CommitId, Graveler, LogRequest, Options, Repository, RepositoryId};

/// How long the records of a token outlive their commit: much longer than a call of a store may
/// take, but with `BRIEF_GRACE` not longer than an operation may.
const GRACE: Duration = Duration::from_secs(2 * 60 * 60);
const BRIEF_GRACE: Duration = Duration::from_secs(60 * 60);
const EMPTIER_ROUNDS: usize = 30;
const EMPTIER_PAUSE_TURNS: u64 = 50;

/// What is different from seed to seed.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    engines: usize,
    actors: usize,
    calls: usize,
    kv: kv::testing::Faults,
    block: block::testing::Faults,
    /// Whether tables are read from the store each time.
    is_cold: bool,
    grace: Duration,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let parts = |of: [u8; 3]| kv::testing::Faults {
            read: of[0],
            before_write: of[1],
            after_write: of[2],
            yields: 0,
        };
        let kv = match seed % 4 {
            0 => parts([0, 0, 0]),
            1 => parts([1, 2, 6]),
            2 => parts([2, 8, 24]),
            _ => parts([0, 0, 40]),
        };
        let block = match seed % 3 {
            0 => block::testing::Faults::default(),
            1 => block::testing::Faults {
                read: 4,
                body: 4,
                before_write: 8,
                after_write: 8,
            },
            _ => block::testing::Faults {
                before_write: 100,
                ..block::testing::Faults::default()
            },
        };
        Self {
            seed,
            engines: 1 + (seed as usize / 2) % 2,
            actors: 3 + (seed as usize / 4) % 4,
            calls: 20,
            kv,
            block,
            is_cold: seed.is_multiple_of(5),
            grace: if seed.is_multiple_of(7) {
                BRIEF_GRACE
            } else {
                GRACE
            },
        }
    }

    fn options(&self, grace: Duration) -> Options {
        Options {
            range_raggedness_entries: 2.0,
            sstable_cache_bytes: if self.is_cold { 0 } else { 1 << 20 },
            token_grace: grace,
            // These go by the wall clock, which no seed decides.
            max_courtesy: Duration::ZERO,
            // A request counts as some rows: on half of the seeds nearly every listing asks.
            materialize_after_rows: if self.seed.is_multiple_of(2) {
                1
            } else {
                5_000
            },
            materialize_when_quiet: Duration::ZERO,
            ..Options::default()
        }
    }
}

/// The sound stores below, and how the engines see them.
#[derive(Debug)]
struct World {
    plan: Plan,
    clock: Arc<ManualClock>,
    kv: Arc<dyn Store>,
    block: Arc<dyn BlockStore>,
    /// The stores with their faults.
    faulty_kv: Arc<dyn Store>,
    faulty_block: Arc<dyn BlockStore>,
    gate: Option<Arc<Gate>>,
    name: String,
}

/// Calls and what they left.
#[derive(Debug)]
struct Run {
    calls: Vec<Call>,
    violations: Vec<String>,
}

fn clock() -> Arc<ManualClock> {
    let start = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    Arc::new(ManualClock::new(start))
}

impl World {
    fn engine(&self, number: u64, is_sound: bool, grace: Duration) -> Graveler {
        let (kv, block) = match is_sound {
            true => (&self.kv, &self.block),
            false => (&self.faulty_kv, &self.faulty_block),
        };
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let ids = SeededIds::new(self.plan.seed * 16 + number, Arc::clone(&clock));
        Graveler::new(
            Arc::clone(kv),
            Arc::clone(block),
            clock,
            Arc::new(ids),
            self.plan.options(grace),
        )
    }

    /// Runs the actors to their end, looks at what is left, and checks.
    async fn run(&self) -> Run {
        let sound = self.engine(0, true, Duration::ZERO);
        let repo = self.fresh_repository(&sound).await;
        let root = sound
            .branch(&repo, &repo.default_branch)
            .await
            .unwrap()
            .record
            .commit_id;
        let history = Arc::new(History::default());
        let engines: Vec<Graveler> = (0..self.plan.engines)
            .map(|number| self.engine(1 + number as u64, false, self.plan.grace))
            .collect();
        let mut tasks = Vec::new();
        for id in 0..self.plan.actors {
            let actor = Actor {
                id,
                graveler: engines[id % engines.len()].clone(),
                repo: repo.clone(),
                history: Arc::clone(&history),
                random: Random::new(self.plan.seed ^ ((id as u64 + 1) << 48)),
                known: Vec::new(),
                gate: self.gate.clone(),
            };
            tasks.push(tokio::spawn(actor.run(self.plan.calls)));
        }
        if let Some(gate) = &self.gate {
            let emptier = Emptier {
                kv: Arc::clone(&self.faulty_kv),
                gate: Arc::clone(gate),
                clock: Arc::clone(&self.clock),
                grace: self.plan.grace,
            };
            tasks.push(tokio::spawn(
                emptier.run(EMPTIER_ROUNDS, EMPTIER_PAUSE_TURNS),
            ));
        }
        for task in tasks {
            task.await.unwrap();
        }
        self.look(&sound, &repo, &history).await;
        // What is retired is needed by nobody.
        sound.sweep_tokens().await.unwrap();
        self.look(&sound, &repo, &history).await;
        let mut calls = history.calls();
        calls.sort_by_key(|call| call.to);
        let stored = self.stored(&sound, &repo, root).await;
        let violations = check(&calls, &stored);
        Run { calls, violations }
    }

    /// Forgets what an earlier run left in a store that lives longer than it.
    async fn fresh_repository(&self, sound: &Graveler) -> Repository {
        let id = RepositoryId::trusted(&self.name);
        let _none = sound.delete_repository(&id, true).await;
        let mut request = new_repository(&self.name);
        request.storage_namespace = self.namespace();
        sound.create_repository(request).await.unwrap()
    }

    fn namespace(&self) -> String {
        let prefix = self.block.info().default_namespace_prefix;
        format!("{prefix}{}-{}", self.name, self.plan.seed)
    }

    /// Writes down what the branches hold, as one who is not disturbed.
    async fn look(&self, sound: &Graveler, repo: &Repository, history: &History) {
        for branch in BRANCHES {
            let (id, from) = (history.next_id(), history.tick());
            let answer = match list(sound, repo, branch).await {
                Ok(tree) => Answer::Tree(tree),
                Err(error) => Answer::of(&error),
            };
            history.record(Call {
                id,
                actor: usize::MAX,
                action: Action::List { branch },
                from,
                to: history.tick(),
                answer,
            });
        }
    }

    async fn stored(&self, sound: &Graveler, repo: &Repository, root: CommitId) -> Stored {
        let mut commits = BTreeMap::new();
        let (partition, start) = (repo.partition(), commit_key(""));
        let records = self.kv.scan(partition.as_bytes(), &start, 10_000).await;
        for record in records.unwrap() {
            let Some(id) = record.key.strip_prefix(start.as_ref()) else {
                continue;
            };
            let id = CommitId::trusted(String::from_utf8_lossy(id));
            let commit = sound.get_commit(repo, &id).await.unwrap();
            let tree = list(sound, repo, id.as_str()).await.unwrap();
            commits.insert(id, (commit, tree));
        }
        let head = sound.branch(repo, &repo.default_branch).await.unwrap();
        let request = LogRequest {
            from: head.record.commit_id,
            first_parent: true,
            since: None,
            stop_at: None,
        };
        let mut main = Vec::new();
        let mut log = sound.log(repo, request).await.unwrap();
        while let Some(commit) = log.next().await.unwrap() {
            main.push(commit.id);
        }
        Stored {
            commits,
            root: Some(root),
            main,
        }
    }
}

/// One run in memory, by the scheduler. `weaken` may put something between the faults and the store.
fn scheduled(plan: &Plan, weaken: impl FnOnce(Arc<dyn Store>, Arc<Gate>) -> Arc<dyn Store>) -> Run {
    let clock = clock();
    let gate = Arc::new(Gate::new(plan.seed, Arc::clone(&clock)));
    let opener = Arc::clone(&gate);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .on_thread_park(move || opener.open())
        .build()
        .unwrap();
    let kv: Arc<dyn Store> = Arc::new(kv::MemoryStore::default());
    let block: Arc<dyn BlockStore> =
        Arc::new(block::MemoryStore::new(Arc::<ManualClock>::clone(&clock)));
    let fate: Arc<dyn Fate> = Arc::<Gate>::clone(&gate);
    let world = World {
        faulty_kv: Arc::new(kv::testing::FaultyStore::by_fate(
            weaken(Arc::clone(&kv), Arc::clone(&gate)),
            plan.kv,
            Arc::clone(&fate),
        )),
        faulty_block: Arc::new(block::testing::FaultyStore::by_fate(
            Arc::clone(&block),
            plan.block,
            fate,
        )),
        plan: plan.clone(),
        clock,
        kv,
        block,
        gate: Some(gate),
        name: "lake".to_owned(),
    };
    runtime.block_on(world.run())
}

fn sound(kv: Arc<dyn Store>, _gate: Arc<Gate>) -> Arc<dyn Store> {
    kv
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
    for seed in seeds(300, 20_000) {
        let run = scheduled(&Plan::of(seed), sound);
        assert_explained("scheduled", seed, &run);
        let commits = |call: &&Call| matches!(call.answer, Answer::Commit(_));
        done += run.calls.iter().filter(commits).count();
        let unknown_ones = |call: &&Call| matches!(call.answer, Answer::Unknown(_));
        unknown += run.calls.iter().filter(unknown_ones).count();
        for call in &run.calls {
            if let Answer::Undone { from, to } = &call.answer {
                let kind = from
                    .as_ref()
                    .map_or(0, |from| if from == to { 2 } else { 1 });
                undone[kind] += 1;
            }
        }
    }
    assert!(done > 0 && unknown > 0, "there was something to explain");
    assert!(
        !undone.contains(&0),
        "something of each kind was undone: {undone:?}"
    );
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..8 {
        let plan = Plan::of(seed);
        let (one, two) = (scheduled(&plan, sound), scheduled(&plan, sound));
        assert_eq!(one.calls, two.calls, "seed {seed}");
    }
}

/// So late is a write after the look; a commit takes about as long.
const SLOW_TURNS: u64 = 16;

/// Looks at the branch before a write, and no more after it: what the staging protocol must not do.
#[derive(Debug)]
struct LooksOnce {
    inner: Arc<dyn Store>,
    gate: Arc<Gate>,
}

#[async_trait]
impl Store for LooksOnce {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> kv::Result<Option<Versioned>> {
        self.inner.get(partition, key).await
    }

    async fn get_many(
        &self,
        partition: &[u8],
        keys: &[Bytes],
    ) -> kv::Result<Vec<Option<Versioned>>> {
        self.inner.get_many(partition, keys).await
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> kv::Result<()> {
        self.inner.set(partition, key, value).await
    }

    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> kv::Result<()> {
        self.inner.set_if(partition, key, value, predicate).await
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> kv::Result<()> {
        self.inner.delete(partition, key).await
    }

    async fn delete_partition(&self, partition: &[u8]) -> kv::Result<()> {
        self.inner.delete_partition(partition).await
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> kv::Result<Vec<Entry>> {
        self.inner.scan(partition, start, limit).await
    }

    async fn batch(&self, ops: Batch) -> kv::Result<()> {
        self.inner.batch(ops).await
    }

    fn is_transactional(&self) -> bool {
        self.inner.is_transactional()
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> kv::Result<GuardOutcome> {
        if self.inner.guarded(guard, Batch::new()).await? == GuardOutcome::GuardFailed {
            return Ok(GuardOutcome::GuardFailed);
        }
        self.gate.later(SLOW_TURNS).await;
        self.inner.batch(ops).await?;
        Ok(GuardOutcome::Written)
    }
}

/// The checker can fail: without the second look at the branch, writes fall into tokens that
/// a commit has read already, and it sees that they are gone.
#[test]
fn a_store_that_does_not_look_again_is_caught() {
    let caught = (0..60).find(|&seed| {
        let weak = |inner, gate| Arc::new(LooksOnce { inner, gate }) as Arc<dyn Store>;
        let run = scheduled(&Plan::of(seed), weak);
        run.violations
            .iter()
            .any(|violation| violation.contains("can't be explained"))
    });
    assert!(caught.is_some(), "a write was lost, and nobody saw it");
}

/// The same actors on a real driver, with threads: no two runs are alike.
async fn unscheduled(kv: Arc<dyn Store>, block: Arc<dyn BlockStore>, seed: u64) -> Run {
    let plan = Plan::of(seed);
    let fate: Arc<dyn Fate> = Arc::new(Dice::new(seed, 32));
    let world = World {
        faulty_kv: Arc::new(kv::testing::FaultyStore::by_fate(
            Arc::clone(&kv),
            plan.kv,
            Arc::clone(&fate),
        )),
        faulty_block: Arc::new(block::testing::FaultyStore::by_fate(
            Arc::clone(&block),
            plan.block,
            fate,
        )),
        plan,
        clock: clock(),
        kv,
        block,
        gate: None,
        name: "simulated".to_owned(),
    };
    world.run().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_explained_on_the_real_drivers() {
    let folder = tempfile::tempdir().unwrap();
    let options = block::LocalOptions {
        path: folder.path().join("blocks"),
        default_namespace_prefix: "local://".to_owned(),
        import_enabled: false,
        allowed_external_prefixes: Vec::new(),
    };
    let ids = Arc::new(SeededIds::new(1, clock()));
    let block = Arc::new(block::LocalStore::open(options, ids).await.unwrap());
    for kv in stores(&folder, "simulated").await {
        for seed in seeds(6, 300) {
            let run = unscheduled(
                Arc::clone(&kv),
                Arc::<block::LocalStore>::clone(&block),
                seed,
            );
            let run = run.await;
            assert_explained(kv.name(), seed, &run);
        }
    }
}
