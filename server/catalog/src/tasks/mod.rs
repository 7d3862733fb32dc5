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
mod kind;
mod limits;
mod records;
mod recovery;
mod registry;
mod run;
mod status;
#[cfg(test)]
mod tests;
mod work;

use std::future::Future;
use std::sync::Arc;

use base::from_timestamp_or_epoch;
use bytes::Bytes;
use graveler::Repository;
use prost::Message;
use tracing::instrument;

pub(crate) use self::describe::describe_by_message;
pub use self::describe::{DescribeFailure, Description, TaskOperation};
pub use self::kind::TaskKind;
use self::kind::is_valid_id;
pub use self::limits::{
    HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, MAX_ATTEMPTS, MAX_CONFLICT_BYTES, MAX_FINDINGS,
    MAX_OPEN_TASKS, MAX_RUNNING_TASKS, TASK_RETENTION,
};
use self::records::TaskBranches;
pub(crate) use self::registry::Tasks;
pub use self::status::{Conflicts, Failure, Progress, TaskStatus};
use self::work::decode_result;
use crate::{Catalog, Error, Result};

impl Catalog {
    /// Starts a task and returns its id. `work` reports its progress and returns the result message.
    ///
    /// The task continues if the caller is cancelled. If the server dies, the task is marked failed, because no other
    /// server can run the closure `work`.
    ///
    /// # Errors
    /// [`Error::TooManyTasks`]; [`Error::Stopping`]; the repository was deleted; any error of the record store.
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
    /// [`Error::TaskNotFound`] if no task of this kind has the id, or it expired; any error of the record store.
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
