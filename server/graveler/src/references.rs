//! Reads of references and commits: resolve, look up, list, log.

use std::sync::Arc;

use base::Page;

use crate::error::not_found;
use crate::refs::{CommitLog, Listing};
use crate::{
    Branch, BranchId, CommitId, Error, Graveler, Kind, LogRequest, Repository, ResolvedRef, Result,
    Tag, TagId,
};

/// Maximum number of attempts of a lookup. Its result is discarded if the store was so slow that the branch's tokens
/// may have been emptied.
const MAX_READS: usize = 10;

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// Resolves a reference expression: a name, then modifiers `~n` and `^n`, or `@` or `$`.
    ///
    /// A name is, in this order, a full commit id, a branch, a tag, or a unique prefix of a commit
    /// id.
    ///
    /// # Errors
    /// [`crate::Error::InvalidReference`] if malformed or if there is no `n`-th parent;
    /// [`crate::Error::NotFound`] if nothing has the name or the history is shorter than `~n`.
    pub async fn resolve(&self, repository: &Repository, reference: &str) -> Result<ResolvedRef> {
        for _ in 0..MAX_READS {
            let began = self.clock.now();
            let resolved = self.refs.resolve(repository, reference).await?;
            // Only branches have tokens, which may have been emptied since.
            if resolved.branch.is_none() || self.staging.is_recent(began) {
                return Ok(resolved);
            }
        }
        Err(Error::TooManyTries(format!("reference {reference}")))
    }

    /// The branch's current record.
    pub async fn branch(&self, repository: &Repository, id: &BranchId) -> Result<Branch> {
        for _ in 0..MAX_READS {
            let began = self.clock.now();
            let record = self.refs.branch(repository, id).await?.record;
            if self.staging.is_recent(began) {
                let id = id.clone();
                return Ok(Branch { id, record });
            }
        }
        Err(Error::TooManyTries(format!("branch {id}")))
    }

    /// Branches in order of name, starting after `after` (exclusive), at most `limit`.
    pub async fn list_branches(
        &self,
        repository: &Repository,
        prefix: &str,
        after: &str,
        show_hidden: bool,
        limit: usize,
    ) -> Result<Page<Branch>> {
        let keep = |branch: &Branch| show_hidden || !branch.record.hidden;
        self.refs
            .list_branches(
                repository,
                Listing {
                    prefix,
                    after,
                    limit,
                },
                keep,
            )
            .await
    }

    /// The tag's record.
    pub async fn tag(&self, repository: &Repository, id: &TagId) -> Result<Tag> {
        self.refs.tag(repository, id).await
    }

    /// Tags in order of name, starting after `after` (exclusive), at most `limit`.
    pub async fn list_tags(
        &self,
        repository: &Repository,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<Tag>> {
        self.refs
            .list_tags(
                repository,
                Listing {
                    prefix,
                    after,
                    limit,
                },
            )
            .await
    }

    /// The commit with this id, or the only one whose id starts with it.
    pub async fn get_commit(
        &self,
        repository: &Repository,
        id: &CommitId,
    ) -> Result<crate::Commit> {
        // Accepts a unique prefix too, as lakeFS does.
        if !CommitId::is_full(id.as_str()) {
            let full = if crate::ids::is_lower_hex(id.as_str()) {
                self.refs.commit_by_prefix(repository, id.as_str()).await?
            } else {
                None
            };
            let full = full.ok_or_else(|| not_found(Kind::Commit, id.as_str()))?;
            return Ok(self.refs.commit(repository, &full).await?.as_ref().clone());
        }
        Ok(self.refs.commit(repository, id).await?.as_ref().clone())
    }

    /// Commits in log order (see [`CommitLog`]), read on demand.
    pub async fn log(&self, repository: &Repository, request: LogRequest) -> Result<CommitLog> {
        CommitLog::new(Arc::clone(&self.refs), repository.clone(), request).await
    }
}
