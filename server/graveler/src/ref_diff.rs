//! Differences: of a branch's uncommitted changes, between two references, and between a merge base
//! and a reference.

use base::prefix_end;

use crate::branch_diff::BranchDiff;
use crate::cursor::Lookup;
use crate::refs::committed_side;
use crate::staged_diff::StagedDiff;
use crate::staging::StagedChanges;
use crate::{
    Branch, BranchId, BranchRecord, Commit, DiffCursor, DiffSource as _, Error, Graveler,
    MetaRangeId, RefKind, Repository, ResolvedRef, Result,
};

impl Graveler {
    /// Uncommitted changes of a branch, in key order.
    pub async fn diff_uncommitted(
        &self,
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
        let sealed = self.staging.changes(&record.sealed_tokens);
        Ok(DiffCursor::new(
            self.diff_with_staged(repository, &head, &head, sealed)
                .await?,
        ))
    }

    /// Whether staged changes of a branch make a difference to its head.
    pub(crate) async fn is_dirty(
        &self,
        repository: &Repository,
        record: &BranchRecord,
    ) -> Result<bool> {
        let head = self.tree_of(repository, &record.commit_id).await?;
        Ok(self
            .diff_with_staged(
                repository,
                &head,
                &head,
                self.staging.changes(record.tokens()),
            )
            .await?
            .next()
            .await?
            .is_some())
    }

    /// Two-dot diff: the changes that turn `left` into `right`. A branch means its head; `branch$`
    /// on the right means the branch with its staged changes. The references must have been
    /// resolved just now.
    ///
    /// # Errors
    /// [`Error::InvalidReference`] if `left` names staged changes.
    pub async fn diff(
        &self,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
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

    /// The difference between two stored trees.
    pub async fn diff_trees(
        &self,
        repository: &Repository,
        left: &MetaRangeId,
        right: &MetaRangeId,
    ) -> Result<DiffCursor> {
        self.committed
            .diff(&repository.storage_namespace, left, right)
            .await
    }

    /// Three-dot diff: the changes of `right` since its merge base with `left`. A key that both
    /// sides changed is a conflict.
    ///
    /// # Errors
    /// [`Error::InvalidReference`] if a side names staged changes; [`Error::NoMergeBase`] if the
    /// histories are unrelated.
    pub async fn compare(
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
        let commits = self.refs.commits(repository, &[base, left, right]).await?;
        let [base, left, right] = [0, 1, 2].map(|i| &commits[i].meta_range_id);
        self.committed
            .compare(&repository.storage_namespace, base, left, right)
            .await
    }

    /// Whether a commit changed one of `keys`, or any key below one of `prefixes`, compared with
    /// its first parent.
    pub async fn touches(
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
            if let Some(end) = prefix_end(prefix) {
                diff.end_at(&end);
            }
            if diff.next().await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The difference from the tree `left` to the tree `head` with staged changes on top.
    pub(crate) async fn diff_with_staged(
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
        let base = Lookup::new(self.committed.cursor(namespace, left).await?);
        Ok(StagedDiff::new(committed, staged, base))
    }
}
