//! Sorted cursors over trees: staged, committed, combined.

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

/// Walks live records in ascending byte order of key.
#[async_trait]
pub trait Cursor: Debug + Send {
    /// The next record, or none at the end (and ever after).
    async fn next(&mut self) -> Result<Option<Record>>;

    /// Moves forward to the first key >= `key`; never backward. Reads nothing.
    fn seek(&mut self, key: &[u8]);
}
