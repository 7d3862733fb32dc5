//! Applies sorted changes to a tree.
//!
//! The new tree references base ranges without changes as a whole, without opening them.

use std::cmp::Ordering;

use super::change::{Change, ChangeCursor, Summary};
use super::record::{frame, same_identity};
use super::tables::Tables;
use super::walker::{Front, Walker};
use super::writer::TreeWriter;
use crate::{MetaRangeId, Result};

/// What to do next, given the front of the base and the next change.
enum Step {
    Done,
    CopyRange,
    Enter,
    CopyRecord,
    /// The change's key is not in the base. A deletion then does nothing.
    Add,
    /// The base's record has the change's key.
    Replace,
}

fn decide(base: Front<'_>, change: Option<&Change>) -> Step {
    let Some(Change { key, .. }) = change else {
        return match base {
            Front::End => Step::Done,
            Front::Range(_) => Step::CopyRange,
            Front::Record(_) => Step::CopyRecord,
        };
    };
    match base {
        Front::End => Step::Add,
        Front::Range(range) if range.max_key < key => Step::CopyRange,
        Front::Range(range) if range.min_key > key => Step::Add,
        Front::Range(_) => Step::Enter,
        Front::Record(record) => match record.key.cmp(key) {
            Ordering::Less => Step::CopyRecord,
            Ordering::Equal => Step::Replace,
            Ordering::Greater => Step::Add,
        },
    }
}

/// Whose bytes to keep if a change has the same identity as the base's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeptBytes {
    Base,
    Change,
}

/// The result of applying changes.
#[derive(Debug)]
pub(crate) struct Applied {
    pub tree: MetaRangeId,
    pub summary: Summary,
    /// Number of records whose bytes changed while their identity stayed the same.
    pub bytes_only: u64,
    /// Number of changes, plus number of base records copied one by one.
    pub cost_rows: u64,
}

/// See [`super::Committed::apply`].
pub(super) async fn apply(
    tables: &Tables,
    namespace: &str,
    base: &MetaRangeId,
    mut changes: Box<dyn ChangeCursor>,
    kept_bytes: KeptBytes,
) -> Result<Applied> {
    let mut tree = Walker::new(tables.clone(), namespace, base).await?;
    let mut writer = TreeWriter::new(tables.clone(), namespace);
    let mut summary = Summary::default();
    let (mut bytes_only, mut cost_rows) = (0, 0);
    let mut change = changes.next().await?;
    loop {
        tree.settle().await?;
        match decide(tree.front(), change.as_ref()) {
            Step::Done => break,
            Step::CopyRange => {
                if let Some(range) = tree.take_range() {
                    writer.add_range(range).await?;
                }
            }
            Step::Enter => {
                if let Some(range) = tree.range() {
                    writer.reuse_if_unchanged(range);
                }
                tree.enter().await?;
            }
            Step::CopyRecord => {
                if let Some(record) = tree.take_record() {
                    cost_rows += 1;
                    writer.add(record).await?;
                }
            }
            Step::Add => {
                if let Some(Change {
                    key,
                    value: Some(value),
                }) = change
                {
                    writer.add(frame(key, &value)).await?;
                    summary.added += 1;
                }
                cost_rows += 1;
                change = changes.next().await?;
            }
            Step::Replace => {
                let old = tree.take_record();
                let new =
                    change.and_then(|Change { key, value }| value.map(|value| frame(key, &value)));
                let is_same = same_identity(old.as_ref(), new.as_ref())?;
                if new.is_none() {
                    summary.removed += 1;
                } else if !is_same {
                    summary.changed += 1;
                }
                let keeps_old = is_same && (kept_bytes == KeptBytes::Base || old == new);
                if is_same && !keeps_old {
                    bytes_only += 1;
                }
                cost_rows += 1;
                if let Some(record) = if keeps_old { old } else { new } {
                    writer.add(record).await?;
                }
                change = changes.next().await?;
            }
        }
    }
    let tree = match summary.is_empty() && bytes_only == 0 {
        true => base.clone(),
        false => writer.finish().await?,
    };
    Ok(Applied {
        tree,
        summary,
        bytes_only,
        cost_rows,
    })
}
