//! A branch's record that is read again before the branch's staging tokens can be emptied.
//!
//! Retired tokens stay readable for a grace period. A long walk therefore re-reads the branch after half of that time. If the
//! branch changed, the walk continues with the new state. Invariant: an error or a dropped future loses nothing that the walk
//! has read but not returned, because the walk then starts again after the last returned key.

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
    /// Whether a read finished late and it is not known yet whether the walk must discard its result. An error or a
    /// dropped future leaves this set. The walk must then discard the result even if the branch did not change.
    has_unchecked_read: bool,
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
            has_unchecked_read: false,
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
        let is_due = now - self.read_at >= self.engine.staging.token_grace / 2;
        if !is_due && !self.has_unchecked_read {
            return Ok(None);
        }
        let must_discard = self.has_unchecked_read;
        self.read_again(now, must_discard).await
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
            self.has_unchecked_read = true;
            self.read_again(now, false).await?
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

    /// Re-reads the branch. Returns its state if it changed, or in any case with `must_discard`.
    async fn read_again(
        &mut self,
        now: OffsetDateTime,
        must_discard: bool,
    ) -> Result<Option<Changed>> {
        let stored = self.engine.refs.branch(&self.repository, &self.branch.id);
        let record = stored.await?.record;
        if record == self.branch.record && !must_discard {
            self.read_at = now;
            self.has_unchecked_read = false;
            return Ok(None);
        }
        let id = self.branch.id.clone();
        Ok(Some(Changed {
            branch: Branch { id, record },
            read_at: now,
        }))
    }

    /// Stores the new state, with which the caller now continues.
    pub(crate) fn adopt(&mut self, changed: Changed) {
        self.branch = changed.branch;
        self.read_at = changed.read_at;
        self.has_unchecked_read = false;
    }
}
