//! The writing half of the service: `Catalog` and its operations on branches, tags, commits and merges.
//!
//! Repositories, objects and multipart uploads have their own modules. Each operation that
//! hooks may refuse passes [`Hooks`] to the engine, which runs them.
//!
//! Every such operation runs in a detached task ([`Catalog::run_detached`]). A client that
//! disconnects therefore cannot cancel it between the change and its post hooks.

use std::future::Future;
use std::sync::Arc;

use base::{Clock, IdGenerator, joined};
use block::BlockStore;
use graveler::{
    Branch, BranchId, Commit, CommitParams, Graveler, Hooks, MergeOutcome, MergeParams, RefKind,
    Repository, ResolvedRef, Tag, TagId,
};
use tokio::sync::Semaphore;
use tracing::{Instrument as _, info, instrument};

use crate::addresses::Addresses;
use crate::limits::check_commit;
use crate::pending::Pending;
use crate::tasks::{DescribeFailure, Tasks, describe_by_message};
use crate::{Error, InternalFiles, Reader, Result};

/// Maximum number of changes that one server runs detached from their requests. Clients cannot exceed it by
/// disconnecting.
pub const MAX_DETACHED_CHANGES: usize = 4_096;
/// Maximum number of dumps, restores and additions of sample data that one server runs detached from their requests.
/// Each reads or writes a whole repository, without a time limit. Tasks do not count.
pub const MAX_DETACHED_REPOSITORY_CHANGES: usize = 16;

/// The write operations. [`Catalog::reader`] has the read operations. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    reader: Reader,
    pub(crate) graveler: Graveler,
    pub(crate) block: Arc<dyn BlockStore>,
    pub(crate) internal_files: InternalFiles,
    pub(crate) shared: Arc<Shared>,
    pub(crate) hooks: Arc<dyn Hooks>,
    /// Converts the failure of a task to the form stored in the task's record.
    pub(crate) describe: DescribeFailure,
}

/// The dependencies of write operations.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kv: Arc<dyn kv::Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGenerator>,
    pub(crate) addresses: Addresses,
    /// Counts the detached changes that are still running.
    pub(crate) pending: Pending,
    pub(crate) detached: Arc<Semaphore>,
    pub(crate) detached_of_repositories: Arc<Semaphore>,
    pub(crate) tasks: Arc<Tasks>,
}

impl Catalog {
    /// Creates the service. `kv` must be the same store that the reader's engine uses.
    #[must_use]
    pub fn new(
        reader: Reader,
        kv: Arc<dyn kv::Store>,
        hooks: Arc<dyn Hooks>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        let graveler = reader.graveler.clone();
        let block = Arc::clone(&reader.block);
        let tasks = Tasks::new(
            graveler.clone(),
            Arc::clone(&kv),
            Arc::clone(&clock),
            Arc::clone(&ids),
        );
        let addresses = Addresses::new(Arc::clone(&clock), Arc::clone(&ids));
        Self {
            reader,
            graveler,
            internal_files: InternalFiles::new(Arc::clone(&block)),
            block,
            shared: Arc::new(Shared {
                kv,
                clock,
                ids,
                addresses,
                pending: Pending::default(),
                detached: Arc::new(Semaphore::new(MAX_DETACHED_CHANGES)),
                detached_of_repositories: Arc::new(Semaphore::new(MAX_DETACHED_REPOSITORY_CHANGES)),
                tasks: Arc::new(tasks),
            }),
            hooks,
            describe: describe_by_message,
        }
    }

    /// The read operations.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Returns the same service with `describe` as the way to describe failed tasks.
    #[must_use]
    pub fn describe_failures_with(self, describe: DescribeFailure) -> Self {
        Self { describe, ..self }
    }

    /// Creates a branch at the commit that `source` resolves to.
    ///
    /// # Errors
    /// Name taken or invalid; source not found; refused by a hook.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = id))]
    pub async fn create_branch(
        &self,
        repository: &Repository,
        id: &str,
        source: &str,
        hidden: bool,
        force: bool,
        actor: &str,
    ) -> Result<Branch> {
        let id = BranchId::parse(id)?;
        let (catalog, repository) = (self.clone(), repository.clone());
        let (source, actor) = (source.to_owned(), actor.to_owned());
        self.run_detached(async move {
            let hooks = catalog.hooks.as_ref();
            Ok(catalog
                .graveler
                .create_branch(&repository, &id, &source, hidden, force, &actor, hooks)
                .await?)
        })
        .await
    }

    /// Deletes a branch with its uncommitted changes; its commits stay.
    ///
    /// # Errors
    /// Not found; the default branch; refused by a hook.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = id))]
    pub async fn delete_branch(
        &self,
        repository: &Repository,
        id: &str,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        let id = BranchId::parse(id)?;
        let (catalog, repository, actor) = (self.clone(), repository.clone(), actor.to_owned());
        self.run_detached(async move {
            let hooks = catalog.hooks.as_ref();
            Ok(catalog
                .graveler
                .delete_branch(&repository, &id, force, &actor, hooks)
                .await?)
        })
        .await
    }

    /// Tags the commit that `reference` resolves to.
    ///
    /// # Errors
    /// Name taken or invalid; reference not found; refused by a hook.
    #[instrument(skip_all, fields(repo.id = %repository.id, tag.id = id))]
    pub async fn create_tag(
        &self,
        repository: &Repository,
        id: &str,
        reference: &str,
        force: bool,
        actor: &str,
    ) -> Result<Tag> {
        let id = TagId::parse(id)?;
        let (catalog, repository) = (self.clone(), repository.clone());
        let (reference, actor) = (reference.to_owned(), actor.to_owned());
        self.run_detached(async move {
            let hooks = catalog.hooks.as_ref();
            Ok(catalog
                .graveler
                .create_tag(&repository, &id, &reference, force, &actor, hooks)
                .await?)
        })
        .await
    }

    /// Deletes a tag.
    ///
    /// # Errors
    /// Not found; refused by a hook.
    #[instrument(skip_all, fields(repo.id = %repository.id, tag.id = id))]
    pub async fn delete_tag(
        &self,
        repository: &Repository,
        id: &str,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        let id = TagId::parse(id)?;
        let (catalog, repository, actor) = (self.clone(), repository.clone(), actor.to_owned());
        self.run_detached(async move {
            let hooks = catalog.hooks.as_ref();
            Ok(catalog
                .graveler
                .delete_tag(&repository, &id, force, &actor, hooks)
                .await?)
        })
        .await
    }

    /// Commits a branch's staged changes.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`] if the message or metadata is too long; no changes; protected;
    /// refused by a hook.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = branch))]
    pub async fn commit_branch(
        &self,
        repository: &Repository,
        branch: &str,
        params: CommitParams,
    ) -> Result<Commit> {
        let branch = BranchId::parse(branch)?;
        check_commit(&params.message, &params.metadata)?;
        let (catalog, repository) = (self.clone(), repository.clone());
        self.run_detached(async move {
            let hooks = catalog.hooks.as_ref();
            let commit = catalog
                .graveler
                .commit(&repository, &branch, params, hooks)
                .await?;
            info!(commit.id = %commit.id, "committed {} to {branch}", commit.id);
            Ok(commit)
        })
        .await
    }

    /// Merges the commit that `source` resolves to into a branch.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`] if the message or metadata is too long; conflicts; uncommitted changes in the
    /// destination; no changes; refused by a hook.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = destination))]
    pub async fn merge(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
        params: MergeParams,
    ) -> Result<MergeOutcome> {
        let destination = BranchId::parse(destination)?;
        check_commit(&params.message, &params.metadata)?;
        let (catalog, repository, source) = (self.clone(), repository.clone(), source.to_owned());
        self.run_detached(async move {
            let hooks = catalog.hooks.as_ref();
            let outcome = catalog
                .graveler
                .merge(&repository, &destination, &source, params, hooks)
                .await?;
            info!(commit.id = %outcome.commit_id, "merged {source} into {destination} as {}", outcome.commit_id);
            Ok(outcome)
        })
        .await
    }

    /// Stops starting tasks and waits until all detached changes have ended. Call it after the last request was
    /// accepted. Other servers take over the tasks that are still queued here.
    pub async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.pending.wait_until_idle().await;
    }

    /// Runs a change to completion even if the caller is cancelled.
    ///
    /// # Errors
    /// [`Error::TooManyChanges`] if [`MAX_DETACHED_CHANGES`] are running; otherwise any error of the change.
    pub(crate) async fn run_detached<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.run_limited(&self.shared.detached, change).await
    }

    /// Runs a change that reads or writes a whole repository, like [`Self::run_detached`].
    ///
    /// # Errors
    /// [`Error::TooManyChanges`] if [`MAX_DETACHED_REPOSITORY_CHANGES`] are running; otherwise any error of the change.
    pub(crate) async fn run_repository_change<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let limit = &self.shared.detached_of_repositories;
        self.run_limited(limit, change).await
    }

    async fn run_limited<T: Send + 'static>(
        &self,
        limit: &Arc<Semaphore>,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(limit)
            .try_acquire_owned()
            .map_err(|_| Error::TooManyChanges)?;
        let change = async move {
            let _permit = permit;
            change.await
        };
        let change = graveler::nesting::inherit_depth(self.shared.pending.count(change));
        joined(tokio::spawn(change.in_current_span())).await
    }
}

/// Converts a branch to the reference that reads use: its staged changes over its head.
pub(crate) fn resolved(branch: Branch) -> ResolvedRef {
    ResolvedRef {
        kind: RefKind::Branch,
        commit_id: branch.record.commit_id.clone(),
        branch: Some(branch),
    }
}
