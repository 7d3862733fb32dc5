//! Caching for walks of the commit graph, which learn the next commit's id only from the previous
//! commit.
//!
//! A walk that keeps missing the cache loads all commits of the repository, page by page, if they
//! fit. The rest of the walk and all later walks then hit the cache. Single lookups and short walks
//! cost nothing extra.

use std::sync::Arc;

use super::Refs;
use crate::records::{COMMITS, Stored as _};
use crate::{Commit, CommitId, Repository, Result};

/// Number of steps of a walk that may miss the cache before the walk loads all commits.
const MISSES_BEFORE_BULK_READ: usize = 8;
/// Number of commits read in one round trip.
const PAGE: usize = 1_000;

/// The cache misses of one walk.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    misses: usize,
}

impl Refs {
    /// Like [`Refs::commits`], for the next step of a walk.
    pub(crate) async fn step(
        &self,
        repository: &Repository,
        ids: &[CommitId],
        walk: &mut Walk,
    ) -> Result<Vec<Arc<Commit>>> {
        let partition = repository.partition();
        let is_missing =
            |id: &CommitId| !self.commits.contains_key(&(partition.clone(), id.clone()));
        if ids.iter().any(is_missing) {
            walk.misses += 1;
            if walk.misses == MISSES_BEFORE_BULK_READ + 1 {
                self.read_all_commits(repository).await?;
            }
        }
        self.commits(repository, ids).await
    }

    /// Loads all commits of a repository into the cache. Reads only the first page, and caches none
    /// of it, if they would take more than half of the cache.
    async fn read_all_commits(&self, repository: &Repository) -> Result<()> {
        let partition = repository.partition();
        let most = self.commits.policy().max_capacity().unwrap_or(0) / 2;
        let mut start = COMMITS.as_bytes().to_vec();
        let mut is_first = true;
        loop {
            let entries = self.kv.scan(partition.as_bytes(), &start, PAGE).await?;
            let is_last = entries.len() < PAGE
                || entries
                    .last()
                    .is_none_or(|last| !last.key.starts_with(COMMITS.as_bytes()));
            let Some(last) = entries.last() else {
                return Ok(());
            };
            start = [last.key.as_ref(), &[0]].concat();
            if is_first && !is_last && estimated_total(&last.key[COMMITS.len()..]) > most {
                return Ok(());
            }
            is_first = false;
            for entry in entries {
                if entry.key.starts_with(COMMITS.as_bytes()) {
                    let commit = Commit::decode(entry.value)?;
                    self.commits
                        .insert((partition.clone(), commit.id.clone()), Arc::new(commit));
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// Estimates the number of commits, given the last id of the first page of [`PAGE`] commits. Ids
/// are hashes, so they are evenly distributed.
fn estimated_total(id: &[u8]) -> u64 {
    let digits = id
        .get(..8)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        Some(end) => (PAGE as u64) * (1 << 32) / (u64::from(end) + 1),
        None => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::estimated_total;

    #[test]
    fn commit_count_is_estimated_from_the_first_page() {
        assert_eq!(estimated_total(b"ffffffff00"), 1_000);
        assert_eq!(estimated_total(b"7fffffff00"), 2_000);
        assert!(estimated_total(b"000fffff00") > 1_000_000);
        assert_eq!(estimated_total(b"short"), u64::MAX);
    }
}
