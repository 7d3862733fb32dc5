//! The heartbeat of a server with open tasks. It also writes the tasks' progress to their records.
//!
//! The batch that claims a task writes the first heartbeat. The heartbeat stops when no task is open.

use std::sync::Arc;
use std::time::Duration;

use base::{OffsetDateTime, from_timestamp_or_epoch, to_timestamp};
use bytes::Bytes;
use futures::future::join_all;
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
/// How many records are updated, concurrently, before the next heartbeat.
const RECORDS_PER_HEARTBEAT: usize = 16;

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
    ///
    /// Writes another heartbeat after each page of records: on a slow store, all records together take longer than
    /// [`HEARTBEAT_TIMEOUT`], and other servers would take over the tasks of a live server.
    async fn heartbeat_once(&self) -> bool {
        let Some(stale) = self.take_stale() else {
            return false;
        };
        self.send_heartbeat().await;
        for page in stale.chunks(RECORDS_PER_HEARTBEAT) {
            // After a hand-over there must be no heartbeat.
            if self.abandoned.is_cancelled() {
                return true;
            }
            join_all(page.iter().map(|open_task| self.report(open_task))).await;
            self.send_heartbeat().await;
        }
        true
    }

    async fn send_heartbeat(&self) {
        if let Err(error) = self.write_heartbeat().await {
            warn!(error = %base::error_chain(&error), "failed to write the heartbeat; other servers take over the tasks if this continues");
        }
    }

    async fn report(&self, open_task: &OpenTask) {
        if let Err(error) = self.write_progress(open_task).await {
            warn!(error = %base::error_chain(&error), "failed to store the progress of task {}", open_task.task_id);
        }
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
    use std::sync::{Arc, Mutex, OnceLock};
    use std::time::Duration;

    use base::Clock as _;
    use base::testing::{FaultSchedule, Turn};
    use kv::Store as _;
    use kv::testing::{Faults, FaultyStore};

    use super::{
        HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, INSTANCES_PARTITION, MAX_RECORD_AGE, instance_key,
        last_beat,
    };
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

    /// Advances the clock with every call to the store, and remembers the age of the oldest heartbeat that it saw.
    #[derive(Debug)]
    struct SlowStore {
        lake: TestCatalog,
        instance: OnceLock<String>,
        oldest: Mutex<Duration>,
    }

    impl FaultSchedule for SlowStore {
        fn should_fail(&self, _rate: u8) -> bool {
            false
        }

        fn turn(&self) -> Turn<'_> {
            Box::pin(async move {
                let Some(instance) = self.instance.get() else {
                    return;
                };
                self.lake.clock.advance(Duration::from_millis(250));
                let key = instance_key(instance);
                let stored = self.lake.kv.get(INSTANCES_PARTITION, &key).await;
                let beat = stored.expect("a store in memory").expect("a heartbeat");
                let beat = last_beat(beat.value).expect("a valid heartbeat");
                let age = (self.lake.clock.now() - beat).unsigned_abs();
                let mut oldest = self.oldest.lock().expect("no panic");
                *oldest = age.max(*oldest);
            })
        }
    }

    /// Guards against a bug: the records of a thousand tasks were written one after another before the next heartbeat, so
    /// that other servers took over the tasks of a live server.
    #[tokio::test]
    async fn many_stale_records_do_not_delay_the_heartbeat() {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let schedule = Arc::new(SlowStore {
            lake: lake.clone(),
            instance: OnceLock::new(),
            oldest: Mutex::default(),
        });
        let inner = Arc::<kv::MemoryStore>::clone(&lake.kv);
        let shared = Arc::<SlowStore>::clone(&schedule);
        let store = FaultyStore::with_schedule(inner, Faults::default(), shared);
        let store: Arc<dyn kv::Store> = Arc::new(store);
        let server = lake.with_store(&store);
        for _ in 0..100 {
            server
                .submit_task::<Nothing, _>(&repository, TaskKind::PREPARE_GC_COMMITS, |_| pending())
                .await
                .expect("there is capacity");
        }
        let tasks = &server.shared.tasks;
        assert!(tasks.heartbeat_once().await);
        lake.clock.advance(MAX_RECORD_AGE);
        tasks.send_heartbeat().await;
        let began = lake.clock.now();
        schedule
            .instance
            .set(tasks.instance.clone())
            .expect("set once");
        assert!(tasks.heartbeat_once().await);
        let took = lake.clock.now() - began;
        assert!(
            took > 2 * HEARTBEAT_TIMEOUT,
            "{took}: the store is not slow enough"
        );
        let oldest = *schedule.oldest.lock().expect("no panic");
        assert!(oldest < HEARTBEAT_TIMEOUT, "{oldest:?}");
    }
}
