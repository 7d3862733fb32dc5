//! Reads, writes and caches the records of branches, tags and commits.
//!
//! Commits never change, so they are cached without expiry. A branch's record is cached only as a
//! first guess for a guarded write, which verifies it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::{Batch, Op, Predicate, Store, Versioned, first_entries};
use moka::sync::Cache;

use super::listing::{Listing, list};
use crate::error::not_found;
use crate::guarded_write::write_unless_deleted;
use crate::records::{BRANCHES, COMMITS, Stored as _, TAGS, branch_key, commit_key, tag_key};
use crate::{
    Branch, BranchId, BranchRecord, Commit, CommitId, Error, Kind, Repository, Result, Tag, TagId,
};

const MAX_CACHED_BRANCHES: u64 = 10_000;

/// A branch's record and the predicate for a compare-and-set of it.
#[derive(Debug, Clone)]
pub(crate) struct StoredBranch {
    pub record: BranchRecord,
    pub predicate: Predicate,
}

/// A commit counts as one cache entry plus one per this many bytes of message and metadata. Most
/// commits count as one; a megabyte of metadata counts as a thousand.
const BYTES_PER_CACHED_ENTRY: usize = 1 << 10;

fn weight(commit: &Commit) -> u32 {
    let metadata = commit
        .metadata
        .iter()
        .map(|(key, value)| key.len() + value.len());
    weight_of(commit.message.len() + metadata.sum::<usize>())
}

/// The weight of a commit with this many bytes.
pub(super) fn weight_of(bytes: usize) -> u32 {
    u32::try_from(1 + bytes / BYTES_PER_CACHED_ENTRY).unwrap_or(u32::MAX)
}

/// Minimum time between two loads of all commits of a repository.
pub(super) const BULK_READ_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum number of repositories in [`RefStore::bulk_reads`].
const MAX_BULK_READS: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct RefStore {
    pub(super) kv: Arc<dyn Store>,
    pub(super) commits: Cache<(String, CommitId), Arc<Commit>>,
    recent: Cache<(String, BranchId), StoredBranch>,
    /// The repositories whose commits were all loaded in the last [`BULK_READ_INTERVAL`].
    pub(super) bulk_reads: moka::future::Cache<String, ()>,
}

impl RefStore {
    pub(crate) fn new(kv: Arc<dyn Store>, commit_cache_entries: u64) -> Self {
        Self {
            kv,
            commits: Cache::builder()
                .max_capacity(commit_cache_entries)
                .weigher(|_, commit: &Arc<Commit>| weight(commit))
                .build(),
            recent: Cache::new(MAX_CACHED_BRANCHES),
            bulk_reads: moka::future::Cache::builder()
                .max_capacity(MAX_BULK_READS)
                .time_to_live(BULK_READ_INTERVAL)
                .build(),
        }
    }

    #[cfg(test)]
    pub(crate) fn kv_for_tests(&self) -> &Arc<dyn Store> {
        &self.kv
    }

    /// The branch's current record.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) async fn branch(
        &self,
        repository: &Repository,
        id: &BranchId,
    ) -> Result<StoredBranch> {
        let partition = repository.partition();
        let Some(stored) = self
            .kv
            .get(partition.as_bytes(), &branch_key(id.as_str()))
            .await?
        else {
            self.recent.invalidate(&(partition, id.clone()));
            return Err(not_found(Kind::Branch, id.as_str()));
        };
        let branch = StoredBranch {
            record: Branch::decode(stored.value)?.record,
            predicate: stored.predicate,
        };
        self.recent.insert((partition, id.clone()), branch.clone());
        Ok(branch)
    }

    /// The branch's record as last read, which may be outdated. The caller must verify it.
    pub(crate) fn cached_branch(
        &self,
        repository: &Repository,
        id: &BranchId,
    ) -> Option<StoredBranch> {
        self.recent.get(&(repository.partition(), id.clone()))
    }

    /// The branch and the tag with this name, read in one round trip.
    pub(crate) async fn branch_or_tag(
        &self,
        repository: &Repository,
        name: &str,
    ) -> Result<(Option<Branch>, Option<Tag>)> {
        let keys = [branch_key(name), tag_key(name)];
        let mut found = self
            .kv
            .get_many(repository.partition().as_bytes(), &keys)
            .await?
            .into_iter();
        let mut next = || found.next().flatten().map(|stored| stored.value);
        let (branch, tag) = (next(), next());
        Ok((
            branch.map(Branch::decode).transpose()?,
            tag.map(Tag::decode).transpose()?,
        ))
    }

    /// The tag's record.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) async fn tag(&self, repository: &Repository, id: &TagId) -> Result<Tag> {
        match self
            .kv
            .get(repository.partition().as_bytes(), &tag_key(id.as_str()))
            .await?
        {
            Some(stored) => Tag::decode(stored.value),
            None => Err(not_found(Kind::Tag, id.as_str())),
        }
    }

    /// One commit, from the cache if possible.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) async fn commit(
        &self,
        repository: &Repository,
        id: &CommitId,
    ) -> Result<Arc<Commit>> {
        let cached = self.commits.get(&(repository.partition(), id.clone()));
        if let Some(commit) = cached {
            return Ok(commit);
        }
        let mut one = self.commits(repository, std::slice::from_ref(id)).await?;
        Ok(one.pop().expect("as many commits as ids"))
    }

    /// Commits in the order of `ids`; those that are not cached are read in one round trip.
    ///
    /// # Errors
    /// [`Error::NotFound`] if one of them is missing.
    pub(crate) async fn commits(
        &self,
        repository: &Repository,
        ids: &[CommitId],
    ) -> Result<Vec<Arc<Commit>>> {
        let partition = repository.partition();
        let mut commits: Vec<_> = ids
            .iter()
            .map(|id| self.commits.get(&(partition.clone(), id.clone())))
            .collect();
        let missing: Vec<usize> = (0..ids.len()).filter(|&i| commits[i].is_none()).collect();
        if !missing.is_empty() {
            let keys: Vec<Bytes> = missing
                .iter()
                .map(|&i| commit_key(ids[i].as_str()))
                .collect();
            let stored = self.kv.get_many(partition.as_bytes(), &keys).await?;
            for (i, stored) in missing.into_iter().zip(stored) {
                let Some(stored) = stored else {
                    return Err(not_found(Kind::Commit, ids[i].as_str()));
                };
                let commit = Arc::new(Commit::decode(stored.value)?);
                self.commits
                    .insert((partition.clone(), ids[i].clone()), Arc::clone(&commit));
                commits[i] = Some(commit);
            }
        }
        Ok(commits
            .into_iter()
            .map(|commit| commit.expect("every missing commit was read"))
            .collect())
    }

    /// The commit whose id starts with `prefix`, if there is exactly one.
    pub(crate) async fn commit_by_prefix(
        &self,
        repository: &Repository,
        prefix: &str,
    ) -> Result<Option<CommitId>> {
        let start = commit_key(prefix);
        let partition = repository.partition();
        let kv = self.kv.as_ref();
        let found = first_entries(kv, partition.as_bytes(), &start, 2).await?;
        match found.as_slice() {
            [one] => {
                let id =
                    std::str::from_utf8(&one.key[COMMITS.len()..]).map_err(|e| Error::Corrupt {
                        what: "commit key".to_owned(),
                        reason: e.to_string(),
                    })?;
                Ok(Some(CommitId::trusted(id)))
            }
            _ => Ok(None),
        }
    }

    /// Whether a branch, a tag and a commit id with this name exist.
    pub(crate) async fn find_names_in_use(
        &self,
        repository: &Repository,
        name: &str,
    ) -> Result<[bool; 3]> {
        let keys = [branch_key(name), tag_key(name), commit_key(name)];
        let found = self
            .kv
            .get_many(repository.partition().as_bytes(), &keys)
            .await?;
        let mut taken = [false; 3];
        for (taken, found) in taken.iter_mut().zip(found) {
            *taken = found.is_some();
        }
        Ok(taken)
    }

    /// Caches a commit that was just stored.
    pub(crate) fn remember_commit(&self, repository: &Repository, commit: &Commit) {
        self.commits.insert(
            (repository.partition(), commit.id.clone()),
            Arc::new(commit.clone()),
        );
    }

    /// The stored record of a tag, for a compare-and-set; `None` if there is none.
    pub(crate) async fn stored_tag(
        &self,
        repository: &Repository,
        id: &TagId,
    ) -> Result<Option<Versioned>> {
        let key = tag_key(id.as_str());
        let partition = repository.partition();
        Ok(self.kv.get(partition.as_bytes(), &key).await?)
    }

    /// Stored records of any kind, in the order of `keys`.
    pub(crate) async fn stored(
        &self,
        repository: &Repository,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Versioned>>> {
        let partition = repository.partition();
        Ok(self.kv.get_many(partition.as_bytes(), keys).await?)
    }

    /// All stored records of one kind, in order of key; `folder` is the prefix of their keys. The
    /// cursor does not stop at the end of the folder.
    pub(crate) fn records(&self, repository: &Repository, folder: &str) -> kv::Cursor {
        let partition = repository.partition();
        kv::Cursor::new(
            Arc::clone(&self.kv),
            partition.as_bytes(),
            folder.as_bytes(),
        )
    }

    /// A page of rows of one kind, starting at the key `start`, inclusive; `folder` is the prefix of
    /// their keys.
    pub(crate) async fn rows(
        &self,
        repository: &Repository,
        (folder, start): (&str, &[u8]),
        limit: usize,
    ) -> Result<kv::ScanPage> {
        let partition = repository.partition();
        let page = self.kv.scan(partition.as_bytes(), start, limit).await?;
        Ok(page.within(folder.as_bytes()))
    }

    /// Writes a batch that changes references, with the records that belong to the change.
    pub(crate) async fn write(&self, ops: Batch) -> std::result::Result<(), kv::Error> {
        self.kv.batch(ops).await
    }

    /// Like [`Self::write`], unless the repository is being deleted.
    ///
    /// # Errors
    /// Those of [`write_unless_deleted`].
    pub(crate) async fn write_unless_deleted(
        &self,
        repository: &Repository,
        ops: Vec<Op>,
    ) -> Result<()> {
        write_unless_deleted(self.kv.as_ref(), repository, ops).await
    }

    /// Branches in order of name, filtered by `keep`.
    pub(crate) async fn list_branches(
        &self,
        repository: &Repository,
        range: Listing<'_>,
        keep: impl Fn(&Branch) -> bool + Send,
    ) -> Result<base::Page<Branch>> {
        list(
            self.kv.as_ref(),
            repository.partition().as_bytes(),
            BRANCHES,
            range,
            |b: &Branch| b.id.as_str().to_owned(),
            keep,
        )
        .await
    }

    /// Tags in order of name.
    pub(crate) async fn list_tags(
        &self,
        repository: &Repository,
        range: Listing<'_>,
    ) -> Result<base::Page<Tag>> {
        list(
            self.kv.as_ref(),
            repository.partition().as_bytes(),
            TAGS,
            range,
            |t: &Tag| t.id.as_str().to_owned(),
            |_| true,
        )
        .await
    }
}

/// The write that sets a branch to `record`, if `predicate` holds.
pub(crate) fn branch_op(
    repository: &Repository,
    branch: &BranchId,
    record: BranchRecord,
    predicate: Predicate,
) -> Op {
    let branch = Branch {
        id: branch.clone(),
        record,
    };
    Op::Set {
        partition: Bytes::from(repository.partition()),
        key: branch_key(branch.id.as_str()),
        value: branch.encode(),
        predicate: Some(predicate),
    }
}

/// The error for a commit that another record names but that has no record.
pub(crate) fn missing_commit(id: &CommitId, named_by: &str) -> Error {
    Error::Corrupt {
        what: format!("commit {id}"),
        reason: format!("{named_by} names it, but it has no record"),
    }
}
