//! Differences in key order, between two trees or between a tree and staged changes.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Diff, Result};

/// Produces differences, in strictly ascending key order.
///
/// Dropping a future of [`Self::next`] loses no difference.
#[async_trait]
pub trait DiffSource: Debug + Send {
    /// The next difference, or `None` at the end and on every later call.
    async fn next(&mut self) -> Result<Option<Diff>>;

    /// Moves forward to the first key >= `key`, never backward. Does no I/O.
    fn seek(&mut self, key: &[u8]);

    /// Ends the differences before the first key >= `key`. Implementations need not read what follows.
    /// A later call can only lower the end. Does no I/O.
    fn end_at(&mut self, key: &[u8]);
}

/// Differences in key order.
#[derive(Debug)]
pub struct DiffCursor(Box<dyn DiffSource>);

impl DiffCursor {
    /// Wraps a source of differences.
    #[must_use]
    pub fn new(source: impl DiffSource + 'static) -> Self {
        Self(Box::new(source))
    }

    /// The next difference, or `None` at the end.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::Corrupt`] or [`crate::Error::Block`] if a tree
    /// cannot be read, [`crate::Error::Kv`] if staged changes cannot.
    pub async fn next(&mut self) -> Result<Option<Diff>> {
        self.0.next().await
    }

    /// Moves forward to the first key >= `key`, never backward. Does no I/O.
    pub fn seek(&mut self, key: &[u8]) {
        self.0.seek(key);
    }

    /// Ends the differences before the first key >= `key`, without reading what follows. A later call
    /// can only lower the end. Does no I/O.
    pub fn end_at(&mut self, key: &[u8]) {
        self.0.end_at(key);
    }
}
