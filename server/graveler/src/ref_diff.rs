//! Differences between references: uncommitted changes, two references, two references since their
//! merge base.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::branch_diff::BranchDiff;
use crate::committed::{Change, ChangeCursor as _};
use crate::cursor::Lookup;
use crate::engine::Engine;
use crate::refs::committed_side;
use crate::staging::StagedChanges;
use crate::{
    Branch, BranchId, BranchRecord, Commit, Diff, DiffCursor, DiffKind, DiffSource, Error,
    MetaRangeId, RefKind, Repository, ResolvedRef, Result,
};

impl Engine {
    /// Uncommitted changes of a branch.
    pub(crate) async fn diff_uncommitted(
        self: &Arc<Self>,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<DiffCursor> {
        let read_at = self.clock.now();
        let branch = Branch {
            id: branch.clone(),
            record: self.refs.branch(repository, branch).await?.record,
        };
        Ok(DiffCursor::new(
            BranchDiff::open(self, repository, None, branch, read_at).await?,
        ))
    }

    /// The changes that a branch's sealed tokens make to its head.
    pub(crate) async fn diff_sealed(
        &self,
        repository: &Repository,
        record: &BranchRecord,
    ) -> Result<DiffCursor> {
        let head = self.tree_of(repository, &record.commit_id).await?;
        let sealed = StagedChanges::new(&self.kv, &record.sealed_tokens);
        Ok(DiffCursor::new(
            self.staged_over(repository, &head, &head, sealed).await?,
        ))
    }

    /// Whether staged changes make a difference to the head.
    pub(crate) async fn is_dirty(
        &self,
        repository: &Repository,
        record: &BranchRecord,
    ) -> Result<bool> {
        let head = self.tree_of(repository, &record.commit_id).await?;
        Ok(self
            .staged_over(
                repository,
                &head,
                &head,
                StagedChanges::new(&self.kv, record.tokens()),
            )
            .await?
            .next()
            .await?
            .is_some())
    }

    pub(crate) async fn diff(
        self: &Arc<Self>,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
        // The caller resolved the branch just now.
        let read_at = self.clock.now();
        let left = self
            .tree_of(repository, &committed_side(left, "left")?)
            .await?;
        match (&right.kind, &right.branch) {
            (RefKind::BranchStaging, Some(branch)) => Ok(DiffCursor::new(
                BranchDiff::open(self, repository, Some(left), branch.clone(), read_at).await?,
            )),
            _ => {
                let right = self.tree_of(repository, &right.commit_id).await?;
                self.committed
                    .diff(&repository.storage_namespace, &left, &right)
                    .await
            }
        }
    }

    pub(crate) async fn compare(
        &self,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
        let (left, right) = (
            committed_side(left, "left")?,
            committed_side(right, "right")?,
        );
        let Some(base) = self.refs.merge_base(repository, &left, &right).await? else {
            return Err(Error::NoMergeBase(left.to_string(), right.to_string()));
        };
        let trees = self.refs.commits(repository, &[base, left, right]).await?;
        let [base, left, right] = [0, 1, 2].map(|i| &trees[i].meta_range_id);
        self.committed
            .compare(&repository.storage_namespace, base, left, right)
            .await
    }

    pub(crate) async fn touches(
        &self,
        repository: &Repository,
        commit: &Commit,
        keys: &[Vec<u8>],
        prefixes: &[Vec<u8>],
    ) -> Result<bool> {
        let before = match commit.parents.first() {
            Some(parent) => self.tree_of(repository, parent).await?,
            None => MetaRangeId::trusted(""),
        };
        let after = &commit.meta_range_id;
        if before == *after {
            return Ok(false);
        }
        let namespace = &repository.storage_namespace;
        for key in keys {
            let old = self.committed.get(namespace, &before, key).await?;
            let new = self.committed.get(namespace, after, key).await?;
            if old.map(|v| v.identity) != new.map(|v| v.identity) {
                return Ok(true);
            }
        }
        for prefix in prefixes {
            let mut diff = self.committed.diff(namespace, &before, after).await?;
            diff.seek(prefix);
            if diff
                .next()
                .await?
                .is_some_and(|diff| diff.key.starts_with(prefix))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The difference from the tree `left` to the tree `head` with staged changes on top.
    pub(crate) async fn staged_over(
        &self,
        repository: &Repository,
        left: &MetaRangeId,
        head: &MetaRangeId,
        staged: StagedChanges,
    ) -> Result<StagedDiff> {
        let namespace = &repository.storage_namespace;
        let committed = if left == head {
            None
        } else {
            Some(self.committed.diff(namespace, left, head).await?)
        };
        Ok(StagedDiff {
            committed,
            difference: None,
            staged,
            change: None,
            base: Lookup::new(self.committed.cursor(namespace, left).await?),
        })
    }
}

/// Staged changes on top of the difference between two trees.
#[derive(Debug)]
pub(crate) struct StagedDiff {
    /// From the left tree to the head; `None` if they are the same tree.
    committed: Option<DiffCursor>,
    difference: Option<Diff>,
    staged: StagedChanges,
    change: Option<Change>,
    /// The left tree's records, looked up for staged keys.
    base: Lookup,
}

/// The result of one step: of one staged change or one difference between the trees.
#[derive(Debug)]
pub(crate) enum Step {
    Found(Diff),
    /// The staged change of this key makes no difference.
    Same(Bytes),
    End,
}

impl StagedDiff {
    /// Advances by one key. Dropping the future loses no change.
    pub(crate) async fn step(&mut self) -> Result<Step> {
        if self.change.is_none() {
            self.change = self.staged.next().await?;
        }
        if let (None, Some(committed)) = (&self.difference, &mut self.committed) {
            self.difference = committed.next().await?;
        }
        let difference = self.difference.as_ref().map(|difference| &difference.key);
        let (key, differs) = match (&self.change, difference) {
            (None, None) => return Ok(Step::End),
            (Some(change), at) if at.is_none_or(|at| *at >= change.key) => {
                (change.key.clone(), at == Some(&change.key))
            }
            _ => return Ok(self.difference.take().map_or(Step::End, Step::Found)),
        };
        // Trees that agree on the identity may still differ in bytes, so read the left one.
        let at_base = if differs {
            None
        } else {
            self.base.get(&key).await?
        };
        // No await from here on: a dropped future must not lose what is taken below.
        let left = if differs {
            self.difference.take().and_then(|found| found.left)
        } else {
            at_base
        };
        let right = self.change.take().and_then(|change| change.value);
        let kind = match (&left, &right) {
            (None, None) => return Ok(Step::Same(key)),
            (Some(left), Some(right)) if left.identity == right.identity => {
                return Ok(Step::Same(key));
            }
            (None, Some(_)) => DiffKind::Added,
            (Some(_), Some(_)) => DiffKind::Changed,
            (Some(_), None) => DiffKind::Removed,
        };
        Ok(Step::Found(Diff {
            kind,
            key,
            left,
            right,
        }))
    }
}

#[async_trait]
impl DiffSource for StagedDiff {
    async fn next(&mut self) -> Result<Option<Diff>> {
        loop {
            match self.step().await? {
                Step::Found(diff) => return Ok(Some(diff)),
                Step::Same(_) => {}
                Step::End => return Ok(None),
            }
        }
    }

    fn seek(&mut self, key: &[u8]) {
        if self
            .change
            .as_ref()
            .is_none_or(|change| change.key.as_ref() < key)
        {
            self.change = None;
            self.staged.seek(key);
        }
        if self
            .difference
            .as_ref()
            .is_none_or(|difference| difference.key.as_ref() < key)
        {
            self.difference = None;
            if let Some(committed) = &mut self.committed {
                committed.seek(key);
            }
        }
    }
}
