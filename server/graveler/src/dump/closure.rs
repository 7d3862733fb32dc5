//! Finds the parents that a dump of commits lacks, in bounded memory, and adds them.
//!
//! A dump reads commits in order of id, page by page, while others commit. If a new commit's id is
//! after the current page and its new parent's id is before it, the dump has the commit without the
//! parent. All ancestors of a dumped commit existed before it did, so the set of parents to add no
//! longer grows.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::CountRecords;
use super::entity::Entity;
use crate::records::Stored as _;
use crate::refs::missing_commit;
use crate::{Commit, CommitId, Cursor, Error, Graveler, MetaRangeId, Repository, Result};

/// Maximum number of ids in memory for the parent check (16 MB). Larger dumps are checked in parts.
pub(crate) const MAX_IDS: usize = 500_000;
/// Number of missing parents after which a search stops, to bound memory.
pub(crate) const MAX_MISSING: usize = 10_000;

/// Missing parents, each with a commit that names it.
pub(crate) type Missing = BTreeMap<CommitId, CommitId>;

impl Graveler {
    /// Parents that a dump's commits name but the dump lacks: all of them, or the first ones if
    /// there are at least [`MAX_MISSING`].
    pub(crate) async fn missing_parents(
        &self,
        repository: &Repository,
        commits: &MetaRangeId,
        max_ids: usize,
    ) -> Result<Missing> {
        let mut ids = self.tree_cursor(repository, commits).await?;
        let mut missing = Missing::new();
        let mut after = None;
        loop {
            let part = Part::read(ids.as_mut(), after, max_ids).await?;
            let mut children = self.tree_cursor(repository, commits).await?;
            while let Some(record) = children.next().await? {
                let child = Commit::decode(record.value.data)?;
                for parent in child
                    .parents
                    .iter()
                    .filter(|parent| part.is_missing(parent))
                {
                    missing
                        .entry(parent.clone())
                        .or_insert_with(|| child.id.clone());
                }
                if missing.len() >= MAX_MISSING {
                    return Ok(missing);
                }
            }
            if part.is_last {
                return Ok(missing);
            }
            after = part.ids.last().copied();
        }
    }

    /// Writes the dump of commits again, with the missing commits added.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a commit names a parent that has no record.
    pub(super) async fn add_missing(
        &self,
        repository: &Repository,
        commits: &MetaRangeId,
        missing: Missing,
        count: CountRecords<'_>,
    ) -> Result<MetaRangeId> {
        let added = self.ancestry(repository, commits, missing).await?;
        let mut added = added.into_iter().peekable();
        let mut present = self.tree_cursor(repository, commits).await?;
        let mut writer = self
            .committed
            .record_writer(&repository.storage_namespace, Entity::Commit.properties());
        loop {
            let record = present.next().await?;
            let is_before = |id: &CommitId| {
                let key = record.as_ref().map(|record| record.key.as_ref());
                key.is_none_or(|key| id.as_str().as_bytes() < key)
            };
            while let Some((id, commit)) = added.next_if(|(id, _)| is_before(id)) {
                let key = Bytes::copy_from_slice(id.as_str().as_bytes());
                Entity::Commit
                    .add_to(&mut writer, key, commit.encode())
                    .await?;
                count(1);
            }
            match record {
                Some(record) => writer.add(record).await?,
                None => return writer.finish().await,
            }
        }
    }

    /// The missing commits and their missing ancestors, about [`MAX_MISSING`] in all.
    async fn ancestry(
        &self,
        repository: &Repository,
        commits: &MetaRangeId,
        missing: Missing,
    ) -> Result<BTreeMap<CommitId, Arc<Commit>>> {
        let namespace = &repository.storage_namespace;
        let mut found = BTreeMap::new();
        let mut to_read: Vec<(CommitId, CommitId)> = missing.into_iter().collect();
        while found.len() < MAX_MISSING
            && let Some((id, child)) = to_read.pop()
        {
            if found.contains_key(&id) {
                continue;
            }
            let commit = match self.refs.commit(repository, &id).await {
                Err(Error::NotFound { .. }) => {
                    return Err(missing_commit(&id, &format!("commit {child}")));
                }
                other => other?,
            };
            for parent in &commit.parents {
                let key = parent.as_str().as_bytes();
                if self.committed.get(namespace, commits, key).await?.is_none() {
                    to_read.push((parent.clone(), id.clone()));
                }
            }
            found.insert(id, commit);
        }
        Ok(found)
    }
}

/// A range of consecutive ids of a tree.
#[derive(Debug)]
struct Part {
    /// Ascending.
    ids: Vec<[u8; 32]>,
    /// The last id before this range.
    after: Option<[u8; 32]>,
    /// Whether the range reaches to the end of the tree.
    is_last: bool,
}

impl Part {
    async fn read(cursor: &mut dyn Cursor, after: Option<[u8; 32]>, limit: usize) -> Result<Self> {
        let mut ids = Vec::new();
        while ids.len() < limit {
            let Some(record) = cursor.next().await? else {
                break;
            };
            ids.push(digest(&record.key).ok_or_else(|| Error::Corrupt {
                what: "dump".to_owned(),
                reason: format!(
                    "{:?} is not a commit id",
                    String::from_utf8_lossy(&record.key)
                ),
            })?);
        }
        let is_last = ids.len() < limit;
        Ok(Self {
            ids,
            after,
            is_last,
        })
    }

    /// Whether `id` falls into this range but the tree lacks it. A malformed id counts as missing.
    fn is_missing(&self, id: &CommitId) -> bool {
        let Some(id) = digest(id.as_str().as_bytes()) else {
            return true;
        };
        let is_here = self.after.is_none_or(|after| after < id)
            && (self.is_last || self.ids.last().is_some_and(|last| id <= *last));
        is_here && self.ids.binary_search(&id).is_err()
    }
}

fn digest(id: &[u8]) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(id, &mut digest).ok().map(|()| digest)
}
