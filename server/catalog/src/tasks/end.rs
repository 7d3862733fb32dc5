//! Ends each task once, with a result or a failure.

use std::time::Duration;

use base::{Backoff, to_timestamp};
use bytes::Bytes;
use kv::{Op, Predicate};
use tracing::{debug, error, warn};

use super::records::{
    CLAIMS, Claim, FAILURE_DETAILS, FailureDetails, TaskData, TaskRecord, task_key, weir_key,
};
use super::registry::{HeldClaim, Tasks, Ticket};
use super::{Conflicts, DescribeFailure, Description, Failure, MAX_FINDINGS, TaskOperation};
use crate::{Error, Result};

/// Retries of the write that ends a task. If all fail, the claim stays, and recovery treats it as orphaned.
const RETRIES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5), 6);

/// The encoded result of a task, or its failure.
pub(super) type Outcome = std::result::Result<Bytes, Failure>;

impl Failure {
    /// The failure that clients see for an error.
    pub(super) fn new(error: &Error, description: Description) -> Self {
        let findings = match error {
            Error::Rejected(rejection) => {
                let mut findings = rejection.findings.clone();
                findings.truncate(MAX_FINDINGS);
                findings
            }
            _ => Vec::new(),
        };
        Self {
            code: description.code,
            message: description.message,
            hint: description.hint,
            findings,
            conflicts: Conflicts::of(error),
        }
    }

    /// The failure of a task whose server died during an attempt.
    pub(super) fn of_dead_server(operation: &str, attempt: u32, describe: DescribeFailure) -> Self {
        let error = Error::ServerDied {
            operation: operation.to_owned(),
            attempt,
        };
        Self::new(&error, describe(&error, &TaskOperation::Other))
    }
}

impl Tasks {
    /// Writes the end of a task. A no-op if this server no longer owns it.
    pub(super) async fn end(&self, ticket: &Ticket, outcome: Outcome) {
        let HeldClaim {
            claim, unchanged, ..
        } = ticket.held();
        let ops = self.end_ops(&claim, &unchanged, outcome, &ticket.progress());
        let mut pauses = RETRIES.into_iter();
        loop {
            let error = match self.write_end(&claim, ops.clone()).await {
                Ok(()) => return,
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else {
                error!(error = %base::error_chain(&error), "failed to store the end of task {}; recovery will end it", ticket.id());
                return;
            };
            warn!(error = %base::error_chain(&error), "failed to store the end of task {}; retrying", ticket.id());
            #[expect(clippy::disallowed_methods, reason = "no request waits here")]
            tokio::time::sleep(pause).await;
        }
    }

    /// Writes the batch of `end_ops`. A no-op if the task has ended or another server owns it.
    pub(super) async fn write_end(&self, claim: &Claim, ops: Vec<Op>) -> Result<()> {
        match self.kv.batch(ops).await {
            Ok(()) => Ok(()),
            Err(kv::Error::PredicateFailed { index: 0 }) => {
                // The end landed with the task's commit or in an earlier attempt, or another server took over the task.
                debug!(
                    "task {} has ended already or belongs to another server",
                    claim.task_id
                );
                Ok(())
            }
            Err(kv::Error::PredicateFailed { .. }) => {
                debug!("task {} was deleted with its repository", claim.task_id);
                Ok(self.kv.delete(CLAIMS, &claim.key()).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The operations of the batch that ends a task.
    pub(super) fn end_ops(
        &self,
        claim: &Claim,
        unchanged: &Predicate,
        outcome: Outcome,
        progress: &super::Progress,
    ) -> Vec<Op> {
        let mut task = TaskData {
            id: claim.task_id.clone(),
            done: true,
            updated_at: Some(to_timestamp(self.clock.now())),
            progress: progress.units(),
            operation: claim.operation.clone(),
            owner_instance_id: claim.owner_instance_id.clone(),
            ..TaskData::default()
        };
        let mut details = None;
        let info = match outcome {
            // An empty result is omitted, as in lakeFS's messages without a result.
            Ok(info) => (!info.is_empty()).then_some(info),
            Err(failure) => {
                details = FailureDetails::encode(&failure);
                task.error_msg = failure.message;
                task.status_code = failure.code;
                None
            }
        };
        let mut ops = vec![
            // Checks that the claim is unchanged, because a deletion cannot have a predicate.
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
        if let Some(value) = details {
            ops.push(Op::Set {
                partition: Bytes::from_static(FAILURE_DETAILS),
                key: weir_key(&claim.partition(), &claim.task_id),
                value,
                predicate: None,
            });
        }
        ops
    }
}
