//! Reads and caches the records of branches, tags and commits.
//!
//! Commits never change, so they are cached without expiry. A branch's record is cached only as a
//! first guess for a guarded write, which verifies it.

use std::sync::Arc;

use bytes::Bytes;
use kv::{Predicate, Store};
use moka::sync::Cache;

use crate::records::{BRANCHES, COMMITS, Stored, TAGS, branch_key, commit_key, tag_key};
use crate::{
    Branch, BranchId, BranchRecord, Commit, CommitId, Error, Kind, Repository, Result, Tag, TagId,
};

const MAX_CACHED_BRANCHES: u64 = 10_000;
/// Maximum number of records that a listing reads in one round trip.
const LIST_PAGE: usize = 1_000;
/// Minimum number of records that a listing reads in one round trip, since some of them may be
/// filtered out.
const MIN_LIST_PAGE: usize = 100;

/// A branch's record and the predicate for a compare-and-set of it.
#[derive(Debug, Clone)]
pub(crate) struct StoredBranch {
    pub record: BranchRecord,
    pub predicate: Predicate,
}

/// A commit counts as one cache entry per this many bytes of text. Most commits count as one; one
/// with a megabyte of metadata counts as a thousand.
const BYTES_PER_CACHED_ENTRY: usize = 1 << 10;

fn weight(commit: &Commit) -> u32 {
    let metadata = commit
        .metadata
        .iter()
        .map(|(key, value)| key.len() + value.len());
    let bytes = commit.message.len() + metadata.sum::<usize>();
    u32::try_from(1 + bytes / BYTES_PER_CACHED_ENTRY).unwrap_or(u32::MAX)
}

#[derive(Debug)]
pub(crate) struct Refs {
    pub(super) kv: Arc<dyn Store>,
    pub(super) commits: Cache<(String, CommitId), Arc<Commit>>,
    recent: Cache<(String, BranchId), StoredBranch>,
}

impl Refs {
    pub(crate) fn new(kv: Arc<dyn Store>, commit_cache_entries: u64) -> Self {
        Self {
            kv,
            commits: Cache::builder()
                .max_capacity(commit_cache_entries)
                .weigher(|_, commit: &Arc<Commit>| weight(commit))
                .build(),
            recent: Cache::new(MAX_CACHED_BRANCHES),
        }
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

    /// The branch's record when it was last read. The caller must verify it.
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

    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) async fn commit(
        &self,
        repository: &Repository,
        id: &CommitId,
    ) -> Result<Arc<Commit>> {
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
        let found = self
            .kv
            .scan(repository.partition().as_bytes(), &start, 2)
            .await?;
        let mut ids = found.iter().filter(|entry| entry.key.starts_with(&start));
        match (ids.next(), ids.next()) {
            (Some(one), None) => {
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
    pub(crate) async fn taken(&self, repository: &Repository, name: &str) -> Result<[bool; 3]> {
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

    pub(crate) fn remember_commit(&self, repository: &Repository, commit: &Commit) {
        self.commits.insert(
            (repository.partition(), commit.id.clone()),
            Arc::new(commit.clone()),
        );
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

/// The names to list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    pub prefix: &'a str,
    /// Exclusive.
    pub after: &'a str,
    pub limit: usize,
}

/// One page of the records below `folder` of a partition, in order of name, filtered by `keep`.
pub(crate) async fn list<T: Stored>(
    kv: &dyn Store,
    partition: &[u8],
    folder: &str,
    range: Listing<'_>,
    name: impl Fn(&T) -> String + Send,
    keep: impl Fn(&T) -> bool + Send,
) -> Result<base::Page<T>> {
    let prefix = format!("{folder}{}", range.prefix);
    let after = format!("{folder}{}", range.after);
    let mut start = prefix.clone().into_bytes();
    if !range.after.is_empty() && after.as_bytes() >= start.as_slice() {
        start = successor(after.as_bytes());
    }
    let mut page = base::Page::empty();
    loop {
        let limit = range
            .limit
            .saturating_add(1)
            .saturating_sub(page.results.len())
            .clamp(MIN_LIST_PAGE, LIST_PAGE);
        let entries = kv.scan(partition, &start, limit).await?;
        let last_page = entries.len() < limit;
        for entry in entries {
            if !entry.key.starts_with(prefix.as_bytes()) {
                return Ok(page);
            }
            start = successor(&entry.key);
            let record = T::decode(entry.value)?;
            if !keep(&record) {
                continue;
            }
            if page.results.len() == range.limit {
                page.has_more = true;
                page.next_offset = page.results.last().map(&name).unwrap_or_default();
                return Ok(page);
            }
            page.results.push(record);
        }
        if last_page {
            return Ok(page);
        }
    }
}

/// The first key after `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

pub(crate) fn not_found(kind: Kind, id: &str) -> Error {
    Error::NotFound {
        kind,
        id: id.to_owned(),
    }
}

/// The error for a commit that another record names but that has no record.
pub(crate) fn missing_commit(id: &CommitId, named_by: &str) -> Error {
    Error::Corrupt {
        what: format!("commit {id}"),
        reason: format!("{named_by} names it, and there is no record of it"),
    }
}
