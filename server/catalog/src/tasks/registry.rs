//! The tasks of this server: bounded places, who holds them, and how they are run.
//!
//! What is here in memory only says which claims in the store this server still works on. A
//! claim that bears its name without a place here is an orphan, and is treated like
//! a dead server's.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Clock, IdGenerator, OffsetDateTime};
use bytes::Bytes;
use futures::FutureExt as _;
use graveler::Repository;
use kv::{Op, Predicate};
use metrics::{gauge, histogram};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error};

use super::records::{
    CLAIMS, Claim, INSTANCES_PARTITION, InstanceHeartbeat, TaskData, TaskRecord, instance_key,
    task_key, timestamp,
};
use super::{MAX_OPEN_TASKS, MAX_RUNNING_TASKS, NANOID_LENGTH, Progress, TaskKind};
use crate::{Catalog, Error, Result};

/// The tasks that this server works on, and what it needs for that.
#[derive(Debug)]
pub(crate) struct Tasks {
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
    run: Option<AbortHandle>,
}

/// The right to work on a task and to end it. Dropping it gives up the place, not the claim.
#[derive(Debug)]
pub(crate) struct Ticket {
    tasks: Arc<Tasks>,
    pub(super) claim: Claim,
    /// That the claim is still as this server wrote it.
    pub(super) unchanged: Predicate,
    progress: Progress,
    _place: OwnedSemaphorePermit,
}

impl Ticket {
    pub(super) fn id(&self) -> &str {
        &self.claim.task_id
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tasks.open().tasks.remove(&self.claim.key());
    }
}

impl Tasks {
    pub(crate) fn new(
        kv: Arc<dyn kv::Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
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
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a new task, with this server's heartbeat and claim.
    ///
    /// # Errors
    /// [`Error::TooManyTasks`]; the record store's.
    pub(super) async fn submit(
        self: &Arc<Self>,
        repository: &Repository,
        kind: TaskKind,
        work: Bytes,
    ) -> Result<Ticket> {
        let claim = Claim {
            repository: repository.id.to_string(),
            repository_uid: repository.instance_uid.clone(),
            task_id: format!("{}{}", kind.prefix, self.ids.nanoid(NANOID_LENGTH)),
            owner_instance_id: self.instance.clone(),
            attempt: 1,
            work,
            operation: kind.operation.to_owned(),
        };
        self.claim(claim, Predicate::Absent, Predicate::Absent)
            .await?
            .ok_or_else(|| Error::Engine(graveler::Error::ConcurrentChange("task".to_owned())))
    }

    /// The claim by which this server takes a task over.
    pub(super) fn succeeding(&self, claim: &Claim) -> Claim {
        Claim {
            owner_instance_id: self.instance.clone(),
            attempt: claim.attempt + 1,
            ..claim.clone()
        }
    }

    /// Takes a task for this server, if the conditions on its claim and its record hold. None: they do not.
    pub(super) async fn claim(
        self: &Arc<Self>,
        claim: Claim,
        if_claim: Predicate,
        if_task: Predicate,
    ) -> Result<Option<Ticket>> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Error::TooManyTasks)?;
        let now = timestamp(self.clock.now());
        let mut ticket = self.open_place(claim, place);
        let claim = &ticket.claim;
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
        let ops = vec![
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
        let written = self.kv.batch(ops).await;
        if let Err(kv::Error::PredicateFailed { .. }) = written {
            return Ok(None);
        }
        // After an error it is not known whether it took effect. If the look fails as well, the
        // claim is found without a place later, and ended.
        match self.kv.get(CLAIMS, &claim.key()).await? {
            Some(stored) if stored.value == claim.encode() => {
                ticket.unchanged = stored.predicate;
                Ok(Some(ticket))
            }
            _ => written.map(|()| None).map_err(Error::from),
        }
    }

    /// Notes that this server works on the task, and lets the heart beat.
    fn open_place(self: &Arc<Self>, claim: Claim, place: OwnedSemaphorePermit) -> Ticket {
        let progress = Progress::default();
        let ours = Ours {
            partition: claim.partition(),
            task_id: claim.task_id.clone(),
            progress: progress.clone(),
            told: (0, self.clock.now()),
            run: None,
        };
        let mut open = self.open();
        open.tasks.insert(claim.key(), ours);
        if !open.beating {
            open.beating = true;
            tokio::spawn(Arc::clone(self).beat());
        }
        drop(open);
        Ticket {
            tasks: Arc::clone(self),
            claim,
            unchanged: Predicate::Absent,
            progress,
            _place: place,
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
    pub(crate) async fn hand_over(&self) {
        self.close();
        let runs: Vec<AbortHandle> = {
            let open = self.open();
            open.tasks.values().filter_map(|t| t.run.clone()).collect()
        };
        for run in &runs {
            run.abort();
        }
        self.given_up.cancel();
        let key = instance_key(&self.instance);
        if let Err(error) = self.kv.delete(INSTANCES_PARTITION, &key).await {
            tracing::warn!(error = %base::chain(&error), "failed to take back the heartbeat; tasks that are left are taken over later");
        }
        if !runs.is_empty() {
            tracing::warn!(
                "{} tasks are left to another server, or to the next start",
                runs.len()
            );
        }
    }
}

impl Catalog {
    /// Works on a task until its end, in a task of the runtime that a shutdown waits for.
    ///
    /// `work` gives the encoded result. The task's end is written also if it panics.
    pub(super) fn run_task(
        &self,
        ticket: Arc<Ticket>,
        work: impl Future<Output = Result<Bytes>> + Send + 'static,
    ) {
        let tasks = Arc::clone(&self.shared.tasks);
        let key = ticket.claim.key();
        let describe = self.describe;
        let operation = ticket.claim.operation.clone();
        let run = {
            let tasks = Arc::clone(&tasks);
            async move {
                let turn = tokio::select! {
                    biased;
                    () = tasks.closing.cancelled() => return,
                    turn = tasks.running.acquire() => turn.expect("the semaphore is never closed"),
                };
                let began = tasks.clock.now();
                gauge!("lakefs_async_operations_running", "operation" => operation.clone())
                    .increment(1.0);
                let outcome = match AssertUnwindSafe(work).catch_unwind().await {
                    Ok(outcome) => outcome.map_err(|e| tasks.failure(&e, describe, &ticket)),
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
        let run = self.shared.pending.count(run).in_current_span();
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
