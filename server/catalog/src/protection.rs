//! Branch protection rules. The engine enforces them for every kind of write.

use graveler::{BranchProtection, Repository};
use tracing::{info, instrument};

use crate::{Catalog, Reader, Result};

impl Reader {
    /// Returns the rules of a repository and their `ETag`.
    ///
    /// # Errors
    /// Any error of the record store.
    pub async fn branch_protection(&self, repository: &Repository) -> Result<BranchProtection> {
        Ok(self.graveler.branch_protection(repository).await?)
    }
}

impl Catalog {
    /// Replaces the rules. With `if_tag`, replaces them only if they have this `ETag`.
    ///
    /// # Errors
    /// A malformed pattern; the rules changed; read-only.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn set_branch_protection(
        &self,
        repository: &Repository,
        patterns: &[String],
        if_tag: Option<&str>,
    ) -> Result<()> {
        self.graveler
            .set_branch_protection(repository, patterns, if_tag)
            .await?;
        info!(repo.id = %repository.id, "set branch protection of {}: {patterns:?}", repository.id);
        Ok(())
    }

    /// Adds one rule.
    ///
    /// # Errors
    /// A malformed pattern; the rule exists already; read-only.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn add_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        self.graveler
            .add_protected_pattern(repository, pattern)
            .await?;
        info!(repo.id = %repository.id, "protected branches {pattern:?} of {}", repository.id);
        Ok(())
    }

    /// Removes one rule.
    ///
    /// # Errors
    /// The rule does not exist; read-only.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn remove_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        self.graveler
            .remove_protected_pattern(repository, pattern)
            .await?;
        info!(repo.id = %repository.id, "unprotected branches {pattern:?} of {}", repository.id);
        Ok(())
    }
}
