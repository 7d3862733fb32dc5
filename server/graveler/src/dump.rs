//! Dumps commits, tags and branches into trees, and restores a repository from such a dump.
//!
//! A dump lies in the storage namespace beside the data, so that a repository whose records are lost
//! can be rebuilt. Its trees are ordinary ranges and metaranges with distinguishing properties: each
//! record's key and identity are ids, and its data is the stored message.
//!
//! A dump is closed: it contains every commit that its references name, and the parents of each
//! commit. A restore checks this and everything else before it writes anything. Memory holds one page
//! of records, and a bounded number of ids for the parent check.

mod check;
mod closure;
mod create;
mod dump_record;
mod entity;
mod restore;

use self::entity::Entity;
pub use self::restore::RestoreRefs;
use crate::engine::Engine;
use crate::{Error, MetaRangeId, Repository, Result};

/// Parses a record of a dump, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_record(kind: u8, record: &crate::Record) {
    let entity = [Entity::Commit, Entity::Tag, Entity::Branch][usize::from(kind % 3)];
    drop(dump_record::DumpRecord::parse(entity, record));
}

/// The metaranges of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefsDump {
    pub commits: MetaRangeId,
    pub tags: MetaRangeId,
    pub branches: MetaRangeId,
}

/// Called with the number of records just dumped or restored.
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
