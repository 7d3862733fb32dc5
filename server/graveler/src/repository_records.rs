//! The records of repositories and their metadata. During a deletion, this module removes everything except branches
//! and the reflog.

use std::sync::Arc;

use base::Page;
use bytes::Bytes;
use kv::{Batch, Op, Predicate, Store, Versioned};

use crate::error::not_found;
use crate::guarded_write::write_unless_deleted;
use crate::records::{
    CREATIONS, LATEST_CREATION, REPOSITORIES, REPOSITORY_METADATA, REPOSITORY_PREFIX,
    SHARED_PARTITIONS, Stored as _, repository_key,
};
use crate::refs::{Listing, list};
use crate::repository_cache::RepositoryCache;
use crate::{Error, Kind, Repository, RepositoryId, RepositoryState, Result};

/// How many rows a deletion reads and removes at a time.
const DELETE_PAGE: usize = 500;

/// The records of all repositories.
#[derive(Debug)]
pub(crate) struct Repositories {
    kv: Arc<dyn Store>,
    cache: RepositoryCache,
}

impl Repositories {
    pub(crate) fn new(kv: Arc<dyn Store>) -> Self {
        Self {
            kv,
            cache: RepositoryCache::new(),
        }
    }

    /// The repository's record, cached for a bounded time.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InDeletion`].
    pub(crate) async fn get(&self, id: &RepositoryId) -> Result<Repository> {
        if let Some(repository) = self.cache.get(id) {
            return Ok(repository);
        }
        let before = self.cache.changes();
        let (repository, _) = self.stored(id).await?;
        if repository.state == RepositoryState::InDeletion {
            return Err(Error::InDeletion(id.to_string()));
        }
        self.cache.remember(&repository, before);
        Ok(repository)
    }

    pub(crate) async fn stored(&self, id: &RepositoryId) -> Result<(Repository, Predicate)> {
        match self.kv.get(REPOSITORIES, &repository_key(id)).await? {
            Some(stored) => Ok((Repository::decode(stored.value)?, stored.predicate)),
            None => Err(not_found(Kind::Repository, id.as_str())),
        }
    }

    /// Repositories in order of name, filtered by `keep`.
    pub(crate) async fn list(
        &self,
        range: Listing<'_>,
        keep: impl Fn(&Repository) -> bool + Send,
    ) -> Result<Page<Repository>> {
        list(
            self.kv.as_ref(),
            REPOSITORIES,
            REPOSITORY_PREFIX,
            range,
            |r: &Repository| r.id.to_string(),
            keep,
        )
        .await
    }

    /// A predicate that holds until the next repository is created.
    pub(crate) async fn latest_creation(&self) -> Result<Predicate> {
        let latest = self.kv.get(CREATIONS, LATEST_CREATION).await?;
        Ok(latest.map_or(Predicate::Absent, |stored| stored.predicate))
    }

    /// Stores a new repository with its first records, if `latest` still matches the latest
    /// creation. `false`: another creation came first.
    ///
    /// # Errors
    /// [`Error::NotUnique`] if the name is taken.
    pub(crate) async fn create(
        &self,
        repository: &Repository,
        first_records: Vec<Op>,
        latest: Predicate,
    ) -> Result<bool> {
        let mut ops = vec![Op::Set {
            partition: Bytes::from_static(CREATIONS),
            key: Bytes::from_static(LATEST_CREATION),
            // Unique per creation: a predicate compares the value, so each creation must change it.
            value: Bytes::from(repository.partition()),
            predicate: Some(latest),
        }];
        ops.extend(first_records);
        ops.push(Op::Set {
            partition: Bytes::from_static(REPOSITORIES),
            key: repository_key(&repository.id),
            value: repository.encode(),
            predicate: Some(Predicate::Absent),
        });
        let before = self.cache.changes();
        match self.kv.batch(ops).await {
            Ok(()) => {}
            Err(kv::Error::PredicateFailed { index: 0 }) => return Ok(false),
            // A lakeFS server created the repository; it does not write `weir-namespaces`.
            Err(kv::Error::PredicateFailed { .. }) => return Err(id_taken(&repository.id)),
            // The outcome is unknown, so read the record back.
            Err(error) => match self.stored(&repository.id).await {
                Ok((stored, _)) if stored == *repository => {}
                _ => return Err(error.into()),
            },
        }
        self.cache.remember(repository, before);
        Ok(true)
    }

    /// Replaces a repository's record by compare-and-set. `false`: it changed.
    pub(crate) async fn replace(
        &self,
        repository: &Repository,
        predicate: Predicate,
    ) -> Result<bool> {
        let (key, value) = (repository_key(&repository.id), repository.encode());
        let replaced = self.kv.set_if(REPOSITORIES, &key, value, predicate).await;
        // Even after an error, since the record may have been stored.
        self.cache.forget(&repository.id);
        match replaced {
            Ok(()) => Ok(true),
            Err(kv::Error::PredicateFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the marked record if it is unchanged. Otherwise another server finished the same
    /// deletion, and the name may belong to a new repository by now.
    pub(crate) async fn remove(&self, marked: &Repository) -> Result<()> {
        let predicate = match self.stored(&marked.id).await {
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

    /// Drops a record from the cache.
    pub(crate) fn forget(&self, id: &RepositoryId) {
        self.cache.forget(id);
    }

    /// Removes what is left of a repository's own partition.
    pub(crate) async fn delete_partition(&self, repository: &Repository) -> Result<()> {
        let partition = repository.partition();
        Ok(self.kv.delete_partition(partition.as_bytes()).await?)
    }

    /// Removes the repository's rows in shared partitions, and the records that these rows name.
    pub(crate) async fn delete_shared_rows(&self, partition: &str) -> Result<()> {
        for shared in SHARED_PARTITIONS {
            let prefix = format!("{}{partition}/", shared.folder).into_bytes();
            loop {
                let rows = self.kv.scan(shared.partition, &prefix, DELETE_PAGE).await?;
                let mut ops = Vec::new();
                for row in rows.within(&prefix).entries {
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

    /// The stored metadata of a repository; `None` if none was ever set.
    pub(crate) async fn metadata(&self, repository: &Repository) -> Result<Option<Versioned>> {
        let partition = repository.partition();
        let stored = self.kv.get(partition.as_bytes(), REPOSITORY_METADATA);
        Ok(stored.await?)
    }

    /// Replaces the stored metadata by compare-and-set.
    ///
    /// # Errors
    /// Those of [`write_unless_deleted`].
    pub(crate) async fn set_metadata(
        &self,
        repository: &Repository,
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()> {
        let op = Op::Set {
            partition: Bytes::from(repository.partition()),
            key: Bytes::from_static(REPOSITORY_METADATA),
            value,
            predicate: Some(predicate),
        };
        self.write_unless_deleted(repository, vec![op]).await
    }

    /// Writes records of the caller unless the repository is being deleted.
    ///
    /// # Errors
    /// Those of [`write_unless_deleted`].
    pub(crate) async fn write_unless_deleted(
        &self,
        repository: &Repository,
        ops: Batch,
    ) -> Result<()> {
        write_unless_deleted(self.kv.as_ref(), repository, ops).await
    }
}

pub(crate) fn id_taken(id: &RepositoryId) -> Error {
    Error::NotUnique {
        kind: Kind::Repository,
        id: id.to_string(),
    }
}
