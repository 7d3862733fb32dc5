//! Throws away uncommitted changes, and moves a branch's head to another commit.
//!
//! Every reset is one compare-and-set of the branch, so that a commit that is worked
//! out with the same changes, on whichever server, lands before the reset or not at all.
//! Sealed tokens are never changed: what is left of them goes into a fresh token first,
//! which the branch then names in their stead.

use bytes::Bytes;
use kv::Op;

use crate::committed::ChangeCursor as _;
use crate::engine::{Engine, check_read_only, count_retry};
use crate::landing::MAX_TRIES;
use crate::protection::Blocked;
use crate::records::{Stored as _, branch_key};
use crate::reflog::RefChange;
use crate::refs::StoredBranch;
use crate::staging::{FreshToken, Rewritten, StagedChanges, Stretch, retire_op};
use crate::{Branch, BranchId, BranchRecord, Error, Operation, Repository, ResetScope, Result};

/// Who resets, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResetBy<'a> {
    pub actor: &'a str,
    /// Also in a read-only repository.
    pub force: bool,
}

impl Engine {
    /// Throws away uncommitted changes: what they were about reads as committed then.
    pub(crate) async fn reset(
        &self,
        repository: &Repository,
        branch: &BranchId,
        scope: ResetScope,
        by: ResetBy<'_>,
    ) -> Result<()> {
        check_read_only(repository, by.force)?;
        self.refs.branch(repository, branch).await?;
        self.protection
            .check(repository, branch, Blocked::StagingWrite)
            .await?;
        let stretch = match scope {
            ResetScope::All => return self.reset_all(repository, branch, by).await,
            ResetScope::Prefix(prefix) if prefix.is_empty() => {
                return self.reset_all(repository, branch, by).await;
            }
            ResetScope::Prefix(prefix) => Stretch::Prefix(Bytes::from(prefix)),
            ResetScope::Key(key) if key.is_empty() => {
                return Err(Error::InvalidValue("key is required".to_owned()));
            }
            ResetScope::Key(key) => Stretch::Key(Bytes::from(key)),
        };
        self.reset_stretch(repository, branch, &stretch, by).await
    }

    async fn reset_all(
        &self,
        repository: &Repository,
        branch: &BranchId,
        by: ResetBy<'_>,
    ) -> Result<()> {
        for _ in 0..MAX_TRIES {
            let _turn = self.queue.turn(repository, branch).await?;
            let looked_at = self.clock.now();
            let at = self.refs.branch(repository, branch).await?;
            let tokens: Vec<_> = at.record.tokens().cloned().collect();
            if StagedChanges::new(&self.kv, &tokens)
                .next()
                .await?
                .is_none()
            {
                if self
                    .is_as_it_was(repository, branch, &at.record, looked_at)
                    .await?
                {
                    return Ok(());
                }
                continue;
            }
            let record = BranchRecord {
                staging_token: self.new_staging_token(repository, branch),
                sealed_tokens: Vec::new(),
                ..at.record.clone()
            };
            let head = &at.record.commit_id;
            let change = RefChange {
                discarded: &tokens,
                ..RefChange::head(branch, Operation::Reset, head, head).by(by.actor, "")
            };
            let next = (record, Rewritten::default());
            if self.replace(repository, branch, &at, next, change).await? {
                self.discarded(tokens);
                return Ok(());
            }
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    async fn reset_stretch(
        &self,
        repository: &Repository,
        branch: &BranchId,
        stretch: &Stretch,
        by: ResetBy<'_>,
    ) -> Result<()> {
        for _ in 0..MAX_TRIES {
            let _turn = self.queue.turn(repository, branch).await?;
            let looked_at = self.clock.now();
            let at = self.refs.branch(repository, branch).await?;
            let Some(at) = self.seal(repository, branch, at).await? else {
                continue;
            };
            let Some(left) = self
                .sealed_without(repository, branch, &at.record, stretch)
                .await?
            else {
                if self
                    .is_as_it_was(repository, branch, &at.record, looked_at)
                    .await?
                {
                    return Ok(());
                }
                continue;
            };
            let record = BranchRecord {
                sealed_tokens: left.tokens.clone(),
                ..at.record.clone()
            };
            let (head, reason) = (&at.record.commit_id, stretch.to_string());
            let change =
                RefChange::head(branch, Operation::Reset, head, head).by(by.actor, &reason);
            if self
                .replace(repository, branch, &at, (record, left), change)
                .await?
            {
                return Ok(());
            }
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    /// Moves the head to the commit that `reference` names. What is staged stays staged, over
    /// the new head; what made no difference to the old head makes none to the new one.
    pub(crate) async fn hard_reset(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        by: ResetBy<'_>,
    ) -> Result<()> {
        check_read_only(repository, by.force)?;
        self.refs.branch(repository, branch).await?;
        for blocked in [Blocked::StagingWrite, Blocked::Commit] {
            self.protection.check(repository, branch, blocked).await?;
        }
        for _ in 0..MAX_TRIES {
            let _turn = self.queue.turn(repository, branch).await?;
            let at = self.refs.branch(repository, branch).await?;
            // Resolved in each try: it may be said from where the branch itself stands.
            let target = self.refs.resolve_commit(repository, reference).await?;
            if target == at.record.commit_id {
                return Ok(());
            }
            let Some(at) = self.seal(repository, branch, at).await? else {
                continue;
            };
            let kept = self.kept(repository, branch, &at).await?;
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

    /// Of what is sealed, that which makes a difference to the head, in one token or none.
    pub(crate) async fn kept(
        &self,
        repository: &Repository,
        branch: &BranchId,
        at: &StoredBranch,
    ) -> Result<Rewritten> {
        let replaced = at.record.sealed_tokens.clone();
        let mut fresh = FreshToken::new(self, repository, branch);
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

    /// Gives the branch another record if it is still as in `at`. False: it changed.
    async fn replace(
        &self,
        repository: &Repository,
        branch: &BranchId,
        at: &StoredBranch,
        (record, staged): (BranchRecord, Rewritten),
        change: RefChange<'_>,
    ) -> Result<bool> {
        let value = Branch {
            id: branch.clone(),
            record,
        }
        .encode();
        let mut ops = vec![Op::Set {
            partition: Bytes::from(repository.partition()),
            key: branch_key(branch.as_str()),
            value,
            predicate: Some(at.predicate.clone()),
        }];
        ops.extend(staged.replaced.iter().map(retire_op));
        let told = self.reflog_record(repository, change);
        ops.extend(told.ops);
        match self.kv.batch(ops).await {
            Ok(()) => {}
            Err(kv::Error::PredicateFailed { .. }) => {
                count_retry("reset");
                for token in staged.fresh {
                    self.give_up_token(token).await;
                }
                return Ok(false);
            }
            // The fresh tokens stay, since it may have taken effect.
            Err(error) => self.look_for(repository, &told.key, error).await?,
        }
        self.janitor.retire(staged.replaced);
        Ok(true)
    }
}
