//! The records of restores: the dump from which a repository is or was restored.

use std::sync::Arc;

use bytes::Bytes;
use kv::{Op, Predicate, Store};
use prost::Message as _;

use super::RefsDump;
use crate::guarded_write::write_unless_deleted;
use crate::records::RESTORES;
use crate::{Error, Repository, Result};

/// Parameters of a restore.
#[derive(Debug, Clone, Copy)]
pub struct RestoreRefs<'a> {
    pub dump: &'a RefsDump,
    /// Whether to restore even into a read-only repository.
    pub force: bool,
    /// The user who requests it, for the reflog.
    pub actor: &'a str,
    /// Identifies repeated requests for one restore: once the restore is done, a request with its
    /// token is a no-op. Empty if the caller never repeats a request.
    pub token: &'a str,
}

/// The record of a restore that has begun or is done: its dump and its token.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RestoreData {
    #[prost(string, tag = "1")]
    commits: String,
    #[prost(string, tag = "2")]
    tags: String,
    #[prost(string, tag = "3")]
    branches: String,
    #[prost(string, tag = "4")]
    pub token: String,
    #[prost(bool, tag = "5")]
    pub done: bool,
}

/// The records of restores.
#[derive(Debug)]
pub(crate) struct Restores {
    kv: Arc<dyn Store>,
}

impl Restores {
    pub(crate) fn new(kv: Arc<dyn Store>) -> Self {
        Self { kv }
    }

    /// The restore into a repository; `None` if none ever began.
    pub(super) async fn get(&self, repository: &Repository) -> Result<Option<RestoreData>> {
        let partition = repository.partition();
        let stored = self.kv.get(RESTORES, partition.as_bytes()).await?;
        stored
            .map(|stored| RestoreData::read(stored.value))
            .transpose()
    }

    /// Stores the record of a restore.
    ///
    /// # Errors
    /// Those of [`write_unless_deleted`].
    pub(super) async fn set(
        &self,
        repository: &Repository,
        record: &RestoreData,
        predicate: Option<Predicate>,
    ) -> Result<()> {
        let op = Op::Set {
            partition: Bytes::from_static(RESTORES),
            key: Bytes::from(repository.partition()),
            value: Bytes::from(record.encode_to_vec()),
            predicate,
        };
        write_unless_deleted(self.kv.as_ref(), repository, vec![op]).await
    }

    /// Removes the record of a repository that is being deleted.
    pub(crate) async fn forget(&self, repository: &Repository) -> Result<()> {
        let partition = repository.partition();
        Ok(self.kv.delete(RESTORES, partition.as_bytes()).await?)
    }
}

impl RestoreData {
    /// Decodes a stored record.
    pub(super) fn read(stored: Bytes) -> Result<Self> {
        Self::decode(stored).map_err(|e| Error::Corrupt {
            what: "restore".to_owned(),
            reason: e.to_string(),
        })
    }

    pub(super) fn of(restore: &RestoreRefs<'_>, done: bool) -> Self {
        Self {
            commits: restore.dump.commits.to_string(),
            tags: restore.dump.tags.to_string(),
            branches: restore.dump.branches.to_string(),
            token: restore.token.to_owned(),
            done,
        }
    }

    /// Refuses a dump other than that of this restore.
    pub(super) fn check_same(&self, dump: &RefsDump) -> Result<()> {
        let begun = [&self.commits, &self.tags, &self.branches];
        if begun
            == [
                dump.commits.as_str(),
                dump.tags.as_str(),
                dump.branches.as_str(),
            ]
        {
            return Ok(());
        }
        Err(Error::with_advice(
            "a restore of another dump into this repository was interrupted",
            format!(
                "repeat that restore (commits {}, tags {}, branches {}), or delete the repository and create it again",
                self.commits, self.tags, self.branches
            ),
        ))
    }
}

/// Parses the record of a restore, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_restore(stored: Bytes) {
    drop(RestoreData::read(stored));
}
