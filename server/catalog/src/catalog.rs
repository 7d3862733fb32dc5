//! The writing half: reads, and the operations that change something.
//!
//! References are here; repositories, objects and multipart uploads have modules
//! of their own. Judging by hooks is the engine's: it is handed [`Hooks`] with
//! each operation that they may refuse.
//!
//! What hooks hear of runs in a task of its own: a client that hangs up cannot
//! stop it between the change and the hooks that are to be told of it.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use base::{Clock, IdGenerator};
use graveler::{
    Branch, BranchId, Commit, CommitParams, Hooks, MergeOutcome, MergeParams, RefKind, Repository,
    ResolvedRef, Tag, TagId,
};
use tracing::{Instrument as _, info, instrument};

use crate::limits::check_commit;
use crate::pending::Pending;
use crate::tasks::{DescribeFailure, Tasks, describe_plainly};
use crate::upload::Addresses;
use crate::{Reader, Result};

/// Everything that can be done. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    reader: Reader,
    pub(crate) shared: Arc<Shared>,
    pub(crate) hooks: Arc<dyn Hooks>,
    /// How the failure of a task is put into its record.
    pub(crate) describe: DescribeFailure,
}

/// What writing needs besides reading.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kv: Arc<dyn kv::Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGenerator>,
    pub(crate) addresses: Addresses,
    /// Changes that are seen through.
    pub(crate) pending: Pending,
    pub(crate) tasks: Arc<Tasks>,
}

impl Deref for Catalog {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Catalog {
    /// Puts the service together. `kv` is the store of the reader's engine.
    #[must_use]
    pub fn new(
        reader: Reader,
        kv: Arc<dyn kv::Store>,
        hooks: Arc<dyn Hooks>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        let graveler = reader.graveler.clone();
        let tasks = Tasks::new(
            graveler,
            Arc::clone(&kv),
            Arc::clone(&clock),
            Arc::clone(&ids),
        );
        let addresses = Addresses::new(Arc::clone(&clock), Arc::clone(&ids));
        Self {
            reader,
            shared: Arc::new(Shared {
                kv,
                clock,
                ids,
                addresses,
                pending: Pending::default(),
                tasks: Arc::new(tasks),
            }),
            hooks,
            describe: describe_plainly,
        }
    }

    /// The same service, whose tasks tell of failures in the words and with the status of `describe`.
    #[must_use]
    pub fn describing_failures(self, describe: DescribeFailure) -> Self {
        Self { describe, ..self }
    }

    /// Creates a branch at what `source` points to.
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
        self.see_through(async move {
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
        self.see_through(async move {
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
        self.see_through(async move {
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
        self.see_through(async move {
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
    /// [`crate::Error::InvalidValue`] for too long a message or metadata; no changes; protected;
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
        self.see_through(async move {
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

    /// Merges what `source` points to into a branch.
    ///
    /// # Errors
    /// Conflicts; uncommitted changes in the destination; no changes; refused by a hook.
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
        self.see_through(async move {
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

    /// Waits for changes that go on after their clients are gone, to be called when no more come.
    /// Tasks that have not begun yet do not begin any more.
    pub async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.pending.none().await;
    }

    /// Runs a change to its end, also when whoever waits for it goes away.
    ///
    /// Such tasks are bounded by the places in the branches' queues.
    pub(crate) async fn see_through<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let change = graveler::nesting::inherit_depth(self.shared.pending.count(change));
        match tokio::spawn(change.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down, and whoever waits here with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// A branch as reads take it: staged changes over the head.
pub(crate) fn resolved(branch: Branch) -> ResolvedRef {
    ResolvedRef {
        kind: RefKind::Branch,
        commit_id: branch.record.commit_id.clone(),
        branch: Some(branch),
    }
}
