//! Differences in key order, wherever they come from: two trees, or staged changes over one.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Diff, Result};

/// Finds differences. Keys ascend strictly.
///
/// A future of [`Self::next`] that is dropped loses no difference.
#[async_trait]
pub trait DiffSource: Debug + Send {
    /// The next difference, or none at the end (and ever after).
    async fn next(&mut self) -> Result<Option<Diff>>;

    /// Moves forward to the first key >= `key`; never backward. Reads nothing.
    fn seek(&mut self, key: &[u8]);
}

/// Differences in key order.
#[derive(Debug)]
pub struct DiffCursor(Box<dyn DiffSource>);

impl DiffCursor {
    /// The differences that `source` finds.
    #[must_use]
    pub fn new(source: impl DiffSource + 'static) -> Self {
        Self(Box::new(source))
    }

    /// The next difference, or none at the end.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::Corrupt`] or [`crate::Error::Block`] if a tree
    /// cannot be read, [`crate::Error::Kv`] if staged changes cannot.
    pub async fn next(&mut self) -> Result<Option<Diff>> {
        self.0.next().await
    }

    /// Moves forward to the first key >= `key`; never backward. Reads nothing.
    pub fn seek(&mut self, key: &[u8]) {
        self.0.seek(key);
    }
}
