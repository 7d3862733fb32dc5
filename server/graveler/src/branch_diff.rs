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

use crate::cursor::lower_end;
use crate::fresh_branch::{Changed, FreshBranch};
use crate::staged_diff::{StagedDiff, Step};
use crate::{Branch, Diff, DiffSource, Graveler, MetaRangeId, Repository, Result};

/// The difference from a tree to a branch with its staged changes.
#[derive(Debug)]
pub(crate) struct BranchDiff {
    /// `None`: the branch's current head.
    left: Option<MetaRangeId>,
    branch: FreshBranch,
    diff: StagedDiff,
    /// The key to continue at after the branch changed.
    resume: Bytes,
    /// The exclusive end.
    end: Option<Bytes>,
    ended: bool,
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
            left,
            branch: FreshBranch::new(engine.clone(), repository.clone(), branch, read_at),
            diff,
            resume: Bytes::new(),
            end: None,
            ended: false,
        })
    }

    /// Continues with the new state of the branch.
    async fn reopen(&mut self, changed: Changed) -> Result<()> {
        let (engine, repository) = (self.branch.engine(), self.branch.repository());
        let diff = open_diff(engine, repository, self.left.as_ref(), &changed.branch);
        self.diff = diff.await?;
        self.diff.seek(&self.resume);
        if let Some(end) = &self.end {
            self.diff.end_at(end);
        }
        self.branch.adopt(changed);
        Ok(())
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
        .diff_with_staged(repository, left.unwrap_or(&head), &head, staged)
        .await
}

#[async_trait]
impl DiffSource for BranchDiff {
    async fn next(&mut self) -> Result<Option<Diff>> {
        while !self.ended {
            if let Some(changed) = self.branch.refresh().await? {
                self.reopen(changed).await?;
            }
            let step = self.diff.step().await?;
            if let Some(changed) = self.branch.refresh_if_late().await? {
                self.reopen(changed).await?;
                continue;
            }
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

    fn end_at(&mut self, key: &[u8]) {
        lower_end(&mut self.end, key);
        self.diff.end_at(key);
    }
}
