//! The log of commits with its filters.
//!
//! The engine walks; here pages are cut and commits that touch nothing of
//! interest are left out, a few commits being examined at once.

use base::Page;
use futures::future::try_join_all;
use graveler::{Commit, LogRequest, Repository};

use crate::{LogQuery, Reader, Result};

/// How many commits are compared with their parents at once.
const FILTER_WIDTH: usize = 8;

impl Reader {
    /// Commits reachable from a reference, newest first. A page's offset is the id of its last commit.
    ///
    /// # Errors
    /// If `reference`, `query.after` or `query.stop_at` names no commit.
    pub async fn log(
        &self,
        repository: &Repository,
        reference: &str,
        query: &LogQuery,
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
        loop {
            let mut batch = Vec::new();
            while batch.len() < filter.width() {
                let Some(commit) = log.next().await? else {
                    break;
                };
                batch.push(commit);
            }
            if batch.is_empty() {
                return Ok(page);
            }
            let wanted = self.matching(repository, &filter, &batch, query).await?;
            for (commit, wanted) in batch.into_iter().zip(wanted) {
                if !wanted {
                    continue;
                }
                // Whether more follow may take a walk to the end of history to know: `limit` leaves that out.
                if page.results.len() == query.amount {
                    page.has_more = true;
                    page.next_offset = page
                        .results
                        .last()
                        .map(|last: &Commit| last.id.to_string())
                        .unwrap_or_default();
                    return Ok(page);
                }
                page.results.push(commit);
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
