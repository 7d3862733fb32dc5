//! How a task ends: once, with a result or a failure.

use std::time::Duration;

use base::Backoff;
use bytes::Bytes;
use kv::{Op, Predicate};
use tracing::{debug, error, warn};

use super::records::{
    CLAIMS, Claim, FINDINGS, Findings, TaskData, TaskRecord, own_key, task_key, timestamp,
};
use super::registry::{Held, Tasks, Ticket};
use super::{Conflicts, Description, Failure, MAX_FINDINGS};
use crate::{Error, Result};

/// Between tries to write an end. After the last one the claim is left, and found as an orphan.
const TRIES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5), 6);

/// The result of a task: the encoded message, or what went wrong.
pub(super) type Outcome = std::result::Result<Bytes, Failure>;

/// What a task that panicked is told to have failed of.
pub(super) fn panicked() -> Failure {
    Failure {
        status_code: 500,
        message: "the task failed unexpectedly".to_owned(),
        hint: Some("see the server's log".to_owned()),
        findings: Vec::new(),
        conflicts: None,
    }
}

/// What a task is told to have failed of when its server died.
pub(super) fn owner_died(operation: &str, attempts: u32) -> Failure {
    let times = match attempts {
        0 | 1 => String::new(),
        more => format!(" (attempt {more})"),
    };
    Failure {
        status_code: 503,
        message: format!("the server that worked on {operation} stopped before it was done{times}"),
        hint: Some("start it again".to_owned()),
        findings: Vec::new(),
        conflicts: None,
    }
}

impl Tasks {
    /// Puts an error into what clients are told, and logs what is the server's own fault.
    pub(super) fn failure(
        &self,
        error: &Error,
        description: Description,
        ticket: &Ticket,
    ) -> Failure {
        let Description {
            status_code,
            message,
            hint,
        } = description;
        if status_code >= 500 {
            error!(task.id = ticket.id(), error = %base::chain(error), "task {} failed", ticket.id());
        }
        let findings = match error {
            Error::Engine(graveler::Error::Rejected(rejection)) => {
                let mut findings = rejection.findings.clone();
                findings.truncate(MAX_FINDINGS);
                findings
            }
            _ => Vec::new(),
        };
        Failure {
            status_code,
            message,
            hint,
            findings,
            conflicts: Conflicts::of(error),
        }
    }

    /// Writes the end of a task that this server holds. Nothing happens if it is not its own any more.
    pub(super) async fn end(&self, ticket: &Ticket, outcome: Outcome) {
        let Held {
            claim, unchanged, ..
        } = ticket.held();
        let ops = self.ending(&claim, &unchanged, outcome, &ticket.progress());
        let mut tries = TRIES.into_iter();
        loop {
            let error = match self.write_end(&claim, ops.clone()).await {
                Ok(()) => return,
                Err(error) => error,
            };
            let Some(pause) = tries.next() else {
                error!(error = %base::chain(&error), "failed to store the end of task {}: it is looked after later", ticket.id());
                return;
            };
            warn!(error = %base::chain(&error), "failed to store the end of task {}: trying again", ticket.id());
            #[expect(clippy::disallowed_methods, reason = "no request waits here")]
            tokio::time::sleep(pause).await;
        }
    }

    /// Writes an end, unless the task has one.
    pub(super) async fn write_end(&self, claim: &Claim, ops: Vec<Op>) -> Result<()> {
        match self.kv.batch(ops).await {
            Ok(()) => Ok(()),
            Err(kv::Error::PredicateFailed { index: 0 }) => {
                // Its change landed with the end, or it was taken over, or an earlier try was this end.
                debug!("task {} had an end already", claim.task_id);
                Ok(())
            }
            Err(kv::Error::PredicateFailed { .. }) => {
                debug!("task {} is gone with its repository", claim.task_id);
                Ok(self.kv.delete(CLAIMS, &claim.key()).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The writes that end a task: all of them or none.
    pub(super) fn ending(
        &self,
        claim: &Claim,
        unchanged: &Predicate,
        outcome: Outcome,
        progress: &super::Progress,
    ) -> Vec<Op> {
        let mut task = TaskData {
            id: claim.task_id.clone(),
            done: true,
            updated_at: Some(timestamp(self.clock.now())),
            progress: progress.units(),
            operation: claim.operation.clone(),
            owner_instance_id: claim.owner_instance_id.clone(),
            ..TaskData::default()
        };
        let mut findings = None;
        let info = match outcome {
            // An empty result has no field, as in the messages of lakeFS that have none.
            Ok(info) => (!info.is_empty()).then_some(info),
            Err(failure) => {
                findings = Findings::encoded(&failure);
                task.error_msg = failure.message;
                task.status_code = i32::from(failure.status_code);
                None
            }
        };
        let mut ops = vec![
            // Says that the claim is unchanged, which a deletion cannot say.
            Op::Set {
                partition: Bytes::from_static(CLAIMS),
                key: claim.key(),
                value: claim.encode(),
                predicate: Some(unchanged.clone()),
            },
            Op::Set {
                partition: Bytes::from(claim.partition()),
                key: task_key(&claim.task_id),
                value: TaskRecord::of(task, info).encode(),
                predicate: Some(Predicate::Exists),
            },
            Op::Delete {
                partition: Bytes::from_static(CLAIMS),
                key: claim.key(),
            },
        ];
        if let Some(value) = findings {
            ops.push(Op::Set {
                partition: Bytes::from_static(FINDINGS),
                key: own_key(&claim.partition(), &claim.task_id),
                value,
                predicate: None,
            });
        }
        ops
    }
}
