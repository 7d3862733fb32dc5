//! The heartbeat of a server with tasks, and what its tasks' records tell of their progress.
//!
//! The first beat comes with a claim, in one batch. The heart stops when there is no task.

use std::sync::Arc;
use std::time::Duration;

use base::OffsetDateTime;
use bytes::Bytes;
use prost::Message as _;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::records::{
    INSTANCES_PARTITION, InstanceHeartbeat, TaskRecord, instance_key, task_key, timestamp,
};
use super::registry::{Ours, Tasks};
use super::{DEAD_AFTER, HEARTBEAT_EVERY};
use crate::Result;

/// A task is told of at least so often, also without progress: clients see that it lives, and a
/// lakeFS server of the same installation does not take its record for a forgotten one.
const TOLD_EVERY: Duration = Duration::from_secs(60);

impl Tasks {
    /// Beats for as long as this server has tasks.
    pub(super) async fn beat(self: Arc<Self>) {
        let mut ticks = interval(HEARTBEAT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, and the claim has brought that beat.
        ticks.tick().await;
        loop {
            tokio::select! {
                biased;
                () = self.given_up.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if !self.beat_once().await {
                return;
            }
        }
    }

    /// One beat. False: there are no tasks, and the heart stops.
    async fn beat_once(&self) -> bool {
        let Some(to_tell) = self.to_tell() else {
            return false;
        };
        if let Err(error) = self.write_heartbeat().await {
            warn!(error = %base::chain(&error), "failed to say that this server lives; its tasks are taken over if that goes on");
        }
        for ours in to_tell {
            if let Err(error) = self.tell(&ours).await {
                warn!(error = %base::chain(&error), "failed to store the progress of task {}", ours.task_id);
            }
        }
        true
    }

    /// Tasks whose records are behind. None: there are no tasks, and the heart stops.
    fn to_tell(&self) -> Option<Vec<Ours>> {
        let now = self.clock.now();
        let mut open = self.open();
        if open.tasks.is_empty() {
            open.beating = false;
            return None;
        }
        let mut behind = Vec::new();
        for ours in open.tasks.values_mut() {
            let units = ours.progress.units();
            if units != ours.told.0 || now - ours.told.1 >= TOLD_EVERY {
                ours.told = (units, now);
                behind.push(ours.clone());
            }
        }
        Some(behind)
    }

    async fn write_heartbeat(&self) -> Result<()> {
        let beat = InstanceHeartbeat {
            updated_at: Some(timestamp(self.clock.now())),
        };
        let key = instance_key(&self.instance);
        let value = Bytes::from(beat.encode_to_vec());
        Ok(self.kv.set(INSTANCES_PARTITION, &key, value).await?)
    }

    /// Writes the progress, unless the task has ended or is another's.
    async fn tell(&self, ours: &Ours) -> Result<()> {
        let (partition, key) = (ours.partition.as_bytes(), task_key(&ours.task_id));
        let Some(stored) = self.kv.get(partition, &key).await? else {
            return Ok(());
        };
        let (mut task, info) = TaskRecord::parse(stored.value)?;
        if task.done || task.owner_instance_id != self.instance {
            return Ok(());
        }
        (task.progress, task.updated_at) = (ours.told.0, Some(timestamp(ours.told.1)));
        let value = TaskRecord::of(task, info).encode();
        match self
            .kv
            .set_if(partition, &key, value, stored.predicate)
            .await
        {
            // It ended just now.
            Err(kv::Error::PredicateFailed { .. }) => Ok(()),
            told => Ok(told?),
        }
    }

    /// Whether a server has said lately that it lives. One that is not known is dead, as is one
    /// whose heartbeat cannot be read: it would hold its tasks for ever.
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
            Ok(beat) => Ok(self.clock.now() - beat < DEAD_AFTER),
            Err(error) => {
                warn!(error = %base::chain(&error), "the heartbeat of server {instance} cannot be read: it is taken for dead");
                Ok(false)
            }
        }
    }
}

/// When a heartbeat was.
pub(super) fn last_beat(stored: Bytes) -> Result<OffsetDateTime> {
    let beat = InstanceHeartbeat::decode(stored).map_err(|e| {
        crate::Error::Engine(graveler::Error::Corrupt {
            what: "heartbeat".to_owned(),
            reason: e.to_string(),
        })
    })?;
    Ok(super::records::instant(beat.updated_at.as_ref()))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::{DEAD_AFTER, HEARTBEAT_EVERY};
    use crate::TaskKind;
    use crate::testing::TestCatalog;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Nothing {}

    #[tokio::test]
    async fn a_server_with_tasks_says_that_it_lives_and_how_far_they_are() {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let server = lake.another_server();
        let kind = TaskKind::PREPARE_GC_COMMITS;
        let (counted, begun) = tokio::sync::oneshot::channel();
        let id = server
            .submit_task::<Nothing, _>(&repository, kind, |progress| async move {
                progress.add(41);
                progress.add(1);
                counted.send(()).expect("the test waits");
                pending().await
            })
            .await
            .expect("a place");
        begun.await.expect("it begins");
        for _ in 0..=DEAD_AFTER.as_secs() / HEARTBEAT_EVERY.as_secs() {
            lake.clock.advance(HEARTBEAT_EVERY);
            assert!(server.catalog.shared.tasks.beat_once().await);
            lake.look_after_tasks().await.expect("a store in memory");
        }
        let found = lake.task_status::<Nothing>(&repository, kind, &id).await;
        let found = found.expect("the task");
        assert_eq!((found.done, found.progress), (false, 42));

        lake.clock.advance(DEAD_AFTER);
        lake.look_after_tasks().await.expect("a store in memory");
        assert!(!server.catalog.shared.tasks.open().tasks.is_empty());
        let told = server.catalog.shared.tasks.beat_once().await;
        assert!(told, "it still believes that the task is its own");
        let found = lake.task_status::<Nothing>(&repository, kind, &id).await;
        assert!(
            found.expect("the task").done,
            "but does not tell of it any more"
        );
    }
}
