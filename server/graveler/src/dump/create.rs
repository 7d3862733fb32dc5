//! Creates a dump: references first, then commits until every commit's parents are included.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::closure::MAX_IDS;
use super::entity::Entity;
use super::{CountRecords, RefsDump};
use crate::committed::RecordWriter;
use crate::engine::Engine;
use crate::records::{BranchData, Stored as _};
use crate::{Branch, CommitId, MetaRangeId, Record, Repository, Result, Tag, Value};

impl Engine {
    /// Writes all commits, tags and branches of a repository into its storage namespace. Uncommitted
    /// changes are not included.
    ///
    /// References are dumped before commits, so the dump has every commit that its references name,
    /// whatever is committed meanwhile. It also has the parents of each commit.
    pub(crate) async fn dump_refs(
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
        let partition = repository.partition();
        let mut cursor = kv::Cursor::new(Arc::clone(&self.kv), partition.as_bytes(), folder);
        let mut writer = self
            .committed
            .record_writer(&repository.storage_namespace, entity.properties());
        while let Some(entry) = cursor.next().await? {
            let Some(id) = entry.key.strip_prefix(folder) else {
                break;
            };
            add(&mut writer, entity, Bytes::copy_from_slice(id), entry.value).await?;
            count(1);
        }
        writer.finish().await
    }
}

/// Adds a stored record to a dump. Of a branch, it keeps only what is meaningful in another repository.
pub(super) async fn add(
    writer: &mut RecordWriter,
    entity: Entity,
    id: Bytes,
    stored: Bytes,
) -> Result<()> {
    let (identity, data) = match entity {
        Entity::Commit => (id.clone(), stored),
        Entity::Tag => (bytes_of(&Tag::decode(stored.clone())?.commit_id), stored),
        Entity::Branch => {
            let branch = Branch::decode(stored)?;
            let data = BranchData {
                id: branch.id.to_string(),
                commit_id: branch.record.commit_id.to_string(),
                hidden: branch.record.hidden,
                ..BranchData::default()
            };
            let identity = bytes_of(&branch.record.commit_id);
            (identity, Bytes::from(data.encode_to_vec()))
        }
    };
    writer
        .add(Record {
            key: id,
            value: Value { identity, data },
        })
        .await
}

fn bytes_of(commit: &CommitId) -> Bytes {
    Bytes::copy_from_slice(commit.as_str().as_bytes())
}
