//! Repositories, their metadata and rules, and their dumps.

use std::collections::BTreeMap;

use base::Page;

use crate::deletion::write_unless_deleted;
use crate::dump::{CountRecords, RefsDump, RestoreRefs};
use crate::namespaces::{Claim, NoClaim};
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

    /// Creates a repository; unless bare, with a first commit and its default branch.
    /// [`crate::Error::NotUnique`] if the name is taken, [`crate::Error::Namespace`] if the namespace is inside of
    /// another's, around it or, unless bare, the same; [`crate::Error::TooManyTries`].
    pub async fn create_repository(&self, request: CreateRepository) -> Result<Repository> {
        self.create_repository_claiming(request, &NoClaim).await
    }

    /// As [`Self::create_repository`], with what the caller does to the namespace before.
    pub async fn create_repository_claiming(
        &self,
        request: CreateRepository,
        claim: &dyn Claim,
    ) -> Result<Repository> {
        self.engine.create_repository(request, claim).await
    }

    /// Served from a cache for a bounded time. [`crate::Error::InDeletion`] while it is being deleted.
    pub async fn repository(&self, id: &RepositoryId) -> Result<Repository> {
        self.engine.repository(id).await
    }

    /// Repositories by name from `after` (exclusive), `limit` at most, with names that start with `prefix` and contain
    /// `search`, of those that `is_visible` tells of.
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

    /// Whether a repository, in whatever state, has exactly this storage namespace, however it is spelled.
    pub async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        self.engine.has_namespace(namespace).await
    }

    /// Writes records of the caller's own, all or nothing, unless the repository is being deleted
    /// ([`crate::Error::InDeletion`]): so nothing is left behind in what is gone.
    pub async fn write_unless_deleted(
        &self,
        repository: &Repository,
        ops: kv::Batch,
    ) -> Result<()> {
        write_unless_deleted(self.engine.kv.as_ref(), repository, ops).await
    }

    /// Removes a repository's records; objects stay. Goes on with a deletion that was
    /// cut short. [`crate::Error::ReadOnly`] without `force`.
    pub async fn delete_repository(&self, id: &RepositoryId, force: bool) -> Result<()> {
        self.engine.delete_repository(id, force).await
    }

    /// Goes on with deletions that were cut short, `limit` of them at most, and gives their number.
    /// Other servers may do the same, and may be deleting just now.
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

    /// Sets some keys of the metadata, leaving the others. [`crate::Error::InvalidValue`] if all of it
    /// would then have more than `max_bytes`, keys and values; [`crate::Error::TooManyTries`] if other servers
    /// keep changing it.
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
                        "repository metadata would have {bytes} bytes, and has at most {max_bytes}"
                    )));
                }
                Ok(())
            })
            .await
    }

    /// Deletes some keys of the metadata; those that are not there are no error.
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

    /// The rules as they are now.
    pub async fn branch_protection(&self, repository: &Repository) -> Result<BranchProtection> {
        self.engine.protection.rules(repository).await
    }

    /// Replaces the rules; with a tag, only if they still are those of the tag ([`crate::Error::Stale`]).
    /// They hold on this server at once, on others within a second. [`crate::Error::InvalidValue`]
    /// for malformed patterns.
    pub async fn set_branch_protection(
        &self,
        repository: &Repository,
        patterns: &[String],
        if_tag: Option<&str>,
    ) -> Result<()> {
        let protection = &self.engine.protection;
        protection.replace(repository, patterns, if_tag).await
    }

    /// Adds one rule to the others. [`crate::Error::NotUnique`] if it is there; [`crate::Error::TooManyTries`]
    /// if other servers keep changing them.
    pub async fn add_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        let _turn = self.engine.protection_turn(repository).await?;
        self.engine.protection.add(repository, pattern).await
    }

    /// Removes one rule from the others. [`crate::Error::NotFound`] if it is not there; [`crate::Error::TooManyTries`]
    /// if other servers keep changing them.
    pub async fn remove_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        let _turn = self.engine.protection_turn(repository).await?;
        self.engine.protection.remove(repository, pattern).await
    }

    /// [`crate::Error::Protected`] if the branch takes no writes, for who would do work before it writes.
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

    /// Writes all commits, tags and branches into the storage namespace; not uncommitted changes.
    /// `count` hears of every record.
    pub async fn dump_refs(
        &self,
        repository: &Repository,
        count: CountRecords<'_>,
    ) -> Result<RefsDump> {
        self.engine.dump_refs(repository, count).await
    }

    /// Fills a bare repository from a dump in its storage namespace, every commit's id worked out anew.
    /// [`crate::Error::InvalidValue`] if it is not bare, or the dump not sound: nothing is written then.
    /// One that was cut short goes on when it is repeated.
    pub async fn restore_refs(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
        count: CountRecords<'_>,
    ) -> Result<()> {
        self.engine.restore_refs(repository, restore, count).await
    }
}
