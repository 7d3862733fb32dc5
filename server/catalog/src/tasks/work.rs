//! Repeatable work. Claims store it, so a server that takes over a task can run it again.
//!
//! A commit or merge lands in the same batch as the end of its task, so repeating it never makes a second
//! commit. A server whose claim was taken cannot write the batch. A task that has ended is not started
//! again. Dumps and restores are idempotent.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{from_timestamp_or_epoch, to_timestamp};
use bytes::Bytes;
use graveler::{
    BranchId, Commit, CommitId, CommitParams, CommitParticipant, CommitStep, MergeParams,
    MergeStrategy, MetaRangeId, RefsDump, Repository, RestoreRefs,
};
use prost::Message;
use prost_types::Timestamp;
use tracing::instrument;

use super::records::TaskBranches;
use super::registry::{HeldClaim, Tasks, Ticket};
use super::{TaskKind, TaskOperation, TaskStatus};
use crate::limits::check_commit;
use crate::{Catalog, Error, Result};

/// The work as stored in a claim.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WorkData {
    #[prost(oneof = "Work", tags = "1, 2, 3, 4")]
    pub(super) work: Option<Work>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Work {
    #[prost(message, tag = "1")]
    Commit(CommitWork),
    #[prost(message, tag = "2")]
    Merge(MergeWork),
    #[prost(message, tag = "3")]
    Dump(DumpWork),
    #[prost(message, tag = "4")]
    Restore(RestoreWork),
}

impl Work {
    /// Encodes the work for a claim.
    pub(super) fn to_stored(&self) -> Bytes {
        let data = WorkData {
            work: Some(self.clone()),
        };
        Bytes::from(data.encode_to_vec())
    }

    pub(super) fn restore(dump: &RefsDump, force: bool, actor: &str) -> Self {
        Self::Restore(RestoreWork {
            commits: dump.commits.to_string(),
            tags: dump.tags.to_string(),
            branches: dump.branches.to_string(),
            force,
            actor: actor.to_owned(),
        })
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommitWork {
    #[prost(string, tag = "1")]
    branch: String,
    #[prost(string, tag = "2")]
    committer: String,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(btree_map = "string, string", tag = "4")]
    metadata: BTreeMap<String, String>,
    /// The time of the request, which becomes the time of the commit.
    #[prost(message, optional, tag = "5")]
    date: Option<Timestamp>,
    #[prost(bool, tag = "6")]
    allow_empty: bool,
    #[prost(bool, tag = "7")]
    force: bool,
    #[prost(string, optional, tag = "8")]
    source_metarange: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MergeWork {
    #[prost(string, tag = "1")]
    source: String,
    #[prost(string, tag = "2")]
    destination: String,
    #[prost(string, tag = "3")]
    committer: String,
    #[prost(string, tag = "4")]
    message: String,
    #[prost(btree_map = "string, string", tag = "5")]
    metadata: BTreeMap<String, String>,
    /// 0 none, 1 the destination wins, 2 the source wins.
    #[prost(int32, tag = "6")]
    strategy: i32,
    #[prost(bool, tag = "7")]
    squash: bool,
    #[prost(bool, tag = "8")]
    force: bool,
    #[prost(bool, tag = "9")]
    allow_empty: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DumpWork {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RestoreWork {
    #[prost(string, tag = "1")]
    commits: String,
    #[prost(string, tag = "2")]
    tags: String,
    #[prost(string, tag = "3")]
    branches: String,
    #[prost(bool, tag = "4")]
    force: bool,
    /// The user who made the request, for the reflog.
    #[prost(string, tag = "5")]
    actor: String,
}

/// lakeFS's `MergeData`.
#[derive(Clone, PartialEq, Message)]
struct MergeData {
    #[prost(string, tag = "1")]
    reference: String,
}

/// lakeFS's `RepositoryDumpInfo`.
#[derive(Clone, PartialEq, Message)]
struct RepositoryDumpInfo {
    #[prost(string, tag = "1")]
    commits: String,
    #[prost(string, tag = "2")]
    tags: String,
    #[prost(string, tag = "3")]
    branches: String,
}

impl TaskKind {
    /// A commit.
    pub const COMMIT: Self = Self {
        prefix: "CA",
        operation: "commit",
    };
    /// A merge.
    pub const MERGE: Self = Self {
        prefix: "MA",
        operation: "merge",
    };
    /// A dump of commits, tags and branches.
    pub const DUMP_REFS: Self = Self {
        prefix: "DR",
        operation: "dump_refs",
    };
    /// A restore of such a dump.
    pub const RESTORE_REFS: Self = Self {
        prefix: "RR",
        operation: "restore_refs",
    };
}

impl Catalog {
    /// Starts a commit of a branch's staged changes and returns the task id.
    ///
    /// Progress: 1 when the tree is stored, 2 when the hooks have allowed the commit, 3 when it has landed.
    /// If the server dies, another server repeats the work. The commit lands only once.
    ///
    /// # Errors
    /// Branch not found; [`crate::Error::InvalidValue`] if message or metadata are too long;
    /// [`crate::Error::TooManyTasks`].
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = branch))]
    pub async fn submit_commit(
        &self,
        repository: &Repository,
        branch: &str,
        params: CommitParams,
    ) -> Result<String> {
        check_commit(&params.message, &params.metadata)?;
        self.reader().branch(repository, branch).await?;
        let date = params.date.unwrap_or_else(|| self.shared.clock.now());
        let work = Work::Commit(CommitWork {
            branch: branch.to_owned(),
            committer: params.committer,
            message: params.message,
            metadata: params.metadata,
            date: Some(to_timestamp(date)),
            allow_empty: params.allow_empty,
            force: params.force,
            source_metarange: params.source_metarange.map(|tree| tree.to_string()),
        });
        let branches = TaskBranches::commit(branch);
        self.submit_work(repository, TaskKind::COMMIT, work, Some(&branches))
            .await
    }

    /// Returns the status of a commit task of this branch.
    ///
    /// # Errors
    /// The same as for [`Self::task_status`]; also if the task belongs to another branch.
    pub async fn commit_status(
        &self,
        repository: &Repository,
        branch: &str,
        id: &str,
    ) -> Result<TaskStatus<Commit>> {
        let branches = TaskBranches::commit(branch);
        let status = self
            .load_status(repository, TaskKind::COMMIT, id, Some(&branches))
            .await?;
        status.map_info(|info| Ok(Commit::from_record(info)?))
    }

    /// Starts a merge and returns the task id. `source` is resolved when the work starts.
    ///
    /// Progress and takeover are the same as for [`Self::submit_commit`].
    ///
    /// # Errors
    /// Source or destination not found; [`crate::Error::InvalidValue`] if message or metadata are too long;
    /// [`crate::Error::TooManyTasks`].
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = destination))]
    pub async fn submit_merge(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
        params: MergeParams,
    ) -> Result<String> {
        check_commit(&params.message, &params.metadata)?;
        self.reader().branch(repository, destination).await?;
        self.reader().commit_id(repository, source).await?;
        let work = Work::Merge(MergeWork {
            source: source.to_owned(),
            destination: destination.to_owned(),
            committer: params.committer,
            message: params.message,
            metadata: params.metadata,
            strategy: match params.strategy {
                MergeStrategy::None => 0,
                MergeStrategy::DestWins => 1,
                MergeStrategy::SourceWins => 2,
            },
            squash: params.squash,
            force: params.force,
            allow_empty: params.allow_empty,
        });
        let branches = TaskBranches::merge(source, destination);
        self.submit_work(repository, TaskKind::MERGE, work, Some(&branches))
            .await
    }

    /// Returns the status of a merge task, whose result is the id of the new commit. `source` and `destination`
    /// must be spelled as in the request that started it.
    ///
    /// # Errors
    /// The same as for [`Self::task_status`]; also if the task belongs to other branches.
    pub async fn merge_status(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
        id: &str,
    ) -> Result<TaskStatus<CommitId>> {
        let branches = TaskBranches::merge(source, destination);
        let status = self
            .load_status(repository, TaskKind::MERGE, id, Some(&branches))
            .await?;
        status.map_info(|info| {
            let merged: MergeData = decode_result(id, info)?;
            Ok(CommitId::trusted(merged.reference))
        })
    }

    /// Starts a dump and returns the task id. Progress counts written records.
    ///
    /// # Errors
    /// [`crate::Error::TooManyTasks`]; any error of the record store.
    pub async fn submit_dump(&self, repository: &Repository) -> Result<String> {
        let work = Work::Dump(DumpWork {});
        self.submit_work(repository, TaskKind::DUMP_REFS, work, None)
            .await
    }

    /// The status of a dump task.
    ///
    /// # Errors
    /// The same as for [`Self::task_status`].
    pub async fn dump_status(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<TaskStatus<RefsDump>> {
        let status = self.task_status::<RepositoryDumpInfo>(repository, TaskKind::DUMP_REFS, id);
        status.await?.map_info(|info| {
            Ok(RefsDump {
                commits: MetaRangeId::trusted(info.commits),
                tags: MetaRangeId::trusted(info.tags),
                branches: MetaRangeId::trusted(info.branches),
            })
        })
    }

    /// Starts a restore and returns the task id. Progress counts restored records.
    ///
    /// # Errors
    /// [`crate::Error::TooManyTasks`]; any error of the record store.
    pub async fn submit_restore(
        &self,
        repository: &Repository,
        dump: &RefsDump,
        force: bool,
        actor: &str,
    ) -> Result<String> {
        let work = Work::restore(dump, force, actor);
        self.submit_work(repository, TaskKind::RESTORE_REFS, work, None)
            .await
    }

    /// The status of a restore task.
    ///
    /// # Errors
    /// The same as for [`Self::task_status`].
    pub async fn restore_status(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<TaskStatus<()>> {
        let status = self.load_status(repository, TaskKind::RESTORE_REFS, id, None);
        status.await?.map_info(|_| Ok(()))
    }

    async fn submit_work(
        &self,
        repository: &Repository,
        kind: TaskKind,
        work: Work,
        branches: Option<&TaskBranches>,
    ) -> Result<String> {
        let tasks = &self.shared.tasks;
        let ticket = tasks
            .submit(repository, kind, work.to_stored(), branches)
            .await?;
        let id = ticket.id().to_owned();
        self.run_work(ticket, repository, work);
        Ok(id)
    }

    /// Runs repeatable work as the given task.
    pub(super) fn run_work(&self, ticket: Ticket, repository: &Repository, work: Work) {
        let ticket = Arc::new(ticket);
        let (catalog, repository) = (self.clone(), repository.clone());
        match work {
            Work::Commit(work) => {
                let participant = self.participant(&ticket, Commit::to_record);
                self.run_task(ticket, TaskOperation::Commit, async move {
                    catalog.run_commit(&repository, work, &participant).await
                });
            }
            Work::Merge(work) => {
                let participant = self.participant(&ticket, |commit| {
                    let reference = commit.id.to_string();
                    Bytes::from(MergeData { reference }.encode_to_vec())
                });
                let destination = work.destination.clone();
                self.run_task(ticket, TaskOperation::Merge { destination }, async move {
                    catalog.run_merge(&repository, work, &participant).await
                });
            }
            Work::Dump(DumpWork {}) => {
                let progress = ticket.progress();
                self.run_task(ticket, TaskOperation::Other, async move {
                    let dump = catalog.dump(&repository, &progress).await?;
                    let info = RepositoryDumpInfo {
                        commits: dump.commits.to_string(),
                        tags: dump.tags.to_string(),
                        branches: dump.branches.to_string(),
                    };
                    Ok(Bytes::from(info.encode_to_vec()))
                });
            }
            Work::Restore(work) => {
                let progress = ticket.progress();
                let token = ticket.id().to_owned();
                self.run_task(ticket, TaskOperation::Other, async move {
                    let dump = RefsDump {
                        commits: MetaRangeId::trusted(work.commits),
                        tags: MetaRangeId::trusted(work.tags),
                        branches: MetaRangeId::trusted(work.branches),
                    };
                    let restore = RestoreRefs {
                        dump: &dump,
                        force: work.force,
                        actor: &work.actor,
                        token: &token,
                    };
                    catalog.restore(&repository, &restore, &progress).await?;
                    Ok(Bytes::new())
                });
            }
        }
    }

    fn participant(&self, ticket: &Arc<Ticket>, info: fn(&Commit) -> Bytes) -> TaskParticipant {
        TaskParticipant {
            tasks: Arc::clone(&self.shared.tasks),
            ticket: Arc::clone(ticket),
            info,
        }
    }

    async fn run_commit(
        &self,
        repository: &Repository,
        work: CommitWork,
        participant: &TaskParticipant,
    ) -> Result<Bytes> {
        let branch = BranchId::parse(&work.branch)?;
        let params = CommitParams {
            committer: work.committer,
            message: work.message,
            metadata: work.metadata,
            date: Some(from_timestamp_or_epoch(work.date.as_ref())),
            allow_empty: work.allow_empty,
            force: work.force,
            source_metarange: work.source_metarange.map(MetaRangeId::trusted),
        };
        let hooks = self.hooks.as_ref();
        let commit = self
            .graveler
            .commit_with(repository, &branch, params, hooks, participant)
            .await?;
        Ok(commit.to_record())
    }

    async fn run_merge(
        &self,
        repository: &Repository,
        work: MergeWork,
        participant: &TaskParticipant,
    ) -> Result<Bytes> {
        let destination = BranchId::parse(&work.destination)?;
        let params = MergeParams {
            committer: work.committer,
            message: work.message,
            metadata: work.metadata,
            strategy: match work.strategy {
                1 => MergeStrategy::DestWins,
                2 => MergeStrategy::SourceWins,
                _ => MergeStrategy::None,
            },
            squash: work.squash,
            force: work.force,
            allow_empty: work.allow_empty,
        };
        let hooks = self.hooks.as_ref();
        let merged = self
            .graveler
            .merge_with(
                repository,
                &destination,
                &work.source,
                params,
                hooks,
                participant,
            )
            .await?;
        let reference = merged.commit_id.to_string();
        Ok(Bytes::from(MergeData { reference }.encode_to_vec()))
    }
}

/// Ends a task in the batch in which its commit lands.
#[derive(Debug)]
struct TaskParticipant {
    tasks: Arc<Tasks>,
    ticket: Arc<Ticket>,
    info: fn(&Commit) -> Bytes,
}

/// The progress of commits and merges.
const TREE_STORED: u64 = 1;
const HOOKS_PASSED: u64 = 2;
const LANDED: u64 = 3;

impl CommitParticipant for TaskParticipant {
    fn ops(&self, commit: &Commit) -> Vec<kv::Op> {
        let landed = super::Progress::default();
        landed.set(LANDED);
        let outcome = Ok((self.info)(commit));
        let HeldClaim {
            claim, unchanged, ..
        } = self.ticket.held();
        self.tasks.end_ops(&claim, &unchanged, outcome, &landed)
    }

    fn on_step(&self, step: CommitStep) {
        self.ticket.progress().set(match step {
            CommitStep::Built => TREE_STORED,
            CommitStep::Judged => HOOKS_PASSED,
        });
    }
}

/// Decodes the work of a claim. Returns none if it is not repeatable, or if a later version wrote an unknown kind of
/// work.
pub(super) fn decode_work(stored: &Bytes) -> Option<Work> {
    if stored.is_empty() {
        return None;
    }
    WorkData::decode(stored.clone()).ok()?.work
}

/// Decodes the stored result of a task.
pub(super) fn decode_result<I: Message + Default>(id: &str, stored: Bytes) -> Result<I> {
    I::decode(stored).map_err(|e| Error::Corrupt {
        what: format!("result of task {id}"),
        reason: e.to_string(),
    })
}
