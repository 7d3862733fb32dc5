//! Takes over tasks of dead servers, and deletes expired records.
//!
//! Every step is idempotent and can be interrupted. Several servers may run it concurrently.

use std::collections::HashMap;
use std::sync::Arc;

use base::{OffsetDateTime, from_timestamp_or_epoch, to_timestamp};
use bytes::Bytes;
use graveler::{Repository, RepositoryId};
use kv::{Op, Predicate};
use tracing::{info, instrument, warn};

use super::heartbeat::last_beat;
use super::records::{
    BRANCHES, CLAIMS, Claim, FAILURE_DETAILS, FailureDetails, INSTANCES, INSTANCES_PARTITION,
    TASKS, TaskBranches, TaskData, TaskRecord, task_key, weir_key,
};
use super::registry::Tasks;
use super::work::decode_work;
use super::{DescribeFailure, Failure, MAX_ATTEMPTS, MAX_OPEN_TASKS, TASK_RETENTION};
use crate::{Catalog, Error, Result};

/// How many repositories are listed at a time when expired tasks are deleted.
const REPOSITORY_PAGE: usize = 1_000;

impl Tasks {
    /// Loads a task. Marks it failed first if its server died and no other server can take it over.
    pub(super) async fn load(
        &self,
        repository: &Repository,
        id: &str,
        describe: DescribeFailure,
    ) -> Result<Option<(TaskData, Option<Bytes>)>> {
        let partition = repository.partition();
        let Some((task, info)) = self.stored(&partition, id).await? else {
            return Ok(None);
        };
        if task.done || self.is_alive(&task.owner_instance_id).await? {
            return Ok(Some((task, info)));
        }
        match self.kv.get(CLAIMS, &weir_key(&partition, id)).await? {
            Some(stored) => {
                let claim = Claim::parse(stored.value)?;
                if !claim.work.is_empty() {
                    // Another server will take it over.
                    return Ok(Some((task, info)));
                }
                self.fail_orphaned(&claim, &stored.predicate, describe)
                    .await?;
            }
            // A lakeFS server started the task.
            None => self.fail_unclaimed(&partition, task, describe).await?,
        }
        self.stored(&partition, id).await
    }

    async fn stored(&self, partition: &str, id: &str) -> Result<Option<(TaskData, Option<Bytes>)>> {
        let stored = self.kv.get(partition.as_bytes(), &task_key(id)).await?;
        stored.map(|s| TaskRecord::parse(s.value)).transpose()
    }

    /// Whether a task belongs to these branches. Also true for tasks of earlier versions, which did not store branches.
    pub(super) async fn matches_branches(
        &self,
        repository: &Repository,
        id: &str,
        branches: &TaskBranches,
    ) -> Result<bool> {
        let key = weir_key(&repository.partition(), id);
        Ok(match self.kv.get(BRANCHES, &key).await? {
            Some(stored) => TaskBranches::parse(stored.value)? == *branches,
            None => true,
        })
    }

    /// The failure of an ended task, or none if it succeeded or has not ended.
    pub(super) async fn failure_of(
        &self,
        repository: &Repository,
        task: &TaskData,
    ) -> Result<Option<Failure>> {
        if !task.done || (task.error_msg.is_empty() && task.status_code == 0) {
            return Ok(None);
        }
        let key = weir_key(&repository.partition(), &task.id);
        let mut failure = Failure {
            code: task.status_code,
            message: task.error_msg.clone(),
            hint: None,
            findings: Vec::new(),
            conflicts: None,
        };
        if let Some(stored) = self.kv.get(FAILURE_DETAILS, &key).await? {
            FailureDetails::parse(stored.value)?.add_to(&mut failure);
        }
        Ok(Some(failure))
    }

    /// Marks a task of a dead server as failed, if its claim is unchanged.
    pub(super) async fn fail_orphaned(
        &self,
        claim: &Claim,
        unchanged: &Predicate,
        describe: DescribeFailure,
    ) -> Result<()> {
        let failure = Failure::of_dead_server(&claim.operation, claim.attempt, describe);
        let failure = Err(failure);
        let progress = super::Progress::default();
        let ops = self.end_ops(claim, unchanged, failure, &progress);
        self.write_end(claim, ops).await
    }

    /// Marks a task of a dead lakeFS server as failed. Such tasks have no claim.
    async fn fail_unclaimed(
        &self,
        partition: &str,
        seen: TaskData,
        describe: DescribeFailure,
    ) -> Result<()> {
        let key = task_key(&seen.id);
        let Some(stored) = self.kv.get(partition.as_bytes(), &key).await? else {
            return Ok(());
        };
        let (mut task, info) = TaskRecord::parse(stored.value)?;
        if task != seen {
            return Ok(());
        }
        let failure = Failure::of_dead_server(&task.operation, 1, describe);
        (task.done, task.error_msg) = (true, failure.message);
        task.status_code = failure.code;
        task.updated_at = Some(to_timestamp(self.clock.now()));
        let value = TaskRecord::of(task, info).encode();
        match self
            .kv
            .set_if(partition.as_bytes(), &key, value, stored.predicate)
            .await
        {
            Err(kv::Error::PredicateFailed { .. }) => Ok(()),
            written => Ok(written?),
        }
    }

    /// Deletes the expired tasks of a repository.
    async fn prune(&self, repository: &Repository, describe: DescribeFailure) -> Result<()> {
        let partition = repository.partition();
        let oldest = self.clock.now() - TASK_RETENTION;
        let mut cursor =
            kv::Cursor::new(Arc::clone(&self.kv), partition.as_bytes(), TASKS.as_bytes());
        while let Some(entry) = cursor.next().await? {
            if !entry.key.starts_with(TASKS.as_bytes()) {
                return Ok(());
            }
            let key = entry.key.clone();
            match self
                .prune_if_older(repository, entry, oldest, describe)
                .await
            {
                Err(Error::Corrupt { reason, .. }) => {
                    let key = String::from_utf8_lossy(&key);
                    warn!(repo.id = %repository.id, "skipped record {key}, which cannot be read: {reason}");
                }
                pruned => pruned?,
            }
        }
        Ok(())
    }

    async fn prune_if_older(
        &self,
        repository: &Repository,
        entry: kv::Entry,
        oldest: OffsetDateTime,
        describe: DescribeFailure,
    ) -> Result<()> {
        let (task, _) = TaskRecord::parse(entry.value)?;
        if from_timestamp_or_epoch(task.updated_at.as_ref()) >= oldest {
            return Ok(());
        }
        // The task was not updated for a day. If its server died, `load` marks it failed, and a later round deletes it.
        if !task.done {
            self.load(repository, &task.id, describe).await?;
            return Ok(());
        }
        let partition = repository.partition();
        let delete_own = |own: &'static [u8]| Op::Delete {
            partition: Bytes::from_static(own),
            key: weir_key(&partition, &task.id),
        };
        let record = Op::Delete {
            partition: Bytes::from(partition.clone()),
            key: entry.key,
        };
        let ops = vec![delete_own(FAILURE_DETAILS), delete_own(BRANCHES), record];
        self.kv.batch(ops).await?;
        metrics::counter!("lakefs_async_operations_expired_total").increment(1);
        Ok(())
    }

    /// Deletes expired heartbeats of dead servers.
    async fn prune_instances(&self) -> Result<()> {
        let oldest = self.clock.now() - TASK_RETENTION;
        let start = INSTANCES.as_bytes();
        let mut cursor = kv::Cursor::new(Arc::clone(&self.kv), INSTANCES_PARTITION, start);
        while let Some(entry) = cursor.next().await? {
            if !entry.key.starts_with(start) {
                break;
            }
            match last_beat(entry.value) {
                Ok(beat) if beat < oldest => {
                    self.kv.delete(INSTANCES_PARTITION, &entry.key).await?;
                }
                Ok(_) => {}
                Err(error) => {
                    let key = String::from_utf8_lossy(&entry.key);
                    warn!(error = %base::error_chain(&error), "skipped heartbeat {key}, which cannot be read");
                }
            }
        }
        Ok(())
    }
}

impl Catalog {
    /// Takes over tasks of servers that died or stopped, or marks them failed. Call it at the start and every few seconds.
    ///
    /// # Errors
    /// Any error of the record store. Tasks handled before the error stay handled.
    #[instrument(skip_all)]
    pub async fn recover_tasks(&self) -> Result<()> {
        let tasks = &self.shared.tasks;
        let mut alive: HashMap<String, bool> = HashMap::new();
        let mut cursor = kv::Cursor::new(Arc::clone(&tasks.kv), CLAIMS, b"");
        while let Some(entry) = cursor.next().await? {
            if tasks.is_closing() {
                return Ok(());
            }
            // An unreadable claim, for example of a later version, must not block the others.
            let claim = match Claim::parse(entry.value) {
                Ok(claim) => claim,
                Err(error) => {
                    let key = String::from_utf8_lossy(&entry.key);
                    warn!(error = %base::error_chain(&error), "skipped the claim of task {key}, which cannot be read");
                    continue;
                }
            };
            if tasks.holds(&claim) {
                continue;
            }
            let owner = &claim.owner_instance_id;
            // A claim of this server without an open task is orphaned, unless the task is registered concurrently:
            // `take_over` checks again.
            let is_alive = match alive.get(owner) {
                Some(&alive) => alive,
                None => {
                    let is_alive = *owner != tasks.instance && tasks.is_alive(owner).await?;
                    alive.insert(owner.clone(), is_alive);
                    is_alive
                }
            };
            if is_alive {
                continue;
            }
            match self.take_over(&claim).await {
                Ok(()) => {}
                // The other claims would fail in the same way.
                Err(Error::TooManyTasks) => {
                    warn!(
                        "cannot take over task {} and those after it: this server has {MAX_OPEN_TASKS} tasks; will retry",
                        claim.task_id
                    );
                    return Ok(());
                }
                Err(error) => {
                    warn!(error = %base::error_chain(&error), "failed to take over task {}; will retry", claim.task_id);
                }
            }
        }
        Ok(())
    }

    async fn take_over(&self, seen: &Claim) -> Result<()> {
        let tasks = &self.shared.tasks;
        let Some(stored) = tasks.kv.get(CLAIMS, &seen.key()).await? else {
            return Ok(());
        };
        let claim = Claim::parse(stored.value)?;
        if claim != *seen || tasks.holds(&claim) {
            return Ok(());
        }
        let repository = match self
            .graveler
            .repository(&RepositoryId::trusted(claim.repository.clone()))
            .await
        {
            Ok(repository) if claim.belongs_to(&repository) => repository,
            Ok(_) | Err(graveler::Error::NotFound { .. } | graveler::Error::InDeletion { .. }) => {
                info!("dropped task {}: its repository was deleted", claim.task_id);
                return Ok(tasks.kv.delete(CLAIMS, &claim.key()).await?);
            }
            Err(error) => return Err(error.into()),
        };
        let partition = claim.partition();
        let open = tasks.stored(&partition, &claim.task_id).await?;
        if open.is_none_or(|(task, _)| task.done) {
            return Ok(tasks.kv.delete(CLAIMS, &claim.key()).await?);
        }
        let work = match decode_work(&claim.work) {
            Some(work) if claim.attempt < MAX_ATTEMPTS => work,
            _ => {
                info!(repo.id = %repository.id, "marked task {} failed: its server died or abandoned it", claim.task_id);
                return tasks
                    .fail_orphaned(&claim, &stored.predicate, self.describe)
                    .await;
            }
        };
        let new_claim = tasks.claim_for_takeover(&claim);
        // None if another server was faster.
        if let Some(ticket) = tasks
            .claim(
                &repository,
                new_claim,
                stored.predicate,
                Predicate::Exists,
                None,
            )
            .await?
        {
            info!(repo.id = %repository.id, "took over task {}: its server died or abandoned it", claim.task_id);
            self.run_work(ticket, &repository, work);
        }
        Ok(())
    }

    /// Deletes tasks that ended, and heartbeats that were written, more than [`TASK_RETENTION`] ago. Call it regularly.
    ///
    /// # Errors
    /// Any error of the record store. Records deleted before the error stay deleted.
    #[instrument(skip_all)]
    pub async fn prune_tasks(&self) -> Result<()> {
        let mut after = String::new();
        loop {
            let page = self
                .reader()
                .list_repositories("", &after, "", REPOSITORY_PAGE)
                .await?;
            for repository in &page.results {
                if let Err(error) = self.shared.tasks.prune(repository, self.describe).await {
                    warn!(repo.id = %repository.id, error = %base::error_chain(&error), "failed to delete expired tasks of {}; will retry", repository.id);
                }
            }
            if !page.has_more {
                break;
            }
            after = page.next_offset;
        }
        self.shared.tasks.prune_instances().await
    }
}
