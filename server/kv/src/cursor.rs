//! A seekable cursor over one partition, reading pages that grow.

use std::sync::Arc;

use crate::{Entry, Result, Store};

/// Walks one partition in ascending key order.
#[derive(Debug)]
pub struct Cursor {
    _store: Arc<dyn Store>,
}

impl Cursor {
    /// Starts at the first key >= `start`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, _partition: &[u8], _start: &[u8]) -> Self {
        Self { _store: store }
    }

    /// The next entry, or none at the end.
    ///
    /// # Errors
    /// Whatever the store's scan gives.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        todo!()
    }

    /// Moves forward to the first key >= `key`; never backward.
    pub fn seek(&mut self, _key: &[u8]) {
        todo!()
    }
}
