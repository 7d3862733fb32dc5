//! Sorted cursors over trees: staged, committed or both.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Result, Value};

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: Bytes,
    pub value: Value,
}

/// Walks live records in ascending byte order of their keys.
#[async_trait]
pub trait Cursor: Debug + Send {
    /// The next record, or `None` at the end and on every later call.
    async fn next(&mut self) -> Result<Option<Record>>;

    /// Moves forward to the first key >= `key`, never backward. Does no I/O.
    fn seek(&mut self, key: &[u8]);

    /// Ends the walk before the first key >= `key`. Implementations need not read what follows. A
    /// later call can only lower the end. Does no I/O.
    fn end_at(&mut self, key: &[u8]);
}

/// Moves a source forward to the first key >= `key`. `ahead` is the item that was read ahead from it.
pub(crate) fn seek_past_read_ahead<T>(
    ahead: &mut Option<T>,
    key_of: impl FnOnce(&T) -> &Bytes,
    key: &[u8],
    seek: impl FnOnce(&[u8]),
) {
    if ahead.as_ref().is_none_or(|item| key_of(item) < key) {
        *ahead = None;
        seek(key);
    }
}

/// Lowers the exclusive end of a walk to `key`.
pub(crate) fn lower_end(end: &mut Option<Bytes>, key: &[u8]) {
    if end.as_ref().is_none_or(|end| key < end) {
        *end = Some(Bytes::copy_from_slice(key));
    }
}

/// Whether `key` is at or after the exclusive end of a walk.
pub(crate) fn reaches_end(end: Option<&Bytes>, key: &[u8]) -> bool {
    end.is_some_and(|end| key >= end)
}

/// Looks up keys that are requested in ascending order.
#[derive(Debug)]
pub(crate) struct Lookup {
    cursor: Box<dyn Cursor>,
    /// The record that the cursor returned last.
    at: Option<Record>,
    ended: bool,
}

impl Lookup {
    pub(crate) fn new(cursor: Box<dyn Cursor>) -> Self {
        Self {
            cursor,
            at: None,
            ended: false,
        }
    }

    pub(crate) async fn get(&mut self, key: &[u8]) -> Result<Option<Value>> {
        let behind = self.at.as_ref().is_none_or(|record| record.key < key);
        if behind && !self.ended {
            self.cursor.seek(key);
            self.at = self.cursor.next().await?;
            self.ended = self.at.is_none();
        }
        Ok(self
            .at
            .as_ref()
            .filter(|record| record.key == key)
            .map(|record| record.value.clone()))
    }
}
