//! Two-way differences between trees.
//!
//! Both trees are walked side by side. A range that both contain is skipped without being opened. Keys
//! decide where ranges end, so trees that differ little share most ranges.

use std::cmp::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join;

use super::record::{same_identity, value};
use super::walker::{Front, Walker};
use crate::sstable::Record;
use crate::{Diff, DiffKind, DiffSource, Result};

/// A key with each side's record; the records differ.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Bytes,
    pub(super) left: Option<Record>,
    pub(super) right: Option<Record>,
}

/// Walks two trees side by side.
#[derive(Debug)]
pub(super) struct TreeDiff {
    pub(super) left: Walker,
    pub(super) right: Walker,
}

/// What to do next, given the fronts of the two walkers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    PassEqualRanges,
    Enter {
        left: bool,
        right: bool,
    },
    /// Compare the records at the lowest key of both trees. A flag is set if that side has the key.
    Compare {
        left: bool,
        right: bool,
    },
}

fn decide(left: Front<'_>, right: Front<'_>) -> Step {
    if let (Front::Range(left), Front::Range(right)) = (left, right)
        && left.id == right.id
    {
        return Step::PassEqualRanges;
    }
    let order = match (left.lower_bound(), right.lower_bound()) {
        (None, None) => return Step::Done,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(left), Some(right)) => left.cmp(right),
    };
    let (is_left, is_right) = (order.is_le(), order.is_ge());
    // A side whose front starts later does not contain the lower side's range; one that starts at the
    // same key has another range there.
    let enter_left = is_left && matches!(left, Front::Range(_));
    let enter_right = is_right && matches!(right, Front::Range(_));
    if enter_left || enter_right {
        Step::Enter {
            left: enter_left,
            right: enter_right,
        }
    } else {
        Step::Compare {
            left: is_left,
            right: is_right,
        }
    }
}

impl TreeDiff {
    pub(super) fn new(left: Walker, right: Walker) -> Self {
        Self { left, right }
    }

    /// The next key whose records differ.
    pub(super) async fn next_pair(&mut self) -> Result<Option<Pair>> {
        loop {
            self.left.settle().await?;
            self.right.settle().await?;
            match decide(self.left.front(), self.right.front()) {
                Step::Done => return Ok(None),
                Step::PassEqualRanges => {
                    self.left.take_range();
                    self.right.take_range();
                }
                Step::Enter { left, right } => {
                    try_join(self.left.enter_if(left), self.right.enter_if(right)).await?;
                }
                Step::Compare { left, right } => {
                    // No await from here on: a dropped future must not lose the records taken below.
                    let left = if left { self.left.take_record() } else { None };
                    let right = if right {
                        self.right.take_record()
                    } else {
                        None
                    };
                    let key = left
                        .as_ref()
                        .or(right.as_ref())
                        .map(|record| record.key.clone());
                    if let Some(key) = key
                        && !same_identity(left.as_ref(), right.as_ref())?
                    {
                        return Ok(Some(Pair { key, left, right }));
                    }
                }
            }
        }
    }

    /// Whether the sides differ at `key`. Keys must be passed in ascending order.
    ///
    /// Opens only ranges that may hold the key, and none that both sides contain.
    pub(super) async fn differs_at(&mut self, key: &[u8]) -> Result<bool> {
        self.seek(key);
        loop {
            self.left.settle().await?;
            self.right.settle().await?;
            if let (Front::Range(left), Front::Range(right)) =
                (self.left.front(), self.right.front())
                && left.id == right.id
            {
                return Ok(false);
            }
            let holds =
                |front: Front<'_>| matches!(front, Front::Range(range) if range.min_key <= key);
            let (left, right) = (holds(self.left.front()), holds(self.right.front()));
            if !left && !right {
                break;
            }
            try_join(self.left.enter_if(left), self.right.enter_if(right)).await?;
        }
        let left = record_at(self.left.front(), key);
        Ok(!same_identity(left, record_at(self.right.front(), key))?)
    }

    pub(super) fn seek(&mut self, key: &[u8]) {
        self.left.seek(key);
        self.right.seek(key);
    }
}

fn record_at<'a>(front: Front<'a>, key: &[u8]) -> Option<&'a Record> {
    match front {
        Front::Record(record) if record.key == key => Some(record),
        _ => None,
    }
}

#[async_trait]
impl DiffSource for TreeDiff {
    async fn next(&mut self) -> Result<Option<Diff>> {
        let Some(pair) = self.next_pair().await? else {
            return Ok(None);
        };
        difference(None, pair.key, pair.left.as_ref(), pair.right.as_ref()).map(Some)
    }

    fn seek(&mut self, key: &[u8]) {
        TreeDiff::seek(self, key);
    }
}

/// Builds a difference from two records. Without `kind`, its kind follows from which records exist.
pub(super) fn difference(
    kind: Option<DiffKind>,
    key: Bytes,
    left: Option<&Record>,
    right: Option<&Record>,
) -> Result<Diff> {
    let derived = match (left, right) {
        (None, _) => DiffKind::Added,
        (Some(_), None) => DiffKind::Removed,
        (Some(_), Some(_)) => DiffKind::Changed,
    };
    let left = left.map(value).transpose()?;
    let right = right.map(value).transpose()?;
    Ok(Diff {
        kind: kind.unwrap_or(derived),
        key,
        left,
        right,
    })
}
