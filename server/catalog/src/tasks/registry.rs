//! The tasks of this server: bounded places, who holds them, and how they are run.
//!
//! What is here in memory only says which claims in the store this server still works on. A
//! claim that bears its name without a place here is an orphan, and is treated like
//! a dead server's.
//!
//! An attempt counts from when work begins, and is given back by a server that is told to stop:
//! what is counted is of what servers may have died.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Clock, IdGenerator, OffsetDateTime};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::join_all;
use graveler::{Graveler, Repository};
use kv::{Op, Predicate};
use metrics::{gauge, histogram};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, warn};

use super::records::{
    BRANCHES, CLAIMS, Claim, INSTANCES_PARTITION, InstanceHeartbeat, TaskBranches, TaskData,
    TaskRecord, instance_key, task_key, timestamp,
};
use super::{Doing, MAX_OPEN_TASKS, MAX_RUNNING_TASKS, NANOID_LENGTH, Progress, TaskKind};
use crate::{Catalog, Error, Result};

/// How often a claim is looked at to be given back: it changes once at most while it is this server's.
const GIVE_BACK_TRIES: usize = 3;

/// The tasks that this server works on, and what it needs for that.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Knows whether a repository is being deleted.
    graveler: Graveler,
    pub(super) kv: Arc<dyn kv::Store>,
    pub(super) clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    /// The name of this server, made anew with each start.
    pub(super) instance: String,
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    open: Mutex<Open>,
    /// No task is begun any more.
    closing: CancellationToken,
    /// The tasks are given up: the heart stops.
    pub(super) given_up: CancellationToken,
}

/// What [`Tasks::open`] guards.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// By the key of the claim.
    pub(super) tasks: HashMap<Bytes, Ours>,
    /// Whether the heart beats; it stops when there is no task.
    pub(super) beating: bool,
}

/// A task of this server.
#[derive(Debug, Clone)]
pub(super) struct Ours {
    pub(super) partition: String,
    pub(super) task_id: String,
    pub(super) progress: Progress,
    /// The units that the record tells, and since when.
    pub(super) told: (i64, OffsetDateTime),
    held: Arc<Mutex<Held>>,
    run: Option<AbortHandle>,
}

/// A claim as this server wrote it last.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) claim: Claim,
    /// That it is still so.
    pub(super) unchanged: Predicate,
    /// Whether its attempt is this server's.
    begun: bool,
}

/// The right to work on a task and to end it. Dropping it gives up the place, not the claim.
#[derive(Debug)]
pub(crate) struct Ticket {
    tasks: Arc<Tasks>,
    key: Bytes,
    id: String,
    operation: String,
    held: Arc<Mutex<Held>>,
    /// The place among those that are worked on, if there was one at once.
    turn: Mutex<Option<OwnedSemaphorePermit>>,
    progress: Progress,
    _place: OwnedSemaphorePermit,
}

impl Ticket {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn held(&self) -> Held {
        lock(&self.held).clone()
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Unless this server lost the task meanwhile, and took it again.
        if let Entry::Occupied(ours) = self.tasks.open().tasks.entry(self.key.clone())
            && Arc::ptr_eq(&ours.get().held, &self.held)
        {
            ours.remove();
        }
    }
}

impl Tasks {
    pub(crate) fn new(
        graveler: Graveler,
        kv: Arc<dyn kv::Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
            graveler,
            kv,
            clock,
            instance: ids.xid(),
            ids,
            places: Arc::new(Semaphore::new(MAX_OPEN_TASKS)),
            running: Arc::new(Semaphore::new(MAX_RUNNING_TASKS)),
            open: Mutex::default(),
            closing: CancellationToken::new(),
            given_up: CancellationToken::new(),
        }
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }

    /// Records a new task, with this server's heartbeat and claim, and the branches that it is of.
    ///
    /// # Errors
    /// [`Error::TooManyTasks`]; the repository is deleted, on whichever server; the record store's.
    pub(super) async fn submit(
        self: &Arc<Self>,
        repository: &Repository,
        kind: TaskKind,
        work: Bytes,
        branches: Option<&TaskBranches>,
    ) -> Result<Ticket> {
        let claim = Claim {
            repository: repository.id.to_string(),
            repository_uid: repository.instance_uid.clone(),
            task_id: format!("{}{}", kind.prefix, self.ids.nanoid(NANOID_LENGTH)),
            owner_instance_id: self.instance.clone(),
            attempt: 0,
            work,
            operation: kind.operation.to_owned(),
        };
        let branches = branches.map(|branches| Op::Set {
            partition: Bytes::from_static(BRANCHES),
            key: claim.key(),
            value: Bytes::from(branches.encode_to_vec()),
            predicate: None,
        });
        self.claim(
            repository,
            claim,
            Predicate::Absent,
            Predicate::Absent,
            branches,
        )
        .await?
        // It was written, and has gone with its repository.
        .ok_or_else(|| Error::Engine(graveler::Error::InDeletion(repository.id.to_string())))
    }

    /// The claim by which this server takes a task over.
    pub(super) fn succeeding(&self, claim: &Claim) -> Claim {
        Claim {
            owner_instance_id: self.instance.clone(),
            ..claim.clone()
        }
    }

    /// Takes a task for this server, if the conditions on its claim and its record hold. None: they do not.
    ///
    /// Work that need not wait begins with this, and its attempt is counted by the same write.
    ///
    /// # Errors
    /// As of [`Self::submit`].
    pub(super) async fn claim(
        self: &Arc<Self>,
        repository: &Repository,
        mut claim: Claim,
        if_claim: Predicate,
        if_task: Predicate,
        also: Option<Op>,
    ) -> Result<Option<Ticket>> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Error::TooManyTasks)?;
        let now = timestamp(self.clock.now());
        let turn = Arc::clone(&self.running).try_acquire_owned().ok();
        claim.attempt += u32::from(turn.is_some());
        let ticket = self.open_place(claim.clone(), place, turn);
        let task = TaskData {
            id: claim.task_id.clone(),
            updated_at: Some(now),
            operation: claim.operation.clone(),
            owner_instance_id: self.instance.clone(),
            ..TaskData::default()
        };
        let heartbeat = InstanceHeartbeat {
            updated_at: Some(now),
        };
        // The heartbeat comes with the claim, so that nobody sees a claim of the dead.
        let mut ops = vec![
            Op::Set {
                partition: Bytes::from_static(INSTANCES_PARTITION),
                key: instance_key(&self.instance),
                value: Bytes::from(heartbeat.encode_to_vec()),
                predicate: None,
            },
            Op::Set {
                partition: Bytes::from_static(CLAIMS),
                key: claim.key(),
                value: claim.encode(),
                predicate: Some(if_claim),
            },
            Op::Set {
                partition: Bytes::from(claim.partition()),
                key: task_key(&claim.task_id),
                value: TaskRecord::of(task, None).encode(),
                predicate: Some(if_task),
            },
        ];
        ops.extend(also);
        // Else rows were left in a repository that another server deletes just now.
        let written = self.graveler.write_unless_deleted(repository, ops).await;
        if let Err(graveler::Error::Kv(kv::Error::PredicateFailed { .. })) = written {
            return Ok(None);
        }
        // After an error it is not known whether it took effect. If the look fails as well, the
        // claim is found without a place later, and ended.
        match self.kv.get(CLAIMS, &claim.key()).await? {
            Some(stored) if stored.value == claim.encode() => {
                lock(&ticket.held).unchanged = stored.predicate;
                Ok(Some(ticket))
            }
            _ => written.map(|()| None).map_err(Error::from),
        }
    }

    /// Notes that this server works on the task, and lets the heart beat.
    fn open_place(
        self: &Arc<Self>,
        claim: Claim,
        place: OwnedSemaphorePermit,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Ticket {
        let progress = Progress::default();
        let (key, id) = (claim.key(), claim.task_id.clone());
        let operation = claim.operation.clone();
        let held = Arc::new(Mutex::new(Held {
            claim: claim.clone(),
            unchanged: Predicate::Absent,
            begun: turn.is_some(),
        }));
        let ours = Ours {
            partition: claim.partition(),
            task_id: claim.task_id,
            progress: progress.clone(),
            told: (0, self.clock.now()),
            held: Arc::clone(&held),
            run: None,
        };
        let mut open = self.open();
        open.tasks.insert(key.clone(), ours);
        if !open.beating {
            open.beating = true;
            tokio::spawn(Arc::clone(self).beat());
        }
        drop(open);
        Ticket {
            tasks: Arc::clone(self),
            key,
            id,
            operation,
            held,
            turn: Mutex::new(turn),
            progress,
            _place: place,
        }
    }

    /// Waits until a task may be worked on. None: it is not to be begun here.
    async fn turn(&self, ticket: &Ticket) -> Option<OwnedSemaphorePermit> {
        if let Some(turn) = lock(&ticket.turn).take() {
            return Some(turn);
        }
        let turn = tokio::select! {
            biased;
            () = self.closing.cancelled() => return None,
            turn = Arc::clone(&self.running).acquire_owned() => turn.expect("the semaphore is never closed"),
        };
        match self.begin(ticket).await {
            Ok(true) => Some(turn),
            Ok(false) => None,
            Err(error) => {
                warn!(task.id = ticket.id(), error = %base::chain(&error), "failed to begin task {}: it is looked after later", ticket.id());
                None
            }
        }
    }

    /// Counts the attempt of a task that has waited. False: it is another's by now.
    async fn begin(&self, ticket: &Ticket) -> Result<bool> {
        let mut held = ticket.held();
        held.claim.attempt += 1;
        held.begun = true;
        // Before it is written: whoever is told to stop meanwhile has it to give back.
        *lock(&ticket.held) = held.clone();
        let value = held.claim.encode();
        let (kv, key, unchanged) = (&self.kv, &ticket.key, held.unchanged.clone());
        let written = kv.set_if(CLAIMS, key, value.clone(), unchanged).await;
        // After an error it is not known whether it took effect.
        match kv.get(CLAIMS, key).await? {
            Some(stored) if stored.value == value => {
                held.unchanged = stored.predicate;
                *lock(&ticket.held) = held;
                Ok(true)
            }
            _ => match written {
                Ok(()) | Err(kv::Error::PredicateFailed { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Whether this server works on the task of a claim.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        claim.owner_instance_id == self.instance && self.open().tasks.contains_key(&claim.key())
    }

    /// Begins no task any more: those that wait are left to others.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Whether no task is begun any more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Gives every task up, and says at once that this server is dead, so that others need not wait to find out.
    ///
    /// Nobody died of what is given up, however often servers are stopped: the attempts do not count.
    pub(crate) async fn hand_over(&self) {
        self.close();
        let (mut runs, mut begun) = (Vec::new(), Vec::new());
        for ours in self.open().tasks.values() {
            runs.extend(ours.run.clone());
            begun.extend(Some(lock(&ours.held).clone()).filter(|held| held.begun));
        }
        for run in &runs {
            run.abort();
        }
        self.given_up.cancel();
        // At most `MAX_RUNNING_TASKS`. Before the heartbeat goes: who sees it gone counts a death.
        join_all(begun.iter().map(|held| self.give_back(held))).await;
        let key = instance_key(&self.instance);
        if let Err(error) = self.kv.delete(INSTANCES_PARTITION, &key).await {
            warn!(error = %base::chain(&error), "failed to take back the heartbeat; tasks that are left are taken over later");
        }
        if !runs.is_empty() {
            warn!(
                "{} tasks are left to another server, or to the next start",
                runs.len()
            );
        }
    }
}

impl Tasks {
    /// Leaves a task to others as it was before this server began it, if it is still its own.
    async fn give_back(&self, held: &Held) {
        if let Err(error) = self.try_give_back(&held.claim).await {
            let id = &held.claim.task_id;
            warn!(task.id = id, error = %base::chain(&error), "failed to give back task {id}: it is taken over as from a server that died");
        }
    }

    /// Goes by the claim that is stored: that of a task that was to begin just now may not be there yet. After this
    /// it cannot come any more, since it was to replace the one before.
    async fn try_give_back(&self, begun: &Claim) -> Result<()> {
        let key = begun.key();
        for _ in 0..GIVE_BACK_TRIES {
            let Some(stored) = self.kv.get(CLAIMS, &key).await? else {
                return Ok(());
            };
            let claim = Claim::parse(stored.value)?;
            if claim.owner_instance_id != self.instance {
                return Ok(());
            }
            let given_back = Claim {
                owner_instance_id: String::new(),
                attempt: claim.attempt.min(begun.attempt.saturating_sub(1)),
                ..claim
            };
            let value = given_back.encode();
            match self.kv.set_if(CLAIMS, &key, value, stored.predicate).await {
                // It ended just now, another has it, or its beginning came in between.
                Err(kv::Error::PredicateFailed { .. }) => {}
                written => return Ok(written?),
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Catalog {
    /// Works on a task until its end, in a task of the runtime that a shutdown waits for.
    ///
    /// `work` gives the encoded result, `doing` is what is told of its failure. The task's end is written also if it panics.
    pub(super) fn run_task(
        &self,
        ticket: Arc<Ticket>,
        doing: Doing,
        work: impl Future<Output = Result<Bytes>> + Send + 'static,
    ) {
        let tasks = Arc::clone(&self.shared.tasks);
        let key = ticket.key.clone();
        let describe = self.describe;
        let operation = ticket.operation.clone();
        let run = {
            let tasks = Arc::clone(&tasks);
            async move {
                let Some(turn) = tasks.turn(&ticket).await else {
                    return;
                };
                let began = tasks.clock.now();
                gauge!("lakefs_async_operations_running", "operation" => operation.clone())
                    .increment(1.0);
                let outcome = match AssertUnwindSafe(work).catch_unwind().await {
                    Ok(outcome) => outcome.map_err(|e| {
                        let description = describe(&e, &doing);
                        tasks.failure(&e, description, &ticket)
                    }),
                    Err(_) => {
                        error!(task.id = ticket.id(), "task {} panicked", ticket.id());
                        Err(super::ending::panicked())
                    }
                };
                drop(turn);
                gauge!("lakefs_async_operations_running", "operation" => operation.clone())
                    .decrement(1.0);
                let took = (tasks.clock.now() - began).as_seconds_f64();
                histogram!("lakefs_async_operation_duration_seconds", "operation" => operation)
                    .record(took);
                tasks.end(&ticket, outcome).await;
            }
        };
        let run =
            graveler::nesting::inherit_depth(self.shared.pending.count(run)).in_current_span();
        let run = tokio::spawn(run).abort_handle();
        if let Some(ours) = tasks.open().tasks.get_mut(&key) {
            ours.run = Some(run);
        }
    }

    /// Gives up what this server could not finish in time. To be called last.
    pub async fn hand_over_tasks(&self) {
        self.shared.tasks.hand_over().await;
    }
}
