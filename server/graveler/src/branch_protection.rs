//! Operations on the branch protection rules of a repository.

use crate::protection::{Blocked, rules_of};
use crate::queue::ChangePermit;
use crate::records::PROTECTED_BRANCHES;
use crate::{BranchId, BranchProtection, Graveler, Repository, Result};

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// The current rules, not cached.
    pub async fn branch_protection(&self, repository: &Repository) -> Result<BranchProtection> {
        self.protection.rules(repository).await
    }

    /// Replaces the rules. With `if_tag`, only if the current rules still have that tag. The new
    /// rules apply on this server at once, on others within a second.
    ///
    /// # Errors
    /// [`crate::Error::Stale`] if the tag is outdated, [`crate::Error::InvalidValue`] for malformed
    /// patterns.
    pub async fn set_branch_protection(
        &self,
        repository: &Repository,
        patterns: &[String],
        if_tag: Option<&str>,
    ) -> Result<()> {
        let protection = &self.protection;
        protection.replace(repository, patterns, if_tag).await
    }

    /// Adds one rule.
    ///
    /// # Errors
    /// [`crate::Error::NotUnique`] if it exists; [`crate::Error::TooManyTries`] if other servers
    /// keep changing the rules.
    pub async fn add_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        let _permit = self.protection_permit(repository).await?;
        self.protection.add(repository, pattern).await
    }

    /// Removes one rule.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if it does not exist; [`crate::Error::TooManyTries`] if other
    /// servers keep changing the rules.
    pub async fn remove_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        let _permit = self.protection_permit(repository).await?;
        self.protection.remove(repository, pattern).await
    }

    /// Checks that no rule blocks staged writes to the branch, for callers that do much work before
    /// they write.
    ///
    /// # Errors
    /// [`crate::Error::Protected`].
    pub async fn check_unprotected(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<()> {
        let protection = &self.protection;
        protection
            .check(repository, branch, Blocked::StagingWrite)
            .await
    }

    /// Waits for this server's permit to change the branch protection rules of a repository.
    async fn protection_permit(&self, repository: &Repository) -> Result<ChangePermit> {
        let (partition, what) = (repository.partition(), rules_of(repository));
        self.queue
            .acquire_for_record(partition, PROTECTED_BRANCHES, &what)
            .await
    }
}
