//! Deletion of repositories, and the guard against writes into a repository that is being deleted.
//!
//! A deletion first marks the repository's record and removes it last. A write that creates a
//! record in the repository is guarded by the mark ([`Graveler::write_unless_deleted`]). A write
//! that is conditioned on an existing record needs no such guard if the deletion removes that
//! record before everything the write creates: it removes branches before the reflog, and claims of
//! tasks before the tasks' results. A deletion therefore leaves no orphaned records. lakeFS servers
//! do not check the mark, so only their concurrent writes may leave some.

use bytes::Bytes;
use kv::Op;

use crate::checks::check_read_only;
use crate::records::{BRANCHES, Stored as _};
use crate::refs::Listing;
use crate::staging::retire_op;
use crate::{Branch, Error, Graveler, Repository, RepositoryId, RepositoryState, Result};

/// Maximum number of attempts of the compare-and-set that marks a repository.
const MAX_TRIES: usize = 10;
/// How many branches a deletion reads and removes at a time.
const DELETE_PAGE: usize = 500;

impl Graveler {
    /// Writes a batch of the caller's records unless the repository is being deleted, so that a
    /// deletion leaves no orphaned records.
    ///
    /// # Errors
    /// [`crate::Error::InDeletion`], [`crate::Error::NotFound`].
    pub async fn write_unless_deleted(
        &self,
        repository: &Repository,
        ops: kv::Batch,
    ) -> Result<()> {
        self.repositories
            .write_unless_deleted(repository, ops)
            .await
    }

    /// Deletes a repository's records; objects stay. Resumes an interrupted deletion.
    ///
    /// # Errors
    /// [`crate::Error::ReadOnly`] without `force`.
    pub async fn delete_repository(&self, id: &RepositoryId, force: bool) -> Result<()> {
        let marked = self.mark_deleted(id, force).await?;
        self.purge_repository(&marked).await
    }

    /// Removes everything that belongs to a marked repository. Safe to run concurrently: all keys
    /// contain the repository's instance, so a later repository of the same name is not affected.
    pub(crate) async fn purge_repository(&self, repository: &Repository) -> Result<()> {
        // Branches go first, which makes the guard of every write in flight fail. Their tokens are
        // recorded as retired, so that none is orphaned.
        loop {
            let branches = (BRANCHES, BRANCHES.as_bytes());
            let rows = self.refs.rows(repository, branches, DELETE_PAGE).await?;
            let mut ops = Vec::new();
            let mut tokens = Vec::new();
            for row in rows.entries {
                ops.push(Op::Delete {
                    partition: Bytes::from(repository.partition()),
                    key: row.key,
                });
                tokens.extend(Branch::decode(row.value)?.record.tokens().cloned());
            }
            if ops.is_empty() {
                break;
            }
            ops.splice(0..0, tokens.iter().map(retire_op));
            self.refs.write(ops).await?;
            self.staging.retire(tokens);
        }
        self.reflog.forget(repository).await?;
        let partition = repository.partition();
        self.repositories.delete_shared_rows(&partition).await?;
        self.repositories.delete_partition(repository).await?;
        self.restores.forget(repository).await?;
        self.repositories.remove(repository).await?;
        self.repositories.forget(&repository.id);
        Ok(())
    }

    /// Resumes at most `limit` interrupted deletions and returns how many it finished. Safe to run
    /// concurrently on several servers and alongside deletions in progress.
    pub async fn finish_deletions(&self, limit: usize) -> Result<usize> {
        let is_marked = |r: &Repository| r.state == RepositoryState::InDeletion;
        let range = Listing {
            prefix: "",
            after: "",
            limit,
        };
        let marked = self.repositories.list(range, is_marked).await?.results;
        let mut finished = 0;
        let mut failure = None;
        for repository in marked {
            match self.purge_repository(&repository).await {
                Ok(()) => finished += 1,
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(finished), Err)
    }

    async fn mark_deleted(&self, id: &RepositoryId, force: bool) -> Result<Repository> {
        for _ in 0..MAX_TRIES {
            let (mut repository, predicate) = self.repositories.stored(id).await?;
            check_read_only(&repository, force)?;
            if repository.state == RepositoryState::InDeletion {
                return Ok(repository);
            }
            repository.state = RepositoryState::InDeletion;
            if self.repositories.replace(&repository, predicate).await? {
                return Ok(repository);
            }
        }
        Err(Error::InDeletion(id.to_string()))
    }
}
