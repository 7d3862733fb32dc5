//! Operations on the reflog: reading it, and pruning it in all repositories.

use base::{OffsetDateTime, Page};

use crate::reflog::{MAX_ENTRIES, MaxEntries};
use crate::{Graveler, RefName, ReflogEntry, Repository, Result, StagedMove, StagingToken};

/// How many repositories are read at a time.
const REPOSITORIES_PAGE: usize = 500;

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// Changes of one reference, or of all, newest first. Includes references that no longer exist.
    ///
    /// Starts after the entry id `after` (exclusive) and returns at most `limit` entries.
    pub async fn reflog(
        &self,
        repository: &Repository,
        of: Option<&RefName>,
        after: &str,
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        self.reflog.list(repository, of, after, limit).await
    }

    /// Staged changes that left their branch and are kept for an undo, oldest first, at most
    /// `limit`.
    ///
    /// Each item is its position and the tokens. `from` is the position to start at, inclusive;
    /// empty means the oldest. `next_offset` is the position at which the next page starts.
    pub async fn kept_staged(
        &self,
        repository: &Repository,
        from: &str,
        limit: usize,
    ) -> Result<Page<(String, Vec<StagingToken>)>> {
        self.reflog.kept_staged(repository, from, limit).await
    }

    /// Reference changes since `since`, newest first, with the staged changes that each moved.
    ///
    /// Examines `limit` reflog entries, starting at the entry `from`, inclusive; empty means the
    /// newest. `next_offset` is the last examined entry, so consecutive pages share one entry.
    pub async fn staged_moves(
        &self,
        repository: &Repository,
        since: OffsetDateTime,
        from: &str,
        limit: usize,
    ) -> Result<Page<StagedMove>> {
        self.reflog
            .staged_moves(repository, since, from, limit)
            .await
    }

    /// Retires staged changes, in all repositories, that were discarded longer than
    /// `Options::keep_staged` ago. Returns the number of reflog entries that kept them.
    pub async fn retire_kept(&self) -> Result<usize> {
        let mut retired = 0;
        let mut after = String::new();
        loop {
            let page = self.repositories_after(&after).await?;
            for repository in &page.results {
                retired += self.reflog.retire_kept(repository).await?;
            }
            if !page.has_more {
                return Ok(retired);
            }
            after = page.next_offset;
        }
    }

    /// Removes reflog entries, in all repositories, that are older than `Options::keep_reflog` or
    /// exceed the newest 1,000,000 of their repository or 10,000 of their reference. Returns their
    /// number.
    pub async fn prune_reflog(&self) -> Result<usize> {
        self.prune_reflog_to(MAX_ENTRIES).await
    }

    /// Removes entries, in all repositories, that are too old or too many. Returns their number.
    pub(crate) async fn prune_reflog_to(&self, max: MaxEntries) -> Result<usize> {
        let mut pruned = 0;
        let mut after = String::new();
        loop {
            let page = self.repositories_after(&after).await?;
            for repository in &page.results {
                pruned += self.reflog.prune(repository, max).await?;
            }
            if !page.has_more {
                return Ok(pruned);
            }
            after = page.next_offset;
        }
    }

    async fn repositories_after(&self, after: &str) -> Result<Page<Repository>> {
        self.list_repositories("", after, "", REPOSITORIES_PAGE, |_| true)
            .await
    }
}
