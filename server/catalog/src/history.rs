//! Changes of a branch beside commits and merges: revert, cherry-pick, resets, and commits taken in as records.

use std::collections::BTreeMap;

use graveler::{BranchId, CherryPickParams, Commit, Repository, ResetScope, RevertParams};
use tracing::{info, instrument};

use crate::limits::check_commit;
use crate::{Catalog, Result};

impl Catalog {
    /// Takes back on a branch what the commit that `reference` points to changed, in a new commit.
    ///
    /// # Errors
    /// Conflicts; uncommitted changes; a merge without a parent's number; no changes; refused by a hook.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = branch))]
    pub async fn revert(
        &self,
        repository: &Repository,
        branch: &str,
        reference: &str,
        params: RevertParams,
    ) -> Result<Commit> {
        let branch = BranchId::parse(branch)?;
        check_commit(&params.message, &params.metadata)?;
        let (catalog, repository) = (self.clone(), repository.clone());
        let reference = reference.to_owned();
        self.see_through(async move {
            let hooks = catalog.hooks.as_ref();
            let commit = catalog
                .graveler
                .revert(&repository, &branch, &reference, params, hooks)
                .await?;
            info!(commit.id = %commit.id, "reverted {reference} on {branch} as {}", commit.id);
            Ok(commit)
        })
        .await
    }

    /// Makes on a branch the change of the commit that `reference` points to, in a new commit.
    ///
    /// # Errors
    /// Conflicts; uncommitted changes; a merge without a parent's number; refused by a hook.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = branch))]
    pub async fn cherry_pick(
        &self,
        repository: &Repository,
        branch: &str,
        reference: &str,
        params: CherryPickParams,
    ) -> Result<Commit> {
        let branch = BranchId::parse(branch)?;
        check_commit(
            params.message.as_deref().unwrap_or_default(),
            params.metadata.as_ref().unwrap_or(&BTreeMap::new()),
        )?;
        let (catalog, repository) = (self.clone(), repository.clone());
        let reference = reference.to_owned();
        self.see_through(async move {
            let hooks = catalog.hooks.as_ref();
            let commit = catalog
                .graveler
                .cherry_pick(&repository, &branch, &reference, params, hooks)
                .await?;
            info!(commit.id = %commit.id, "picked {reference} onto {branch} as {}", commit.id);
            Ok(commit)
        })
        .await
    }

    /// Throws away uncommitted changes of a branch; what is not staged is no error.
    ///
    /// # Errors
    /// Not found; protected.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = branch))]
    pub async fn reset_branch(
        &self,
        repository: &Repository,
        branch: &str,
        scope: ResetScope,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        let branch = BranchId::parse(branch)?;
        let (catalog, repository, actor) = (self.clone(), repository.clone(), actor.to_owned());
        self.see_through(async move {
            catalog
                .graveler
                .reset(&repository, &branch, scope, force, &actor)
                .await?;
            info!("reset uncommitted changes of {branch}");
            Ok(())
        })
        .await
    }

    /// Moves a branch's head to the commit that `reference` points to. Uncommitted changes
    /// stay, over the new head.
    ///
    /// # Errors
    /// Not found; protected.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = branch))]
    pub async fn hard_reset_branch(
        &self,
        repository: &Repository,
        branch: &str,
        reference: &str,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        let branch = BranchId::parse(branch)?;
        let (catalog, repository) = (self.clone(), repository.clone());
        let (reference, actor) = (reference.to_owned(), actor.to_owned());
        self.see_through(async move {
            catalog
                .graveler
                .hard_reset(&repository, &branch, &reference, force, &actor)
                .await?;
            info!("moved the head of {branch} to {reference}");
            Ok(())
        })
        .await
    }

    /// Records a commit that was made elsewhere. No branch moves.
    ///
    /// # Errors
    /// An id that is not that of the content; a parent or tree that is not here; recorded already.
    #[instrument(skip_all, fields(repo.id = %repository.id, commit.id = %commit.id))]
    pub async fn create_commit_record(
        &self,
        repository: &Repository,
        commit: &Commit,
        force: bool,
    ) -> Result<()> {
        check_commit(&commit.message, &commit.metadata)?;
        Ok(self
            .graveler
            .create_commit_record(repository, commit, force)
            .await?)
    }
}
