//! The single writing connection and its group commit.
//!
//! Writes that arrive during a transaction share the next transaction. They are acknowledged when that
//! transaction is durable. Each job has its own result: a failed predicate or guard undoes only that job. The jobs of a
//! group are applied one after the other, so each sees the effects of the jobs before it.

use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::failure::failed;
use super::job::{JobResult, Outcome, Work};
use super::options::SqliteOptions;
use super::{group, open};
use crate::{Error, Result};

/// Capacity of the queue to the writer. Callers wait while it is full.
const QUEUED_JOBS: usize = 1024;
/// Maximum number of jobs in a transaction.
const GROUP_JOBS: usize = 256;
/// Once the values of a transaction reach this size, no further job joins it.
const GROUP_BYTES: usize = 16 * 1024 * 1024;

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

/// Handle of the writer task. The task ends when the handle is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
}

impl Writer {
    /// Starts a task that writes with `connection`. The task uses `options` to reconnect after a failure.
    pub(super) fn spawn(connection: SqliteConnection, options: SqliteOptions) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUED_JOBS);
        tokio::spawn(run(Some(connection), options, jobs));
        Self { queue }
    }

    /// Returns once `work` is durable or has failed.
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
        answer.await.unwrap_or_else(|_| {
            Err(Error::storage(
                operation,
                "the store was closed before the request was handled",
            ))
        })
    }

    /// Returns once the queued jobs are done and the connection is closed.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error means that the task has already ended.
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
    // Dropping the queue fails the jobs that were queued after the close request.
    if let Some(connection) = connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(%error, "failed to close the database file");
    }
    if let Some(done) = closing {
        // Sending fails if the caller of `close` was cancelled, which is fine.
        let _cancelled = done.send(());
    }
}

/// Applies a group of jobs in one transaction and sends their results.
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
        Ok(results) => Ok(results),
        Err(error) => {
            // Closing the connection rolls back the transaction. The next group reconnects.
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
            Ok(results) => results[index].map_err(|index| Error::PredicateFailed { index }),
            Err(error) => Err(failed(operation, Arc::clone(error))),
        };
        // Sending fails if the caller was cancelled, which is fine.
        let _cancelled = reply.send(answer);
    }
}

async fn apply_group(
    connection: &mut Option<SqliteConnection>,
    options: &SqliteOptions,
    works: &[Work],
) -> sqlx::Result<Vec<JobResult>> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(open::connect_writer(options).await?),
    };
    if let [work] = works
        && let Some(result) = group::apply_alone(connection, work).await?
    {
        return Ok(vec![result]);
    }
    group::apply_together(connection, works).await
}
