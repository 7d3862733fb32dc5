//! What callers see of a task: its progress, its status and its failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base::OffsetDateTime;
use graveler::Finding;

use super::limits::MAX_CONFLICT_BYTES;
use crate::{Error, Result};

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

    pub(super) fn map_info<T>(self, convert: impl FnOnce(I) -> Result<T>) -> Result<TaskStatus<T>> {
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
    /// Findings of the hooks that rejected the change, at most [`MAX_FINDINGS`](super::MAX_FINDINGS).
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
