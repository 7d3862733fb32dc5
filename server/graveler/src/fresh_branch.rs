//! A branch's record that is read again before the branch's staging tokens can be emptied.
//!
//! Retired tokens stay readable for a grace period. A long walk therefore re-reads the branch after half of that time, and
//! continues with the branch's new state if it changed. Invariant: until the walk has taken over a new state, the old one
//! counts as outdated, so an error or a dropped future in between loses nothing.

use base::OffsetDateTime;

use crate::{Branch, Error, Graveler, Repository, Result};

/// A walk fails when this many reads in a row finish too late while the branch changes.
const MAX_LATE_READS: u32 = 10;

/// A branch's record, and when it was read.
#[derive(Debug)]
pub(crate) struct FreshBranch {
    engine: Graveler,
    repository: Repository,
    branch: Branch,
    read_at: OffsetDateTime,
    /// How many reads in a row finished too late.
    late_reads: u32,
}

/// The new state of a branch that changed.
#[derive(Debug)]
pub(crate) struct Changed {
    pub branch: Branch,
    read_at: OffsetDateTime,
}

impl FreshBranch {
    /// `read_at` is the time before the branch's record was read.
    pub(crate) fn new(
        engine: Graveler,
        repository: Repository,
        branch: Branch,
        read_at: OffsetDateTime,
    ) -> Self {
        Self {
            engine,
            repository,
            branch,
            read_at,
            late_reads: 0,
        }
    }

    pub(crate) fn engine(&self) -> &Graveler {
        &self.engine
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(crate) fn branch(&self) -> &Branch {
        &self.branch
    }

    /// Re-reads the branch if its tokens may soon be emptied. If it changed, the caller continues with
    /// the new state and then calls [`Self::adopt`].
    pub(crate) async fn refresh(&mut self) -> Result<Option<Changed>> {
        let now = self.engine.clock.now();
        if now - self.read_at < self.engine.staging.token_grace / 2 {
            return Ok(None);
        }
        self.read_again(now).await
    }

    /// Re-reads the branch if the last read took so long that its tokens may have been emptied
    /// meanwhile. If the branch changed, the caller discards what it read, continues with the new state
    /// and then calls [`Self::adopt`].
    ///
    /// # Errors
    /// [`Error::TooManyTries`] after [`MAX_LATE_READS`].
    pub(crate) async fn refresh_if_late(&mut self) -> Result<Option<Changed>> {
        let now = self.engine.clock.now();
        let changed = if now - self.read_at <= self.engine.staging.token_grace / 2 {
            None
        } else {
            self.read_again(now).await?
        };
        if changed.is_none() {
            self.late_reads = 0;
            return Ok(None);
        }
        self.late_reads += 1;
        if self.late_reads == MAX_LATE_READS {
            return Err(Error::TooManyTries(format!("branch {}", self.branch.id)));
        }
        Ok(changed)
    }

    async fn read_again(&mut self, now: OffsetDateTime) -> Result<Option<Changed>> {
        let stored = self.engine.refs.branch(&self.repository, &self.branch.id);
        let record = stored.await?.record;
        if record == self.branch.record {
            self.read_at = now;
            return Ok(None);
        }
        let id = self.branch.id.clone();
        Ok(Some(Changed {
            branch: Branch { id, record },
            read_at: now,
        }))
    }

    /// Takes over a new state with which the caller has continued.
    pub(crate) fn adopt(&mut self, changed: Changed) {
        self.branch = changed.branch;
        self.read_at = changed.read_at;
    }
}
