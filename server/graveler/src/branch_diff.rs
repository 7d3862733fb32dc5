//! Differences up to a branch with its staged changes, while the branch is written to.
//!
//! Not a snapshot, as [`crate::staging::BranchCursor`] is none: who reads for so long that the branch's
//! tokens may have been emptied looks at the branch again, and goes on behind the last key with
//! what the branch is by then. A key that nobody writes meanwhile is shown once, or not at
//! all, as it differs; what is committed meanwhile is no uncommitted change from then on.

use std::sync::Arc;

use async_trait::async_trait;
use base::OffsetDateTime;
use bytes::Bytes;

use crate::engine::Engine;
use crate::ref_diff::{StagedDiff, Step};
use crate::staging::StagedChanges;
use crate::{Branch, Diff, DiffSource, Error, MetaRangeId, Repository, Result};

/// How often in a row answers may come too late while the branch changes.
const MAX_FRUITLESS: u32 = 10;

/// What must happen to a tree to become a branch with its staged changes.
#[derive(Debug)]
pub(crate) struct BranchDiff {
    engine: Arc<Engine>,
    repository: Repository,
    /// None: the branch's head, as it moves.
    left: Option<MetaRangeId>,
    branch: Branch,
    looked_at: OffsetDateTime,
    diff: StagedDiff,
    /// Where to go on after looking at the branch again.
    resume: Bytes,
    ended: bool,
    /// How often in a row what was read came too late.
    fruitless: u32,
}

impl BranchDiff {
    /// `looked_at`: before the branch was looked up.
    pub(crate) async fn open(
        engine: &Arc<Engine>,
        repository: &Repository,
        left: Option<MetaRangeId>,
        branch: Branch,
        looked_at: OffsetDateTime,
    ) -> Result<Self> {
        let diff = laid_over(engine, repository, left.as_ref(), &branch).await?;
        Ok(Self {
            engine: Arc::clone(engine),
            repository: repository.clone(),
            left,
            branch,
            looked_at,
            diff,
            resume: Bytes::new(),
            ended: false,
            fruitless: 0,
        })
    }

    /// Looks at the branch again if its tokens may soon be emptied behind our back.
    async fn refresh(&mut self) -> Result<()> {
        let now = self.engine.clock.now();
        if now - self.looked_at >= self.engine.token_grace / 2 {
            self.look_again(now).await?;
        }
        Ok(())
    }

    /// Whether a request took so long that the tokens may have been emptied before it was answered, and
    /// the branch has changed: then what was read does not count.
    async fn was_late(&mut self) -> Result<bool> {
        let now = self.engine.clock.now();
        if now - self.looked_at <= self.engine.token_grace / 2 {
            return Ok(false);
        }
        self.look_again(now).await
    }

    /// Goes on with what the branch is now, if it has changed.
    async fn look_again(&mut self, now: OffsetDateTime) -> Result<bool> {
        let stored = self.engine.refs.branch(&self.repository, &self.branch.id);
        let record = stored.await?.record;
        let has_changed = record != self.branch.record;
        if has_changed {
            let branch = Branch {
                id: self.branch.id.clone(),
                record,
            };
            let mut diff =
                laid_over(&self.engine, &self.repository, self.left.as_ref(), &branch).await?;
            diff.seek(&self.resume);
            (self.diff, self.branch) = (diff, branch);
        }
        self.looked_at = now;
        Ok(has_changed)
    }

    /// Behind `key` is where reading goes on.
    fn pass(&mut self, key: &[u8]) {
        self.resume = Bytes::from([key, b"\0"].concat());
    }
}

async fn laid_over(
    engine: &Engine,
    repository: &Repository,
    left: Option<&MetaRangeId>,
    branch: &Branch,
) -> Result<StagedDiff> {
    let head = engine.tree_of(repository, &branch.record.commit_id).await?;
    let staged = StagedChanges::new(&engine.kv, branch.record.tokens());
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
            if self.was_late().await? {
                self.fruitless += 1;
                if self.fruitless == MAX_FRUITLESS {
                    return Err(Error::TooManyTries(format!("branch {}", self.branch.id)));
                }
                continue;
            }
            self.fruitless = 0;
            match step {
                Step::Found(diff) => {
                    self.pass(&diff.key);
                    return Ok(Some(diff));
                }
                Step::Same(key) => self.pass(&key),
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
