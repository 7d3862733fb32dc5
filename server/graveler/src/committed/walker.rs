//! Walks a tree by whole ranges, and by records in the ranges that it enters.
//!
//! The caller settles the walker, looks at what is in [`Walker::front`], and then either
//! passes it or enters it. A range that is passed is never opened. Keys only ascend, and a
//! future that is dropped leaves the walker where it stood.

use std::sync::Arc;

use bytes::Bytes;

use super::metarange::RangeRef;
use super::tables::{TableKind, Tables, reading};
use crate::sstable::{self, Record};
use crate::{Error, MetaRangeId, Result};

/// How many steps count as one in the scheduler's budget, which is 128 of them between two
/// yields: blocks that are cached never make a walk wait, and others want the thread too.
const STEPS_PER_BUDGET: u32 = 8;

/// What comes next in a tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Front<'a> {
    End,
    /// A range that has not been entered. After a seek its first keys may lie before the
    /// position; they are skipped if it is entered.
    Range(&'a RangeRef),
    Record(&'a Record),
}

impl<'a> Front<'a> {
    /// A key that nothing in front is below; none at the end.
    pub(super) fn lower_bound(self) -> Option<&'a Bytes> {
        match self {
            Self::End => None,
            Self::Range(range) => Some(&range.min_key),
            Self::Record(record) => Some(&record.key),
        }
    }

    /// Whether all that is in front is above `key`.
    pub(super) fn is_above(self, key: &[u8]) -> bool {
        self.lower_bound().is_none_or(|bound| bound > key)
    }
}

/// A position in a tree.
#[derive(Debug)]
pub(super) struct Walker {
    tables: Tables,
    namespace: Arc<str>,
    tree: MetaRangeId,
    /// The metarange's records; none for the empty tree and at the end.
    ranges: Option<sstable::Cursor>,
    /// The range in front, or the one that is walked through.
    range: Option<RangeRef>,
    /// Set while the range is walked through.
    records: Option<sstable::Cursor>,
    record: Option<Record>,
    /// The last key that was passed, of a record or a whole range.
    passed: Option<Bytes>,
    /// Where a seek wants to be and the walker may not yet be.
    floor: Option<Bytes>,
    /// Counts up to [`STEPS_PER_BUDGET`].
    steps: u32,
}

impl Walker {
    /// Stands before the first range. Opens the metarange.
    pub(super) async fn new(tables: Tables, namespace: &str, tree: &MetaRangeId) -> Result<Self> {
        let ranges = match tree.as_str() {
            "" => None,
            id => Some(
                tables
                    .open(namespace, TableKind::MetaRange, id)
                    .await?
                    .cursor(),
            ),
        };
        Ok(Self {
            tables,
            namespace: Arc::from(namespace),
            tree: tree.clone(),
            ranges,
            range: None,
            records: None,
            record: None,
            passed: None,
            floor: None,
            steps: 0,
        })
    }

    /// Moves forward to the first key >= `key`; never backward. Reads nothing.
    pub(super) fn seek(&mut self, key: &[u8]) {
        if self.floor.as_ref().is_none_or(|floor| floor < key) {
            self.floor = Some(Bytes::copy_from_slice(key));
        }
    }

    /// Reads on until [`Self::front`] is known. Reads nothing if it is.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps >= STEPS_PER_BUDGET {
            self.steps = 0;
            tokio::task::consume_budget().await;
        }
        self.approach_floor().await?;
        while self.record.is_none() {
            if let Some(records) = &mut self.records {
                let next = records
                    .next()
                    .await
                    .map_err(|error| range_error(self.range.as_ref(), error))?;
                match next {
                    Some(record) => self.record = Some(record),
                    None => self.leave_range(),
                }
                continue;
            }
            let (None, Some(ranges)) = (&self.range, &mut self.ranges) else {
                break;
            };
            let next = ranges.next().await;
            match next.map_err(|error| reading(TableKind::MetaRange, self.tree.as_str(), error))? {
                Some(record) => self.range = Some(self.checked(RangeRef::parse(&record)?)?),
                None => self.ranges = None,
            }
        }
        Ok(())
    }

    /// What comes next. Call [`Self::settle`] before.
    pub(super) fn front(&self) -> Front<'_> {
        match (&self.record, &self.range) {
            (Some(record), _) => Front::Record(record),
            (None, Some(range)) => Front::Range(range),
            (None, None) => Front::End,
        }
    }

    /// The range in front, or the one that holds the record in front.
    pub(super) fn range(&self) -> Option<&RangeRef> {
        self.range.as_ref()
    }

    /// Enters the range in front, if it is wanted.
    pub(super) async fn enter_if(&mut self, is_wanted: bool) -> Result<()> {
        if is_wanted {
            self.enter().await
        } else {
            Ok(())
        }
    }

    /// Opens the range in front and stands before its first record.
    pub(super) async fn enter(&mut self) -> Result<()> {
        let Some(range) = self.range.as_ref().filter(|_| self.records.is_none()) else {
            return Ok(());
        };
        let reader = self
            .tables
            .open(&self.namespace, TableKind::Range, range.id.as_str())
            .await?;
        let mut records = reader.cursor();
        if let Some(floor) = self.floor.as_ref().filter(|floor| **floor > range.min_key) {
            records
                .seek(floor)
                .await
                .map_err(|error| range_error(Some(range), error))?;
        }
        self.records = Some(records);
        self.floor = None;
        self.settle().await
    }

    /// Takes the range in front whole and passes it.
    pub(super) fn take_range(&mut self) -> Option<RangeRef> {
        let range = self.range.clone().filter(|_| self.records.is_none());
        self.leave_range();
        range
    }

    /// Takes the record in front and passes it.
    pub(super) fn take_record(&mut self) -> Option<Record> {
        let record = self.record.take();
        if let Some(record) = &record {
            self.passed = Some(record.key.clone());
        }
        record
    }

    fn leave_range(&mut self) {
        self.record = None;
        self.records = None;
        if let Some(range) = self.range.take() {
            self.passed = Some(range.max_key);
        }
    }

    /// Gets as near to the wanted floor as can be without entering a range.
    async fn approach_floor(&mut self) -> Result<()> {
        // The position is beyond the floor: sought backward, or passed a whole range since.
        if self.passed >= self.floor {
            self.floor = None;
        }
        let Some(floor) = &self.floor else {
            return Ok(());
        };
        if self
            .range
            .as_ref()
            .is_some_and(|range| range.max_key >= floor)
        {
            if let Some(records) = &mut self.records {
                if self.record.as_ref().is_none_or(|record| record.key < floor) {
                    records
                        .seek(floor)
                        .await
                        .map_err(|error| range_error(self.range.as_ref(), error))?;
                    self.record = None;
                }
                self.floor = None;
            }
            // Else the floor is kept for the moment the range is entered.
            return Ok(());
        }
        if let Some(ranges) = &mut self.ranges {
            let sought = ranges.seek(floor).await;
            sought.map_err(|error| reading(TableKind::MetaRange, self.tree.as_str(), error))?;
        }
        self.leave_range();
        Ok(())
    }

    /// Refuses a range that does not lie behind what was passed.
    fn checked(&self, range: RangeRef) -> Result<RangeRef> {
        if self
            .passed
            .as_ref()
            .is_some_and(|passed| range.min_key <= passed)
        {
            let what = format!("metarange {}", self.tree);
            return Err(Error::Corrupt {
                what,
                reason: format!("range {} overlaps the one before it", range.id),
            });
        }
        Ok(range)
    }
}

fn range_error(range: Option<&RangeRef>, error: sstable::Error) -> Error {
    reading(
        TableKind::Range,
        range.map_or("", |range| range.id.as_str()),
        error,
    )
}
