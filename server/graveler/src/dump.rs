//! Dumps commits, tags and branches into trees, and restores a repository from such a dump.
//!
//! A dump is stored in the storage namespace beside the data, so that a repository whose records
//! are lost can be rebuilt. It has one tree each of commits, tags and branches, made of ordinary
//! ranges and metaranges; a table property names the kind. A record's key is the commit id or the
//! name, its identity the commit id, and its data the stored message.
//!
//! A dump is closed: it contains every commit that its references name, and the parents of each
//! commit. A restore checks the whole dump before it writes anything. Memory holds one page of
//! records, and a bounded number of ids for the parent check.

mod check;
mod closure;
mod create;
mod dump_record;
mod entity;
mod restore;
mod restores;

use self::entity::Entity;
pub use self::restores::RestoreRefs;
pub(crate) use self::restores::Restores;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::restores::try_restore;
use crate::MetaRangeId;

/// Parses a record of a dump, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_record(kind: usize, record: &crate::Record) {
    let entity = [Entity::Commit, Entity::Tag, Entity::Branch][kind];
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
