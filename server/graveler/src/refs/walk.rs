//! Walks of the commit graph, which name the next commit only when they have read the last.
//!
//! A walk that keeps missing the cache reads the repository's commits by the page, if all of
//! them fit: the rest of it, and every walk after it, then finds them in memory. A single
//! look-up, and a walk of a few steps, cost what they cost without it.

use std::sync::Arc;

use super::Refs;
use crate::records::{COMMITS, Stored as _};
use crate::{Commit, CommitId, Repository, Result};

/// How often a walk may miss before it reads by the page.
const FREE_MISSES: usize = 8;
/// Commits of one page.
const PAGE: usize = 1_000;

/// One walk's account.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    misses: usize,
}

impl Refs {
    /// As [`Refs::commits`], for the next step of a walk.
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
            if walk.misses == FREE_MISSES + 1 {
                self.read_all_commits(repository).await?;
            }
        }
        self.commits(repository, ids).await
    }

    /// Reads all commits of a repository into the cache, unless they are more than half of
    /// what it holds: then it reads one page.
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

/// How many commits there are if the first [`PAGE`] end at `id`: ids are hashes, spread evenly.
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
    fn the_first_page_tells_how_many_there_are() {
        assert_eq!(estimated_total(b"ffffffff00"), 1_000);
        assert_eq!(estimated_total(b"7fffffff00"), 2_000);
        assert!(estimated_total(b"000fffff00") > 1_000_000);
        assert_eq!(estimated_total(b"short"), u64::MAX);
    }
}
