//! What one tree changed since a base, and where another tree changed the same.
//!
//! The differences of base and right lead; the left tree is looked up only under their
//! keys, and not even opened where it shares the range of one of them.

use async_trait::async_trait;

use super::diff::{Pair, TreeDiff, difference};
use super::record::{Verdict, judge};
use super::walker::{Front, Walker};
use crate::sstable::Record;
use crate::{Diff, DiffKind, DiffSource, Result};

/// Three trees: `changes` from the base to the right, and the left.
#[derive(Debug)]
pub(super) struct TreeComparison {
    changes: TreeDiff,
    left: Walker,
    /// A change that is being looked up; kept so that a dropped future loses none.
    pending: Option<Pair>,
}

/// What the left tree has under a key.
enum Left {
    /// The same as the base, known by the range.
    Base,
    /// The same as the right, known by the range.
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

    async fn look_up(&mut self, key: &[u8]) -> Result<Left> {
        self.left.seek(key);
        loop {
            self.left.settle().await?;
            let front = self.left.front();
            if front.is_above(key) {
                return Ok(Left::Own(None));
            }
            let range = match front {
                Front::End => return Ok(Left::Own(None)),
                // At or after the sought key, and not above it.
                Front::Record(record) => return Ok(Left::Own(Some(record.clone()))),
                Front::Range(range) => range,
            };
            // The range covers the key, so a walker that is in it or before it has found
            // the key there, or its absence.
            if self
                .changes
                .left
                .range()
                .is_some_and(|base| base.id == range.id)
            {
                return Ok(Left::Base);
            }
            if self
                .changes
                .right
                .range()
                .is_some_and(|right| right.id == range.id)
            {
                return Ok(Left::Right);
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
            }) = self.pending.take()
            else {
                return Ok(None);
            };
            let left = match left {
                Left::Base => base.clone(),
                Left::Right => right.clone(),
                Left::Own(record) => record,
            };
            let kind = match judge(base.as_ref(), right.as_ref(), left.as_ref())? {
                Verdict::Keep => continue,
                Verdict::Take => None,
                Verdict::Conflict => Some(DiffKind::Conflict),
            };
            return difference(kind, key, left.as_ref(), right.as_ref()).map(Some);
        }
    }

    fn seek(&mut self, key: &[u8]) {
        if self.pending.as_ref().is_some_and(|pair| pair.key < key) {
            self.pending = None;
        }
        self.changes.seek(key);
    }
}
