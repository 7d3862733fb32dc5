//! Reverts, cherry-picks and resets of branches, and commit records without a branch.

use std::collections::BTreeMap;

use graveler::{BranchId, CherryPickParams, Commit, Repository, ResetScope, RevertParams};
use tracing::{info, instrument};

use crate::limits::check_commit;
use crate::{Catalog, Result};

impl Catalog {
    /// Reverts the commit that `reference` resolves to, with a new commit on the branch.
    ///
    /// # Errors
    /// Conflicts; uncommitted changes; a merge commit without a parent number; no changes; refused by a hook.
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
        self.run_detached(async move {
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

    /// Applies the changes of the commit that `reference` resolves to, with a new commit on the branch.
    ///
    /// # Errors
    /// Conflicts; uncommitted changes; a merge commit without a parent number; refused by a hook.
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
        self.run_detached(async move {
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

    /// Drops uncommitted changes of a branch. Paths without uncommitted changes are not an error.
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
        self.run_detached(async move {
            catalog
                .graveler
                .reset(&repository, &branch, scope, force, &actor)
                .await?;
            info!("reset uncommitted changes of {branch}");
            Ok(())
        })
        .await
    }

    /// Moves a branch's head to the commit that `reference` resolves to. Uncommitted changes stay and apply to the new
    /// head.
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
        self.run_detached(async move {
            catalog
                .graveler
                .hard_reset(&repository, &branch, &reference, force, &actor)
                .await?;
            info!("moved the head of {branch} to {reference}");
            Ok(())
        })
        .await
    }

    /// Records a commit that was created elsewhere. No branch moves.
    ///
    /// # Errors
    /// The id does not match the content; a parent or the tree does not exist here; the commit exists already.
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
