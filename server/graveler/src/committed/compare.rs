//! Compares three trees: finds the changes from the base to the right tree, and their conflicts with
//! the left tree.
//!
//! The comparison walks the differences between base and right, and looks up their keys in the left
//! tree. It does not open a range of the left tree that the base or the right tree also has.

use async_trait::async_trait;

use super::diff::{Pair, TreeDiff, difference};
use super::record::{Verdict, compare_three_way};
use super::walker::{Front, Walker};
use crate::sstable::Record;
use crate::{Diff, DiffKind, DiffSource, Result};

/// A comparison of three trees: `changes` from the base to the right, and the left tree.
#[derive(Debug)]
pub(super) struct TreeComparison {
    changes: TreeDiff,
    left: Walker,
    /// The change that is being compared. It stays here until the comparison is complete, so that it
    /// survives errors and dropped futures.
    pending: Option<Pair>,
}

/// The left tree's value of a key.
enum LeftValue {
    /// Equal to the base's value, because both trees contain the range.
    Base,
    /// Equal to the right tree's value, because both trees contain the range.
    Right,
    Own(Option<Record>),
}

impl TreeComparison {
    pub(super) fn new(changes: TreeDiff, left: Walker) -> Self {
        Self {
            changes,
            left,
            pending: None,
        }
    }

    async fn look_up(&mut self, key: &[u8]) -> Result<LeftValue> {
        self.left.seek(key);
        loop {
            self.left.settle().await?;
            let front = self.left.front();
            if front.is_above(key) {
                return Ok(LeftValue::Own(None));
            }
            let range = match front {
                Front::End => return Ok(LeftValue::Own(None)),
                // The record's key is neither before nor after the sought key, so the keys are equal.
                Front::Record(record) => return Ok(LeftValue::Own(Some(record.clone()))),
                Front::Range(range) => range,
            };
            // The range covers the key. If the base's or right's walker is at the same range, entered or
            // not, the left tree agrees with that side at the key.
            if self
                .changes
                .left
                .range()
                .is_some_and(|base| base.id == range.id)
            {
                return Ok(LeftValue::Base);
            }
            if self
                .changes
                .right
                .range()
                .is_some_and(|right| right.id == range.id)
            {
                return Ok(LeftValue::Right);
            }
            self.left.enter().await?;
        }
    }
}

#[async_trait]
impl DiffSource for TreeComparison {
    async fn next(&mut self) -> Result<Option<Diff>> {
        loop {
            if self.pending.is_none() {
                self.pending = self.changes.next_pair().await?;
            }
            let Some(key) = self.pending.as_ref().map(|pair| pair.key.clone()) else {
                return Ok(None);
            };
            let left = self.look_up(&key).await?;
            let Some(Pair {
                key,
                left: base,
                right,
            }) = &self.pending
            else {
                return Ok(None);
            };
            let left = match left {
                LeftValue::Base => base.clone(),
                LeftValue::Right => right.clone(),
                LeftValue::Own(record) => record,
            };
            let kind = match compare_three_way(base.as_ref(), right.as_ref(), left.as_ref())? {
                Verdict::Keep => {
                    self.pending = None;
                    continue;
                }
                Verdict::Take => None,
                Verdict::Conflict => Some(DiffKind::Conflict),
            };
            let found = difference(kind, key.clone(), left.as_ref(), right.as_ref())?;
            self.pending = None;
            return Ok(Some(found));
        }
    }

    fn seek(&mut self, key: &[u8]) {
        if self.pending.as_ref().is_some_and(|pair| pair.key < key) {
            self.pending = None;
        }
        self.changes.seek(key);
    }

    fn end_at(&mut self, key: &[u8]) {
        if self.pending.as_ref().is_some_and(|pair| pair.key >= key) {
            self.pending = None;
        }
        self.changes.end_at(key);
        self.left.end_at(key);
    }
}
