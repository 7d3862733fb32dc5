//! The actors: each makes one call after another, chosen by its seed, and records the outcome.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{Clock as _, ManualClock, OffsetDateTime};
use bytes::Bytes;
use futures::future::{Either, select};
use kv::Store;

use super::gate::Gate;
use super::history::{Action, Answer, Call, History, Tree};
use super::random::Random;
use crate::testing::{branch, committing, merging, value};
use crate::{
    BranchId, CherryPickParams, CommitId, Condition, Graveler, MergeParams, MergeStrategy, NoHooks,
    Record, RefName, Repository, ResetScope, Result, RevertParams, UndoParams, Value,
};

/// The branch that always exists; the others are created and deleted.
pub(super) const MAIN: &str = "main";
pub(super) const BRANCHES: [&str; 3] = [MAIN, "dev", "fix"];
/// More keys than a page of staged records after a seek.
pub(super) const KEYS: [&str; 8] = ["a", "b", "c/1", "c/2", "d", "e", "f", "g"];

/// How many of 256 calls are abandoned by their client.
const ABANDONED: u8 = 12;
/// A client abandons a call before this many turns.
const PATIENCE_TURNS: u64 = 40;
/// How many of 256 resets of a branch other than `main` are undone by the actor's next call.
const UNDO_AFTER_RESET: u8 = 128;
/// The number of records after which a slow client pauses. A page of staged records after a seek has
/// no more.
const SLOW_AFTER_RECORDS: usize = 4;
/// How long a slow client pauses, in turns.
const SLOW_TURNS: u64 = 600;

#[derive(Debug)]
pub(super) struct Actor {
    pub id: usize,
    pub graveler: Graveler,
    pub repo: Repository,
    pub history: Arc<History>,
    pub random: Random,
    /// Ids of commits that this actor got as answers.
    pub known: Vec<CommitId>,
    /// The branch of the last call, if it was a reset that can be undone.
    pub last_reset: Option<&'static str>,
    /// The scheduler, if calls may be abandoned; it measures the time.
    pub gate: Option<Arc<Gate>>,
    /// The name of the KV store's driver.
    pub kv_name: &'static str,
    /// The scheduler, if some listings are read slowly.
    pub slowed: Option<Arc<Gate>>,
}

/// The driver name of the store in memory.
const MEMORY: &str = "mem";

impl Actor {
    pub(super) async fn run(mut self, calls: usize) {
        for _ in 0..calls {
            let id = self.history.next_id();
            let action = self.choose();
            self.last_reset = match &action {
                Action::Reset { branch, .. } if *branch != MAIN => Some(*branch),
                _ => None,
            };
            let patience = match self.random.chance(ABANDONED) {
                true => Some(self.random.below(PATIENCE_TURNS)),
                false => None,
            };
            let from = self.history.tick();
            let mut is_given_up = false;
            let answer = match (&self.gate, patience) {
                (Some(gate), Some(turns)) => {
                    let request = pin!(self.perform(id, &action));
                    match select(request, gate.wait_turns(turns)).await {
                        Either::Left((answer, _)) => answer,
                        Either::Right(_) => {
                            is_given_up = true;
                            Answer::Unknown("given up".to_owned())
                        }
                    }
                }
                _ => self.perform(id, &action).await,
            };
            // An abandoned request to a database may still be carried out at any time; one in memory
            // ends with its future.
            let to = match is_given_up && self.kv_name != MEMORY {
                true => u64::MAX,
                false => self.history.tick(),
            };
            if let Answer::Commit(id) = &answer {
                self.known.push(id.clone());
            }
            self.history.record(Call {
                id,
                actor: self.id,
                action,
                from,
                to,
                answer,
            });
        }
    }

    fn choose(&mut self) -> Action {
        let random = &mut self.random;
        if let Some(branch) = self.last_reset
            && random.chance(UNDO_AFTER_RESET)
        {
            return Action::Undo { branch };
        }
        let branch = match random.below(2) {
            0 => MAIN,
            _ => random.pick(&BRANCHES),
        };
        let key = random.pick(&KEYS);
        let commit = |random: &mut Random, known: &[CommitId]| {
            known[random.below(known.len() as u64) as usize].clone()
        };
        match random.below(100) {
            _ if random.chance(40) && !self.known.is_empty() => match random.below(5) {
                4 => Action::Undo {
                    branch: random.pick(&BRANCHES[1..]),
                },
                0 => Action::Revert {
                    branch,
                    commit: commit(random, &self.known),
                },
                1 => Action::Pick {
                    branch,
                    commit: commit(random, &self.known),
                },
                2 => Action::Reset {
                    branch,
                    key: random.chance(128).then_some(key),
                },
                _ => Action::HardReset {
                    branch: random.pick(&BRANCHES[1..]),
                    to: commit(random, &self.known),
                },
            },
            0..6 => Action::PutMany {
                branch,
                keys: KEYS.into_iter().filter(|_| random.chance(192)).collect(),
            },
            6..34 => Action::Put {
                branch,
                key,
                if_absent: random.chance(48),
            },
            34..44 => Action::Delete {
                branch,
                keys: vec![key, random.pick(&KEYS)],
            },
            44..60 => Action::Commit { branch },
            60..70 => Action::Merge {
                source: random.pick(&BRANCHES),
                destination: branch,
            },
            70..80 => Action::Branch {
                name: random.pick(&BRANCHES[1..]),
                source: random.pick(&BRANCHES),
            },
            80..84 => Action::DropBranch {
                name: random.pick(&BRANCHES[1..]),
            },
            84..93 => Action::Get { branch, key },
            93..97 => Action::List { branch },
            _ => Action::Changes { branch },
        }
    }

    async fn perform(&self, id: usize, action: &Action) -> Answer {
        match self.try_perform(id, action).await {
            Ok(answer) => answer,
            Err(error) => Answer::of(&error),
        }
    }

    async fn try_perform(&self, id: usize, action: &Action) -> Result<Answer> {
        let (graveler, repo, mark) = (&self.graveler, &self.repo, Call::mark(id));
        let on = branch(action.branch());
        match action {
            Action::Put { key, if_absent, .. } => {
                let condition = match if_absent {
                    true => Condition::IfAbsent,
                    false => Condition::Always,
                };
                graveler
                    .set(repo, &on, key.as_bytes(), value(&mark), condition, false)
                    .await?;
            }
            Action::PutMany { keys, .. } => {
                let record = |key: &&str| Record {
                    key: Bytes::copy_from_slice(key.as_bytes()),
                    value: value(&mark),
                };
                let records: Vec<_> = keys.iter().map(record).collect();
                graveler.set_many(repo, &on, &records, false).await?;
            }
            Action::Delete { keys, .. } => {
                let keys: Vec<_> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
                graveler.delete(repo, &on, &keys, false).await?;
            }
            Action::Commit { .. } => {
                let commit = graveler
                    .commit(repo, &on, committing(&mark), &NoHooks)
                    .await?;
                return Ok(Answer::Commit(commit.id));
            }
            Action::Merge { source, .. } => return self.merge(id, source, &on).await,
            Action::Revert { commit, .. } => return self.revert(mark, commit, &on).await,
            Action::Pick { commit, .. } => return self.cherry_pick(mark, commit, &on).await,
            Action::Reset { key, .. } => {
                let scope = match key {
                    Some(key) => ResetScope::Key(key.as_bytes().to_vec()),
                    None => ResetScope::All,
                };
                graveler.reset(repo, &on, scope, false, &mark).await?;
            }
            Action::HardReset { to, .. } => {
                graveler
                    .hard_reset(repo, &on, to.as_str(), false, "actor")
                    .await?;
            }
            Action::Undo { .. } => return self.undo(mark, on).await,
            Action::Branch { source, .. } => {
                let made = graveler
                    .create_branch(repo, &on, source, false, false, "actor", &NoHooks)
                    .await?;
                return Ok(Answer::Commit(made.record.commit_id));
            }
            Action::DropBranch { .. } => {
                graveler
                    .delete_branch(repo, &on, false, &mark, &NoHooks)
                    .await?;
            }
            Action::Get { key, .. } => {
                let resolved = graveler.resolve(repo, on.as_str()).await?;
                let value = graveler.get(repo, &resolved, key.as_bytes()).await?;
                return Ok(Answer::Value(value.map(|value| text(&value))));
            }
            Action::List { .. } => {
                let slowed = self.slowed.as_deref().filter(|_| id.is_multiple_of(2));
                let tree = list_slowly(graveler, repo, on.as_str(), slowed).await?;
                return Ok(Answer::Tree(tree));
            }
            Action::Changes { .. } => return self.changes(id, &on).await,
        }
        Ok(Answer::Done)
    }

    async fn merge(&self, id: usize, source: &str, destination: &BranchId) -> Result<Answer> {
        let params = MergeParams {
            message: Call::mark(id),
            strategy: [MergeStrategy::SourceWins, MergeStrategy::DestWins][id % 2],
            squash: id.is_multiple_of(3),
            ..merging()
        };
        let merged = self
            .graveler
            .merge(&self.repo, destination, source, params, &NoHooks);
        Ok(Answer::Commit(merged.await?.commit_id))
    }

    async fn revert(&self, mark: String, commit: &CommitId, on: &BranchId) -> Result<Answer> {
        let params = RevertParams {
            committer: "actor".to_owned(),
            parent_number: 1,
            message: mark,
            metadata: BTreeMap::new(),
            allow_empty: false,
            force: false,
        };
        let commit = self
            .graveler
            .revert(&self.repo, on, commit.as_str(), params, &NoHooks);
        Ok(Answer::Commit(commit.await?.id))
    }

    async fn cherry_pick(&self, mark: String, commit: &CommitId, on: &BranchId) -> Result<Answer> {
        let params = CherryPickParams {
            committer: "actor".to_owned(),
            parent_number: 1,
            message: Some(mark),
            metadata: None,
            force: false,
        };
        let commit = self
            .graveler
            .cherry_pick(&self.repo, on, commit.as_str(), params, &NoHooks);
        Ok(Answer::Commit(commit.await?.id))
    }

    async fn undo(&self, mark: String, on: BranchId) -> Result<Answer> {
        let params = UndoParams {
            actor: mark,
            ..UndoParams::default()
        };
        let on = RefName::Branch(on);
        let undone = self.graveler.undo(&self.repo, &on, &params).await?;
        Ok(Answer::Undone {
            call: Call::marked(&undone.entry.actor),
            from: undone.entry.to,
            to: undone.commit_id,
        })
    }

    async fn changes(&self, id: usize, on: &BranchId) -> Result<Answer> {
        let slowed = self.slowed.as_deref().filter(|_| id.is_multiple_of(2));
        let mut cursor = self.graveler.diff_uncommitted(&self.repo, on).await?;
        cursor.seek(KEYS[0].as_bytes());
        let mut changes = BTreeMap::new();
        while let Some(diff) = cursor.next().await? {
            let key = String::from_utf8_lossy(&diff.key).into_owned();
            changes.insert(key, diff.right.map(|value| text(&value)));
            take_time(slowed, changes.len()).await;
        }
        Ok(Answer::Changes(changes))
    }
}

/// Everything that a reference shows.
pub(super) async fn list(graveler: &Graveler, repo: &Repository, reference: &str) -> Result<Tree> {
    list_slowly(graveler, repo, reference, None).await
}

async fn list_slowly(
    graveler: &Graveler,
    repo: &Repository,
    reference: &str,
    slowed: Option<&Gate>,
) -> Result<Tree> {
    let resolved = graveler.resolve(repo, reference).await?;
    let mut cursor = graveler.cursor(repo, &resolved).await?;
    // Pages after a seek are short.
    cursor.seek(KEYS[0].as_bytes());
    let mut tree = Tree::new();
    while let Some(record) = cursor.next().await? {
        let key = String::from_utf8_lossy(&record.key).into_owned();
        tree.insert(key, text(&record.value));
        take_time(slowed, tree.len()).await;
    }
    Ok(tree)
}

async fn take_time(slowed: Option<&Gate>, read: usize) {
    if let Some(gate) = slowed
        && read == SLOW_AFTER_RECORDS
    {
        gate.wait_turns(SLOW_TURNS).await;
    }
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(&value.data).into_owned()
}

/// Empties retired tokens after their grace period, like the engine's janitor, but by the scheduler's
/// clock.
#[derive(Debug)]
pub(super) struct TokenEmptier {
    pub kv: Arc<dyn Store>,
    pub gate: Arc<Gate>,
    pub clock: Arc<ManualClock>,
    pub grace: Duration,
    pub is_over: Arc<AtomicBool>,
}

impl TokenEmptier {
    /// Runs until `is_over`. Returns the number of tokens emptied.
    pub(super) async fn run(self, pause_turns: u64) -> usize {
        let mut emptied = 0;
        let mut since: BTreeMap<Bytes, OffsetDateTime> = BTreeMap::new();
        while !self.is_over.load(Ordering::Relaxed) {
            self.gate.wait_turns(pause_turns).await;
            let retired = self.kv.scan(b"cleanup-tokens", b"", 1_000).await;
            let now = self.clock.now();
            for entry in retired.unwrap_or_default().entries {
                let first = *since.entry(entry.key.clone()).or_insert(now);
                if now - first < self.grace {
                    continue;
                }
                // On failure the token stays recorded, and the next round tries again.
                if self.kv.delete_partition(&entry.key).await.is_ok() {
                    emptied += 1;
                    let _tried = self.kv.delete(b"cleanup-tokens", &entry.key).await;
                }
            }
        }
        emptied
    }
}
