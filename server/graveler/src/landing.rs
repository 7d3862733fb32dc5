//! How a new commit becomes a branch's head: sealing, and the compare-and-set at the end.
//!
//! Writes that come while a commit is worked out go to another token than the
//! one it reads; that is what sealing is for. The head moves in one step,
//! together with the commit's record and the retirement of the tokens it took in.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::{Op, Predicate};

use crate::engine::{Engine, count_retry};
use crate::queue::Turn;
use crate::receipt::Receipt;
use crate::records::{Stored as _, branch_key, commit_key};
use crate::reflog::RefChange;
use crate::refs::StoredBranch;
use crate::staging::retire_op;
use crate::{
    Branch, BranchId, BranchRecord, Commit, Error, MetaRangeId, Operation, Repository, Result,
};

/// How often a commit or merge is tried again because the head moved. A try costs what moved, so
/// two servers that merge into one branch all day may take turns at losing.
pub(crate) const MAX_TRIES: usize = 50;
/// From this try on the branch's turn is kept while hooks run, so that the try
/// cannot be lost to this server's other commits, however slow the hooks.
const FIRM_FROM_TRY: usize = 2;
/// For so long hooks may run with the turn kept in any case: giving it up
/// for a moment costs more than it frees.
const BRIEF_HOOKS: Duration = Duration::from_millis(100);
/// Sealed tokens that a branch may have. They are merged into one before there are more:
/// each costs every read a look, and each refused commit may leave one.
pub(crate) const MAX_SEALED_TOKENS: usize = 16;
/// How often the record is put back under a change that left the head alone (a write was sealed).
const MAX_REBASES: usize = 20;

/// A candidate that the hooks allowed.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub tree: MetaRangeId,
    pub run_id: Option<String>,
}

/// What one try works on.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub at: StoredBranch,
    pub head: Arc<Commit>,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landing {
    /// The commit is the head.
    Landed,
    /// It is, and another server works on a change of the branch.
    LandedBeforeRival,
    /// The head moved: to be tried again.
    Lost,
}

impl Landing {
    /// Ends the turn that the attempt was made in. True: it landed.
    pub(crate) fn end(self, turn: Turn) -> bool {
        if self == Self::LandedBeforeRival {
            turn.end_after_rival();
        }
        self != Self::Lost
    }
}

impl Engine {
    /// Seals the token that takes writes, if it holds any. None: the branch changed, look again.
    pub(crate) async fn seal(
        &self,
        repository: &Repository,
        branch: &BranchId,
        at: StoredBranch,
    ) -> Result<Option<StoredBranch>> {
        if self
            .kv
            .scan(at.record.staging_token.as_str().as_bytes(), b"", 1)
            .await?
            .is_empty()
        {
            return Ok(Some(at));
        }
        let is_full = at.record.sealed_tokens.len() >= MAX_SEALED_TOKENS;
        let (merged, kept) = if is_full {
            let tokens = &at.record.sealed_tokens;
            (self.compacted(repository, branch, tokens).await?, &[][..])
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
            staging_token: self.new_staging_token(repository, branch),
            sealed_tokens,
            hidden: at.record.hidden,
        };
        let value = Branch {
            id: branch.clone(),
            record,
        }
        .encode();
        let replaced = match is_full {
            true => at.record.sealed_tokens,
            false => Vec::new(),
        };
        let mut ops = vec![Op::Set {
            partition: Bytes::from(repository.partition()),
            key: branch_key(branch.as_str()),
            value,
            predicate: Some(at.predicate),
        }];
        ops.extend(replaced.iter().map(retire_op));
        match self.kv.batch(ops).await {
            Ok(()) => {
                self.janitor.retire(replaced);
                Ok(Some(self.refs.branch(repository, branch).await?))
            }
            Err(kv::Error::PredicateFailed { .. }) => {
                count_retry("seal");
                if let Some(merged) = merged {
                    self.give_up_token(merged).await;
                }
                Ok(None)
            }
            // Not known whether it took effect: the branch may name the merged token, so it stays.
            Err(error) => Err(error.into()),
        }
    }

    /// Makes `commit` the head, if the head and the sealed tokens are still as in
    /// `at`; tokens sealed since stay. The reflog tells of it as `operation`.
    ///
    /// Another branch may have made the very same commit in the same second. What is recorded first stays, for
    /// it is remembered and walked by already, and `commit` becomes that: its time to the nanosecond and its
    /// generation are not in its id.
    ///
    /// What `receipt` wants is written in the same batch; [`Error::ConcurrentChange`] if a condition
    /// of its writes does not hold.
    pub(crate) async fn land(
        &self,
        repository: &Repository,
        branch: &BranchId,
        at: &StoredBranch,
        commit: &mut Commit,
        operation: Operation,
        receipt: &dyn Receipt,
    ) -> Result<Landing> {
        let applied = &at.record.sealed_tokens;
        let mut now = at.clone();
        let mut is_recorded = false;
        for _ in 0..MAX_REBASES {
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
            let record = self.reflog_record(repository, change);
            ops.extend(record.ops);
            let own = ops.len();
            ops.extend(receipt.ops(commit));
            match self.kv.batch(ops).await {
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
                // Another server may have landed on top of it already.
                Err(error) => self.look_for(repository, &record.key, error).await?,
            }
            self.refs.remember_commit(repository, commit);
            self.janitor.retire(applied.clone());
            // This server's changes take turns: who sealed meanwhile is another one.
            return Ok(match newer {
                [] => Landing::Landed,
                [_, ..] => Landing::LandedBeforeRival,
            });
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    /// Runs `hooks` with the branch's turn kept for as long as they are brief, or
    /// throughout from the third try on. Gives the turn back, taken anew if it was given up.
    pub(crate) async fn in_turn<T: Send>(
        &self,
        repository: &Repository,
        branch: &BranchId,
        turn: Turn,
        attempt: usize,
        hooks: impl Future<Output = Result<T>> + Send,
    ) -> Result<(T, Turn)> {
        if attempt >= FIRM_FROM_TRY {
            return Ok((hooks.await?, turn));
        }
        let mut hooks = std::pin::pin!(hooks);
        match tokio::time::timeout(BRIEF_HOOKS, &mut hooks).await {
            Ok(verdict) => Ok((verdict?, turn)),
            Err(_) => {
                drop(turn);
                let verdict = hooks.await?;
                Ok((verdict, self.queue.turn(repository, branch).await?))
            }
        }
    }
}

/// Records a commit, if it is not recorded yet.
fn record_op(repository: &Repository, commit: &Commit) -> Op {
    Op::Set {
        partition: Bytes::from(repository.partition()),
        key: commit_key(commit.id.as_str()),
        value: commit.encode(),
        predicate: Some(Predicate::Absent),
    }
}

/// Makes the branch what `record` says, if it is still as `now`, and retires the tokens that `at` had sealed.
fn head_ops(
    repository: &Repository,
    branch: &BranchId,
    record: BranchRecord,
    now: &StoredBranch,
    at: &StoredBranch,
) -> Vec<Op> {
    let value = Branch {
        id: branch.clone(),
        record,
    }
    .encode();
    let mut ops = vec![Op::Set {
        partition: Bytes::from(repository.partition()),
        key: branch_key(branch.as_str()),
        value,
        predicate: Some(now.predicate.clone()),
    }];
    ops.extend(at.record.sealed_tokens.iter().map(retire_op));
    ops
}
