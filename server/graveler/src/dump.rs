//! Dumps commits, tags and branches into trees of their own, and restores a repository from them.
//!
//! A dump lies in the storage namespace beside the data, so that a repository whose records are
//! lost can be made anew. Its trees are ranges and metaranges as all are, told apart by their
//! properties: key and identity of a record are ids, its data the record's message.
//!
//! A dump is closed: what a reference of it names is in it, and the parents of each commit. A restore
//! checks that and all else before it writes anything. Held are a page of records, and
//! a bounded number of ids to look for parents among.

mod check;
mod closure;
mod entity;
mod restore;
mod restored;
mod take;

use self::entity::Entity;
pub use self::restore::RestoreRefs;
use crate::engine::Engine;
use crate::{Error, MetaRangeId, Repository, Result};

/// Reads a record of a dump, for [`crate::fuzzing`].
pub(crate) fn try_record(kind: u8, record: &crate::Record) {
    let entity = [Entity::Commit, Entity::Tag, Entity::Branch][usize::from(kind % 3)];
    drop(restored::Restored::parse(entity, record));
}

/// Where the refs of a repository are dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefsDump {
    pub commits: MetaRangeId,
    pub tags: MetaRangeId,
    pub branches: MetaRangeId,
}

/// Hears of records that were dumped or restored.
pub type CountRecords<'a> = &'a (dyn Fn(u64) + Send + Sync);

impl RefsDump {
    fn trees(&self) -> [(Entity, &MetaRangeId); 3] {
        [
            (Entity::Commit, &self.commits),
            (Entity::Tag, &self.tags),
            (Entity::Branch, &self.branches),
        ]
    }
}

impl Engine {
    async fn tree(
        &self,
        repository: &Repository,
        tree: &MetaRangeId,
    ) -> Result<Box<dyn crate::Cursor>> {
        self.committed
            .cursor(&repository.storage_namespace, tree)
            .await
    }
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidValue(reason.into())
}
