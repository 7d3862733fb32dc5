//! Walks a tree range by range, and record by record within the ranges it enters.
//!
//! The caller calls [`Walker::settle`], examines [`Walker::front`], and then takes the front or, if
//! it is a range, enters it. A range that is taken whole is not opened. Keys only ascend. Dropping a
//! future skips no element.

use std::sync::Arc;

use bytes::Bytes;

use super::metarange::RangeRef;
use super::tables::{TableKind, Tables, read_error};
use crate::cursor::lower_end;
use crate::sstable::{self, Record};
use crate::{Error, MetaRangeId, Result};

/// Number of steps that count as one unit of tokio's cooperative budget, which yields after 128 units.
/// A walk over cached blocks never waits, so without the budget it would starve other tasks of the
/// thread.
const STEPS_PER_BUDGET: u32 = 8;

/// The next element of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Front<'a> {
    End,
    /// A range that is not entered. After a seek it may start before the sought key; entering it
    /// skips the keys below the sought key.
    Range(&'a RangeRef),
    Record(&'a Record),
}

impl<'a> Front<'a> {
    /// The front's first key, or a key below it; `None` at the end.
    pub(super) fn lower_bound(self) -> Option<&'a Bytes> {
        match self {
            Self::End => None,
            Self::Range(range) => Some(&range.min_key),
            Self::Record(record) => Some(&record.key),
        }
    }

    /// Whether the front starts above `key`, or the tree has ended.
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
    /// The rest of the metarange's records; `None` for the empty tree and at the end.
    ranges: Option<sstable::Cursor>,
    /// The metarange's next record; kept until it is parsed, so that a caller that tries again after an
    /// error gets the same error.
    unparsed: Option<Record>,
    /// The range in front, or the entered range.
    range: Option<RangeRef>,
    /// The rest of the entered range's records.
    records: Option<sstable::Cursor>,
    record: Option<Record>,
    /// The last key that was passed: that of a record, or the end of a skipped range.
    passed: Option<Bytes>,
    /// The target of a seek that the walker has not reached yet.
    floor: Option<Bytes>,
    /// The exclusive end of the walk.
    end: Option<Bytes>,
    /// Steps since the last unit of budget; at most [`STEPS_PER_BUDGET`].
    steps: u32,
}

impl Walker {
    /// Opens the metarange and starts before the first range.
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
            unparsed: None,
            range: None,
            records: None,
            record: None,
            passed: None,
            floor: None,
            end: None,
            steps: 0,
        })
    }

    /// Moves forward to the first key >= `key`, never backward. Does no I/O.
    pub(super) fn seek(&mut self, key: &[u8]) {
        if self.floor.as_ref().is_none_or(|floor| floor < key) {
            self.floor = Some(Bytes::copy_from_slice(key));
        }
    }

    /// Ends the walk before the first key >= `key`. Ranges from there on are not opened. Does no I/O.
    pub(super) fn end_at(&mut self, key: &[u8]) {
        lower_end(&mut self.end, key);
    }

    /// Reads until [`Self::front`] is known; does no I/O if it already is.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps >= STEPS_PER_BUDGET {
            self.steps = 0;
            tokio::task::consume_budget().await;
        }
        if self.is_past_end() {
            return Ok(());
        }
        self.seek_floor().await?;
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
            let tree = self.tree.as_str();
            if self.unparsed.is_none() {
                let next = ranges.next().await;
                self.unparsed =
                    next.map_err(|error| read_error(TableKind::MetaRange, tree, error))?;
            }
            match &self.unparsed {
                Some(record) => {
                    self.range = Some(self.checked(RangeRef::parse(record, tree)?)?);
                    self.unparsed = None;
                }
                None => self.ranges = None,
            }
        }
        Ok(())
    }

    /// The next element. Call [`Self::settle`] first.
    pub(super) fn front(&self) -> Front<'_> {
        let front = match (&self.record, &self.range) {
            (Some(record), _) => Front::Record(record),
            (None, Some(range)) => Front::Range(range),
            (None, None) => Front::End,
        };
        // Called several times for each record, and most walks have no end.
        match &self.end {
            Some(end)
                if self.is_past_end() || front.lower_bound().is_some_and(|key| key >= end) =>
            {
                Front::End
            }
            _ => front,
        }
    }

    /// Whether the walk has passed everything before its end, or a seek skips it.
    fn is_past_end(&self) -> bool {
        self.end.as_ref().is_some_and(|end| {
            let positions = [&self.passed, &self.floor].into_iter().flatten();
            positions.into_iter().any(|key| key >= end)
        })
    }

    /// The range in front, or the one that contains the record in front.
    pub(super) fn range(&self) -> Option<&RangeRef> {
        self.range.as_ref()
    }

    /// Enters the range in front if `is_wanted`.
    pub(super) async fn enter_if(&mut self, is_wanted: bool) -> Result<()> {
        if is_wanted {
            self.enter().await
        } else {
            Ok(())
        }
    }

    /// Opens the range in front and moves before its first record.
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

    /// Takes the whole range in front and moves past it.
    pub(super) fn take_range(&mut self) -> Option<RangeRef> {
        let range = self.range.clone().filter(|_| self.records.is_none());
        self.leave_range();
        range
    }

    /// Takes the record in front and moves past it.
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

    /// Moves as close to the sought key as possible without entering a range.
    async fn seek_floor(&mut self) -> Result<()> {
        // The walker is already past the sought key: the seek went backward, or a whole range was
        // taken since.
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
            // If the range is not entered, the sought key is kept until it is.
            return Ok(());
        }
        if let Some(ranges) = &mut self.ranges {
            let sought = ranges.seek(floor).await;
            sought.map_err(|error| read_error(TableKind::MetaRange, self.tree.as_str(), error))?;
            self.unparsed = None;
        }
        self.leave_range();
        Ok(())
    }

    /// Refuses a range that does not lie after everything passed so far.
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
    read_error(
        TableKind::Range,
        range.map_or("", |range| range.id.as_str()),
        error,
    )
}
