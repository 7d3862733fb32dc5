//! One run: the actors of a plan work on a store, from an empty repository to the final state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::testing::FaultSchedule;
use base::{Clock, ManualClock, OffsetDateTime, SeededIds};
use block::BlockStore;
use kv::Store;

use super::actors::{Actor, BRANCHES, TokenEmptier, list};
use super::checker::{Stored, check};
use super::gate::Gate;
use super::history::{Action, Answer, Call, History};
use super::random::Random;
use super::stores::{Guarding, GuardingStore};
use crate::records::commit_key;
use crate::testing::new_repository;
use crate::{CommitId, Graveler, LogRequest, Options, Repository, RepositoryId};

/// How long retired tokens stay readable: much longer than a store call takes, but shorter than a
/// slow client's read where tokens are emptied.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// Number of turns between two rounds of the token emptier.
const EMPTIER_PAUSE_TURNS: u64 = 50;
/// Number of calls per actor.
const CALLS: usize = 20;
/// Number of calls per actor where tokens are emptied. Such a run takes much longer than the grace
/// period.
const MANY_CALLS: usize = 60;

/// The parameters of a run, derived from its seed.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub seed: u64,
    pub engines: usize,
    pub actors: usize,
    pub calls: usize,
    pub kv: kv::testing::Faults,
    pub block: block::testing::Faults,
    /// Whether tables are read from the store every time.
    pub is_cold: bool,
    /// Whether some clients read listings slowly.
    pub reads_slowly: bool,
    pub guarding: Guarding,
    /// Whether clients abandon some calls.
    pub gives_up: bool,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
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
            calls: CALLS,
            kv,
            block,
            is_cold: seed.is_multiple_of(5),
            reads_slowly: false,
            guarding: Guarding::Atomic,
            gives_up: true,
        }
    }

    /// A plan on a store that checks guards after the write. It has no faults and no abandoned calls: a
    /// write of unknown outcome may leave a value in a sealed token, where it is visible for a while
    /// and then disappears.
    pub(super) fn writing_first(seed: u64) -> Self {
        Self {
            kv: kv::testing::Faults::default(),
            guarding: Guarding::WriteThenCheck,
            gives_up: false,
            ..Self::of(seed)
        }
    }

    /// A plan for stores in memory. For every seventh seed, tokens are emptied during reads.
    pub(super) fn in_memory(seed: u64) -> Self {
        match seed.is_multiple_of(7) {
            true => Self::emptying(seed),
            false => Self::of(seed),
        }
    }

    /// A plan that is long enough for tokens to be emptied during reads.
    pub(super) fn emptying(seed: u64) -> Self {
        Self {
            calls: MANY_CALLS,
            reads_slowly: true,
            ..Self::of(seed)
        }
    }

    fn options(&self, grace: Duration) -> Options {
        Options {
            range_raggedness_entries: 2.0,
            sstable_cache_bytes: if self.is_cold { 0 } else { 1 << 20 },
            token_grace: grace,
            // Both use the wall clock, which the seed does not control.
            max_contention_backoff: Duration::ZERO,
            brief_hooks: Duration::MAX,
            // For half of the seeds nearly every listing triggers a tree, since each request to the
            // store counts as several skipped rows.
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

/// The stores of a run: with injected faults for the engines, and without for the checks.
#[derive(Debug)]
pub(super) struct Simulation {
    plan: Plan,
    clock: Arc<ManualClock>,
    kv: Arc<dyn Store>,
    block: Arc<dyn BlockStore>,
    /// The stores with injected faults.
    faulty_kv: Arc<dyn Store>,
    faulty_block: Arc<dyn BlockStore>,
    gate: Option<Arc<Gate>>,
    name: String,
}

/// The calls of a run and the result of the check.
#[derive(Debug)]
pub(super) struct Run {
    pub calls: Vec<Call>,
    pub violations: Vec<String>,
    /// Number of tokens that were emptied while the actors worked.
    pub emptied: usize,
}

pub(super) fn clock() -> Arc<ManualClock> {
    let start = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    Arc::new(ManualClock::new(start))
}

impl Simulation {
    /// A simulation on `kv` and `block`, where `schedule` decides which calls fail. With a gate, the
    /// scheduler orders the store calls.
    pub(super) fn new(
        plan: Plan,
        name: &str,
        kv: Arc<dyn Store>,
        block: Arc<dyn BlockStore>,
        clock: Arc<ManualClock>,
        schedule: Arc<dyn FaultSchedule>,
        gate: Option<Arc<Gate>>,
    ) -> Self {
        let guarding_store: Arc<dyn Store> = match &gate {
            Some(gate) => Arc::new(GuardingStore {
                inner: Arc::clone(&kv),
                gate: Arc::clone(gate),
                guarding: plan.guarding,
            }),
            None => Arc::clone(&kv),
        };
        Self {
            faulty_kv: Arc::new(kv::testing::FaultyStore::with_schedule(
                guarding_store,
                plan.kv,
                Arc::clone(&schedule),
            )),
            faulty_block: Arc::new(block::testing::FaultyStore::with_schedule(
                Arc::clone(&block),
                plan.block,
                schedule,
            )),
            plan,
            clock,
            kv,
            block,
            gate,
            name: name.to_owned(),
        }
    }

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

    /// Runs all actors, reads the final state, and checks the run.
    pub(super) async fn run(&self) -> Run {
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
            .map(|number| self.engine(1 + number as u64, false, GRACE))
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
                last_reset: None,
                slowed: self.gate.clone().filter(|_| self.plan.reads_slowly),
                gate: self.gate.clone().filter(|_| self.plan.gives_up),
                kv_name: self.kv.name(),
            };
            tasks.push(tokio::spawn(actor.run(self.plan.calls)));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let emptier = self.gate.as_ref().map(|gate| {
            let emptier = TokenEmptier {
                kv: Arc::clone(&self.faulty_kv),
                gate: Arc::clone(gate),
                clock: Arc::clone(&self.clock),
                grace: GRACE,
                is_over: Arc::clone(&is_over),
            };
            tokio::spawn(emptier.run(EMPTIER_PAUSE_TURNS))
        });
        for task in tasks {
            task.await.unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        let emptied = match emptier {
            Some(emptier) => emptier.await.unwrap(),
            None => 0,
        };
        // This write comes after all abandoned requests.
        self.kv
            .set(b"simulation", b"end", bytes::Bytes::new())
            .await
            .unwrap();
        self.record_contents(&sound, &repo, &history).await;
        // Nothing needs retired tokens, so the content must stay the same without them.
        sound.sweep_tokens().await.unwrap();
        self.record_contents(&sound, &repo, &history).await;
        let mut calls = history.calls();
        calls.sort_by_key(|call| call.to);
        let stored = self.stored(&sound, &repo, root).await;
        let violations = check(&calls, &stored, self.plan.guarding);
        Run {
            calls,
            violations,
            emptied,
        }
    }

    /// Creates the repository again, in case the store has one from an earlier run.
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

    /// Records the final content of the branches as reads of an additional actor.
    async fn record_contents(&self, sound: &Graveler, repo: &Repository, history: &History) {
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
        let kv = self.kv.as_ref();
        let records = kv::first_entries(kv, partition.as_bytes(), &start, usize::MAX).await;
        for record in records.unwrap() {
            let id = &record.key[start.len()..];
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
