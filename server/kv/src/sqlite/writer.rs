//! The one connection that writes, and its group commit.
//!
//! Writes that arrive while a transaction is under way share the next one, and
//! are acknowledged together when it is durable. Each job keeps its own fate: a
//! failed predicate or guard undoes that job alone. The jobs of a group are applied one
//! after the other, so each sees those before it.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::{SqliteOptions, failed, group, open};
use crate::{Batch, Error, Guard, Op, Result};

/// Jobs that wait for the writer; whoever comes later waits to enqueue.
const QUEUED_JOBS: usize = 1024;
/// Jobs in one transaction.
const GROUP_JOBS: usize = 256;
/// Bytes of values in one transaction, after which no further job joins it.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// What a job is to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Apply all or none, if the guard holds.
    Ops { guard: Option<Guard>, ops: Batch },
    /// Delete some keys of a partition.
    DeleteSome { partition: Bytes },
}

impl Work {
    fn bytes(&self) -> usize {
        let Self::Ops { ops, .. } = self else {
            return 0;
        };
        ops.iter()
            .map(|op| {
                if let Op::Set { value, .. } = op {
                    value.len()
                } else {
                    0
                }
            })
            .sum()
    }
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    GuardFailed,
    /// A deletion found fewer keys than it would have taken.
    NothingLeft,
}

/// A job's fate within its group: its outcome, or the operation whose predicate failed.
pub(super) type Fate = std::result::Result<Outcome, usize>;

#[derive(Debug)]
struct Job {
    operation: &'static str,
    work: Work,
    reply: oneshot::Sender<Result<Outcome>>,
}

#[derive(Debug)]
enum Message {
    Job(Job),
    Close(oneshot::Sender<()>),
}

/// The queue to the writer's task, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
}

impl Writer {
    /// Gives `connection` to a task of its own. `options` are for opening it anew after a failure.
    pub(super) fn spawn(connection: SqliteConnection, options: SqliteOptions) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUED_JOBS);
        tokio::spawn(run(Some(connection), options, jobs));
        Self { queue }
    }

    /// Waits until `work` is durable, or has failed.
    pub(super) async fn submit(&self, operation: &'static str, work: Work) -> Result<Outcome> {
        let (reply, answer) = oneshot::channel();
        if self
            .queue
            .send(Message::Job(Job {
                operation,
                work,
                reply,
            }))
            .await
            .is_err()
        {
            return Err(Error::storage(operation, "the store is closed"));
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Error::storage(operation, "the store was closed meanwhile")))
    }

    /// Waits until the queue is worked off and the connection closed.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error means that the task has ended, which is what is waited for.
            let _ended = closed.await;
        }
    }
}

async fn run(
    mut connection: Option<SqliteConnection>,
    options: SqliteOptions,
    mut queue: mpsc::Receiver<Message>,
) {
    let mut closing = None;
    while closing.is_none()
        && let Some(message) = queue.recv().await
    {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut next = Some(message);
        while let Some(message) = next {
            match message {
                Message::Job(job) => {
                    bytes += job.work.bytes();
                    group.push(job);
                }
                Message::Close(done) => {
                    closing = Some(done);
                    queue.close();
                }
            }
            next = if group.len() < GROUP_JOBS && bytes < GROUP_BYTES {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        commit_group(&mut connection, &options, group).await;
    }
    // What was queued behind the request to close is dropped, and its callers learn it.
    if let Some(connection) = connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(%error, "failed to close the database file");
    }
    if let Some(done) = closing {
        // Nobody to tell if the one who closes has gone.
        let _gone = done.send(());
    }
}

/// Applies a group in one transaction and answers its jobs.
async fn commit_group(
    connection: &mut Option<SqliteConnection>,
    options: &SqliteOptions,
    group: Vec<Job>,
) {
    if group.is_empty() {
        return;
    }
    let (works, callers): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|job| (job.work, (job.operation, job.reply)))
        .unzip();
    let result = match apply_group(connection, options, &works).await {
        Ok(fates) => Ok(fates),
        Err(error) => {
            // Closing rolls back whatever was begun; the next group opens anew.
            if let Some(connection) = connection.take()
                && let Err(error) = connection.close().await
            {
                tracing::warn!(%error, "failed to close the database file after a failed write");
            }
            Err(Arc::new(error))
        }
    };
    for (index, (operation, reply)) in callers.into_iter().enumerate() {
        let answer = match &result {
            Ok(fates) => fates[index].map_err(|index| Error::PredicateFailed { index }),
            Err(error) => Err(failed(operation, Arc::clone(error))),
        };
        // A caller that has gone does not want the answer.
        let _gone = reply.send(answer);
    }
}

async fn apply_group(
    connection: &mut Option<SqliteConnection>,
    options: &SqliteOptions,
    works: &[Work],
) -> sqlx::Result<Vec<Fate>> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(open::connect_writer(options).await?),
    };
    if let [work] = works
        && let Some(fate) = group::apply_alone(connection, work).await?
    {
        return Ok(vec![fate]);
    }
    group::apply_together(connection, works).await
}
