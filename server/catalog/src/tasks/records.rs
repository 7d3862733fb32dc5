//! Stored records of tasks: lakeFS's messages and Weir's own.
//!
//! lakeFS's messages have lakeFS's keys and field numbers, and Weir adds no fields to them. Weir's own
//! partitions store the rest:
//!
//! - `weir-tasks`: claims, which say which server runs a task and how to run it again
//! - `weir-task-findings`: why a task failed: findings of hooks, conflicts, and a hint
//! - `weir-task-branches`: the branches that a caller must name to see a task's status

use std::collections::BTreeMap;

use bytes::Bytes;
use graveler::{Finding, Repository};
use prost::Message;
use prost_types::Timestamp;

use super::{Conflicts, Failure};
use crate::{Error, Result};

/// The partition of heartbeats.
pub(super) const INSTANCES_PARTITION: &[u8] = b"catalog";
pub(super) const INSTANCES: &str = "instances/";
/// The prefix of tasks in a repository's partition.
pub(super) const TASKS: &str = "tasks/";
/// The partition of claims. Each task that has not ended has one.
pub(super) const CLAIMS: &[u8] = b"weir-tasks";
/// The partition of tasks' branches. They are deleted with the task's record.
pub(super) const BRANCHES: &[u8] = b"weir-task-branches";
/// The partition of details about failed tasks.
pub(super) const FAILURE_DETAILS: &[u8] = b"weir-task-findings";

pub(super) fn task_key(id: &str) -> Bytes {
    Bytes::from(format!("{TASKS}{id}"))
}

pub(super) fn instance_key(id: &str) -> Bytes {
    Bytes::from(format!("{INSTANCES}{id}"))
}

/// The key of a task in Weir's own partitions.
pub(super) fn weir_key(partition: &str, id: &str) -> Bytes {
    Bytes::from(format!("{partition}/{id}"))
}

/// lakeFS's `Task`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TaskData {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(bool, tag = "2")]
    pub done: bool,
    #[prost(message, optional, tag = "3")]
    pub updated_at: Option<Timestamp>,
    #[prost(int64, tag = "4")]
    pub progress: i64,
    #[prost(string, tag = "5")]
    pub error_msg: String,
    #[prost(int32, tag = "6")]
    pub status_code: i32,
    #[prost(string, tag = "7")]
    pub operation: String,
    #[prost(string, tag = "8")]
    pub owner_instance_id: String,
}

/// A stored task. All kinds have `Task` in field 1 and the result, if there is one, in field 2.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TaskRecord {
    #[prost(message, optional, tag = "1")]
    pub task: Option<TaskData>,
    /// The encoded result. Protobuf encodes nested messages and bytes the same way.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub info: Option<Bytes>,
}

impl TaskRecord {
    pub(super) fn of(task: TaskData, info: Option<Bytes>) -> Self {
        Self {
            task: Some(task),
            info,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        Bytes::from(self.encode_to_vec())
    }

    /// # Errors
    /// [`Error::Corrupt`].
    pub(super) fn parse(stored: Bytes) -> Result<(TaskData, Option<Bytes>)> {
        let record = Self::decode(stored).map_err(|e| corrupt(e.to_string()))?;
        let task = record
            .task
            .ok_or_else(|| corrupt("field 1 is missing".to_owned()))?;
        Ok((task, record.info))
    }
}

/// lakeFS's `InstanceHeartbeat`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct InstanceHeartbeat {
    #[prost(message, optional, tag = "1")]
    pub updated_at: Option<Timestamp>,
}

/// Says which server runs a task. The batch that ends a task fails if this record has changed. Therefore only one
/// server can end the task, even if several believe that they own it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Claim {
    #[prost(string, tag = "1")]
    pub repository: String,
    /// Distinguishes the repository from an earlier one with the same name.
    #[prost(string, tag = "2")]
    pub repository_uid: String,
    #[prost(string, tag = "3")]
    pub task_id: String,
    /// Empty if the owner released the task, so that any server can take it over.
    #[prost(string, tag = "4")]
    pub owner_instance_id: String,
    /// How many attempts were started and not released. Each may have crashed its server.
    #[prost(uint32, tag = "5")]
    pub attempt: u32,
    /// The encoded work if another server can run it again, otherwise empty.
    #[prost(bytes = "bytes", tag = "6")]
    pub work: Bytes,
    #[prost(string, tag = "7")]
    pub operation: String,
}

impl Claim {
    /// The partition of the task's repository.
    pub(super) fn partition(&self) -> String {
        format!("{}-{}", self.repository, self.repository_uid)
    }

    pub(super) fn key(&self) -> Bytes {
        weir_key(&self.partition(), &self.task_id)
    }

    pub(super) fn encode(&self) -> Bytes {
        Bytes::from(self.encode_to_vec())
    }

    /// # Errors
    /// [`Error::Corrupt`].
    pub(super) fn parse(stored: Bytes) -> Result<Self> {
        Self::decode(stored).map_err(|e| corrupt(e.to_string()))
    }

    pub(super) fn belongs_to(&self, repository: &Repository) -> bool {
        self.repository_uid == repository.instance_uid
    }
}

/// The branches of a commit or merge task, spelled as in the request that started it.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct TaskBranches {
    /// The source of a merge; empty for a commit.
    #[prost(string, tag = "1")]
    pub source: String,
    #[prost(string, tag = "2")]
    pub branch: String,
}

impl TaskBranches {
    pub(super) fn commit(branch: &str) -> Self {
        Self::merge("", branch)
    }

    pub(super) fn merge(source: &str, destination: &str) -> Self {
        Self {
            source: source.to_owned(),
            branch: destination.to_owned(),
        }
    }

    /// # Errors
    /// [`Error::Corrupt`].
    pub(super) fn parse(stored: Bytes) -> Result<Self> {
        Self::decode(stored).map_err(|e| corrupt(e.to_string()))
    }
}

/// Details of a failed task. Stored only if there are any.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FailureDetails {
    /// Findings of hooks, at most [`super::MAX_FINDINGS`].
    #[prost(message, repeated, tag = "1")]
    findings: Vec<FindingData>,
    #[prost(message, optional, tag = "2")]
    conflicts: Option<ConflictsData>,
    /// What the caller can do about it.
    #[prost(string, optional, tag = "3")]
    hint: Option<String>,
}

/// The conflicts of a task that failed.
#[derive(Clone, PartialEq, Message)]
struct ConflictsData {
    /// The first keys in ascending order, up to [`super::MAX_CONFLICT_BYTES`].
    #[prost(bytes = "vec", repeated, tag = "1")]
    keys: Vec<Vec<u8>>,
    /// The total number of conflicting keys.
    #[prost(uint64, tag = "2")]
    count: u64,
}

#[derive(Clone, PartialEq, Message)]
struct FindingData {
    #[prost(string, tag = "1")]
    action: String,
    #[prost(string, tag = "2")]
    hook: String,
    #[prost(string, tag = "3")]
    severity: String,
    #[prost(string, tag = "4")]
    rule: String,
    #[prost(string, tag = "5")]
    message: String,
    #[prost(string, optional, tag = "6")]
    path: Option<String>,
    #[prost(btree_map = "string, string", tag = "7")]
    properties: BTreeMap<String, String>,
}

impl FailureDetails {
    /// Encodes the details of a failure. Returns none if it has no details.
    pub(super) fn encode(failure: &Failure) -> Option<Bytes> {
        if failure.findings.is_empty() && failure.conflicts.is_none() && failure.hint.is_none() {
            return None;
        }
        let findings = failure.findings.iter().map(|f| FindingData {
            action: f.action.clone(),
            hook: f.hook.clone(),
            severity: f.severity.clone(),
            rule: f.rule.clone(),
            message: f.message.clone(),
            path: f.path.clone(),
            properties: f.properties.clone(),
        });
        let conflicts = failure.conflicts.as_ref().map(|conflicts| ConflictsData {
            keys: conflicts.keys.clone(),
            count: conflicts.count,
        });
        let record = Self {
            findings: findings.collect(),
            conflicts,
            hint: failure.hint.clone(),
        };
        Some(Bytes::from(record.encode_to_vec()))
    }

    /// # Errors
    /// [`Error::Corrupt`].
    pub(super) fn parse(stored: Bytes) -> Result<Self> {
        Self::decode(stored).map_err(|e| corrupt(e.to_string()))
    }

    /// Adds the stored details to a failure.
    pub(super) fn add_to(self, failure: &mut Failure) {
        let findings = self.findings.into_iter().map(|f| Finding {
            action: f.action,
            hook: f.hook,
            severity: f.severity,
            rule: f.rule,
            message: f.message,
            path: f.path,
            properties: f.properties,
        });
        failure.findings = findings.collect();
        failure.conflicts = self
            .conflicts
            .map(|ConflictsData { keys, count }| Conflicts { keys, count });
        failure.hint = self.hint;
    }
}

fn corrupt(reason: String) -> Error {
    Error::Corrupt {
        what: "task".to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// lakeFS's `RepositoryDumpStatus` and `RepositoryDumpInfo`, with the field numbers of the format.
    #[derive(Clone, PartialEq, Message)]
    struct DumpStatus {
        #[prost(message, optional, tag = "1")]
        task: Option<TaskData>,
        #[prost(message, optional, tag = "2")]
        info: Option<DumpInfo>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct DumpInfo {
        #[prost(string, tag = "1")]
        commits: String,
    }

    #[test]
    fn result_is_stored_as_the_nested_message_that_lakefs_reads() {
        let task = TaskData {
            id: "DRx".into(),
            done: true,
            progress: 3,
            operation: "dump_refs".into(),
            ..TaskData::default()
        };
        let info = DumpInfo {
            commits: "abc".into(),
        };
        let ours = TaskRecord::of(task.clone(), Some(Bytes::from(info.encode_to_vec()))).encode();
        let theirs = DumpStatus {
            task: Some(task),
            info: Some(info),
        };
        assert_eq!(ours, theirs.encode_to_vec());
        assert_eq!(
            ours.as_ref(),
            b"\x0a\x14\x0a\x03DRx\x10\x01\x20\x03\x3a\x09dump_refs\x12\x05\x0a\x03abc"
        );
    }

    #[test]
    fn record_without_a_task_is_corrupt() {
        for broken in [&b""[..], b"\xff"] {
            let error = TaskRecord::parse(Bytes::from_static(broken)).expect_err("no task");
            assert!(error.to_string().contains("corrupt task"), "{error}");
        }
    }
}
