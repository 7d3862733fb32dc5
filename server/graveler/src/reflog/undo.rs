//! Takes a change of a reference back, by the entry that tells of it.
//!
//! An undo brings about only what the reference was before, and only while it still is what the
//! change made it: by compare-and-set, in one batch with an entry of its own. So an undo of an
//! undo is a redo, and none gives a reference a state that has not passed its gates before; hooks
//! are not asked. What an undo would have to delete is refused: deletions have hooks and
//! permissions of their own.

use bytes::Bytes;
use kv::{Op, Predicate};

use super::refusal::{moved_on_without_tokens, nothing_kept, refused_creation, told};
use super::{RefChange, RefTarget, StoredEntry, described, entry_ops, let_go_ops};
use crate::deletion::write_unless_deleted;
use crate::engine::{Engine, check_read_only, count_retry};
use crate::landing::MAX_TRIES;
use crate::protection::Blocked;
use crate::records::{Stored as _, branch_key, tag_key};
use crate::refs::{StoredBranch, not_found, sole_name_ops};
use crate::staging::retire_op;
use crate::{
    Branch, BranchId, BranchRecord, CommitId, Error, Kind, Operation, RefName, ReflogEntry,
    Repository, Result, Tag, TagId, UndoParams, Undone,
};

/// Ids are shorter; what is longer is none.
const MAX_ID_BYTES: usize = 64;

impl Engine {
    /// The entry that an undo would take back: the named one, or the newest of the reference.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) async fn entry_to_undo(
        &self,
        repository: &Repository,
        reference: &RefName,
        id: Option<&str>,
    ) -> Result<ReflogEntry> {
        let Some(id) = id else {
            let newest = self.reflog(repository, Some(reference), "", 1).await?;
            let (kind, name) = described(reference);
            return newest
                .results
                .into_iter()
                .next()
                .ok_or_else(|| not_found(Kind::ReflogEntry, &format!("of {kind} {name}")));
        };
        let found = match id.len() {
            ..=MAX_ID_BYTES => self.reflog_entry(repository, reference, id).await?,
            _ => None,
        };
        match found {
            Some(found) => self.exact(found.entry).await,
            None => Err(not_found(Kind::ReflogEntry, id)),
        }
    }

    pub(crate) async fn undo(
        &self,
        repository: &Repository,
        reference: &RefName,
        params: &UndoParams,
    ) -> Result<Undone> {
        check_read_only(repository, params.force)?;
        // Chosen once: a change that lands meanwhile is not what was meant.
        let chosen = self
            .entry_to_undo(repository, reference, params.entry.as_deref())
            .await?;
        for _ in 0..MAX_TRIES {
            let found = self.reflog_entry(repository, reference, &chosen.id).await?;
            let found = found.ok_or_else(|| not_found(Kind::ReflogEntry, &chosen.id))?;
            let Some(before) = found.entry.from.clone() else {
                return Err(refused_creation(&found.entry));
            };
            let told = self.exact(found.entry.clone()).await?;
            let by = Taking {
                repository,
                found: &found,
                told: &told,
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
        let (kind, name) = described(reference);
        Err(Error::TooManyTries(format!("{kind} {name}")))
    }

    /// None: something changed, look again.
    async fn undo_on_branch(&self, by: Taking<'_>, branch: &BranchId) -> Result<Option<Undone>> {
        let _turn = self.queue.turn(by.repository, branch).await?;
        let entry = &by.found.entry;
        let now = match self.refs.branch(by.repository, branch).await {
            Ok(stored) => Some(stored),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let head = now.as_ref().map(|now| &now.record.commit_id);
        if head != entry.to.as_ref() {
            return Err(self.moved_on(by.repository, entry, head).await?);
        }
        match now {
            None => self.bring_back_branch(by, branch).await,
            Some(now) if entry.from != entry.to => self.move_head_back(by, branch, now).await,
            Some(now) if !entry.brought_back.is_empty() => self.reset_again(by, branch, now).await,
            Some(now) => self.bring_back_staged(by, branch, now).await,
        }
    }

    /// A deleted branch, at its commit and with what was staged on it, if that is still kept.
    async fn bring_back_branch(&self, by: Taking<'_>, branch: &BranchId) -> Result<Option<Undone>> {
        self.check_name_free(by.repository, branch.as_str()).await?;
        let record = BranchRecord {
            commit_id: by.before.clone(),
            staging_token: self.new_staging_token(by.repository, branch),
            sealed_tokens: by.found.entry.kept_tokens.clone(),
            hidden: by.found.entry.hidden,
        };
        let mut ops = vec![by.set_branch(branch, record, Predicate::Absent)];
        ops.extend(sole_name_ops(by.repository, RefTarget::Branch(branch)));
        self.land_undo(by, self.undo_entry(by), ops).await
    }

    /// The head goes back. What is staged stays staged over it; what made no difference to the
    /// old head makes none to the new one.
    async fn move_head_back(
        &self,
        by: Taking<'_>,
        branch: &BranchId,
        now: StoredBranch,
    ) -> Result<Option<Undone>> {
        let Some(at) = self.seal(by.repository, branch, now).await? else {
            return Ok(None);
        };
        if Some(&at.record.commit_id) != by.found.entry.to.as_ref() {
            return Ok(None);
        }
        let kept = self.kept(by.repository, branch, &at).await?;
        let record = BranchRecord {
            commit_id: by.before.clone(),
            sealed_tokens: kept.tokens,
            ..at.record
        };
        let mut ops = vec![by.set_branch(branch, record, at.predicate)];
        ops.extend(kept.replaced.iter().map(retire_op));
        let undone = self.land_undo(by, self.undo_entry(by), ops).await?;
        match &undone {
            Some(_) => self.janitor.retire(kept.replaced),
            None => {
                for token in kept.fresh {
                    self.give_up_token(token).await;
                }
            }
        }
        Ok(undone)
    }

    /// What a reset threw away, below what was staged since: of a key in both, the later stays.
    async fn bring_back_staged(
        &self,
        by: Taking<'_>,
        branch: &BranchId,
        now: StoredBranch,
    ) -> Result<Option<Undone>> {
        let kept = &by.found.entry.kept_tokens;
        if kept.is_empty() {
            return Err(nothing_kept(&by.found.entry));
        }
        let record = BranchRecord {
            sealed_tokens: [now.record.sealed_tokens.as_slice(), kept].concat(),
            ..now.record
        };
        let ops = vec![by.set_branch(branch, record, now.predicate)];
        self.land_undo(by, self.undo_entry(by), ops).await
    }

    /// A redo of a reset: what its undo brought back goes again, and is kept again.
    async fn reset_again(
        &self,
        by: Taking<'_>,
        branch: &BranchId,
        now: StoredBranch,
    ) -> Result<Option<Undone>> {
        self.protection
            .check(by.repository, branch, Blocked::StagingWrite)
            .await?;
        let again = by.found.entry.brought_back.as_slice();
        let Some(newer) = now.record.sealed_tokens.strip_suffix(again) else {
            return Err(moved_on_without_tokens(&by.found.entry));
        };
        let reason = told(&by.found.entry);
        let mut undo = self.new_reflog_entry(RefChange {
            discarded: again,
            ..RefChange::head(branch, Operation::Undo, by.before, by.before).by(by.actor, &reason)
        });
        undo.undone = Some(by.found.entry.id.clone());
        let record = BranchRecord {
            sealed_tokens: newer.to_vec(),
            ..now.record.clone()
        };
        let mut ops = vec![by.set_branch(branch, record, now.predicate)];
        if undo.kept_tokens.is_empty() {
            ops.extend(again.iter().map(retire_op));
        }
        let undone = self.land_undo(by, undo, ops).await?;
        if undone.is_some() {
            self.discarded(again.to_vec());
        }
        Ok(undone)
    }

    async fn undo_on_tag(&self, by: Taking<'_>, id: &TagId) -> Result<Option<Undone>> {
        let now = match self.refs.tag(by.repository, id).await {
            Ok(tag) => Some(tag.commit_id),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if now != by.found.entry.to {
            let moved = self.moved_on(by.repository, &by.found.entry, now.as_ref());
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
        ops.extend(sole_name_ops(by.repository, RefTarget::Tag(id)));
        self.land_undo(by, self.undo_entry(by), ops).await
    }

    /// Lands the change with its entry, and takes from the undone one what comes back by it.
    /// None: a predicate did not hold, look again.
    async fn land_undo(
        &self,
        by: Taking<'_>,
        undo: ReflogEntry,
        mut ops: Vec<Op>,
    ) -> Result<Option<Undone>> {
        ops.extend(let_go_ops(by.repository, by.found));
        ops.extend(entry_ops(by.repository, &undo));
        // Nothing may come back into what a deletion has been through already.
        match write_unless_deleted(self.kv.as_ref(), by.repository, ops).await {
            Ok(()) => {}
            Err(Error::Kv(kv::Error::PredicateFailed { .. })) => return Ok(None),
            // Not known whether it took effect: look for its entry, which has an id of its own.
            Err(error @ Error::Kv(_)) => {
                let landed = self
                    .reflog_entry(by.repository, &undo.reference, &undo.id)
                    .await;
                if !matches!(landed, Ok(Some(_))) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(Some(Undone {
            commit_id: by.before.clone(),
            staged_came_back: by.told.keeps_staged() && !undo.brought_back.is_empty(),
            entry: by.told.clone(),
        }))
    }

    /// The entry of an undo that goes from where the undone change went to where it came from.
    fn undo_entry(&self, by: Taking<'_>) -> ReflogEntry {
        let entry = &by.found.entry;
        let mut undo = self.new_reflog_entry(RefChange {
            reference: match &entry.reference {
                RefName::Branch(branch) => RefTarget::Branch(branch),
                RefName::Tag(tag) => RefTarget::Tag(tag),
            },
            operation: Operation::Undo,
            actor: by.actor,
            reason: &told(entry),
            from: entry.to.as_ref(),
            to: Some(by.before),
            hidden: entry.hidden,
            discarded: &[],
        });
        undo.undone = Some(entry.id.clone());
        undo.brought_back.clone_from(&entry.kept_tokens);
        undo
    }
}

/// What is taken back, and by whom.
#[derive(Debug, Clone, Copy)]
struct Taking<'a> {
    repository: &'a Repository,
    found: &'a StoredEntry,
    /// The same, without tokens in which nothing is.
    told: &'a ReflogEntry,
    /// Where the change came from.
    before: &'a CommitId,
    actor: &'a str,
}

impl Taking<'_> {
    fn set_branch(self, branch: &BranchId, record: BranchRecord, predicate: Predicate) -> Op {
        let branch = Branch {
            id: branch.clone(),
            record,
        };
        Op::Set {
            partition: Bytes::from(self.repository.partition()),
            key: branch_key(branch.id.as_str()),
            value: branch.encode(),
            predicate: Some(predicate),
        }
    }
}
