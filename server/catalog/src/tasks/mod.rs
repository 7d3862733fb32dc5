//! Background tasks: work that outlives the request that started it.
//!
//! ```text
//!   submit ──> tasks/ID (lakeFS's record)  +  claim: owner, attempt, work     one batch
//!                │                              │
//!   owner ───────┴── progress, heartbeat ───────┤   catalog/instances/OWNER, every 5 s
//!                                               │
//!   owner dead ── another server ── takes the claim: runs the work again, or marks it failed
//!                                               │
//!   end ──> tasks/ID done  +  claim unchanged, then deleted                   one batch
//! ```
//!
//! The invariant: a task ends once. The batch that ends it fails if the claim has changed, so a slow
//! server whose claim was taken changes nothing. If a task makes a commit, the commit lands in the
//! same batch: it never lands twice, and never without the end of its task.
//!
//! Records of ended tasks are kept for [`TASK_RETENTION`].

mod describe;
mod end;
mod heartbeat;
mod limits;
mod records;
mod recovery;
mod registry;
mod run;
#[cfg(test)]
mod tests;
mod work;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base::{OffsetDateTime, from_timestamp_or_epoch};
use bytes::Bytes;
use graveler::{Finding, Repository};
use prost::Message;
use tracing::instrument;

pub(crate) use self::describe::describe_by_message;
pub use self::describe::{DescribeFailure, Description, TaskOperation};
pub use self::limits::{
    HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, MAX_ATTEMPTS, MAX_CONFLICT_BYTES, MAX_FINDINGS,
    MAX_OPEN_TASKS, MAX_RUNNING_TASKS, TASK_RETENTION,
};
use self::records::TaskBranches;
pub(crate) use self::registry::Tasks;
use crate::{Catalog, Error, Result};

/// The length of the random part of a task id.
const NANOID_LENGTH: usize = 20;

/// The kind of work that a task performs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskKind {
    /// The prefix of its task ids.
    pub prefix: &'static str,
    /// Its name in the task's record.
    pub operation: &'static str,
}

impl TaskKind {
    /// Preparing the list of commits that garbage collection keeps.
    pub const PREPARE_GC_COMMITS: Self = Self {
        prefix: "GCPC",
        operation: "gc_prepare_commits",
    };
}

/// The progress of a task, in units that depend on its kind. Cheap to clone; clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicI64>);

impl Progress {
    /// Adds completed units.
    pub fn add(&self, units: u64) {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        self.0.fetch_add(units, Ordering::Relaxed);
    }

    /// Sets the total of completed units.
    pub fn set(&self, units: u64) {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        self.0.store(units, Ordering::Relaxed);
    }

    /// The number of completed units.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The status of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskStatus<I> {
    pub id: String,
    /// Whether the task has ended, successfully or not.
    pub done: bool,
    pub updated_at: OffsetDateTime,
    /// In units that depend on the task's kind.
    pub progress: i64,
    pub failure: Option<Failure>,
    /// The result, after success.
    pub info: Option<I>,
}

impl<I> TaskStatus<I> {
    /// Converts the result.
    pub fn map<T>(self, convert: impl FnOnce(I) -> T) -> TaskStatus<T> {
        TaskStatus {
            id: self.id,
            done: self.done,
            updated_at: self.updated_at,
            progress: self.progress,
            failure: self.failure,
            info: self.info.map(convert),
        }
    }

    fn map_info<T>(self, convert: impl FnOnce(I) -> Result<T>) -> Result<TaskStatus<T>> {
        let status = self.map(convert);
        Ok(TaskStatus {
            info: status.info.transpose()?,
            id: status.id,
            done: status.done,
            updated_at: status.updated_at,
            progress: status.progress,
            failure: status.failure,
        })
    }
}

/// A failure, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A number that the layer which describes failures defines, such as an HTTP status. Stored in the task's record.
    pub code: i32,
    pub message: String,
    /// What the caller can do about it.
    pub hint: Option<String>,
    /// Findings of the hooks that rejected the change, at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// The conflicts of a merge, revert or cherry-pick.
    pub conflicts: Option<Conflicts>,
}

/// The conflicting keys of a merge, revert or cherry-pick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts {
    /// The first keys in ascending order, up to [`MAX_CONFLICT_BYTES`].
    pub keys: Vec<Vec<u8>>,
    /// The total number of conflicting keys.
    pub count: u64,
}

impl Conflicts {
    /// Returns the conflicts if `error` is [`Error::Conflict`].
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        let Error::Conflict { keys, count } = error else {
            return None;
        };
        let mut bytes = 0;
        let fits = |key: &&Vec<u8>| {
            bytes += key.len();
            bytes <= MAX_CONFLICT_BYTES
        };
        Some(Self {
            keys: keys.iter().take_while(fits).cloned().collect(),
            count: *count,
        })
    }
}

impl Catalog {
    /// Starts a task and returns its id. `work` reports its progress and returns the result message.
    ///
    /// The task continues if the caller is cancelled. If the server dies, the task is marked failed, because no other
    /// server can run the closure `work`.
    ///
    /// # Errors
    /// [`Error::TooManyTasks`]; [`Error::Stopping`]; the repository was deleted; the record store's.
    #[instrument(skip_all, fields(repo.id = %repository.id, task.operation = kind.operation))]
    pub async fn submit_task<I, F>(
        &self,
        repository: &Repository,
        kind: TaskKind,
        work: impl FnOnce(Progress) -> F + Send + 'static,
    ) -> Result<String>
    where
        I: Message,
        F: Future<Output = Result<I>> + Send,
    {
        let ticket = self
            .shared
            .tasks
            .submit(repository, kind, Bytes::new(), None)
            .await?;
        let id = ticket.id().to_owned();
        let progress = ticket.progress();
        self.run_task(Arc::new(ticket), TaskOperation::Other, async move {
            Ok(Bytes::from(work(progress).await?.encode_to_vec()))
        });
        Ok(id)
    }

    /// Returns the status of a task. Marks the task failed if its server died and no other server can
    /// take it over.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`] if no task of this kind has the id, or it expired; the record store's.
    pub async fn task_status<I: Message + Default>(
        &self,
        repository: &Repository,
        kind: TaskKind,
        id: &str,
    ) -> Result<TaskStatus<I>> {
        let status = self.load_status(repository, kind, id, None).await?;
        status.map_info(|info| decode_result(id, info))
    }

    /// Loads the status of a task with its encoded result. With `branches`, the task must belong to these
    /// branches, because the caller is authorized for them only.
    async fn load_status(
        &self,
        repository: &Repository,
        kind: TaskKind,
        id: &str,
        branches: Option<&TaskBranches>,
    ) -> Result<TaskStatus<Bytes>> {
        let not_found = || Error::TaskNotFound(id.to_owned());
        if !is_valid_id(kind, id) {
            return Err(not_found());
        }
        let tasks = &self.shared.tasks;
        if let Some(branches) = branches
            && !tasks.matches_branches(repository, id, branches).await?
        {
            return Err(not_found());
        }
        let Some((task, info)) = tasks.load(repository, id, self.describe).await? else {
            return Err(not_found());
        };
        let failure = tasks.failure_of(repository, &task).await?;
        let succeeded = task.done && failure.is_none();
        Ok(TaskStatus {
            info: succeeded.then(|| info.unwrap_or_default()),
            id: task.id,
            done: task.done,
            updated_at: from_timestamp_or_epoch(task.updated_at.as_ref()),
            progress: task.progress,
            failure,
        })
    }
}

/// Parses a stored record of tasks, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_record(kind: u8, stored: &Bytes) {
    let stored = stored.clone();
    match kind % 6 {
        0 => {
            if let Ok((task, _)) = records::TaskRecord::parse(stored) {
                let _updated = from_timestamp_or_epoch(task.updated_at.as_ref());
            }
        }
        1 => {
            if let Ok(claim) = records::Claim::parse(stored) {
                drop(work::decode_work(&claim.work));
            }
        }
        2 => drop(TaskBranches::parse(stored)),
        3 => drop(records::FailureDetails::parse(stored)),
        4 => drop(work::decode_work(&stored)),
        _ => drop(heartbeat::last_beat(stored)),
    }
}

/// Decodes the stored result of a task.
fn decode_result<I: Message + Default>(id: &str, stored: Bytes) -> Result<I> {
    I::decode(stored).map_err(|e| Error::Corrupt {
        what: format!("result of task {id}"),
        reason: e.to_string(),
    })
}

/// Whether this is a well-formed id for a task of this kind. Checked because the id becomes part of a key.
fn is_valid_id(kind: TaskKind, id: &str) -> bool {
    id.strip_prefix(kind.prefix).is_some_and(|rest| {
        rest.len() == NANOID_LENGTH
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    })
}
