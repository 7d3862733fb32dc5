//! The open tasks of this server: their limits, their claims, and when they may run.
//!
//! The in-memory state has the claims that this server is working on. A stored claim of this server that
//! is not in memory is orphaned, and is treated like a claim of a dead server.
//!
//! Starting the work counts as an attempt. A server that shuts down releases its tasks and undoes this
//! count, because the number of attempts limits how many servers a task can crash.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Clock, IdGenerator, OffsetDateTime, to_timestamp};
use bytes::Bytes;
use futures::future::join_all;
use graveler::{Graveler, Repository};
use kv::{Op, Predicate};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::kind::{NANOID_LENGTH, TaskKind};
use super::limits::{MAX_OPEN_TASKS, MAX_RUNNING_TASKS};
use super::records::{
    BRANCHES, CLAIMS, Claim, INSTANCES_PARTITION, InstanceHeartbeat, TaskBranches, TaskData,
    TaskRecord, instance_key, task_key,
};
use super::status::Progress;
use crate::{Error, Result};

/// The maximum number of attempts to release a claim. While this server owns the claim, it changes at most once.
const RELEASE_ATTEMPTS: usize = 3;

/// The tasks of this server and the services that they need.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// For writes that fail if the repository is being deleted.
    graveler: Graveler,
    pub(super) kv: Arc<dyn kv::Store>,
    pub(super) clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    /// The id of this server process, new at each start.
    pub(super) instance: String,
    open_permits: Arc<Semaphore>,
    run_permits: Arc<Semaphore>,
    open: Mutex<OpenTasks>,
    /// Cancelled at shutdown: no more tasks are accepted or started.
    closing: CancellationToken,
    /// Cancelled when the tasks are abandoned: the heartbeat stops.
    pub(super) abandoned: CancellationToken,
}

/// The state behind the mutex [`Tasks::open`].
#[derive(Debug, Default)]
pub(super) struct OpenTasks {
    /// By the claim's key.
    pub(super) tasks: HashMap<Bytes, OpenTask>,
    /// Whether the heartbeat is running. It stops when there are no tasks.
    pub(super) heartbeat_is_running: bool,
}

/// A task that this server owns.
#[derive(Debug, Clone)]
pub(super) struct OpenTask {
    pub(super) partition: String,
    pub(super) task_id: String,
    pub(super) progress: Progress,
    /// The progress that was last written to the record, and when.
    pub(super) reported: (i64, OffsetDateTime),
    held: Arc<Mutex<HeldClaim>>,
    pub(super) run: Option<AbortHandle>,
}

/// A claim as this server last wrote it.
#[derive(Debug, Clone)]
pub(super) struct HeldClaim {
    pub(super) claim: Claim,
    /// Holds while the stored claim is unchanged.
    pub(super) unchanged: Predicate,
    /// Whether this server counted an attempt in the claim.
    is_started: bool,
}

/// The right to run a task and to end it. Dropping it frees the capacity but leaves the claim in the store.
#[derive(Debug)]
pub(crate) struct Ticket {
    tasks: Arc<Tasks>,
    pub(super) key: Bytes,
    id: String,
    pub(super) operation: String,
    held: Arc<Mutex<HeldClaim>>,
    /// Present if the task could start immediately when it was claimed.
    run_permit: Mutex<Option<OwnedSemaphorePermit>>,
    progress: Progress,
    _open_permit: OwnedSemaphorePermit,
}

impl Ticket {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn held(&self) -> HeldClaim {
        lock(&self.held).clone()
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // If this server lost the task and claimed it again, the entry belongs to the new ticket.
        if let Entry::Occupied(entry) = self.tasks.open().tasks.entry(self.key.clone())
            && Arc::ptr_eq(&entry.get().held, &self.held)
        {
            entry.remove();
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
            open_permits: Arc::new(Semaphore::new(MAX_OPEN_TASKS)),
            run_permits: Arc::new(Semaphore::new(MAX_RUNNING_TASKS)),
            open: Mutex::default(),
            closing: CancellationToken::new(),
            abandoned: CancellationToken::new(),
        }
    }

    pub(super) fn open(&self) -> MutexGuard<'_, OpenTasks> {
        lock(&self.open)
    }

    /// Stores a new task together with this server's heartbeat and claim, and the task's branches.
    ///
    /// # Errors
    /// [`Error::TooManyTasks`]; [`Error::Stopping`]; the repository was deleted, on any server; any error of the record
    /// store.
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
        // The task was written and then deleted together with its repository.
        .ok_or_else(|| Error::InDeletion(repository.id.to_string()))
    }

    /// The claim with which this server takes over a task.
    pub(super) fn claim_for_takeover(&self, claim: &Claim) -> Claim {
        Claim {
            owner_instance_id: self.instance.clone(),
            ..claim.clone()
        }
    }

    /// Claims a task for this server if the predicates for its claim and its record hold; otherwise returns none.
    ///
    /// If there is capacity to run the task immediately, the same write counts the attempt.
    ///
    /// # Errors
    /// The same as for [`Self::submit`].
    pub(super) async fn claim(
        self: &Arc<Self>,
        repository: &Repository,
        mut claim: Claim,
        if_claim: Predicate,
        if_task: Predicate,
        also: Option<Op>,
    ) -> Result<Option<Ticket>> {
        if self.is_closing() {
            return Err(Error::Stopping);
        }
        let open_permit = Arc::clone(&self.open_permits)
            .try_acquire_owned()
            .map_err(|_| Error::TooManyTasks)?;
        let now = to_timestamp(self.clock.now());
        let run_permit = Arc::clone(&self.run_permits).try_acquire_owned().ok();
        claim.attempt += u32::from(run_permit.is_some());
        let ticket = self.register(claim.clone(), open_permit, run_permit);
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
        // Write the heartbeat in the same batch: otherwise another server could see the claim of a dead owner.
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
        // The guard keeps a concurrent deletion of the repository from missing these records.
        let written = self.graveler.write_unless_deleted(repository, ops).await;
        if let Err(graveler::Error::Kv(kv::Error::PredicateFailed { .. })) = written {
            return Ok(None);
        }
        // A failed write may still have taken effect. If this read fails too, recovery treats the claim as orphaned.
        match self.kv.get(CLAIMS, &claim.key()).await? {
            Some(stored) if stored.value == claim.encode() => {
                lock(&ticket.held).unchanged = stored.predicate;
                // A hand-over during the write did not see the claim, so release it now.
                if self.abandoned.is_cancelled() {
                    self.release(&ticket.held()).await;
                }
                Ok(Some(ticket))
            }
            _ => written.map(|()| None).map_err(Error::from),
        }
    }

    /// Adds the task to this server's open tasks and starts the heartbeat if necessary.
    fn register(
        self: &Arc<Self>,
        claim: Claim,
        open_permit: OwnedSemaphorePermit,
        run_permit: Option<OwnedSemaphorePermit>,
    ) -> Ticket {
        let progress = Progress::default();
        let (key, id) = (claim.key(), claim.task_id.clone());
        let operation = claim.operation.clone();
        let held = Arc::new(Mutex::new(HeldClaim {
            claim: claim.clone(),
            unchanged: Predicate::Absent,
            is_started: run_permit.is_some(),
        }));
        let open_task = OpenTask {
            partition: claim.partition(),
            task_id: claim.task_id,
            progress: progress.clone(),
            reported: (0, self.clock.now()),
            held: Arc::clone(&held),
            run: None,
        };
        let mut open = self.open();
        open.tasks.insert(key.clone(), open_task);
        if !open.heartbeat_is_running {
            open.heartbeat_is_running = true;
            tokio::spawn(Arc::clone(self).run_heartbeat());
        }
        drop(open);
        Ticket {
            tasks: Arc::clone(self),
            key,
            id,
            operation,
            held,
            run_permit: Mutex::new(run_permit),
            progress,
            _open_permit: open_permit,
        }
    }

    /// Waits until a task may run. Returns none if this server must not run it.
    pub(super) async fn acquire_run_permit(&self, ticket: &Ticket) -> Option<OwnedSemaphorePermit> {
        if self.abandoned.is_cancelled() {
            return None;
        }
        if let Some(run_permit) = lock(&ticket.run_permit).take() {
            return Some(run_permit);
        }
        let run_permit = tokio::select! {
            biased;
            () = self.closing.cancelled() => return None,
            run_permit = Arc::clone(&self.run_permits).acquire_owned() => run_permit.expect("the semaphore is never closed"),
        };
        match self.start_attempt(ticket).await {
            Ok(true) => Some(run_permit),
            Ok(false) => None,
            Err(error) => {
                warn!(task.id = ticket.id(), error = %base::error_chain(&error), "failed to start task {}; recovery will retry it", ticket.id());
                None
            }
        }
    }

    /// Counts the attempt of a task that had to wait. Returns false if another server has taken the task.
    async fn start_attempt(&self, ticket: &Ticket) -> Result<bool> {
        let mut held = ticket.held();
        held.claim.attempt += 1;
        held.is_started = true;
        // Update the memory before the store, so that a concurrent shutdown releases this attempt.
        *lock(&ticket.held) = held.clone();
        let value = held.claim.encode();
        let (kv, key, unchanged) = (&self.kv, &ticket.key, held.unchanged.clone());
        let written = kv.set_if(CLAIMS, key, value.clone(), unchanged).await;
        // A failed write may still have taken effect.
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

    /// Whether this server is working on the task of a claim.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        claim.owner_instance_id == self.instance && self.open().tasks.contains_key(&claim.key())
    }

    /// Stops accepting and starting tasks. Other servers take over the tasks that are still queued.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Whether tasks are no longer accepted and started.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Abandons all tasks and deletes the heartbeat, so that other servers can take them over at once.
    ///
    /// The interrupted attempts do not count, because the tasks did not crash the server.
    pub(crate) async fn hand_over(&self) {
        self.close();
        let (mut runs, mut started) = (Vec::new(), Vec::new());
        for open_task in self.open().tasks.values() {
            runs.extend(open_task.run.clone());
            started.extend(Some(lock(&open_task.held).clone()).filter(|held| held.is_started));
        }
        for run in &runs {
            run.abort();
        }
        self.abandoned.cancel();
        // At most `MAX_RUNNING_TASKS` claims. Release them before the heartbeat is deleted, or other servers would
        // take them over with the interrupted attempts counted.
        join_all(started.iter().map(|held| self.release(held))).await;
        let key = instance_key(&self.instance);
        if let Err(error) = self.kv.delete(INSTANCES_PARTITION, &key).await {
            warn!(error = %base::error_chain(&error), "failed to delete the heartbeat; other servers take over the tasks after a timeout");
        }
        if !runs.is_empty() {
            warn!(
                "left {} tasks to another server or to the next start",
                runs.len()
            );
        }
    }
}

impl Tasks {
    /// Undoes the start of a task, best effort, so that another server can take it over.
    async fn release(&self, held: &HeldClaim) {
        if let Err(error) = self.try_release(&held.claim).await {
            let id = &held.claim.task_id;
            warn!(task.id = id, error = %base::error_chain(&error), "failed to release task {id}; the attempt counts as a crash");
        }
    }

    /// Releases the stored claim. The claim of a task that is just starting may not be written yet; after the
    /// release that write fails, because its predicate requires the previous value.
    async fn try_release(&self, started: &Claim) -> Result<()> {
        let key = started.key();
        for _ in 0..RELEASE_ATTEMPTS {
            let Some(stored) = self.kv.get(CLAIMS, &key).await? else {
                return Ok(());
            };
            let claim = Claim::parse(stored.value)?;
            if claim.owner_instance_id != self.instance {
                return Ok(());
            }
            let released = Claim {
                owner_instance_id: String::new(),
                attempt: claim.attempt.min(started.attempt.saturating_sub(1)),
                ..claim
            };
            let value = released.encode();
            match self.kv.set_if(CLAIMS, &key, value, stored.predicate).await {
                // The task ended, another server took it, or its start was written in between. Read again.
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
