//! Looks after tasks: takes over what the dead left, and forgets what is long done.
//!
//! Every step can be repeated and cut short, and any number of servers may do it at once.

use std::collections::HashMap;
use std::sync::Arc;

use base::OffsetDateTime;
use bytes::Bytes;
use graveler::{Repository, RepositoryId};
use kv::{Op, Predicate};
use tracing::{info, instrument, warn};

use super::ending::owner_died;
use super::heart::last_beat;
use super::records::{
    BRANCHES, CLAIMS, Claim, FINDINGS, Findings, INSTANCES, INSTANCES_PARTITION, TASKS,
    TaskBranches, TaskData, TaskRecord, instant, own_key, task_key,
};
use super::registry::Tasks;
use super::work::work_of;
use super::{Failure, KEPT_FOR, MAX_ATTEMPTS};
use crate::{Catalog, Error, Result};

/// Repositories of one page when forgetting.
const REPOSITORY_PAGE: usize = 1_000;

impl Tasks {
    /// The task as it is now; one whose server died and that nobody can take over is marked failed first.
    pub(super) async fn look(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<Option<(TaskData, Option<Bytes>)>> {
        let partition = repository.partition();
        let Some((task, info)) = self.stored(&partition, id).await? else {
            return Ok(None);
        };
        if task.done || self.is_alive(&task.owner_instance_id).await? {
            return Ok(Some((task, info)));
        }
        match self.kv.get(CLAIMS, &own_key(&partition, id)).await? {
            Some(stored) => {
                let claim = Claim::parse(stored.value)?;
                if !claim.work.is_empty() {
                    // It is about to be taken over.
                    return Ok(Some((task, info)));
                }
                self.bury(&claim, &stored.predicate).await?;
            }
            // A lakeFS server's.
            None => self.bury_unclaimed(&partition, task).await?,
        }
        self.stored(&partition, id).await
    }

    async fn stored(&self, partition: &str, id: &str) -> Result<Option<(TaskData, Option<Bytes>)>> {
        let stored = self.kv.get(partition.as_bytes(), &task_key(id)).await?;
        stored.map(|s| TaskRecord::parse(s.value)).transpose()
    }

    /// Whether a task is of these branches, or nobody noted what it is of (as earlier versions did
    /// not).
    pub(super) async fn may_be_of(
        &self,
        repository: &Repository,
        id: &str,
        of: &TaskBranches,
    ) -> Result<bool> {
        let key = own_key(&repository.partition(), id);
        Ok(match self.kv.get(BRANCHES, &key).await? {
            Some(stored) => TaskBranches::parse(stored.value)? == *of,
            None => true,
        })
    }

    /// What a task that is done failed of, if it did.
    pub(super) async fn failure_of(
        &self,
        repository: &Repository,
        task: &TaskData,
    ) -> Result<Option<Failure>> {
        if !task.done || (task.error_msg.is_empty() && task.status_code == 0) {
            return Ok(None);
        }
        let key = own_key(&repository.partition(), &task.id);
        let mut failure = Failure {
            status_code: u16::try_from(task.status_code)
                .ok()
                .filter(|code| (400..600).contains(code))
                .unwrap_or(500),
            message: task.error_msg.clone(),
            hint: None,
            findings: Vec::new(),
            conflicts: None,
        };
        if let Some(stored) = self.kv.get(FINDINGS, &key).await? {
            Findings::parse(stored.value)?.complete(&mut failure);
        }
        Ok(Some(failure))
    }

    /// Marks a task failed because its server died, if the claim is unchanged.
    pub(super) async fn bury(&self, claim: &Claim, unchanged: &Predicate) -> Result<()> {
        let failure = Err(owner_died(&claim.operation, claim.attempt));
        let progress = super::Progress::default();
        let ops = self.ending(claim, unchanged, failure, &progress);
        self.write_end(claim, ops).await
    }

    /// The same of a task that has no claim, since a lakeFS server made it.
    async fn bury_unclaimed(&self, partition: &str, seen: TaskData) -> Result<()> {
        let key = task_key(&seen.id);
        let Some(stored) = self.kv.get(partition.as_bytes(), &key).await? else {
            return Ok(());
        };
        let (mut task, info) = TaskRecord::parse(stored.value)?;
        if task != seen {
            return Ok(());
        }
        let failure = owner_died(&task.operation, 1);
        (task.done, task.error_msg) = (true, failure.message);
        task.status_code = i32::from(failure.status_code);
        task.updated_at = Some(super::records::timestamp(self.clock.now()));
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

    /// Removes what is long done from one repository.
    async fn forget(&self, repository: &Repository) -> Result<()> {
        let partition = repository.partition();
        let oldest = self.clock.now() - KEPT_FOR;
        let mut cursor =
            kv::Cursor::new(Arc::clone(&self.kv), partition.as_bytes(), TASKS.as_bytes());
        while let Some(entry) = cursor.next().await? {
            if !entry.key.starts_with(TASKS.as_bytes()) {
                return Ok(());
            }
            let key = entry.key.clone();
            match self.forget_older(repository, entry, oldest).await {
                Err(Error::Engine(graveler::Error::Corrupt { reason, .. })) => {
                    let key = String::from_utf8_lossy(&key);
                    warn!(repo.id = %repository.id, "left a record of {key} that cannot be read: {reason}");
                }
                forgotten => forgotten?,
            }
        }
        Ok(())
    }

    async fn forget_older(
        &self,
        repository: &Repository,
        entry: kv::Entry,
        oldest: OffsetDateTime,
    ) -> Result<()> {
        let (task, _) = TaskRecord::parse(entry.value)?;
        if instant(task.updated_at.as_ref()) >= oldest {
            return Ok(());
        }
        // Not done and untouched for a day: the look marks it, the next round forgets it.
        if !task.done {
            self.look(repository, &task.id).await?;
            return Ok(());
        }
        let partition = repository.partition();
        let own = |own: &'static [u8]| Op::Delete {
            partition: Bytes::from_static(own),
            key: own_key(&partition, &task.id),
        };
        let record = Op::Delete {
            partition: Bytes::from(partition.clone()),
            key: entry.key,
        };
        let ops = vec![own(FINDINGS), own(BRANCHES), record];
        self.kv.batch(ops).await?;
        metrics::counter!("lakefs_async_operations_expired_total").increment(1);
        Ok(())
    }

    /// Removes heartbeats of servers that are long dead.
    async fn forget_instances(&self) -> Result<()> {
        let oldest = self.clock.now() - KEPT_FOR;
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
                    warn!(error = %base::chain(&error), "left heartbeat {key}, which cannot be read");
                }
            }
        }
        Ok(())
    }
}

impl Catalog {
    /// Takes over the tasks of dead servers, or marks them failed. To be run at the start and every few seconds.
    ///
    /// # Errors
    /// The record store's; what was done stays done.
    #[instrument(skip_all)]
    pub async fn look_after_tasks(&self) -> Result<()> {
        let tasks = &self.shared.tasks;
        let mut alive: HashMap<String, bool> = HashMap::new();
        let mut cursor = kv::Cursor::new(Arc::clone(&tasks.kv), CLAIMS, b"");
        while let Some(entry) = cursor.next().await? {
            if tasks.is_closing() {
                return Ok(());
            }
            // One that cannot be read, or that a later version wrote, stands in nobody else's way.
            let claim = match Claim::parse(entry.value) {
                Ok(claim) => claim,
                Err(error) => {
                    let key = String::from_utf8_lossy(&entry.key);
                    warn!(error = %base::chain(&error), "left the claim of task {key}, which cannot be read");
                    continue;
                }
            };
            if tasks.holds(&claim) {
                continue;
            }
            let owner = &claim.owner_instance_id;
            // A claim of this server without a place is an orphan, but a new one may come to its place right now.
            let is_alive = match alive.get(owner) {
                Some(&alive) => alive,
                None => {
                    let is_alive = *owner != tasks.instance && tasks.is_alive(owner).await?;
                    alive.insert(owner.clone(), is_alive);
                    is_alive
                }
            };
            if !is_alive && let Err(error) = self.take_over(&claim).await {
                warn!(error = %base::chain(&error), "failed to take over task {}; it is tried again", claim.task_id);
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
            Ok(repository) if claim.is_of(&repository) => repository,
            Ok(_) | Err(graveler::Error::NotFound { .. } | graveler::Error::InDeletion { .. }) => {
                info!("task {} is dropped: its repository is gone", claim.task_id);
                return Ok(tasks.kv.delete(CLAIMS, &claim.key()).await?);
            }
            Err(error) => return Err(error.into()),
        };
        let partition = claim.partition();
        let open = tasks.stored(&partition, &claim.task_id).await?;
        if open.is_none_or(|(task, _)| task.done) {
            return Ok(tasks.kv.delete(CLAIMS, &claim.key()).await?);
        }
        let work = match work_of(&claim.work) {
            Some(work) if claim.attempt < MAX_ATTEMPTS => work,
            _ => {
                info!(repo.id = %repository.id, "task {} is marked failed: its server died", claim.task_id);
                return tasks.bury(&claim, &stored.predicate).await;
            }
        };
        let ours = tasks.succeeding(&claim);
        // None: another server was first.
        if let Some(ticket) = tasks
            .claim(&repository, ours, stored.predicate, Predicate::Exists, None)
            .await?
        {
            info!(repo.id = %repository.id, "task {} is taken over: its server died", claim.task_id);
            self.do_work(ticket, &repository, work);
        }
        Ok(())
    }

    /// Forgets tasks and heartbeats that are older than [`KEPT_FOR`]. To be run now and then.
    ///
    /// # Errors
    /// The record store's; what was done stays done.
    #[instrument(skip_all)]
    pub async fn forget_tasks(&self) -> Result<()> {
        let mut after = String::new();
        loop {
            let page = self
                .list_repositories("", &after, "", REPOSITORY_PAGE)
                .await?;
            for repository in &page.results {
                if let Err(error) = self.shared.tasks.forget(repository).await {
                    warn!(repo.id = %repository.id, error = %base::chain(&error), "failed to forget tasks of {}; it is tried again", repository.id);
                }
            }
            if !page.has_more {
                break;
            }
            after = page.next_offset;
        }
        self.shared.tasks.forget_instances().await
    }
}
