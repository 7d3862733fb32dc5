//! Lets a caller write its own records in the batch that makes a commit a branch's head.
//!
//! A task that commits must know for certain whether the commit landed, even if its server dies at
//! any moment. It therefore writes its final state in the batch that moves the branch.

use std::fmt::Debug;

use kv::Op;

use crate::Commit;

/// The progress of a commit or merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitStep {
    /// The new tree is computed and stored.
    Built,
    /// The hooks allowed the change.
    Judged,
}

/// Adds records of the caller to a commit or merge.
pub trait CommitParticipant: Debug + Send + Sync {
    /// Returns the writes to add to the batch that makes `commit` the branch's head. If one of
    /// their predicates fails, the commit does not land.
    fn ops(&self, commit: &Commit) -> Vec<Op>;

    /// Reports progress. An attempt that loses a race starts over, so a step can be reported more
    /// than once.
    fn on_step(&self, step: CommitStep);
}

/// Adds no records.
#[derive(Debug, Clone, Copy)]
pub struct NoParticipant;

impl CommitParticipant for NoParticipant {
    fn ops(&self, _commit: &Commit) -> Vec<Op> {
        Vec::new()
    }

    fn on_step(&self, _step: CommitStep) {}
}
