//! The log of commits with its filters.
//!
//! The engine walks; here pages are cut and commits that touch nothing of
//! interest are left out. Comparing a commit with its parent reads trees, and a filter may match
//! nothing in a long history: a page ends after [`MAX_COMPARED`] comparisons, and all walks of the
//! server together make [`MAX_COMPARING`] batches of them at once. A walk ends when its caller drops it.

use base::Page;
use futures::future::try_join_all;
use graveler::{Commit, LogRequest, Repository};

use crate::limits::{PageRoom, commit_bytes};
use crate::{LogQuery, Reader, Result};

/// How many commits of one walk are compared with their parents at once.
const FILTER_WIDTH: usize = 8;
/// Commits that one page compares at most. A page that ends here may be empty, and says that more follow.
/// With `limit` a page says nothing of what follows, so that it has to find its matches.
const MAX_COMPARED: usize = 5_000;
/// Batches that all walks compare at once. A walk waits for each of its batches, so that none keeps the others out.
pub(crate) const MAX_COMPARING: usize = 16;

impl Reader {
    /// Commits reachable from a reference, newest first. A page's offset is the id of the last commit that was
    /// looked at. A page with filters may hold fewer than there are, even none, and say that more follow.
    ///
    /// # Errors
    /// If `reference`, `query.after` or `query.stop_at` names no commit.
    pub async fn log(
        &self,
        repository: &Repository,
        reference: &str,
        query: &LogQuery,
    ) -> Result<Page<Commit>> {
        self.log_comparing(repository, reference, query, MAX_COMPARED)
            .await
    }

    async fn log_comparing(
        &self,
        repository: &Repository,
        reference: &str,
        query: &LogQuery,
        max_compared: usize,
    ) -> Result<Page<Commit>> {
        let mut page = Page::empty();
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
            return Ok(page);
        }

        let mut log = self.graveler.log(repository, request).await?;
        if let Some(after) = after {
            // The order depends on the commit the walk began at, so it begins there again.
            loop {
                match log.next().await? {
                    Some(commit) if commit.id == after => break,
                    Some(_) => {}
                    None => return Ok(page),
                }
            }
        }

        let filter = Filter::new(query);
        let mut room = PageRoom::new(query.amount);
        let is_bounded = !filter.is_empty() && !query.limit;
        let mut left = if is_bounded { max_compared } else { usize::MAX };
        let mut last_compared = None;
        loop {
            let width = filter.width().min(left);
            let mut batch = Vec::new();
            while batch.len() < width.max(1) {
                let Some(commit) = log.next().await? else {
                    break;
                };
                batch.push(commit);
            }
            let Some(last) = batch.last() else {
                return Ok(page);
            };
            if width == 0 {
                page.has_more = true;
                page.next_offset = last_compared.unwrap_or_default();
                return Ok(page);
            }
            left -= width;
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
                // Whether more follow may take a walk to the end of history to know: `limit` leaves that out.
                if query.limit && page.results.len() == query.amount {
                    return Ok(page);
                }
            }
        }
    }

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
        let _turn = self
            .comparing
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let looks = commits.iter().map(async |commit| {
            // The commits that a merge brought in are listed themselves, unless only first parents are.
            if commit.parents.len() > 1 && !query.first_parent {
                return Ok(false);
            }
            self.graveler
                .touches(repository, commit, &filter.keys, &filter.prefixes)
                .await
        });
        Ok(try_join_all(looks).await?)
    }
}

/// The paths of interest.
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

    /// Without a filter nothing is gained by reading ahead.
    fn width(&self) -> usize {
        if self.is_empty() { 1 } else { FILTER_WIDTH }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures::poll;

    use super::*;
    use crate::testing::TestCatalog;

    /// Twenty commits, of which the first alone changes something below `old/`.
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
    async fn a_page_ends_after_so_many_comparisons_and_its_offset_goes_on() {
        let (lake, repository) = lake().await;
        for max_compared in [1, 3, 8, 9, 30] {
            let mut query = below("old/");
            let (mut found, mut pages) = (Vec::new(), 0);
            loop {
                let page = lake
                    .log_comparing(&repository, "main", &query, max_compared)
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
            // With the commit that begins the repository.
            assert_eq!(pages, 21_usize.div_ceil(max_compared), "{max_compared}");
        }
    }

    /// `lakectl annotate` takes the first result of such a page.
    #[tokio::test]
    async fn with_limit_a_page_finds_its_matches_however_far_back() {
        let (lake, repository) = lake().await;
        let query = LogQuery {
            limit: true,
            ..below("old/")
        };
        let page = lake
            .log_comparing(&repository, "main", &query, 3)
            .await
            .unwrap();
        assert_eq!(page.results.len(), 1);
        assert!(!page.has_more);
        // Where nothing is compared nothing is bounded.
        let all = LogQuery {
            amount: 100,
            ..LogQuery::default()
        };
        let page = lake
            .log_comparing(&repository, "main", &all, 3)
            .await
            .unwrap();
        assert_eq!((page.results.len(), page.has_more), (21, false));
    }

    #[tokio::test]
    async fn walks_with_filters_take_turns_and_end_with_their_caller() {
        let (lake, repository) = lake().await;
        let held = lake
            .comparing
            .acquire_many(MAX_COMPARING as u32)
            .await
            .unwrap();
        let query = below("old/");
        {
            let mut waiting = pin!(lake.log(&repository, "main", &query));
            for _ in 0..100 {
                assert!(poll!(&mut waiting).is_pending(), "all turns are taken");
            }
            let free = LogQuery {
                amount: 1,
                ..LogQuery::default()
            };
            lake.log(&repository, "main", &free).await.unwrap();
        }
        drop(held);
        // The walk that was dropped waits for no turn, and has none.
        assert_eq!(lake.comparing.available_permits(), MAX_COMPARING);
        let page = lake.log(&repository, "main", &query).await.unwrap();
        assert_eq!(page.results.len(), 1);
        assert_eq!(lake.comparing.available_permits(), MAX_COMPARING);
    }
}
