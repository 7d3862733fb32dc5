//! Undoes a change of a reference, given the change's reflog entry.
//!
//! An undo restores the state of the reference before the change. It succeeds only while the
//! reference is in the state that the change left. It is one batch: a compare-and-set of the
//! reference and a new entry. Undoing an undo is therefore a redo. Hooks do not run, since the
//! reference had the restored state before. An undo that would have to delete the reference is
//! refused: deletions have their own hooks and permissions.

use bytes::Bytes;
use kv::{Op, Predicate};

use crate::change::MAX_TRIES;
use crate::checks::{check_read_only, count_retry};
use crate::error::not_found;
use crate::protection::Blocked;
use crate::records::{Stored as _, tag_key};
use crate::reference_changes::require_free_name_ops;
use crate::reflog::{
    RefChange, RefTarget, StoredEntry, entry_ops, kind_and_name, no_staged_changes_kept,
    refused_creation, release_kept_ops, tokens_no_longer_staged, undo_reason,
};
use crate::refs::{StoredBranch, branch_op};
use crate::staging::retire_op;
use crate::{
    BranchId, BranchRecord, CommitId, Error, Graveler, Kind, Operation, RefName, ReflogEntry,
    Repository, Result, Tag, TagId, UndoOutcome, UndoParams,
};

/// Longer strings cannot be entry ids.
const MAX_ID_BYTES: usize = 64;

impl Graveler {
    /// The entry that an undo would undo: the given one, or the newest of the reference.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if there is none.
    pub async fn entry_to_undo(
        &self,
        repository: &Repository,
        reference: &RefName,
        id: Option<&str>,
    ) -> Result<ReflogEntry> {
        let Some(id) = id else {
            let newest = self.reflog(repository, Some(reference), "", 1).await?;
            let (kind, name) = kind_and_name(reference);
            return newest
                .results
                .into_iter()
                .next()
                .ok_or_else(|| not_found(Kind::ReflogEntry, &format!("of {kind} {name}")));
        };
        let found = match id.len() {
            ..=MAX_ID_BYTES => self.reflog.entry(repository, reference, id).await?,
            _ => None,
        };
        match found {
            Some(found) => self.reflog.without_empty_tokens(found.entry).await,
            None => Err(not_found(Kind::ReflogEntry, id)),
        }
    }

    /// Undoes a change of a reference, provided that the reference is in the state that the change
    /// left.
    ///
    /// Undoing an undo is a redo. Hooks do not run: the reference had this state before.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if there is no such entry; [`crate::Error::MovedOn`] if the
    /// reference changed since; [`crate::Error::Advised`] or [`crate::Error::InvalidValue`] for
    /// changes that cannot be undone; [`crate::Error::Protected`] for a redo of a reset on a
    /// protected branch.
    pub async fn undo(
        &self,
        repository: &Repository,
        reference: &RefName,
        params: &UndoParams,
    ) -> Result<UndoOutcome> {
        check_read_only(repository, params.force)?;
        // Choose the entry only once, because a change that lands meanwhile is not the one that the user meant.
        let chosen = self
            .entry_to_undo(repository, reference, params.entry.as_deref())
            .await?;
        for _ in 0..MAX_TRIES {
            let found = self.reflog.entry(repository, reference, &chosen.id).await?;
            let found = found.ok_or_else(|| not_found(Kind::ReflogEntry, &chosen.id))?;
            let Some(before) = found.entry.from.clone() else {
                return Err(refused_creation(&found.entry));
            };
            let effective = self
                .reflog
                .without_empty_tokens(found.entry.clone())
                .await?;
            let by = UndoContext {
                repository,
                found: &found,
                effective: &effective,
                before: &before,
                actor: &params.actor,
            };
            let undone = match reference {
                RefName::Branch(branch) => self.undo_on_branch(by, branch).await?,
                RefName::Tag(tag) => self.undo_on_tag(by, tag).await?,
            };
            if let Some(undone) = undone {
                return Ok(undone);
            }
            count_retry("undo");
        }
        let (kind, name) = kind_and_name(reference);
        Err(Error::TooManyTries(format!("{kind} {name}")))
    }

    /// `None`: something changed; start over.
    async fn undo_on_branch(
        &self,
        by: UndoContext<'_>,
        branch: &BranchId,
    ) -> Result<Option<UndoOutcome>> {
        let _permit = self.queue.acquire(by.repository, branch).await?;
        let entry = &by.found.entry;
        let now = match self.refs.branch(by.repository, branch).await {
            Ok(stored) => Some(stored),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let head = now.as_ref().map(|now| &now.record.commit_id);
        if head != entry.to.as_ref() {
            return Err(self
                .reflog
                .explain_moved_reference(by.repository, entry, head)
                .await?);
        }
        match now {
            None => self.restore_branch(by, branch).await,
            Some(now) if entry.from != entry.to => self.restore_head(by, branch, now).await,
            Some(now) if !entry.restored_tokens.is_empty() => {
                self.redo_reset(by, branch, now).await
            }
            Some(now) => self.restore_staged(by, branch, now).await,
        }
    }

    /// Restores a deleted branch at its commit, with the changes that were staged on it if they are
    /// still kept.
    async fn restore_branch(
        &self,
        by: UndoContext<'_>,
        branch: &BranchId,
    ) -> Result<Option<UndoOutcome>> {
        self.check_name_free(by.repository, branch.as_str()).await?;
        let record = BranchRecord {
            commit_id: by.before.clone(),
            staging_token: self.staging.new_token(by.repository, branch),
            sealed_tokens: by.found.entry.kept_tokens.clone(),
            hidden: by.found.entry.hidden,
        };
        let mut ops = vec![branch_op(by.repository, branch, record, Predicate::Absent)];
        ops.extend(require_free_name_ops(
            by.repository,
            RefTarget::Branch(branch),
        ));
        self.land_undo(by, self.undo_entry(by), ops).await
    }

    /// Moves the head back. Staged changes stay staged, except those that make no difference to the
    /// head that is undone: they are dropped.
    async fn restore_head(
        &self,
        by: UndoContext<'_>,
        branch: &BranchId,
        now: StoredBranch,
    ) -> Result<Option<UndoOutcome>> {
        let Some(at) = self.seal(by.repository, branch, now).await? else {
            return Ok(None);
        };
        if Some(&at.record.commit_id) != by.found.entry.to.as_ref() {
            return Ok(None);
        }
        let kept = self.drop_no_op_changes(by.repository, branch, &at).await?;
        let record = BranchRecord {
            commit_id: by.before.clone(),
            sealed_tokens: kept.tokens,
            ..at.record
        };
        let mut ops = vec![branch_op(by.repository, branch, record, at.predicate)];
        ops.extend(kept.replaced.iter().map(retire_op));
        let undone = self.land_undo(by, self.undo_entry(by), ops).await?;
        match &undone {
            Some(_) => self.staging.retire(kept.replaced),
            None => {
                for token in kept.fresh {
                    self.staging.retire_unused(token).await;
                }
            }
        }
        Ok(undone)
    }

    /// Restores the changes that a reset discarded. They count as older than the changes staged since the reset: for
    /// keys in both, the newer change wins.
    async fn restore_staged(
        &self,
        by: UndoContext<'_>,
        branch: &BranchId,
        now: StoredBranch,
    ) -> Result<Option<UndoOutcome>> {
        let kept = &by.found.entry.kept_tokens;
        if kept.is_empty() {
            return Err(no_staged_changes_kept(&by.found.entry));
        }
        let record = BranchRecord {
            sealed_tokens: [now.record.sealed_tokens.as_slice(), kept].concat(),
            ..now.record
        };
        let ops = vec![branch_op(by.repository, branch, record, now.predicate)];
        self.land_undo(by, self.undo_entry(by), ops).await
    }

    /// Redoes a reset: discards the changes that its undo restored, and keeps them again.
    async fn redo_reset(
        &self,
        by: UndoContext<'_>,
        branch: &BranchId,
        now: StoredBranch,
    ) -> Result<Option<UndoOutcome>> {
        self.protection
            .check(by.repository, branch, Blocked::StagingWrite)
            .await?;
        let again = by.found.entry.restored_tokens.as_slice();
        let Some(newer) = now.record.sealed_tokens.strip_suffix(again) else {
            return Err(tokens_no_longer_staged(&by.found.entry));
        };
        let reason = undo_reason(&by.found.entry);
        let mut undo = self.reflog.new_entry(RefChange {
            discarded: again,
            ..RefChange::head(branch, Operation::Undo, by.before, by.before).by(by.actor, &reason)
        });
        undo.undone = Some(by.found.entry.id.clone());
        let record = BranchRecord {
            sealed_tokens: newer.to_vec(),
            ..now.record.clone()
        };
        let mut ops = vec![branch_op(by.repository, branch, record, now.predicate)];
        if undo.kept_tokens.is_empty() {
            ops.extend(again.iter().map(retire_op));
        }
        let undone = self.land_undo(by, undo, ops).await?;
        if undone.is_some() {
            self.reflog.retire_unless_kept(again.to_vec());
        }
        Ok(undone)
    }

    async fn undo_on_tag(&self, by: UndoContext<'_>, id: &TagId) -> Result<Option<UndoOutcome>> {
        let now = match self.refs.tag(by.repository, id).await {
            Ok(tag) => Some(tag.commit_id),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if now != by.found.entry.to {
            let moved =
                self.reflog
                    .explain_moved_reference(by.repository, &by.found.entry, now.as_ref());
            return Err(moved.await?);
        }
        self.check_name_free(by.repository, id.as_str()).await?;
        let tag = Tag {
            id: id.clone(),
            commit_id: by.before.clone(),
        };
        let mut ops = vec![Op::Set {
            partition: Bytes::from(by.repository.partition()),
            key: tag_key(id.as_str()),
            value: tag.encode(),
            predicate: Some(Predicate::Absent),
        }];
        ops.extend(require_free_name_ops(by.repository, RefTarget::Tag(id)));
        self.land_undo(by, self.undo_entry(by), ops).await
    }

    /// Writes the undo and its entry, and removes the restored tokens from the undone entry.
    /// `None`: a predicate failed; start over.
    async fn land_undo(
        &self,
        by: UndoContext<'_>,
        undo: ReflogEntry,
        mut ops: Vec<Op>,
    ) -> Result<Option<UndoOutcome>> {
        ops.extend(release_kept_ops(by.repository, by.found));
        ops.extend(entry_ops(by.repository, &undo));
        // Guarded, since a deletion of the repository may have removed this reference already.
        match self.refs.write_unless_deleted(by.repository, ops).await {
            Ok(()) => {}
            Err(Error::Kv(kv::Error::PredicateFailed { .. })) => return Ok(None),
            // The outcome is unknown, so look for the undo's entry, which has a unique id.
            Err(error @ Error::Kv(_)) => {
                let landed = self
                    .reflog
                    .entry(by.repository, &undo.reference, &undo.id)
                    .await;
                if !matches!(landed, Ok(Some(_))) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(Some(UndoOutcome {
            commit_id: by.before.clone(),
            restored_staged: by.effective.keeps_staged() && !undo.restored_tokens.is_empty(),
            entry: by.effective.clone(),
        }))
    }

    /// The entry of an undo: from the commit after the undone change to the commit before it.
    fn undo_entry(&self, by: UndoContext<'_>) -> ReflogEntry {
        let entry = &by.found.entry;
        let mut undo = self.reflog.new_entry(RefChange {
            reference: match &entry.reference {
                RefName::Branch(branch) => RefTarget::Branch(branch),
                RefName::Tag(tag) => RefTarget::Tag(tag),
            },
            operation: Operation::Undo,
            actor: by.actor,
            reason: &undo_reason(entry),
            from: entry.to.as_ref(),
            to: Some(by.before),
            hidden: entry.hidden,
            discarded: &[],
        });
        undo.undone = Some(entry.id.clone());
        undo.restored_tokens.clone_from(&entry.kept_tokens);
        undo
    }
}

/// The change to undo, and the user who requested it.
#[derive(Debug, Clone, Copy)]
struct UndoContext<'a> {
    repository: &'a Repository,
    found: &'a StoredEntry,
    /// `found.entry` without kept tokens that are empty.
    effective: &'a ReflogEntry,
    /// The commit before the change.
    before: &'a CommitId,
    actor: &'a str,
}
