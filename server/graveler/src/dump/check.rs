//! Validates a whole dump before a restore writes any of it.

use bytes::Bytes;

use super::RefsDump;
use super::closure::MAX_IDS;
use super::dump_record::DumpRecord;
use super::entity::{ENTITY, Entity};
use crate::{CommitId, Error, Graveler, Kind, MetaRangeId, Repository, Result, Tag};

/// Advice for a wrong combination of ids.
const IDS_OF_DUMP: &str = "pass all three ids that the dump returned";
/// Advice for an incomplete dump.
const ANOTHER_DUMP: &str = "create another dump";

impl Graveler {
    /// Reads a whole dump and checks that its three trees are of the right kind, that each record
    /// is valid, and that every named commit is in the dump.
    pub(super) async fn check_dump(&self, repository: &Repository, dump: &RefsDump) -> Result<()> {
        // A dump always has all three trees, even without tags. An empty id would read as the empty
        // tree, so an omitted tree would be lost silently.
        for (entity, tree) in dump.trees() {
            if tree.as_str().is_empty() {
                return Err(Error::with_advice(
                    format!(
                        "the id of the dump's metarange of kind {:?} is empty",
                        entity.name()
                    ),
                    IDS_OF_DUMP,
                ));
            }
        }
        for (entity, tree) in dump.trees() {
            self.check_entity(repository, entity, tree)
                .await
                .map_err(name_dump_if_missing)?;
            let mut cursor = self.tree_cursor(repository, tree).await?;
            while let Some(record) = cursor.next().await? {
                match DumpRecord::parse(entity, &record)? {
                    DumpRecord::Commit(_) => {}
                    DumpRecord::Tag(Tag { commit_id, .. })
                    | DumpRecord::Branch { commit_id, .. } => {
                        self.check_commit_of(repository, dump, entity, &record.key, &commit_id)
                            .await?;
                    }
                }
            }
        }
        self.check_parents_of(repository, dump).await
    }

    /// Checks that every parent is in the dump: logs, merge bases and garbage collection would fail
    /// at a missing commit.
    async fn check_parents_of(&self, repository: &Repository, dump: &RefsDump) -> Result<()> {
        let missing = self
            .missing_parents(repository, &dump.commits, MAX_IDS)
            .await?;
        match missing.first_key_value() {
            None => Ok(()),
            Some((parent, child)) => Err(Error::with_advice(
                format!("commit {child} names parent {parent}, which the dump does not hold"),
                ANOTHER_DUMP,
            )),
        }
    }

    /// Refuses a metarange that exists but is a dump, since a branch with such a tree would be
    /// unreadable.
    pub(crate) async fn check_object_tree(
        &self,
        repository: &Repository,
        tree: &MetaRangeId,
    ) -> Result<()> {
        let namespace = &repository.storage_namespace;
        match self.committed.property(namespace, tree, ENTITY).await? {
            None => Ok(()),
            Some(entity) => Err(Error::with_advice(
                format!(
                    "metarange {tree} is a dump of kind {:?}, not a tree of objects",
                    String::from_utf8_lossy(&entity)
                ),
                "pass the `meta_range_id` of a commit",
            )),
        }
    }

    /// Checks the kind of a tree. Without it, tags would decode as branches and branches as tags, since the first
    /// fields of their messages match.
    async fn check_entity(
        &self,
        repository: &Repository,
        entity: Entity,
        tree: &MetaRangeId,
    ) -> Result<()> {
        let namespace = &repository.storage_namespace;
        let recorded = self.committed.property(namespace, tree, ENTITY).await?;
        match recorded {
            Some(recorded) if recorded == entity.name().as_bytes() => Ok(()),
            Some(recorded) => Err(Error::with_advice(
                format!(
                    "metarange {tree} is a dump of kind {:?}, not of kind {:?}",
                    String::from_utf8_lossy(&recorded),
                    entity.name()
                ),
                "pass each of the three ids for its own kind",
            )),
            None => Err(Error::with_advice(
                format!(
                    "metarange {tree} is a tree of objects, not a dump of kind {:?}",
                    entity.name()
                ),
                IDS_OF_DUMP,
            )),
        }
    }

    async fn check_commit_of(
        &self,
        repository: &Repository,
        dump: &RefsDump,
        entity: Entity,
        key: &Bytes,
        commit: &CommitId,
    ) -> Result<()> {
        let namespace = &repository.storage_namespace;
        let found = self
            .committed
            .get(namespace, &dump.commits, commit.as_str().as_bytes())
            .await?;
        if found.is_some() {
            return Ok(());
        }
        Err(Error::with_advice(
            format!(
                "{} {:?} names commit {commit}, which the dump does not hold",
                entity.name(),
                String::from_utf8_lossy(key)
            ),
            ANOTHER_DUMP,
        ))
    }
}

/// Reports a missing tree as a missing dump: the most likely cause is a dump in another storage
/// namespace.
fn name_dump_if_missing(error: Error) -> Error {
    match error {
        Error::NotFound {
            kind: Kind::MetaRange,
            id,
        } => Error::NotFound {
            kind: Kind::Dump,
            id,
        },
        other => other,
    }
}
