//! The log: commits reachable from a commit, newest first.
//!
//! The next commit is chosen among the commits of which a child was returned. It is the one with the latest creation
//! date or, if dates are equal, with the greatest id. No commit is returned twice.

use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use base::OffsetDateTime;

use super::RefStore;
use super::walk::Walk;
use crate::{Commit, CommitId, LogRequest, Repository, Result};

/// A log in progress.
#[derive(Debug)]
pub struct CommitLog {
    refs: Arc<RefStore>,
    repository: Repository,
    next: BinaryHeap<(OffsetDateTime, CommitId)>,
    seen: HashSet<CommitId>,
    first_parent: bool,
    since: Option<OffsetDateTime>,
    stop_at: Option<CommitId>,
    walk: Walk,
}

impl CommitLog {
    pub(crate) async fn new(
        refs: Arc<RefStore>,
        repository: Repository,
        request: LogRequest,
    ) -> Result<Self> {
        let mut log = Self {
            refs,
            repository,
            next: BinaryHeap::new(),
            seen: HashSet::new(),
            first_parent: request.first_parent,
            since: request.since,
            stop_at: request.stop_at,
            walk: Walk::default(),
        };
        log.enqueue(&[request.from]).await?;
        Ok(log)
    }

    /// The next commit, or `None` at the end.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if a commit's record is missing.
    pub async fn next(&mut self) -> Result<Option<Commit>> {
        let Some((_, id)) = self.next.pop() else {
            return Ok(None);
        };
        let commit = self.refs.commit(&self.repository, &id).await?;
        if self.stop_at.as_ref() == Some(&id) {
            self.next.clear();
        } else {
            let parents = if self.first_parent {
                &commit.parents[..commit.parents.len().min(1)]
            } else {
                &commit.parents[..]
            };
            self.enqueue(parents).await?;
        }
        Ok(Some(commit.as_ref().clone()))
    }

    async fn enqueue(&mut self, ids: &[CommitId]) -> Result<()> {
        let new: Vec<CommitId> = ids
            .iter()
            .filter(|id| self.seen.insert((*id).clone()))
            .cloned()
            .collect();
        let refs = &self.refs;
        for commit in refs.step(&self.repository, &new, &mut self.walk).await? {
            if self.since.is_none_or(|since| commit.creation_date >= since) {
                self.next.push((commit.creation_date, commit.id.clone()));
            }
        }
        Ok(())
    }
}
