//! Deletion of repositories, and the guard against writes into a repository that is being deleted.
//!
//! A deletion first marks the repository's record and removes it last. A write that creates a record
//! in the repository is guarded by the mark ([`write_unless_deleted`]). A write that is conditioned
//! on an existing record needs no such guard if the deletion removes that record before everything
//! the write creates: it removes branches before the reflog, and claims of tasks before the tasks'
//! results. A deletion therefore leaves no orphaned records of this server. lakeFS servers do not
//! check the mark, so their concurrent writes may leave some.

use bytes::Bytes;
use kv::{Guard, GuardOutcome, Op, Store};

use crate::engine::{Engine, check_read_only};
use crate::records::{
    BRANCHES, REPOSITORIES, REPOSITORY_PREFIX, RESTORES, SHARED_PARTITIONS, Stored as _,
    repository_key,
};
use crate::refs::{Listing, list, not_found};
use crate::staging::retire_op;
use crate::{Branch, Error, Kind, Repository, RepositoryId, RepositoryState, Result};

/// How often marking is tried.
const MAX_TRIES: usize = 10;
/// How many branches a deletion reads and removes at a time.
const DELETE_PAGE: usize = 500;

/// Writes a batch, all or nothing, if the repository exists and no server is deleting it. The
/// deletion finds everything written before the mark, and nothing is written after it.
///
/// # Errors
/// [`Error::InDeletion`], also if another repository has the name by now; [`Error::NotFound`];
/// [`Error::Kv`], where the index of [`kv::Error::PredicateFailed`] refers to `ops`.
pub(crate) async fn write_unless_deleted(
    kv: &dyn Store,
    repository: &Repository,
    ops: Vec<Op>,
) -> Result<()> {
    let guard = deletion_guard(kv, repository).await?;
    match kv.guarded(&guard, ops).await? {
        GuardOutcome::Written => Ok(()),
        GuardOutcome::GuardFailed => Err(Error::InDeletion(repository.id.to_string())),
    }
}

/// A guard that fails once the repository is marked or gone.
async fn deletion_guard(kv: &dyn Store, repository: &Repository) -> Result<Guard> {
    let key = repository_key(&repository.id);
    let Some(stored) = kv.get(REPOSITORIES, &key).await? else {
        return Err(not_found(Kind::Repository, repository.id.as_str()));
    };
    let there = Repository::decode(stored.value)?;
    if there.instance_uid != repository.instance_uid || there.state == RepositoryState::InDeletion {
        return Err(Error::InDeletion(repository.id.to_string()));
    }
    Ok(Guard {
        partition: Bytes::from_static(REPOSITORIES),
        key,
        predicate: stored.predicate,
    })
}

impl Engine {
    /// Marks the repository, then removes its records and finally the mark. Resumes an interrupted
    /// deletion.
    pub(crate) async fn delete_repository(&self, id: &RepositoryId, force: bool) -> Result<()> {
        let marked = self.mark_deleted(id, force).await?;
        self.purge_repository(&marked).await
    }

    /// Removes everything that belongs to a marked repository. Safe to run concurrently: all keys
    /// contain the repository's instance, so a later repository of the same name is not affected.
    pub(crate) async fn purge_repository(&self, repository: &Repository) -> Result<()> {
        let partition = repository.partition();
        // Branches go first, which makes the guard of every write in flight fail. Their tokens are
        // recorded as retired, so that none is orphaned.
        loop {
            let branches = self
                .kv
                .scan(partition.as_bytes(), BRANCHES.as_bytes(), DELETE_PAGE)
                .await?;
            let mut ops = Vec::new();
            let mut tokens = Vec::new();
            for entry in branches
                .into_iter()
                .filter(|entry| entry.key.starts_with(BRANCHES.as_bytes()))
            {
                ops.push(Op::Delete {
                    partition: Bytes::from(partition.clone()),
                    key: entry.key,
                });
                tokens.extend(Branch::decode(entry.value)?.record.tokens().cloned());
            }
            if ops.is_empty() {
                break;
            }
            ops.splice(0..0, tokens.iter().map(retire_op));
            self.kv.batch(ops).await?;
            self.janitor.retire(tokens);
        }
        self.forget_reflog(repository).await?;
        self.delete_shared_rows(&partition).await?;
        self.kv.delete_partition(partition.as_bytes()).await?;
        self.kv.delete(RESTORES, partition.as_bytes()).await?;
        self.forget_repository(repository).await?;
        self.repositories.forget(&repository.id);
        Ok(())
    }

    /// Removes the repository's rows in shared partitions, and the records that these rows name.
    async fn delete_shared_rows(&self, partition: &str) -> Result<()> {
        for shared in SHARED_PARTITIONS {
            let prefix = format!("{}{partition}/", shared.folder).into_bytes();
            loop {
                let rows = self.kv.scan(shared.partition, &prefix, DELETE_PAGE).await?;
                let mut ops = Vec::new();
                for row in rows.into_iter().filter(|row| row.key.starts_with(&prefix)) {
                    if let Some(records) = shared.records.filter(|_| !row.value.is_empty()) {
                        ops.push(Op::Delete {
                            partition: Bytes::from_static(records),
                            key: row.value,
                        });
                    }
                    ops.push(Op::Delete {
                        partition: Bytes::from_static(shared.partition),
                        key: row.key,
                    });
                }
                if ops.is_empty() {
                    break;
                }
                self.kv.batch(ops).await?;
            }
        }
        Ok(())
    }

    /// Removes the marked record if it is unchanged. If another server finished the same deletion,
    /// the name is free and may belong to another repository by now.
    async fn forget_repository(&self, marked: &Repository) -> Result<()> {
        let predicate = match self.stored_repository(&marked.id).await {
            Ok((stored, predicate)) if stored == *marked => predicate,
            Ok(_) | Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let partition = Bytes::from_static(REPOSITORIES);
        let key = repository_key(&marked.id);
        let removed = self.kv.batch(vec![
            Op::Set {
                partition: partition.clone(),
                key: key.clone(),
                value: marked.encode(),
                predicate: Some(predicate),
            },
            Op::Delete { partition, key },
        ]);
        match removed.await {
            Err(kv::Error::PredicateFailed { .. }) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Resumes at most `limit` interrupted deletions and returns how many it finished. A failure does
    /// not stop the others.
    pub(crate) async fn finish_deletions(&self, limit: usize) -> Result<usize> {
        let is_marked = |r: &Repository| r.state == RepositoryState::InDeletion;
        let range = Listing {
            prefix: "",
            after: "",
            limit,
        };
        let name = |r: &Repository| r.id.to_string();
        let marked = list(
            self.kv.as_ref(),
            REPOSITORIES,
            REPOSITORY_PREFIX,
            range,
            name,
            is_marked,
        )
        .await?
        .results;
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
            let (mut repository, predicate) = self.stored_repository(id).await?;
            check_read_only(&repository, force)?;
            if repository.state == RepositoryState::InDeletion {
                return Ok(repository);
            }
            repository.state = RepositoryState::InDeletion;
            let (key, value) = (repository_key(id), repository.encode());
            let marked = self.kv.set_if(REPOSITORIES, &key, value, predicate).await;
            // Even on failure, since the mark may be stored.
            self.repositories.forget(id);
            match marked {
                Err(kv::Error::PredicateFailed { .. }) => {}
                Ok(()) => return Ok(repository),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::InDeletion(id.to_string()))
    }
}
