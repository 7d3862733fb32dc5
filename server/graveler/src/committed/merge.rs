//! Merges three trees, range by range where possible, otherwise record by record.
//!
//! Base, source and destination are walked side by side. Where two sides have the same range, the
//! outcome is known without opening it. The side that differs from the base wins. If source and
//! destination are equal, either is the result. Ranges that still overlap are entered.
//!
//! Records are compared only if they have the same key. (lakeFS's merge compares only identities in
//! two places, so it can lose an object whose neighbor has the same content.)

use futures::future::try_join3;

use super::record::{Verdict, compare_three_way};
use super::tables::Tables;
use super::walker::{Front, Walker};
use super::writer::TreeWriter;
use crate::{Error, MergeStrategy, MetaRangeId, Result};

/// Maximum number of conflicting keys in an error; further ones are only counted.
pub const MAX_REPORTED_CONFLICTS: usize = 1000;

/// Flags for base, source and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sides {
    base: bool,
    source: bool,
    destination: bool,
}

/// What to do next, given the fronts of the three walkers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    /// Source and destination have the same range: keep it.
    KeepShared,
    /// Source and base have the same range: skip it on both, so that the destination wins.
    CancelSource,
    /// Destination and base have the same range: skip it on both, so that the source wins.
    CancelDestination,
    /// No other side has keys within the source's range.
    CopySource,
    /// No other side has keys within the destination's range.
    CopyDestination,
    /// Both sides removed the base's range.
    DropBase,
    Enter(Sides),
    /// Compare the records at the lowest key of all sides. A flag is set if that side has the key.
    Compare(Sides),
}

fn decide(base: Front<'_>, source: Front<'_>, destination: Front<'_>) -> Step {
    let is_same_range = |a: Front<'_>, b: Front<'_>| matches!((a, b), (Front::Range(a), Front::Range(b)) if a.id == b.id);
    if is_same_range(source, destination) {
        return Step::KeepShared;
    }
    if is_same_range(source, base) {
        return Step::CancelSource;
    }
    if is_same_range(destination, base) {
        return Step::CancelDestination;
    }
    let is_alone = |side: Front<'_>, others: [Front<'_>; 2]| matches!(side, Front::Range(range) if others.iter().all(|other| other.is_above(&range.max_key)));
    if is_alone(source, [base, destination]) {
        return Step::CopySource;
    }
    if is_alone(destination, [base, source]) {
        return Step::CopyDestination;
    }
    if is_alone(base, [source, destination]) {
        return Step::DropBase;
    }
    let bounds = [base, source, destination].map(Front::lower_bound);
    let Some(lowest) = bounds.into_iter().flatten().min() else {
        return Step::Done;
    };
    let is_lowest = |side: Front<'_>| side.lower_bound() == Some(lowest);
    // A side whose front starts later does not contain this range; one that starts at the same key
    // has another range there.
    let is_entered = |side: Front<'_>| is_lowest(side) && matches!(side, Front::Range(_));
    let sides_that = |holds: &dyn Fn(Front<'_>) -> bool| Sides {
        base: holds(base),
        source: holds(source),
        destination: holds(destination),
    };
    let entered = sides_that(&is_entered);
    if entered.base || entered.source || entered.destination {
        Step::Enter(entered)
    } else {
        Step::Compare(sides_that(&is_lowest))
    }
}

/// See [`super::Committed::merge`].
pub(super) async fn merge(
    tables: &Tables,
    namespace: &str,
    mut base: Walker,
    mut source: Walker,
    mut destination: Walker,
    strategy: MergeStrategy,
) -> Result<MetaRangeId> {
    let mut output = Output {
        writer: TreeWriter::new(tables.clone(), namespace),
        conflicts: Vec::new(),
        conflict_count: 0,
    };
    loop {
        base.settle().await?;
        source.settle().await?;
        destination.settle().await?;
        match decide(base.front(), source.front(), destination.front()) {
            Step::Done => break,
            Step::KeepShared => {
                source.take_range();
                output.copy_range(&mut destination).await?;
            }
            Step::CancelSource => {
                base.take_range();
                source.take_range();
            }
            Step::CancelDestination => {
                base.take_range();
                destination.take_range();
            }
            Step::CopySource => output.copy_range(&mut source).await?,
            Step::CopyDestination => output.copy_range(&mut destination).await?,
            Step::DropBase => {
                base.take_range();
            }
            Step::Enter(sides) => {
                // A range whose records come out unchanged is not stored again.
                for side in [(&source, sides.source), (&destination, sides.destination)] {
                    if let (Some(range), true) = (side.0.range(), side.1) {
                        output.writer.reuse_if_unchanged(range);
                    }
                }
                try_join3(
                    base.enter_if(sides.base),
                    source.enter_if(sides.source),
                    destination.enter_if(sides.destination),
                )
                .await?;
            }
            Step::Compare(sides) => {
                let take = |side: &mut Walker, is_set: bool| {
                    if is_set { side.take_record() } else { None }
                };
                let (old, theirs, ours) = (
                    take(&mut base, sides.base),
                    take(&mut source, sides.source),
                    take(&mut destination, sides.destination),
                );
                let verdict = compare_three_way(old.as_ref(), theirs.as_ref(), ours.as_ref())?;
                let winner = match (verdict, strategy) {
                    (Verdict::Keep, _) | (Verdict::Conflict, MergeStrategy::DestWins) => ours,
                    (Verdict::Take, _) | (Verdict::Conflict, MergeStrategy::SourceWins) => theirs,
                    (Verdict::Conflict, MergeStrategy::None) => {
                        // The records differ, so at least one side has the key.
                        if let Some(record) = theirs.or(ours) {
                            output.conflict(&record.key);
                        }
                        continue;
                    }
                };
                if let Some(record) = winner {
                    output.add(record).await?;
                }
            }
        }
    }
    output.finish().await
}

/// The merged tree; after the first conflict, only the conflicts.
struct Output {
    writer: TreeWriter,
    /// The first conflicting keys, up to [`MAX_REPORTED_CONFLICTS`].
    conflicts: Vec<Vec<u8>>,
    conflict_count: u64,
}

impl Output {
    fn conflict(&mut self, key: &[u8]) {
        self.conflict_count += 1;
        if self.conflicts.len() < MAX_REPORTED_CONFLICTS {
            self.conflicts.push(key.to_vec());
        }
    }

    async fn add(&mut self, record: crate::sstable::Record) -> Result<()> {
        if self.conflicts.is_empty() {
            self.writer.add(record).await
        } else {
            Ok(())
        }
    }

    async fn copy_range(&mut self, side: &mut Walker) -> Result<()> {
        match side.take_range() {
            Some(range) if self.conflicts.is_empty() => self.writer.add_range(range).await,
            _ => Ok(()),
        }
    }

    async fn finish(self) -> Result<MetaRangeId> {
        if self.conflicts.is_empty() {
            self.writer.finish().await
        } else {
            Err(Error::Conflict {
                keys: self.conflicts,
                count: self.conflict_count,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Sides, Step, decide};
    use crate::committed::metarange::RangeRef;
    use crate::committed::walker::Front;
    use crate::sstable::Record;

    fn range(content: u8, min: &str, max: &str) -> RangeRef {
        RangeRef::fake(content, min, max)
    }

    #[test]
    fn equal_ranges_are_merged_unopened() {
        let (old, new) = (range(0, "a", "f"), range(1, "a", "g"));
        let (old, new) = (Front::Range(&old), Front::Range(&new));
        assert_eq!(decide(old, new, old), Step::CancelDestination);
        assert_eq!(decide(old, old, new), Step::CancelSource);
        assert_eq!(decide(old, new, new), Step::KeepShared);
        assert_eq!(decide(old, old, old), Step::KeepShared);
        assert_eq!(decide(Front::End, new, new), Step::KeepShared);
    }

    #[test]
    fn ranges_without_overlap_are_copied_or_dropped() {
        let (low, high) = (range(0, "a", "f"), range(1, "g", "z"));
        let (low, high) = (Front::Range(&low), Front::Range(&high));
        assert_eq!(decide(high, low, Front::End), Step::CopySource);
        assert_eq!(decide(high, Front::End, low), Step::CopyDestination);
        assert_eq!(decide(low, high, Front::End), Step::DropBase);
        assert_eq!(decide(low, Front::End, Front::End), Step::DropBase);
    }

    #[test]
    fn overlapping_range_with_the_lowest_key_is_entered_first() {
        let (wide, inner) = (range(0, "a", "z"), range(1, "c", "d"));
        let record = Record {
            key: Bytes::from("b"),
            value: Bytes::new(),
        };
        let (wide, inner) = (Front::Range(&wide), Front::Range(&inner));
        let only_source = Sides {
            base: false,
            source: true,
            destination: false,
        };
        assert_eq!(decide(inner, wide, Front::End), Step::Enter(only_source));
        // The record's key is below the others' first keys, so they stay closed.
        assert_eq!(
            decide(inner, Front::Record(&record), Front::End),
            Step::Compare(only_source)
        );
    }

    #[test]
    fn merge_is_done_when_all_trees_end() {
        assert_eq!(decide(Front::End, Front::End, Front::End), Step::Done);
    }
}
