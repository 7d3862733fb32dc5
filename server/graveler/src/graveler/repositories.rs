//! Operations on repositories: records, metadata, branch protection and dumps.

use std::collections::BTreeMap;

use base::Page;

use crate::deletion::write_unless_deleted;
use crate::dump::{CountRecords, RefsDump, RestoreRefs};
use crate::namespaces::{NamespaceClaim, NoNamespaceClaim};
use crate::protection::Blocked;
use crate::refs::Listing;
use crate::{
    BranchId, BranchProtection, CreateRepository, Graveler, Repository, RepositoryId, Result,
};

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    // ---- repositories

    /// Creates a repository; unless it is bare, with a first commit and its default branch.
    ///
    /// # Errors
    /// [`crate::Error::NotUnique`] if the name is taken; [`crate::Error::Namespace`] if the namespace
    /// lies inside another repository's, contains it or, unless the new repository is bare, equals
    /// it; [`crate::Error::TooManyTries`].
    pub async fn create_repository(&self, request: CreateRepository) -> Result<Repository> {
        self.create_repository_with_claim(request, &NoNamespaceClaim)
            .await
    }

    /// Like [`Self::create_repository`], and claims the namespace before the repository exists.
    pub async fn create_repository_with_claim(
        &self,
        request: CreateRepository,
        claim: &dyn NamespaceClaim,
    ) -> Result<Repository> {
        self.engine.create_repository(request, claim).await
    }

    /// The repository's record, cached for a bounded time.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::InDeletion`].
    pub async fn repository(&self, id: &RepositoryId) -> Result<Repository> {
        self.engine.repository(id).await
    }

    /// Visible repositories in order of name, starting after `after` (exclusive), at most `limit`.
    /// The names start with `prefix` and contain `search`.
    pub async fn list_repositories(
        &self,
        prefix: &str,
        after: &str,
        search: &str,
        limit: usize,
        is_visible: impl Fn(&RepositoryId) -> bool + Send,
    ) -> Result<Page<Repository>> {
        let range = Listing {
            prefix,
            after,
            limit,
        };
        self.engine
            .list_repositories(range, search, is_visible)
            .await
    }

    /// Whether a repository in any state has exactly this storage namespace, in any spelling.
    pub async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        self.engine.has_namespace(namespace).await
    }

    /// Writes a batch of the caller's records unless the repository is being deleted, so that a
    /// deletion leaves nothing behind.
    ///
    /// # Errors
    /// [`crate::Error::InDeletion`], [`crate::Error::NotFound`].
    pub async fn write_unless_deleted(
        &self,
        repository: &Repository,
        ops: kv::Batch,
    ) -> Result<()> {
        write_unless_deleted(self.engine.kv.as_ref(), repository, ops).await
    }

    /// Deletes a repository's records; objects stay. Resumes a deletion that was interrupted.
    ///
    /// # Errors
    /// [`crate::Error::ReadOnly`] without `force`.
    pub async fn delete_repository(&self, id: &RepositoryId, force: bool) -> Result<()> {
        self.engine.delete_repository(id, force).await
    }

    /// Resumes at most `limit` interrupted deletions and returns how many it finished. Safe to run
    /// concurrently on several servers and alongside deletions in progress.
    pub async fn finish_deletions(&self, limit: usize) -> Result<usize> {
        self.engine.finish_deletions(limit).await
    }

    /// All metadata of a repository.
    pub async fn repository_metadata(
        &self,
        repository: &Repository,
    ) -> Result<BTreeMap<String, String>> {
        self.engine.repository_metadata(repository).await
    }

    /// Sets some metadata keys and leaves the others.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`] if all keys and values together would exceed `max_bytes`;
    /// [`crate::Error::TooManyTries`] if other servers keep changing the metadata.
    pub async fn set_repository_metadata(
        &self,
        repository: &Repository,
        set: BTreeMap<String, String>,
        max_bytes: usize,
    ) -> Result<()> {
        self.engine
            .change_repository_metadata(repository, |metadata| {
                metadata.extend(set.clone());
                let bytes: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
                if bytes > max_bytes {
                    return Err(crate::Error::InvalidValue(format!(
                        "repository metadata would have {bytes} bytes; at most {max_bytes} are allowed"
                    )));
                }
                Ok(())
            })
            .await
    }

    /// Deletes some metadata keys. Missing keys are not an error.
    pub async fn delete_repository_metadata(
        &self,
        repository: &Repository,
        keys: &[String],
    ) -> Result<()> {
        self.engine
            .change_repository_metadata(repository, |metadata| {
                metadata.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await
    }

    // ---- branch protection

    /// The current rules, not cached.
    pub async fn branch_protection(&self, repository: &Repository) -> Result<BranchProtection> {
        self.engine.protection.rules(repository).await
    }

    /// Replaces the rules; with a tag, only if they are still the rules of that tag. They apply on
    /// this server at once, on others within a second.
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
        let protection = &self.engine.protection;
        protection.replace(repository, patterns, if_tag).await
    }

    /// Adds one rule.
    ///
    /// # Errors
    /// [`crate::Error::NotUnique`] if it exists; [`crate::Error::TooManyTries`] if other servers keep
    /// changing the rules.
    pub async fn add_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        let _turn = self.engine.protection_turn(repository).await?;
        self.engine.protection.add(repository, pattern).await
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
        let _turn = self.engine.protection_turn(repository).await?;
        self.engine.protection.remove(repository, pattern).await
    }

    /// Checks early that the branch takes writes, for callers that do work before they write.
    ///
    /// # Errors
    /// [`crate::Error::Protected`].
    pub async fn check_unprotected(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<()> {
        let protection = &self.engine.protection;
        protection
            .check(repository, branch, Blocked::StagingWrite)
            .await
    }

    // ---- dumps

    /// Writes all commits, tags and branches into the storage namespace; uncommitted changes are not
    /// included. Calls `count` as records are written.
    pub async fn dump_refs(
        &self,
        repository: &Repository,
        count: CountRecords<'_>,
    ) -> Result<RefsDump> {
        self.engine.dump_refs(repository, count).await
    }

    /// Fills a bare repository from a dump in its storage namespace. Every commit's id is recomputed
    /// and checked. Repeating an interrupted restore resumes it.
    ///
    /// # Errors
    /// [`crate::Error::NotBare`] if the repository is not bare; [`crate::Error::InvalidValue`] if the
    /// dump is inconsistent. Nothing is written then.
    pub async fn restore_refs(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
        count: CountRecords<'_>,
    ) -> Result<()> {
        self.engine.restore_refs(repository, restore, count).await
    }
}
