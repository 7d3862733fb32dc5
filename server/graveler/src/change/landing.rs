//! Makes a new commit a branch's head: seals the staged changes first, and moves the head last.
//!
//! Sealing sends writes that arrive during a commit to a new token, so that the commit reads tokens
//! that no longer change. The head moves in one batch, together with the commit's record and the
//! retirement of the tokens that the commit contains.

use bytes::Bytes;
use kv::{Op, Predicate};

use super::Target;
use crate::checks::count_retry;
use crate::commit_participant::CommitParticipant;
use crate::queue::ChangePermit;
use crate::records::{Stored as _, commit_key};
use crate::reflog::RefChange;
use crate::refs::{StoredBranch, branch_op};
use crate::staging::retire_op;
use crate::{BranchId, BranchRecord, Commit, Error, Graveler, Operation, Repository, Result};

/// If a branch has this many sealed tokens, the next seal merges them into one, since each token adds a lookup to every
/// read. A refused commit may leave one; an undone reset may restore several.
pub(crate) const MAX_SEALED_TOKENS: usize = 16;
/// Maximum number of times that one attempt to land is repeated after changes that kept the head, such as a seal.
const MAX_LANDING_TRIES: usize = 20;

/// The outcome of an attempt to land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landing {
    /// The commit is the head.
    Landed,
    /// The commit is the head, and another change of the branch is in progress, probably on another
    /// server.
    LandedContended,
    /// The head or the applied tokens changed; the caller retries.
    Lost,
}

impl Landing {
    /// Releases the attempt's permit, after a backoff if another change is in progress. Returns whether
    /// the commit landed.
    pub(crate) fn release(self, permit: ChangePermit) -> bool {
        if self == Self::LandedContended {
            permit.release_after_backoff();
        }
        self != Self::Lost
    }
}

impl Graveler {
    /// Seals the token that takes writes, unless it is empty. Merges the older sealed tokens into
    /// one if there are too many. `None`: the branch changed; start over.
    pub(crate) async fn seal(
        &self,
        repository: &Repository,
        branch: &BranchId,
        at: StoredBranch,
    ) -> Result<Option<StoredBranch>> {
        if self.staging.is_empty(&at.record.staging_token).await? {
            return Ok(Some(at));
        }
        let is_full = at.record.sealed_tokens.len() >= MAX_SEALED_TOKENS;
        let (merged, kept) = if is_full {
            let tokens = &at.record.sealed_tokens;
            (
                self.staging.compacted(repository, branch, tokens).await?,
                &[][..],
            )
        } else {
            (None, at.record.sealed_tokens.as_slice())
        };
        let sealed_tokens = std::iter::once(&at.record.staging_token)
            .chain(&merged)
            .chain(kept)
            .cloned()
            .collect();
        let record = BranchRecord {
            commit_id: at.record.commit_id.clone(),
            staging_token: self.staging.new_token(repository, branch),
            sealed_tokens,
            hidden: at.record.hidden,
        };
        let replaced = match is_full {
            true => at.record.sealed_tokens,
            false => Vec::new(),
        };
        let mut ops = vec![branch_op(repository, branch, record, at.predicate)];
        ops.extend(replaced.iter().map(retire_op));
        match self.refs.write(ops).await {
            Ok(()) => {
                self.staging.retire(replaced);
                Ok(Some(self.refs.branch(repository, branch).await?))
            }
            Err(kv::Error::PredicateFailed { .. }) => {
                count_retry("seal");
                if let Some(merged) = merged {
                    self.staging.retire_unused(merged).await;
                }
                Ok(None)
            }
            // The outcome is unknown. The branch may name the merged token, so it must stay.
            Err(error) => Err(error.into()),
        }
    }

    /// Makes `commit` the head if the head and the sealed tokens are still those in `at`. Tokens
    /// sealed since then stay. The reflog records the change as `operation`.
    ///
    /// Another branch may have made a commit with the same id in the same second: the id does not
    /// cover the generation or fractions of a second. In that case the record stored first stays,
    /// since it may already be cached and walked, and `commit` is set to it.
    ///
    /// # Errors
    /// [`Error::ConcurrentChange`] if a predicate of the participant's writes fails; nothing moved.
    /// [`Error::TooManyTries`] if the branch keeps changing.
    pub(crate) async fn land(
        &self,
        target: Target<'_>,
        at: &StoredBranch,
        commit: &mut Commit,
        operation: Operation,
        participant: &dyn CommitParticipant,
    ) -> Result<Landing> {
        let Target { repository, branch } = target;
        let applied = &at.record.sealed_tokens;
        let mut now = at.clone();
        let mut is_recorded = false;
        for _ in 0..MAX_LANDING_TRIES {
            let newer = now.record.sealed_tokens.strip_suffix(applied.as_slice());
            let (Some(newer), true) = (newer, now.record.commit_id == at.record.commit_id) else {
                return Ok(Landing::Lost);
            };
            let branch_record = BranchRecord {
                commit_id: commit.id.clone(),
                staging_token: now.record.staging_token.clone(),
                sealed_tokens: newer.to_vec(),
                hidden: now.record.hidden,
            };
            let mut ops = Vec::new();
            if !is_recorded {
                ops.push(record_op(repository, commit));
            }
            ops.extend(head_ops(repository, branch, branch_record, &now, at));
            let change = RefChange::head(branch, operation, &at.record.commit_id, &commit.id);
            let change = change.by(&commit.committer, &commit.message);
            let record = self.reflog.write(repository, change);
            ops.extend(record.ops);
            let own = ops.len();
            ops.extend(participant.ops(commit));
            match self.refs.write(ops).await {
                Ok(()) => {}
                Err(kv::Error::PredicateFailed { index }) if index >= own => {
                    return Err(Error::ConcurrentChange(format!("branch {branch}")));
                }
                Err(kv::Error::PredicateFailed { index: 0 }) if !is_recorded => {
                    *commit = self
                        .refs
                        .commit(repository, &commit.id)
                        .await?
                        .as_ref()
                        .clone();
                    is_recorded = true;
                    continue;
                }
                Err(kv::Error::PredicateFailed { .. }) => {
                    count_retry("land");
                    now = self.refs.branch(repository, branch).await?;
                    continue;
                }
                // If the batch took effect, another server may have landed on top of it already.
                Err(error) => {
                    self.reflog
                        .resolve_ambiguous_write(repository, &record.key, error)
                        .await?;
                }
            }
            self.refs.remember_commit(repository, commit);
            self.staging.retire(applied.clone());
            // This server makes one change of a branch at a time. The newer token was therefore sealed by another
            // server, or by a change on this server that proceeded while slow hooks ran.
            return Ok(match newer {
                [] => Landing::Landed,
                [_, ..] => Landing::LandedContended,
            });
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }
}

/// The write of a commit's record; fails if the record exists.
fn record_op(repository: &Repository, commit: &Commit) -> Op {
    Op::Set {
        partition: Bytes::from(repository.partition()),
        key: commit_key(commit.id.as_str()),
        value: commit.encode(),
        predicate: Some(Predicate::Absent),
    }
}

/// The writes that set the branch to `record`, if it is still `now`, and retire the sealed tokens
/// of `at`.
fn head_ops(
    repository: &Repository,
    branch: &BranchId,
    record: BranchRecord,
    now: &StoredBranch,
    at: &StoredBranch,
) -> Vec<Op> {
    let predicate = now.predicate.clone();
    let mut ops = vec![branch_op(repository, branch, record, predicate)];
    ops.extend(at.record.sealed_tokens.iter().map(retire_op));
    ops
}
