//! Whether a dump is what it says: looked into as a whole before anything of it is written.

use bytes::Bytes;

use super::closure::MAX_IDS;
use super::entity::{ENTITY, Entity};
use super::restored::Restored;
use super::{RefsDump, invalid};
use crate::engine::Engine;
use crate::{CommitId, Error, Kind, MetaRangeId, Repository, Result, Tag};

impl Engine {
    /// Reads a whole dump and checks what can be checked.
    pub(super) async fn check_dump(&self, repository: &Repository, dump: &RefsDump) -> Result<()> {
        // A dump has all three, also of a repository without tags: one that is left out would be lost.
        for (entity, tree) in dump.trees() {
            if tree.as_str().is_empty() {
                return Err(invalid(format!(
                    "the id of the dump's metarange of kind {:?} is empty: give all three ids that the dump answered",
                    entity.name()
                )));
            }
        }
        for (entity, tree) in dump.trees() {
            self.check_entity(repository, entity, tree)
                .await
                .map_err(of_dump)?;
            let mut cursor = self.tree(repository, tree).await?;
            while let Some(record) = cursor.next().await? {
                match Restored::parse(entity, &record)? {
                    Restored::Commit(_) => {}
                    Restored::Tag(Tag { commit_id, .. }) | Restored::Branch { commit_id, .. } => {
                        self.check_commit_of(repository, dump, entity, &record.key, &commit_id)
                            .await?;
                    }
                }
            }
        }
        self.check_parents_of(repository, dump).await
    }

    /// A log, a merge base or garbage collection would end at the hole.
    async fn check_parents_of(&self, repository: &Repository, dump: &RefsDump) -> Result<()> {
        let missing = self
            .missing_parents(repository, &dump.commits, MAX_IDS)
            .await?;
        match missing.first_key_value() {
            None => Ok(()),
            Some((parent, child)) => Err(invalid(format!(
                "commit {child} names parent {parent}, which the dump does not hold: take another dump"
            ))),
        }
    }

    /// Refuses a table that is there but is no tree of objects: a branch of it could not be read.
    pub(crate) async fn check_object_tree(
        &self,
        repository: &Repository,
        tree: &MetaRangeId,
    ) -> Result<()> {
        let namespace = &repository.storage_namespace;
        match self.committed.property(namespace, tree, ENTITY).await? {
            None => Ok(()),
            Some(entity) => Err(invalid(format!(
                "metarange {tree} is a dump of kind {:?}, not a tree of objects: give the meta_range_id of a commit",
                String::from_utf8_lossy(&entity)
            ))),
        }
    }

    /// A tree of another kind reads like one of tags or branches: their messages begin alike.
    async fn check_entity(
        &self,
        repository: &Repository,
        entity: Entity,
        tree: &MetaRangeId,
    ) -> Result<()> {
        let namespace = &repository.storage_namespace;
        let said = self.committed.property(namespace, tree, ENTITY).await?;
        match said {
            Some(said) if said == entity.name().as_bytes() => Ok(()),
            Some(said) => Err(invalid(format!(
                "metarange {tree} is a dump of kind {:?}, not of kind {:?}: check which id is given for which",
                String::from_utf8_lossy(&said),
                entity.name()
            ))),
            None => Err(invalid(format!(
                "metarange {tree} is a tree of objects, not a dump of kind {:?}: give the ids that the dump answered",
                entity.name()
            ))),
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
        Err(invalid(format!(
            "{} {:?} names commit {commit}, which the dump does not hold: take another dump",
            entity.name(),
            String::from_utf8_lossy(key)
        )))
    }
}

/// A dump that is looked for in another namespace than its own is the likeliest reason why its tree is not there.
fn of_dump(error: Error) -> Error {
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
