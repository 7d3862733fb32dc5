//! Work that can be done again: what a claim tells whoever takes a task over.
//!
//! Commits and merges land in one batch with their task's end, so doing one again cannot make a
//! second commit: the batch of the first server fails if its claim is taken, and the work is
//! not begun again once it landed. Dumps and restores may simply be repeated.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use graveler::{
    BranchId, Commit, CommitId, CommitParams, CommitParticipant, CommitStep, MergeParams,
    MergeStrategy, MetaRangeId, RefsDump, Repository, RestoreRefs,
};
use prost::Message;
use prost_types::Timestamp;
use tracing::instrument;

use super::records::{TaskBranches, instant, timestamp};
use super::registry::{Held, Tasks, Ticket};
use super::{Doing, TaskKind, TaskStatus, result_of};
use crate::limits::check_commit;
use crate::{Catalog, Result};

/// What a claim holds.
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
    /// The work as a claim holds it.
    pub(super) fn recipe(&self) -> Bytes {
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
    /// The time of the commit, however late it is made.
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
    /// Who asked: told by the reflog.
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
    /// Starts a commit of a branch's staged changes and gives the id of its task.
    ///
    /// Progress: 1 when the tree is stored, 2 when hooks allowed it, 3 when it landed. If the
    /// server dies, another does it again; it lands once.
    ///
    /// # Errors
    /// Branch not found; [`crate::Error::InvalidValue`] for too long a message or metadata; [`crate::Error::TooManyTasks`].
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = branch))]
    pub async fn submit_commit(
        &self,
        repository: &Repository,
        branch: &str,
        params: CommitParams,
    ) -> Result<String> {
        check_commit(&params.message, &params.metadata)?;
        self.branch(repository, branch).await?;
        let date = params.date.unwrap_or_else(|| self.shared.clock.now());
        let work = Work::Commit(CommitWork {
            branch: branch.to_owned(),
            committer: params.committer,
            message: params.message,
            metadata: params.metadata,
            date: Some(timestamp(date)),
            allow_empty: params.allow_empty,
            force: params.force,
            source_metarange: params.source_metarange.map(|tree| tree.to_string()),
        });
        let of = TaskBranches::commit(branch);
        self.submit_work(repository, TaskKind::COMMIT, work, Some(&of))
            .await
    }

    /// Where the task of a commit of this branch stands.
    ///
    /// # Errors
    /// As of [`Self::task_status`]; also if the task is of another branch.
    pub async fn commit_status(
        &self,
        repository: &Repository,
        branch: &str,
        id: &str,
    ) -> Result<TaskStatus<Commit>> {
        let of = TaskBranches::commit(branch);
        let status = self
            .task_outcome(repository, TaskKind::COMMIT, id, Some(&of))
            .await?;
        status.map_info(|info| Ok(Commit::from_record(info)?))
    }

    /// Starts a merge of what `source` points to when it begins, and gives the id of its task.
    ///
    /// Progress and the death of the server: as of [`Self::submit_commit`].
    ///
    /// # Errors
    /// Source or destination not found; [`crate::Error::InvalidValue`] for too long a message or metadata;
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
        self.branch(repository, destination).await?;
        self.commit_id(repository, source).await?;
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
        let of = TaskBranches::merge(source, destination);
        self.submit_work(repository, TaskKind::MERGE, work, Some(&of))
            .await
    }

    /// Where the task of a merge of these two stands, named as when it was started; its result is
    /// the new commit's id.
    ///
    /// # Errors
    /// As of [`Self::task_status`]; also if the task is of others.
    pub async fn merge_status(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
        id: &str,
    ) -> Result<TaskStatus<CommitId>> {
        let of = TaskBranches::merge(source, destination);
        let status = self
            .task_outcome(repository, TaskKind::MERGE, id, Some(&of))
            .await?;
        status.map_info(|info| {
            let merged: MergeData = result_of(id, info)?;
            Ok(CommitId::trusted(merged.reference))
        })
    }

    /// Starts a dump and gives the id of its task. Progress: records written.
    ///
    /// # Errors
    /// [`crate::Error::TooManyTasks`]; the record store's.
    pub async fn submit_dump(&self, repository: &Repository) -> Result<String> {
        let work = Work::Dump(DumpWork {});
        self.submit_work(repository, TaskKind::DUMP_REFS, work, None)
            .await
    }

    /// Where a dump's task stands.
    ///
    /// # Errors
    /// As of [`Self::task_status`].
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

    /// Starts a restore and gives the id of its task. Progress: records restored.
    ///
    /// # Errors
    /// [`crate::Error::TooManyTasks`]; the record store's.
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

    /// Where a restore's task stands.
    ///
    /// # Errors
    /// As of [`Self::task_status`].
    pub async fn restore_status(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<TaskStatus<()>> {
        let status = self.task_outcome(repository, TaskKind::RESTORE_REFS, id, None);
        status.await?.map_info(|_| Ok(()))
    }

    async fn submit_work(
        &self,
        repository: &Repository,
        kind: TaskKind,
        work: Work,
        of: Option<&TaskBranches>,
    ) -> Result<String> {
        let tasks = &self.shared.tasks;
        let ticket = tasks.submit(repository, kind, work.recipe(), of).await?;
        let id = ticket.id().to_owned();
        self.do_work(ticket, repository, work);
        Ok(id)
    }

    /// Works on a task that can be done again.
    pub(super) fn do_work(&self, ticket: Ticket, repository: &Repository, work: Work) {
        let ticket = Arc::new(ticket);
        let (catalog, repository) = (self.clone(), repository.clone());
        match work {
            Work::Commit(work) => {
                let receipt = self.receipt(&ticket, Commit::to_record);
                self.run_task(ticket, Doing::Commit, async move {
                    catalog.do_commit(&repository, work, &receipt).await
                });
            }
            Work::Merge(work) => {
                let receipt = self.receipt(&ticket, |commit| {
                    let reference = commit.id.to_string();
                    Bytes::from(MergeData { reference }.encode_to_vec())
                });
                let destination = work.destination.clone();
                self.run_task(ticket, Doing::Merge { destination }, async move {
                    catalog.do_merge(&repository, work, &receipt).await
                });
            }
            Work::Dump(DumpWork {}) => {
                let progress = ticket.progress();
                self.run_task(ticket, Doing::Other, async move {
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
                self.run_task(ticket, Doing::Other, async move {
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

    fn receipt(&self, ticket: &Arc<Ticket>, info: fn(&Commit) -> Bytes) -> TaskParticipant {
        TaskParticipant {
            tasks: Arc::clone(&self.shared.tasks),
            ticket: Arc::clone(ticket),
            info,
        }
    }

    async fn do_commit(
        &self,
        repository: &Repository,
        work: CommitWork,
        receipt: &TaskParticipant,
    ) -> Result<Bytes> {
        let branch = BranchId::parse(&work.branch)?;
        let params = CommitParams {
            committer: work.committer,
            message: work.message,
            metadata: work.metadata,
            date: Some(instant(work.date.as_ref())),
            allow_empty: work.allow_empty,
            force: work.force,
            source_metarange: work.source_metarange.map(MetaRangeId::trusted),
        };
        let hooks = self.hooks.as_ref();
        let commit = self
            .graveler
            .commit_with(repository, &branch, params, hooks, receipt)
            .await?;
        Ok(commit.to_record())
    }

    async fn do_merge(
        &self,
        repository: &Repository,
        work: MergeWork,
        receipt: &TaskParticipant,
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
                receipt,
            )
            .await?;
        let reference = merged.commit_id.to_string();
        Ok(Bytes::from(MergeData { reference }.encode_to_vec()))
    }
}

/// Ends a task in the batch that its commit lands in.
#[derive(Debug)]
struct TaskParticipant {
    tasks: Arc<Tasks>,
    ticket: Arc<Ticket>,
    info: fn(&Commit) -> Bytes,
}

/// What [`super::Progress`] of a commit or merge tells.
const BUILT: u64 = 1;
const JUDGED: u64 = 2;
const LANDED: u64 = 3;

impl CommitParticipant for TaskParticipant {
    fn ops(&self, commit: &Commit) -> Vec<kv::Op> {
        let landed = super::Progress::default();
        landed.set(LANDED);
        let outcome = Ok((self.info)(commit));
        let Held {
            claim, unchanged, ..
        } = self.ticket.held();
        self.tasks.ending(&claim, &unchanged, outcome, &landed)
    }

    fn on_step(&self, step: CommitStep) {
        self.ticket.progress().set(match step {
            CommitStep::Built => BUILT,
            CommitStep::Judged => JUDGED,
        });
    }
}

/// What a claim says is to be done; none if it cannot be done again, or a later version wrote it.
pub(super) fn work_of(recipe: &Bytes) -> Option<Work> {
    if recipe.is_empty() {
        return None;
    }
    WorkData::decode(recipe.clone()).ok()?.work
}
