//! Prepares garbage collection of committed data: writes the list of commits whose objects must be kept.
//!
//! A garbage collection job (lakeFS's Spark client or a similar one) keeps the objects of these commits and the
//! uncommitted objects, and deletes all others. With a truncated
//! list, the job would delete live objects, so the list becomes visible only when it is complete.

use std::time::Duration;

use base::OffsetDateTime;
use block::Location;
use graveler::{BranchId, Repository, Retention};
use tracing::{info, instrument};

use crate::file_writer::FileWriter;
use crate::retention::check_writable;
use crate::{Catalog, Error, GcRules, Progress, Result, TaskKind, TaskStatus};

/// Where the files of runs are stored. lakeFS defines these names and the header below.
const COMMITS_FOLDER: &str = "_lakefs/retention/gc/commits";
const ADDRESSES_FOLDER: &str = "_lakefs/retention/gc/addresses";
const HEADER: &str = "commit_id,expired,metarange_id\n";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The result of a run, for the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedCommits {
    /// Ids of later runs sort before those of earlier runs.
    pub run_id: String,
    /// The full address of the list of commits.
    pub commits_location: String,
    /// A folder for the job's files.
    pub addresses_location: String,
}

impl Catalog {
    /// Writes `commits.csv`, the list of commits whose objects are kept, into the folder of a new run.
    ///
    /// # Errors
    /// [`Error::NoGcRules`]; read-only; a missing or corrupt commit record; any error of the stores.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn prepare_gc_commits(&self, repository: &Repository) -> Result<PreparedCommits> {
        self.write_kept_commits(repository, &Progress::default())
            .await
    }

    /// Like [`Catalog::prepare_gc_commits`], as a background task. Returns the task's id. Its progress counts commits.
    ///
    /// # Errors
    /// [`Error::NoGcRules`]; read-only; the same as for tasks.
    pub async fn submit_gc_commits(&self, repository: &Repository) -> Result<String> {
        self.gc_rules_of_writable(repository).await?;
        let (catalog, repository) = (self.clone(), repository.clone());
        let work = {
            let repository = repository.clone();
            move |progress| async move {
                let prepared = catalog.write_kept_commits(&repository, &progress).await?;
                Ok(StoredInfo::from(prepared))
            }
        };
        self.submit_task(&repository, TaskKind::PREPARE_GC_COMMITS, work)
            .await
    }

    /// Returns the status of a task that [`Catalog::submit_gc_commits`] started.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`].
    pub async fn gc_commits_status(
        &self,
        repository: &Repository,
        task: &str,
    ) -> Result<TaskStatus<PreparedCommits>> {
        let kind = TaskKind::PREPARE_GC_COMMITS;
        let status = self
            .task_status::<StoredInfo>(repository, kind, task)
            .await?;
        Ok(status.map(PreparedCommits::from))
    }

    async fn gc_rules_of_writable(&self, repository: &Repository) -> Result<GcRules> {
        check_writable(repository)?;
        self.reader()
            .gc_rules(repository)
            .await?
            .ok_or(Error::NoGcRules)
    }

    async fn write_kept_commits(
        &self,
        repository: &Repository,
        progress: &Progress,
    ) -> Result<PreparedCommits> {
        let rules = self.gc_rules_of_writable(repository).await?;
        let run_id = self.shared.ids.descending_data_id();
        let below = |key: &str| Location::below(&repository.storage_namespace, key);
        let at = below(&format!("{COMMITS_FOLDER}/run_id={run_id}/commits.csv"));

        let retention = retention(&rules, self.shared.clock.now());
        let mut kept = self.graveler.kept_commits(repository, &retention).await?;
        let mut file = FileWriter::create(&self.block, at.clone());
        file.write(HEADER.as_bytes()).await?;
        let mut written = 0_u64;
        while let Some(commit) = kept.next().await? {
            let row = format!("{},false,{}\n", commit.id, commit.meta_range_id);
            file.write(row.as_bytes()).await?;
            written += 1;
            progress.set(written);
        }
        file.finish().await?;
        info!("garbage collection run {run_id} keeps {written} commits");
        Ok(PreparedCommits {
            run_id,
            commits_location: at.as_str().to_owned(),
            addresses_location: below(ADDRESSES_FOLDER).as_str().to_owned(),
        })
    }
}

fn retention(rules: &GcRules, now: OffsetDateTime) -> Retention {
    // lakeFS may have stored negative days. Such a cutoff would lie in the future and expire new objects.
    let days = |days: i32| {
        now.saturating_sub(
            (DAY * days.max(0).unsigned_abs())
                .try_into()
                .unwrap_or(time::Duration::MAX),
        )
    };
    let branches = rules.branch_retention_days.iter();
    Retention {
        default: days(rules.default_retention_days),
        branches: branches
            .map(|(branch, of_branch)| (BranchId::trusted(branch), days(*of_branch)))
            .collect(),
    }
}

/// The result as stored in the task's record: lakeFS's `GarbageCollectionPrepareCommitsInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredInfo {
    #[prost(string, tag = "1")]
    run_id: String,
    #[prost(string, tag = "2")]
    gc_commits_location: String,
    #[prost(string, tag = "3")]
    gc_addresses_location: String,
}

impl From<PreparedCommits> for StoredInfo {
    fn from(prepared: PreparedCommits) -> Self {
        Self {
            run_id: prepared.run_id,
            gc_commits_location: prepared.commits_location,
            gc_addresses_location: prepared.addresses_location,
        }
    }
}

impl From<StoredInfo> for PreparedCommits {
    fn from(stored: StoredInfo) -> Self {
        Self {
            run_id: stored.run_id,
            commits_location: stored.gc_commits_location,
            addresses_location: stored.gc_addresses_location,
        }
    }
}
