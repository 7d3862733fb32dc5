//! The heartbeat of a server with open tasks. It also writes the tasks' progress to their records.
//!
//! The batch that claims a task writes the first heartbeat. The heartbeat stops when no task is open.

use std::sync::Arc;
use std::time::Duration;

use base::{OffsetDateTime, from_timestamp_or_epoch, to_timestamp};
use bytes::Bytes;
use prost::Message as _;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::records::{INSTANCES_PARTITION, InstanceHeartbeat, TaskRecord, instance_key, task_key};
use super::registry::{OpenTask, Tasks};
use super::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT};
use crate::Result;

/// The maximum age of an open task's record, even without progress. A recent record shows clients that the task is
/// alive, and keeps a lakeFS server on the same stores from expiring it.
const MAX_RECORD_AGE: Duration = Duration::from_secs(60);

impl Tasks {
    /// Writes heartbeats while this server has tasks.
    pub(super) async fn run_heartbeat(self: Arc<Self>) {
        let mut ticks = interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick fires immediately, but the claim has already written a heartbeat.
        ticks.tick().await;
        loop {
            tokio::select! {
                biased;
                () = self.abandoned.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if !self.heartbeat_once().await {
                return;
            }
        }
    }

    /// Writes one heartbeat and updates stale records. Returns false if there are no tasks, which stops the heartbeat.
    async fn heartbeat_once(&self) -> bool {
        let Some(stale) = self.take_stale() else {
            return false;
        };
        if let Err(error) = self.write_heartbeat().await {
            warn!(error = %base::error_chain(&error), "failed to write the heartbeat; other servers take over the tasks if this continues");
        }
        for open_task in stale {
            if let Err(error) = self.write_progress(&open_task).await {
                warn!(error = %base::error_chain(&error), "failed to store the progress of task {}", open_task.task_id);
            }
        }
        true
    }

    /// Returns the tasks whose records are out of date, or none if there are no tasks.
    fn take_stale(&self) -> Option<Vec<OpenTask>> {
        let now = self.clock.now();
        let mut open = self.open();
        if open.tasks.is_empty() {
            open.heartbeat_is_running = false;
            return None;
        }
        let mut stale = Vec::new();
        for open_task in open.tasks.values_mut() {
            let units = open_task.progress.units();
            let (reported_units, reported_at) = open_task.reported;
            if units != reported_units || now - reported_at >= MAX_RECORD_AGE {
                open_task.reported = (units, now);
                stale.push(open_task.clone());
            }
        }
        Some(stale)
    }

    async fn write_heartbeat(&self) -> Result<()> {
        let beat = InstanceHeartbeat {
            updated_at: Some(to_timestamp(self.clock.now())),
        };
        let key = instance_key(&self.instance);
        let value = Bytes::from(beat.encode_to_vec());
        Ok(self.kv.set(INSTANCES_PARTITION, &key, value).await?)
    }

    /// Writes the progress to the task's record, unless the task has ended or another server owns it.
    async fn write_progress(&self, open_task: &OpenTask) -> Result<()> {
        let (partition, key) = (open_task.partition.as_bytes(), task_key(&open_task.task_id));
        let Some(stored) = self.kv.get(partition, &key).await? else {
            return Ok(());
        };
        let (mut task, info) = TaskRecord::parse(stored.value)?;
        if task.done || task.owner_instance_id != self.instance {
            return Ok(());
        }
        let (units, reported_at) = open_task.reported;
        (task.progress, task.updated_at) = (units, Some(to_timestamp(reported_at)));
        let value = TaskRecord::of(task, info).encode();
        match self
            .kv
            .set_if(partition, &key, value, stored.predicate)
            .await
        {
            // The task ended in between.
            Err(kv::Error::PredicateFailed { .. }) => Ok(()),
            written => Ok(written?),
        }
    }

    /// Whether a server's heartbeat is recent. A server without a heartbeat counts as dead. So does a server with an
    /// unreadable heartbeat, because it would otherwise keep its tasks forever.
    pub(super) async fn is_alive(&self, instance: &str) -> Result<bool> {
        if instance.is_empty() {
            return Ok(false);
        }
        let beat = self
            .kv
            .get(INSTANCES_PARTITION, &instance_key(instance))
            .await?;
        let Some(beat) = beat else {
            return Ok(false);
        };
        match last_beat(beat.value) {
            Ok(beat) => Ok(self.clock.now() - beat < HEARTBEAT_TIMEOUT),
            Err(error) => {
                warn!(error = %base::error_chain(&error), "cannot read the heartbeat of server {instance}; treating the server as dead");
                Ok(false)
            }
        }
    }
}

/// The time of a heartbeat.
pub(super) fn last_beat(stored: Bytes) -> Result<OffsetDateTime> {
    let beat = InstanceHeartbeat::decode(stored).map_err(|e| crate::Error::Corrupt {
        what: "heartbeat".to_owned(),
        reason: e.to_string(),
    })?;
    Ok(from_timestamp_or_epoch(beat.updated_at.as_ref()))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT};
    use crate::TaskKind;
    use crate::testing::TestCatalog;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Nothing {}

    #[tokio::test]
    async fn heartbeat_keeps_the_server_alive_and_reports_progress() {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let server = lake.another_server();
        let kind = TaskKind::PREPARE_GC_COMMITS;
        let (counted, started) = tokio::sync::oneshot::channel();
        let id = server
            .submit_task::<Nothing, _>(&repository, kind, |progress| async move {
                progress.add(41);
                progress.add(1);
                counted.send(()).expect("the test waits");
                pending().await
            })
            .await
            .expect("there is capacity");
        started.await.expect("the task starts");
        for _ in 0..=HEARTBEAT_TIMEOUT.as_secs() / HEARTBEAT_INTERVAL.as_secs() {
            lake.clock.advance(HEARTBEAT_INTERVAL);
            assert!(server.catalog.shared.tasks.heartbeat_once().await);
            lake.recover_tasks().await.expect("a store in memory");
        }
        let found = lake.task_status::<Nothing>(&repository, kind, &id).await;
        let found = found.expect("the task");
        assert_eq!((found.done, found.progress), (false, 42));

        lake.clock.advance(HEARTBEAT_TIMEOUT);
        lake.recover_tasks().await.expect("a store in memory");
        assert!(!server.catalog.shared.tasks.open().tasks.is_empty());
        let has_tasks = server.catalog.shared.tasks.heartbeat_once().await;
        assert!(has_tasks, "the server still believes that it owns the task");
        let found = lake.task_status::<Nothing>(&repository, kind, &id).await;
        assert!(
            found.expect("the task").done,
            "the server must not overwrite the end of a task that it lost"
        );
    }
}
