//! Records of others that land together with a commit, or not at all.
//!
//! A task that commits must know for certain whether it did, also when its server dies at
//! the worst moment: so the task's end lies in the batch that moves the branch.

use std::fmt::Debug;

use kv::Op;

use crate::Commit;

/// How far a commit or merge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Its tree is worked out and stored.
    Built,
    /// Hooks allowed it.
    Judged,
}

/// Who wants to know of a commit.
pub trait Receipt: Debug + Send + Sync {
    /// What is written in the batch that makes `commit` the branch's head. If one of the
    /// predicates does not hold, the commit does not land.
    fn ops(&self, commit: &Commit) -> Vec<Op>;

    /// Hears how far it is. A try that is lost to another change begins anew.
    fn reached(&self, step: Step);
}

/// Nobody.
#[derive(Debug, Clone, Copy)]
pub struct NoReceipt;

impl Receipt for NoReceipt {
    fn ops(&self, _commit: &Commit) -> Vec<Op> {
        Vec::new()
    }

    fn reached(&self, _step: Step) {}
}
