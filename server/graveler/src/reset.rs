//! Discards uncommitted changes, and moves a branch's head to another commit.
//!
//! Every reset is one compare-and-set of the branch, so a concurrent commit of the same changes, on
//! any server, lands before the reset or not at all. Sealed tokens never change. A reset of some
//! keys therefore writes a new token without them, which replaces or precedes the old ones
//! (`staging/exclude_keys.rs`).

use bytes::Bytes;

use crate::change::MAX_TRIES;
use crate::checks::{check_read_only, count_retry};
use crate::committed::ChangeCursor as _;
use crate::protection::Blocked;
use crate::reflog::RefChange;
use crate::refs::{StoredBranch, branch_op};
use crate::staging::{FreshToken, KeyScope, Rewritten, retire_op};
use crate::{BranchId, BranchRecord, Error, Graveler, Operation, Repository, ResetScope, Result};

/// Options of a reset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResetBy<'a> {
    pub actor: &'a str,
    /// Whether to reset even in a read-only repository.
    pub force: bool,
}

impl Graveler {
    /// Discards uncommitted changes. A scope in which nothing is staged is not an error.
    ///
    /// # Errors
    /// [`crate::Error::Protected`] on a protected branch.
    pub async fn reset(
        &self,
        repository: &Repository,
        branch: &BranchId,
        scope: ResetScope,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        let by = ResetBy { actor, force };
        check_read_only(repository, by.force)?;
        self.refs.branch(repository, branch).await?;
        self.protection
            .check(repository, branch, Blocked::StagingWrite)
            .await?;
        let keys = match scope {
            ResetScope::All => None,
            ResetScope::Prefix(prefix) if prefix.is_empty() => None,
            ResetScope::Prefix(prefix) => Some(KeyScope::Prefix(Bytes::from(prefix))),
            ResetScope::Key(key) if key.is_empty() => {
                return Err(Error::InvalidValue("key is required".to_owned()));
            }
            ResetScope::Key(key) => Some(KeyScope::Key(Bytes::from(key))),
        };
        for _ in 0..MAX_TRIES {
            let _permit = self.queue.acquire(repository, branch).await?;
            let is_done = match &keys {
                None => self.try_reset_all(repository, branch, by).await?,
                Some(keys) => self.try_reset_keys(repository, branch, keys, by).await?,
            };
            if is_done {
                return Ok(());
            }
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    /// Tries to discard all uncommitted changes. Returns `false` if the branch changed meanwhile.
    async fn try_reset_all(
        &self,
        repository: &Repository,
        branch: &BranchId,
        by: ResetBy<'_>,
    ) -> Result<bool> {
        let read_at = self.clock.now();
        let at = self.refs.branch(repository, branch).await?;
        let tokens: Vec<_> = at.record.tokens().cloned().collect();
        if self.staging.changes(&tokens).next().await?.is_none() {
            return self
                .is_branch_unchanged(repository, branch, &at.record, read_at)
                .await;
        }
        let record = BranchRecord {
            staging_token: self.staging.new_token(repository, branch),
            sealed_tokens: Vec::new(),
            ..at.record.clone()
        };
        let head = &at.record.commit_id;
        let change = RefChange {
            discarded: &tokens,
            ..RefChange::head(branch, Operation::Reset, head, head).by(by.actor, "")
        };
        let next = (record, Rewritten::default());
        let is_replaced = self.replace(repository, branch, &at, next, change).await?;
        if is_replaced {
            self.reflog.retire_unless_kept(tokens);
        }
        Ok(is_replaced)
    }

    /// Tries to discard the uncommitted changes of some keys. Returns `false` if the branch changed
    /// meanwhile.
    async fn try_reset_keys(
        &self,
        repository: &Repository,
        branch: &BranchId,
        keys: &KeyScope,
        by: ResetBy<'_>,
    ) -> Result<bool> {
        let read_at = self.clock.now();
        let at = self.refs.branch(repository, branch).await?;
        let Some(at) = self.seal(repository, branch, at).await? else {
            return Ok(false);
        };
        let left = self
            .exclude_keys_from_sealed(repository, branch, &at.record, keys)
            .await?;
        let Some(left) = left else {
            return self
                .is_branch_unchanged(repository, branch, &at.record, read_at)
                .await;
        };
        let record = BranchRecord {
            sealed_tokens: left.tokens.clone(),
            ..at.record.clone()
        };
        let (head, reason) = (&at.record.commit_id, keys.to_string());
        let change = RefChange::head(branch, Operation::Reset, head, head).by(by.actor, &reason);
        self.replace(repository, branch, &at, (record, left), change)
            .await
    }

    /// Moves a branch's head to the commit that `reference` names. Staged changes stay staged,
    /// except those that make no difference to the old head: they are dropped.
    ///
    /// # Errors
    /// [`crate::Error::Protected`] on a protected branch.
    pub async fn hard_reset(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        let by = ResetBy { actor, force };
        check_read_only(repository, by.force)?;
        self.refs.branch(repository, branch).await?;
        for blocked in [Blocked::StagingWrite, Blocked::Commit] {
            self.protection.check(repository, branch, blocked).await?;
        }
        for _ in 0..MAX_TRIES {
            let _permit = self.queue.acquire(repository, branch).await?;
            let at = self.refs.branch(repository, branch).await?;
            // Resolved in each attempt: the expression may be relative to the branch itself.
            let target = self.refs.resolve_commit(repository, reference).await?;
            let head = at.record.commit_id.clone();
            if target == head {
                // Nothing is written, so no predicate detects that the branch moved after its record was read.
                if self.refs.branch(repository, branch).await?.record.commit_id == head {
                    return Ok(());
                }
                continue;
            }
            let Some(at) = self.seal(repository, branch, at).await? else {
                continue;
            };
            if at.record.commit_id != head {
                continue;
            }
            let kept = self.drop_no_op_changes(repository, branch, &at).await?;
            let record = BranchRecord {
                commit_id: target.clone(),
                sealed_tokens: kept.tokens.clone(),
                ..at.record.clone()
            };
            let change =
                RefChange::head(branch, Operation::HardReset, &at.record.commit_id, &target)
                    .by(by.actor, reference);
            if self
                .replace(repository, branch, &at, (record, kept), change)
                .await?
            {
                return Ok(());
            }
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    /// Copies the sealed changes that differ from the head to a new token. Makes no token if none
    /// differs.
    pub(crate) async fn drop_no_op_changes(
        &self,
        repository: &Repository,
        branch: &BranchId,
        at: &StoredBranch,
    ) -> Result<Rewritten> {
        let replaced = at.record.sealed_tokens.clone();
        let mut fresh = FreshToken::new(&self.staging, repository, branch);
        let copied = async {
            let mut differences = self.diff_sealed(repository, &at.record).await?;
            while let Some(difference) = differences.next().await? {
                fresh.add(difference.key, difference.right.as_ref()).await?;
            }
            Ok(())
        }
        .await;
        let tokens: Vec<_> = fresh.finish(copied).await?.into_iter().collect();
        Ok(Rewritten {
            fresh: tokens.clone(),
            tokens,
            replaced,
        })
    }

    /// Sets the branch's record if it is still that of `at`. Returns `false` if it changed.
    async fn replace(
        &self,
        repository: &Repository,
        branch: &BranchId,
        at: &StoredBranch,
        (record, staged): (BranchRecord, Rewritten),
        change: RefChange<'_>,
    ) -> Result<bool> {
        let predicate = at.predicate.clone();
        let mut ops = vec![branch_op(repository, branch, record, predicate)];
        ops.extend(staged.replaced.iter().map(retire_op));
        let entry = self.reflog.write(repository, change);
        ops.extend(entry.ops);
        match self.refs.write(ops).await {
            Ok(()) => {}
            Err(kv::Error::PredicateFailed { .. }) => {
                count_retry("reset");
                for token in staged.fresh {
                    self.staging.retire_unused(token).await;
                }
                return Ok(false);
            }
            // If the outcome is unknown, the branch may name the new tokens, so they stay.
            Err(error) => {
                self.reflog
                    .resolve_ambiguous_write(repository, &entry.key, error)
                    .await?;
            }
        }
        self.staging.retire(staged.replaced);
        Ok(true)
    }
}
