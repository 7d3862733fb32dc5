//! Work that outlives its request: a record that clients ask for, an owner, an end.
//!
//! ```text
//!   submit ──> tasks/ID (lakeFS's record)  +  claim: owner, attempt, work     one batch
//!                │                              │
//!   owner ───────┴── progress, heartbeat ───────┤   catalog/instances/OWNER, every 5 s
//!                                               │
//!   owner dead ── another server ── claims it: does the work again, or marks it failed
//!                                               │
//!   end ──> tasks/ID done  +  claim unchanged, then gone                      one batch
//! ```
//!
//! The invariant: a task ends once. Its end is written together with a condition on the claim,
//! so a server that was only slow finds its task taken and changes nothing. A change of a
//! branch that is done by a task lands in that same batch: never twice, and never
//! without its task knowing.
//!
//! Records of a task that is done stay for [`KEPT_FOR`].

mod care;
mod ending;
mod heart;
mod records;
mod registry;
#[cfg(test)]
mod tests;
mod work;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base::OffsetDateTime;
use bytes::Bytes;
use graveler::{Finding, Repository};
use prost::Message;
use tracing::instrument;

use self::records::TaskBranches;
pub(crate) use self::registry::Tasks;
use crate::{Catalog, Error, Result};

/// Tasks of one server that are worked on at once; hooks may hold each for an hour.
pub const MAX_RUNNING_TASKS: usize = 32;
/// Tasks of one server that are not done, those that wait included; more are refused.
pub const MAX_OPEN_TASKS: usize = 1_000;
/// How long a task can be asked for after its end.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a server with tasks says that it lives.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// A server that has said nothing for so long is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(30);
/// How often a task is begun, by whatever server, before it is marked failed: it may be what they
/// die of. One that only waited was not begun, and a server that is told to stop takes its
/// beginning back.
pub const MAX_ATTEMPTS: u32 = 3;
/// The most findings of hooks that are kept with a task that they refused.
pub const MAX_FINDINGS: usize = 1_000;
/// How many bytes of paths are told of a conflict at most.
pub const MAX_CONFLICT_BYTES: usize = 256 << 10;
/// The random part of a task's id.
const NANOID_LENGTH: usize = 20;

/// What kind of work a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskKind {
    /// What its ids begin with.
    pub prefix: &'static str,
    /// Its name in the record.
    pub operation: &'static str,
}

impl TaskKind {
    /// The list of commits that garbage collection keeps.
    pub const PREPARE_GC_COMMITS: Self = Self {
        prefix: "GCPC",
        operation: "gc_prepare_commits",
    };
}

/// What a task has done so far, in units of its kind. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicI64>);

impl Progress {
    /// Counts units that are done.
    pub fn add(&self, units: u64) {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        self.0.fetch_add(units, Ordering::Relaxed);
    }

    /// Says how many units are done in all.
    pub fn set(&self, units: u64) {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        self.0.store(units, Ordering::Relaxed);
    }

    /// The units that are done.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskStatus<I> {
    pub id: String,
    /// With a failure or without one.
    pub done: bool,
    pub updated_at: OffsetDateTime,
    /// In units of the task's kind.
    pub progress: i64,
    pub failure: Option<Failure>,
    /// The result, once it is done without failure.
    pub info: Option<I>,
}

impl<I> TaskStatus<I> {
    /// The same with its result in another form.
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

/// What clients are told of an operation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The status that the operation would have answered.
    pub status_code: u16,
    pub message: String,
    /// What the caller can do about it.
    pub hint: Option<String>,
    /// Of hooks that refused, at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// Where changes contradict each other.
    pub conflicts: Option<Conflicts>,
}

/// The keys that a merge, revert or cherry-pick met conflicts at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts {
    /// The first of them, ascending: at most [`MAX_CONFLICT_BYTES`].
    pub keys: Vec<Vec<u8>>,
    /// How many there are in all.
    pub count: u64,
}

impl Conflicts {
    /// What contradicts each other, where that is the failure.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        let Error::Engine(graveler::Error::Conflict { keys, count }) = error else {
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

/// An error as the wire has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub status_code: u16,
    pub message: String,
    /// What the caller can do about it.
    pub hint: Option<String>,
}

/// What a task was doing when it failed, as far as it matters for what is told of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    Commit,
    Merge { destination: String },
    Other,
}

/// Puts an error into the words and the status that the wire has for it.
pub type DescribeFailure = fn(&Error, &Doing) -> Description;

/// How failures are described where no wire is: status 500.
pub(crate) fn describe_plainly(error: &Error, _: &Doing) -> Description {
    Description {
        status_code: 500,
        message: error.to_string(),
        hint: None,
    }
}

impl Catalog {
    /// Starts a task and gives its id. `work` is told where to count, and gives the result's message.
    ///
    /// The task goes on when whoever asked is gone. If the server dies it is marked failed:
    /// `work` is code and cannot be taken over.
    ///
    /// # Errors
    /// [`Error::TooManyTasks`]; the repository is deleted; the record store's.
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
        self.run_task(Arc::new(ticket), Doing::Other, async move {
            Ok(Bytes::from(work(progress).await?.encode_to_vec()))
        });
        Ok(id)
    }

    /// Where a task of a repository stands. A task whose server died, and that nobody can take
    /// over, is marked failed by this.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`] if there is none of this kind with the id, or it is long done; the record store's.
    pub async fn task_status<I: Message + Default>(
        &self,
        repository: &Repository,
        kind: TaskKind,
        id: &str,
    ) -> Result<TaskStatus<I>> {
        let status = self.task_outcome(repository, kind, id, None).await?;
        status.map_info(|info| result_of(id, info))
    }

    /// Where a task stands, with its result as it is stored; `of`: the branches that it is to be
    /// of, since permissions were asked for those.
    async fn task_outcome(
        &self,
        repository: &Repository,
        kind: TaskKind,
        id: &str,
        of: Option<&TaskBranches>,
    ) -> Result<TaskStatus<Bytes>> {
        let not_found = || Error::TaskNotFound(id.to_owned());
        if !is_id_of(kind, id) {
            return Err(not_found());
        }
        let tasks = &self.shared.tasks;
        if let Some(of) = of
            && !tasks.may_be_of(repository, id, of).await?
        {
            return Err(not_found());
        }
        let Some((task, info)) = tasks.look(repository, id).await? else {
            return Err(not_found());
        };
        let failure = tasks.failure_of(repository, &task).await?;
        let succeeded = task.done && failure.is_none();
        Ok(TaskStatus {
            info: succeeded.then(|| info.unwrap_or_default()),
            id: task.id,
            done: task.done,
            updated_at: records::instant(task.updated_at.as_ref()),
            progress: task.progress,
            failure,
        })
    }
}

/// Reads a stored record of tasks, for [`crate::fuzzing`].
pub(crate) fn try_record(kind: u8, stored: &Bytes) {
    let stored = stored.clone();
    match kind % 6 {
        0 => {
            if let Ok((task, _)) = records::TaskRecord::parse(stored) {
                records::instant(task.updated_at.as_ref());
            }
        }
        1 => {
            if let Ok(claim) = records::Claim::parse(stored) {
                drop(work::work_of(&claim.work));
            }
        }
        2 => drop(TaskBranches::parse(stored)),
        3 => drop(records::Findings::parse(stored)),
        4 => drop(work::work_of(&stored)),
        _ => drop(heart::last_beat(stored)),
    }
}

/// The result of a task as it was stored.
fn result_of<I: Message + Default>(id: &str, stored: Bytes) -> Result<I> {
    I::decode(stored).map_err(|e| {
        Error::Engine(graveler::Error::Corrupt {
            what: format!("result of task {id}"),
            reason: e.to_string(),
        })
    })
}

/// Whether an id is one that this kind of task could have: it becomes a part of a key.
fn is_id_of(kind: TaskKind, id: &str) -> bool {
    id.strip_prefix(kind.prefix).is_some_and(|rest| {
        rest.len() == NANOID_LENGTH
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    })
}
