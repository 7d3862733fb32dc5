//! Runs a task: waits for capacity, does the work and stores the end.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use metrics::{gauge, histogram};
use tracing::{Instrument as _, error};

use super::registry::Ticket;
use super::{Failure, TaskOperation};
use crate::{Catalog, Error, Result};

impl Catalog {
    /// Runs a task to its end in a spawned future, which a shutdown waits for.
    ///
    /// `work` returns the encoded result. `operation` is passed to the description of a failure. The end is
    /// written even if `work` panics.
    pub(super) fn run_task(
        &self,
        ticket: Arc<Ticket>,
        operation: TaskOperation,
        work: impl Future<Output = Result<Bytes>> + Send + 'static,
    ) {
        let tasks = Arc::clone(&self.shared.tasks);
        let key = ticket.key.clone();
        let describe = self.describe;
        let metric_label = ticket.operation.clone();
        let run = {
            let tasks = Arc::clone(&tasks);
            async move {
                let Some(run_permit) = tasks.acquire_run_permit(&ticket).await else {
                    return;
                };
                let started_at = tasks.clock.now();
                gauge!("lakefs_async_operations_running", "operation" => metric_label.clone())
                    .increment(1.0);
                let outcome = match AssertUnwindSafe(work).catch_unwind().await {
                    Ok(outcome) => outcome.map_err(|error| {
                        let description = describe(&error, &operation);
                        if description.is_server_fault {
                            error!(task.id = ticket.id(), error = %base::error_chain(&error), "task {} failed", ticket.id());
                        }
                        Failure::new(&error, description)
                    }),
                    Err(_) => {
                        error!(task.id = ticket.id(), "task {} panicked", ticket.id());
                        let error = Error::TaskPanicked;
                        Err(Failure::new(&error, describe(&error, &operation)))
                    }
                };
                drop(run_permit);
                gauge!("lakefs_async_operations_running", "operation" => metric_label.clone())
                    .decrement(1.0);
                let took = (tasks.clock.now() - started_at).as_seconds_f64();
                histogram!("lakefs_async_operation_duration_seconds", "operation" => metric_label)
                    .record(took);
                tasks.end(&ticket, outcome).await;
            }
        };
        let run =
            graveler::nesting::inherit_depth(self.shared.pending.count(run)).in_current_span();
        let run = tokio::spawn(run).abort_handle();
        if let Some(open_task) = tasks.open().tasks.get_mut(&key) {
            open_task.run = Some(run);
        }
    }

    /// Abandons the tasks that this server could not finish in time. Call it last in a shutdown.
    pub async fn hand_over_tasks(&self) {
        self.shared.tasks.hand_over().await;
    }
}
