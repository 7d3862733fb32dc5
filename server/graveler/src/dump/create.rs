//! Creates a dump: references first, then commits, then the parents that concurrent commits left
//! out.

use bytes::Bytes;

use super::closure::MAX_IDS;
use super::entity::Entity;
use super::{CountRecords, RefsDump};
use crate::{Graveler, MetaRangeId, Repository, Result};

impl Graveler {
    /// Dumps all commits, tags and branches into trees in the storage namespace, without
    /// uncommitted changes. Calls `count` as records are written.
    pub async fn dump_refs(
        &self,
        repository: &Repository,
        count: CountRecords<'_>,
    ) -> Result<RefsDump> {
        let branches = self.dump(repository, Entity::Branch, count).await?;
        let tags = self.dump(repository, Entity::Tag, count).await?;
        let mut commits = self.dump(repository, Entity::Commit, count).await?;
        loop {
            let missing = self.missing_parents(repository, &commits, MAX_IDS).await?;
            if missing.is_empty() {
                break;
            }
            commits = self
                .add_missing(repository, &commits, missing, count)
                .await?;
        }
        Ok(RefsDump {
            commits,
            tags,
            branches,
        })
    }

    async fn dump(
        &self,
        repository: &Repository,
        entity: Entity,
        count: CountRecords<'_>,
    ) -> Result<MetaRangeId> {
        let folder = entity.folder().as_bytes();
        let mut cursor = self.refs.records(repository, entity.folder());
        let mut writer = self
            .committed
            .record_writer(&repository.storage_namespace, entity.properties());
        while let Some(entry) = cursor.next().await? {
            let Some(id) = entry.key.strip_prefix(folder) else {
                break;
            };
            entity
                .add_to(&mut writer, Bytes::copy_from_slice(id), entry.value)
                .await?;
            count(1);
        }
        writer.finish().await
    }
}
