//! Staged changes on top of the difference between two trees.

use async_trait::async_trait;
use bytes::Bytes;

use crate::committed::{Change, ChangeCursor as _};
use crate::cursor::{Lookup, lower_end, reaches_end, seek_past_read_ahead};
use crate::staging::StagedChanges;
use crate::{Diff, DiffCursor, DiffKind, DiffSource, Result};

/// Staged changes on top of the difference between two trees.
#[derive(Debug)]
pub(crate) struct StagedDiff {
    /// From the left tree to the head; `None` if they are the same tree.
    committed: Option<DiffCursor>,
    difference: Option<Diff>,
    staged: StagedChanges,
    change: Option<Change>,
    /// The left tree's records, looked up for staged keys.
    base: Lookup,
    /// The exclusive end.
    end: Option<Bytes>,
}

/// The result of advancing by one key.
#[derive(Debug)]
pub(crate) enum Step {
    Found(Diff),
    /// The staged change of this key makes no difference.
    Same(Bytes),
    End,
}

impl StagedDiff {
    /// `base` reads the left tree.
    pub(crate) fn new(committed: Option<DiffCursor>, staged: StagedChanges, base: Lookup) -> Self {
        Self {
            committed,
            difference: None,
            staged,
            change: None,
            base,
            end: None,
        }
    }

    /// Advances by one key. Dropping the future loses no change.
    pub(crate) async fn step(&mut self) -> Result<Step> {
        if self.change.is_none() {
            self.change = self.staged.next().await?;
        }
        if let (None, Some(committed)) = (&self.difference, &mut self.committed) {
            self.difference = committed.next().await?;
        }
        let end = self.end.as_ref();
        let change = self.change.as_ref().filter(|at| !reaches_end(end, &at.key));
        let difference = self.difference.as_ref().map(|difference| &difference.key);
        let difference = difference.filter(|key| !reaches_end(end, key));
        let (key, differs) = match (change, difference) {
            (None, None) => return Ok(Step::End),
            (Some(change), at) if at.is_none_or(|at| *at >= change.key) => {
                (change.key.clone(), at == Some(&change.key))
            }
            _ => return Ok(self.difference.take().map_or(Step::End, Step::Found)),
        };
        // Trees that agree on the identity may still differ in data, so read the left one.
        let at_base = if differs {
            None
        } else {
            self.base.get(&key).await?
        };
        // No await from here on: a dropped future must not lose what is taken below.
        let left = if differs {
            self.difference.take().and_then(|found| found.left)
        } else {
            at_base
        };
        let right = self.change.take().and_then(|change| change.value);
        let kind = match (&left, &right) {
            (None, None) => return Ok(Step::Same(key)),
            (Some(left), Some(right)) if left.identity == right.identity => {
                return Ok(Step::Same(key));
            }
            (None, Some(_)) => DiffKind::Added,
            (Some(_), Some(_)) => DiffKind::Changed,
            (Some(_), None) => DiffKind::Removed,
        };
        Ok(Step::Found(Diff {
            kind,
            key,
            left,
            right,
        }))
    }
}

#[async_trait]
impl DiffSource for StagedDiff {
    async fn next(&mut self) -> Result<Option<Diff>> {
        loop {
            match self.step().await? {
                Step::Found(diff) => return Ok(Some(diff)),
                Step::Same(_) => {}
                Step::End => return Ok(None),
            }
        }
    }

    fn seek(&mut self, key: &[u8]) {
        let staged = |key: &[u8]| self.staged.seek(key);
        seek_past_read_ahead(&mut self.change, |change| &change.key, key, staged);
        if let Some(committed) = &mut self.committed {
            let committed = |key: &[u8]| committed.seek(key);
            seek_past_read_ahead(&mut self.difference, |diff| &diff.key, key, committed);
        }
    }

    fn end_at(&mut self, key: &[u8]) {
        lower_end(&mut self.end, key);
        if let Some(committed) = &mut self.committed {
            committed.end_at(key);
        }
    }
}
