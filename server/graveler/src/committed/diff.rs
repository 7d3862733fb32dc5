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
    Enter(Sides),
    /// Compare the records at the lowest key of both trees. A flag is set if that side has the key.
    Compare(Sides),
}

/// Flags for the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sides {
    left: bool,
    right: bool,
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
        Step::Enter(Sides {
            left: enter_left,
            right: enter_right,
        })
    } else {
        Step::Compare(Sides {
            left: is_left,
            right: is_right,
        })
    }
}

impl TreeDiff {
    pub(super) fn new(left: Walker, right: Walker) -> Self {
        Self { left, right }
    }

    /// The next key whose records differ.
    pub(super) async fn next_pair(&mut self) -> Result<Option<Pair>> {
        let Some(sides) = self.find_difference().await? else {
            return Ok(None);
        };
        let (left, right) = self.take_records(sides);
        let key = left
            .as_ref()
            .or(right.as_ref())
            .map(|record| record.key.clone());
        Ok(key.map(|key| Pair { key, left, right }))
    }

    /// Moves to the next key whose records differ, and returns the sides that have it. Takes none of
    /// its records, so a caller loses nothing if it fails or drops the future.
    async fn find_difference(&mut self) -> Result<Option<Sides>> {
        loop {
            self.left.settle().await?;
            self.right.settle().await?;
            match decide(self.left.front(), self.right.front()) {
                Step::Done => return Ok(None),
                Step::PassEqualRanges => {
                    self.left.take_range();
                    self.right.take_range();
                }
                Step::Enter(sides) => {
                    let left = self.left.enter_if(sides.left);
                    try_join(left, self.right.enter_if(sides.right)).await?;
                }
                Step::Compare(sides) => {
                    let (left, right) = self.records(sides);
                    if !same_identity(left, right)? {
                        return Ok(Some(sides));
                    }
                    self.take_records(sides);
                }
            }
        }
    }

    /// The records in front of the given sides.
    fn records(&self, sides: Sides) -> (Option<&Record>, Option<&Record>) {
        (
            front_record(&self.left).filter(|_| sides.left),
            front_record(&self.right).filter(|_| sides.right),
        )
    }

    /// Takes the records in front of the given sides.
    fn take_records(&mut self, sides: Sides) -> (Option<Record>, Option<Record>) {
        let take = |walker: &mut Walker, is_wanted| {
            if is_wanted {
                walker.take_record()
            } else {
                None
            }
        };
        (
            take(&mut self.left, sides.left),
            take(&mut self.right, sides.right),
        )
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

    pub(super) fn end_at(&mut self, key: &[u8]) {
        self.left.end_at(key);
        self.right.end_at(key);
    }
}

fn front_record(walker: &Walker) -> Option<&Record> {
    match walker.front() {
        Front::Record(record) => Some(record),
        Front::End | Front::Range(_) => None,
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
        let Some(sides) = self.find_difference().await? else {
            return Ok(None);
        };
        let (left, right) = self.records(sides);
        let Some(key) = left.or(right).map(|record| record.key.clone()) else {
            return Ok(None);
        };
        let found = difference(None, key, left, right)?;
        self.take_records(sides);
        Ok(Some(found))
    }

    fn seek(&mut self, key: &[u8]) {
        TreeDiff::seek(self, key);
    }

    fn end_at(&mut self, key: &[u8]) {
        TreeDiff::end_at(self, key);
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
