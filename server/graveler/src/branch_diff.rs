//! Differences between a tree and a branch with its staged changes, while the branch is written to.
//!
//! Like [`crate::staging::BranchCursor`], this is not a snapshot. Before the branch's tokens can be
//! emptied, the cursor re-reads the branch and continues after the last key with the branch's
//! current state. A key that nobody writes or commits meanwhile is returned exactly once if it
//! differs, otherwise not at all. In a diff against the head, changes that are committed meanwhile
//! no longer count.

use async_trait::async_trait;
use base::OffsetDateTime;
use bytes::Bytes;

use crate::staged_diff::{StagedDiff, Step};
use crate::{Branch, Diff, DiffSource, Error, Graveler, MetaRangeId, Repository, Result};

/// The diff fails when this many reads in a row finish too late while the branch changes.
const MAX_LATE_READS: u32 = 10;

/// The difference from a tree to a branch with its staged changes.
#[derive(Debug)]
pub(crate) struct BranchDiff {
    engine: Graveler,
    repository: Repository,
    /// `None`: the branch's current head.
    left: Option<MetaRangeId>,
    branch: Branch,
    read_at: OffsetDateTime,
    diff: StagedDiff,
    /// The key to continue at after a reload.
    resume: Bytes,
    ended: bool,
    /// How many reads in a row finished too late.
    late_reads: u32,
}

impl BranchDiff {
    /// `read_at` is the time before the branch's record was read.
    pub(crate) async fn open(
        engine: &Graveler,
        repository: &Repository,
        left: Option<MetaRangeId>,
        branch: Branch,
        read_at: OffsetDateTime,
    ) -> Result<Self> {
        let diff = open_diff(engine, repository, left.as_ref(), &branch).await?;
        Ok(Self {
            engine: engine.clone(),
            repository: repository.clone(),
            left,
            branch,
            read_at,
            diff,
            resume: Bytes::new(),
            ended: false,
            late_reads: 0,
        })
    }

    /// Reloads the branch if its tokens may soon be emptied.
    async fn refresh(&mut self) -> Result<()> {
        let now = self.engine.clock.now();
        if now - self.read_at >= self.engine.staging.token_grace / 2 {
            self.reload(now).await?;
        }
        Ok(())
    }

    /// Reloads the branch if the last read took so long that its tokens may have been emptied
    /// meanwhile. Returns whether the branch changed; the caller must then discard what it read.
    async fn discard_if_late(&mut self) -> Result<bool> {
        let now = self.engine.clock.now();
        if now - self.read_at <= self.engine.staging.token_grace / 2 {
            return Ok(false);
        }
        self.reload(now).await
    }

    /// Re-reads the branch and, if it changed, continues with its new state. Returns whether it
    /// changed.
    async fn reload(&mut self, now: OffsetDateTime) -> Result<bool> {
        let stored = self.engine.refs.branch(&self.repository, &self.branch.id);
        let record = stored.await?.record;
        let has_changed = record != self.branch.record;
        if has_changed {
            let branch = Branch {
                id: self.branch.id.clone(),
                record,
            };
            let mut diff =
                open_diff(&self.engine, &self.repository, self.left.as_ref(), &branch).await?;
            diff.seek(&self.resume);
            (self.diff, self.branch) = (diff, branch);
        }
        self.read_at = now;
        Ok(has_changed)
    }

    /// Continues after `key`.
    fn advance_past(&mut self, key: &[u8]) {
        self.resume = Bytes::from([key, b"\0"].concat());
    }
}

async fn open_diff(
    engine: &Graveler,
    repository: &Repository,
    left: Option<&MetaRangeId>,
    branch: &Branch,
) -> Result<StagedDiff> {
    let head = engine.tree_of(repository, &branch.record.commit_id).await?;
    let staged = engine.staging.changes(branch.record.tokens());
    engine
        .staged_over(repository, left.unwrap_or(&head), &head, staged)
        .await
}

#[async_trait]
impl DiffSource for BranchDiff {
    async fn next(&mut self) -> Result<Option<Diff>> {
        while !self.ended {
            self.refresh().await?;
            let step = self.diff.step().await?;
            if self.discard_if_late().await? {
                self.late_reads += 1;
                if self.late_reads == MAX_LATE_READS {
                    return Err(Error::TooManyTries(format!("branch {}", self.branch.id)));
                }
                continue;
            }
            self.late_reads = 0;
            match step {
                Step::Found(diff) => {
                    self.advance_past(&diff.key);
                    return Ok(Some(diff));
                }
                Step::Same(key) => self.advance_past(&key),
                Step::End => self.ended = true,
            }
        }
        Ok(None)
    }

    fn seek(&mut self, key: &[u8]) {
        if key > self.resume.as_ref() {
            self.resume = Bytes::copy_from_slice(key);
        }
        self.diff.seek(key);
    }
}
