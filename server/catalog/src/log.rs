//! The commit log with its filters.
//!
//! The engine walks the history; this module divides it into pages and applies the path filters. Comparing a commit
//! with its parent reads trees, and a filter may match nothing in a long history. A page therefore ends after
//! [`MAX_COMPARISONS`] comparisons, and at most
//! [`MAX_CONCURRENT_BATCHES`](crate::constants::MAX_CONCURRENT_BATCHES) batches of comparisons run at a time on the
//! server. Dropping the future ends the walk.

use base::Page;
use futures::future::try_join_all;
use graveler::{Commit, CommitLog, LogRequest, Repository};

use crate::limits::{PageRoom, commit_bytes};
use crate::{LogQuery, Reader, Result};

/// How many commits a walk compares with their parents concurrently.
const BATCH_SIZE: usize = 8;
/// The maximum number of comparisons per page. A page that ends at this limit may be empty; `has_more` is true.
/// Does not apply to queries with `limit`: their pages never report that more commits follow, so the first page must
/// contain the matches.
const MAX_COMPARISONS: usize = 5_000;

impl Reader {
    /// Commits reachable from a reference, newest first. A page with filters may have fewer than `amount` commits, or
    /// none, although more follow. The offset of a page is the id of its last commit or, if the page ended after
    /// `MAX_COMPARISONS`, of the last commit that was compared.
    ///
    /// # Errors
    /// `reference`, `query.after` or `query.stop_at` does not resolve to a commit.
    pub async fn log(
        &self,
        repository: &Repository,
        reference: &str,
        query: &LogQuery,
    ) -> Result<Page<Commit>> {
        self.log_bounded(repository, reference, query, MAX_COMPARISONS)
            .await
    }

    async fn log_bounded(
        &self,
        repository: &Repository,
        reference: &str,
        query: &LogQuery,
        max_comparisons: usize,
    ) -> Result<Page<Commit>> {
        let mut page = Page::empty();
        let Some(mut log) = self.open_log(repository, reference, query).await? else {
            return Ok(page);
        };
        let filter = Filter::new(query);
        let mut room = PageRoom::new(query.amount);
        let is_bounded = !filter.is_empty() && !query.limit;
        let mut left = if is_bounded {
            max_comparisons
        } else {
            usize::MAX
        };
        let mut last_compared = None;
        loop {
            let batch_size = filter.batch_size().min(left);
            let batch = next_batch(&mut log, batch_size.max(1)).await?;
            let Some(last) = batch.last() else {
                return Ok(page);
            };
            if batch_size == 0 {
                page.has_more = true;
                page.next_offset = last_compared.unwrap_or_default();
                return Ok(page);
            }
            left -= batch_size;
            last_compared = Some(last.id.to_string());
            let wanted = self.matching(repository, &filter, &batch, query).await?;
            for (commit, wanted) in batch.into_iter().zip(wanted) {
                if !wanted {
                    continue;
                }
                if !room.take(commit_bytes(&commit)) {
                    page.has_more = true;
                    page.next_offset = page
                        .results
                        .last()
                        .map(|last: &Commit| last.id.to_string())
                        .unwrap_or_default();
                    return Ok(page);
                }
                page.results.push(commit);
                // Finding out whether more follow may walk to the end of the history. `limit` avoids that.
                if query.limit && page.results.len() == query.amount {
                    return Ok(page);
                }
            }
        }
    }

    /// Opens a walk that starts after the commit `query.after`. Returns none if the page is empty.
    async fn open_log(
        &self,
        repository: &Repository,
        reference: &str,
        query: &LogQuery,
    ) -> Result<Option<CommitLog>> {
        let request = LogRequest {
            from: self.commit_id(repository, reference).await?,
            first_parent: query.first_parent,
            since: query.since,
            stop_at: match &query.stop_at {
                Some(reference) => Some(self.commit_id(repository, reference).await?),
                None => None,
            },
        };
        let after = match query.after.as_str() {
            "" => None,
            reference => Some(self.commit_id(repository, reference).await?),
        };
        if query.amount == 0 {
            return Ok(None);
        }
        let mut log = self.graveler.log(repository, request).await?;
        let Some(after) = after else {
            return Ok(Some(log));
        };
        // The order depends on the commit at which the walk starts, so each page starts there again.
        while let Some(commit) = log.next().await? {
            if commit.id == after {
                return Ok(Some(log));
            }
        }
        Ok(None)
    }

    /// For each commit, whether the filter lets it through: whether it changed one of the filter's paths.
    async fn matching(
        &self,
        repository: &Repository,
        filter: &Filter,
        commits: &[Commit],
        query: &LogQuery,
    ) -> Result<Vec<bool>> {
        if filter.is_empty() {
            return Ok(vec![true; commits.len()]);
        }
        let _permit = self
            .compare_permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let checks = commits.iter().map(async |commit| {
            // A merge repeats the changes of commits that the log lists anyway, except with `first_parent`.
            if commit.parents.len() > 1 && !query.first_parent {
                return Ok(false);
            }
            self.graveler
                .touches(repository, commit, &filter.keys, &filter.prefixes)
                .await
        });
        Ok(try_join_all(checks).await?)
    }
}

/// Reads up to `size` commits; fewer at the end of the walk.
async fn next_batch(log: &mut CommitLog, size: usize) -> Result<Vec<Commit>> {
    let mut batch = Vec::new();
    while batch.len() < size {
        let Some(commit) = log.next().await? else {
            break;
        };
        batch.push(commit);
    }
    Ok(batch)
}

/// The paths to filter by.
struct Filter {
    keys: Vec<Vec<u8>>,
    prefixes: Vec<Vec<u8>>,
}

impl Filter {
    fn new(query: &LogQuery) -> Self {
        let bytes = |paths: &[String]| paths.iter().map(|path| path.clone().into_bytes()).collect();
        Self {
            keys: bytes(&query.objects),
            prefixes: bytes(&query.prefixes),
        }
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.prefixes.is_empty()
    }

    /// Without a filter, reading ahead gains nothing.
    fn batch_size(&self) -> usize {
        if self.is_empty() { 1 } else { BATCH_SIZE }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures::poll;

    use super::*;
    use crate::constants::MAX_CONCURRENT_BATCHES;
    use crate::testing::TestCatalog;

    /// Twenty commits; only the first changes a path below `old/`.
    async fn lake() -> (TestCatalog, Repository) {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        for n in 0..20 {
            let path = if n == 0 {
                "old/a".to_owned()
            } else {
                format!("new/{n}")
            };
            lake.put(&repository, "main", &path, "x").await;
            lake.clock.advance(Duration::from_secs(1));
            lake.commit(&repository, "main", &format!("commit {n}"))
                .await;
        }
        (lake, repository)
    }

    fn below(prefix: &str) -> LogQuery {
        LogQuery {
            amount: 2,
            prefixes: vec![prefix.to_owned()],
            ..LogQuery::default()
        }
    }

    #[tokio::test]
    async fn page_ends_at_the_comparison_limit_and_the_next_page_continues() {
        let (lake, repository) = lake().await;
        for max_comparisons in [1, 3, 8, 9, 30] {
            let mut query = below("old/");
            let (mut found, mut pages) = (Vec::new(), 0);
            loop {
                let page = lake
                    .reader()
                    .log_bounded(&repository, "main", &query, max_comparisons)
                    .await
                    .unwrap();
                found.extend(page.results.into_iter().map(|commit| commit.message));
                pages += 1;
                if !page.has_more {
                    break;
                }
                assert!(!page.next_offset.is_empty() && page.next_offset != query.after);
                query.after = page.next_offset;
            }
            assert_eq!(found, ["commit 0"]);
            // 20 commits and the initial commit of the repository.
            assert_eq!(
                pages,
                21_usize.div_ceil(max_comparisons),
                "{max_comparisons}"
            );
        }
    }

    /// `lakectl annotate` takes the first result of such a page.
    #[tokio::test]
    async fn page_with_limit_finds_old_matches_beyond_the_comparison_limit() {
        let (lake, repository) = lake().await;
        let query = LogQuery {
            limit: true,
            ..below("old/")
        };
        let page = lake
            .reader()
            .log_bounded(&repository, "main", &query, 3)
            .await
            .unwrap();
        assert_eq!(page.results.len(), 1);
        assert!(!page.has_more);
        // Without a filter nothing is compared, so the limit does not apply.
        let all = LogQuery {
            amount: 100,
            ..LogQuery::default()
        };
        let page = lake
            .reader()
            .log_bounded(&repository, "main", &all, 3)
            .await
            .unwrap();
        assert_eq!((page.results.len(), page.has_more), (21, false));
    }

    #[tokio::test]
    async fn filtered_walks_wait_for_permits_and_release_them_when_dropped() {
        let (lake, repository) = lake().await;
        let held = lake
            .reader()
            .compare_permits
            .acquire_many(MAX_CONCURRENT_BATCHES as u32)
            .await
            .unwrap();
        let query = below("old/");
        {
            let mut waiting = pin!(lake.reader().log(&repository, "main", &query));
            for _ in 0..100 {
                assert!(poll!(&mut waiting).is_pending(), "all permits are taken");
            }
            let free = LogQuery {
                amount: 1,
                ..LogQuery::default()
            };
            lake.reader().log(&repository, "main", &free).await.unwrap();
        }
        drop(held);
        // The dropped walk neither waits for a permit nor holds one.
        assert_eq!(
            lake.reader().compare_permits.available_permits(),
            MAX_CONCURRENT_BATCHES
        );
        let page = lake
            .reader()
            .log(&repository, "main", &query)
            .await
            .unwrap();
        assert_eq!(page.results.len(), 1);
        assert_eq!(
            lake.reader().compare_permits.available_permits(),
            MAX_CONCURRENT_BATCHES
        );
    }
}
