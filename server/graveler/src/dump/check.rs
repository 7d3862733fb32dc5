//! Whether a dump is what it says: looked into as a whole before anything of it is written.

use bytes::Bytes;

use super::RefsDump;
use super::closure::MAX_IDS;
use super::entity::{ENTITY, Entity};
use super::restored::Restored;
use crate::engine::Engine;
use crate::{CommitId, Error, Kind, MetaRangeId, Repository, Result, Tag};

const IDS_OF_DUMP: &str = "give all three ids that the dump answered";
const ANOTHER_DUMP: &str = "take another dump";

impl Engine {
    /// Reads a whole dump and checks what can be checked.
    pub(super) async fn check_dump(&self, repository: &Repository, dump: &RefsDump) -> Result<()> {
        // A dump has all three, also of a repository without tags: one that is left out would be lost.
        for (entity, tree) in dump.trees() {
            if tree.as_str().is_empty() {
                return Err(Error::advised(
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
            Some((parent, child)) => Err(Error::advised(
                format!("commit {child} names parent {parent}, which the dump does not hold"),
                ANOTHER_DUMP,
            )),
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
            Some(entity) => Err(Error::advised(
                format!(
                    "metarange {tree} is a dump of kind {:?}, not a tree of objects",
                    String::from_utf8_lossy(&entity)
                ),
                "give the `meta_range_id` of a commit",
            )),
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
            Some(said) => Err(Error::advised(
                format!(
                    "metarange {tree} is a dump of kind {:?}, not of kind {:?}",
                    String::from_utf8_lossy(&said),
                    entity.name()
                ),
                "check which id is given for which kind",
            )),
            None => Err(Error::advised(
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
        Err(Error::advised(
            format!(
                "{} {:?} names commit {commit}, which the dump does not hold",
                entity.name(),
                String::from_utf8_lossy(key)
            ),
            ANOTHER_DUMP,
        ))
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
