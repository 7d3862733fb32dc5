//! Caching for walks of the commit graph, which learn the next commit's id only from the previous
//! commit.
//!
//! A walk that keeps missing the cache loads all commits of the repository, page by page, if they
//! fit. Walks of the same repository share this work. The rest of the walk and all later walks then
//! hit the cache. Single lookups and short walks cost nothing extra.

use std::sync::Arc;

use bytes::Bytes;
use kv::Entry;

use super::RefStore;
use super::manager::weight_of;
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

impl RefStore {
    /// Like [`RefStore::commits`], for the next step of a walk.
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
                // Boxed, because most futures that contain a walk never get here.
                Box::pin(self.share_bulk_read(repository)).await;
            }
        }
        self.commits(repository, ids).await
    }

    /// Loads all commits of a repository into the cache, unless a walk did so in the last
    /// [`BULK_READ_INTERVAL`](super::manager::BULK_READ_INTERVAL).
    async fn share_bulk_read(&self, repository: &Repository) {
        let read = self.read_all_commits(repository);
        let shared = self.bulk_reads.try_get_with(repository.partition(), read);
        if let Err(error) = shared.await {
            tracing::warn!(
                error = error.as_ref() as &dyn std::error::Error,
                "failed to load the commits of a repository; a walk reads them one by one"
            );
        }
    }

    /// Loads all commits of a repository into the cache. If they would take more than half of the cache, reads only the
    /// first page and caches nothing.
    async fn read_all_commits(&self, repository: &Repository) -> Result<()> {
        let partition = repository.partition();
        let max_weight = self.commits.policy().max_capacity().unwrap_or(0) / 2;
        let mut next = Some(Bytes::from_static(COMMITS.as_bytes()));
        let mut is_first = true;
        while let Some(start) = next {
            let page = self.kv.scan(partition.as_bytes(), &start, PAGE).await?;
            let page = page.within(COMMITS.as_bytes());
            if is_first && page.next.is_some() && estimated_weight(&page.entries) > max_weight {
                return Ok(());
            }
            is_first = false;
            for entry in page.entries {
                let commit = Commit::decode(entry.value)?;
                self.commits
                    .insert((partition.clone(), commit.id.clone()), Arc::new(commit));
            }
            next = page.next;
        }
        Ok(())
    }
}

/// Estimates the weight of all commits in the cache, given those of the first page. Ids are hashes,
/// so they are evenly distributed.
fn estimated_weight(page: &[Entry]) -> u64 {
    let weight: u64 = page
        .iter()
        .map(|entry| u64::from(weight_of(entry.value.len())))
        .sum();
    let digits = page
        .last()
        .and_then(|last| last.key.get(COMMITS.len()..)?.get(..8));
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        Some(end) => weight.saturating_mul(1 << 32) / (u64::from(end) + 1),
        None => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kv::Entry;

    use super::estimated_weight;

    #[test]
    fn weight_is_estimated_from_the_first_page() {
        let page = |last: &str, bytes: usize| {
            let entry = |id: &str| Entry {
                key: format!("commits/{id}").into(),
                value: Bytes::from(vec![0; bytes]),
            };
            let mut page = vec![entry("0000000000"); 999];
            page.push(entry(last));
            estimated_weight(&page)
        };
        assert_eq!(page("ffffffff00", 100), 1_000);
        assert_eq!(page("7fffffff00", 100), 2_000);
        assert_eq!(page("7fffffff00", 9 << 10), 20_000);
        assert!(page("000fffff00", 100) > 1_000_000);
        assert_eq!(page("short", 100), u64::MAX);
    }
}
