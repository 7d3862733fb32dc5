//! The jobs of the writing connection and their results.

use bytes::Bytes;

use crate::{Batch, Guard, Op};

/// What a job does.
#[derive(Debug)]
pub(super) enum Work {
    /// Apply all writes or none, if the guard holds.
    Ops { guard: Option<Guard>, ops: Batch },
    /// Delete one chunk of a partition's keys.
    DeleteChunk { partition: Bytes },
}

impl Work {
    /// The size of the values that are written.
    pub(super) fn bytes(&self) -> usize {
        let Self::Ops { ops, .. } = self else {
            return 0;
        };
        ops.iter()
            .map(|op| {
                if let Op::Set { value, .. } = op {
                    value.len()
                } else {
                    0
                }
            })
            .sum()
    }
}

/// The outcome of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    GuardFailed,
    /// `DeleteChunk` has deleted the last keys of the partition.
    NothingLeft,
}

/// The result of a job within its group: its outcome, or the index of the write whose predicate failed.
pub(super) type JobResult = Result<Outcome, usize>;
