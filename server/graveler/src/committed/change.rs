//! The changes that are applied to a tree, and their numbers.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Result, Value};

/// A staged change: a new value, or `None` for a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: Bytes,
    pub value: Option<Value>,
}

/// Changes in ascending key order, each key once.
#[async_trait]
pub trait ChangeCursor: std::fmt::Debug + Send {
    async fn next(&mut self) -> Result<Option<Change>>;
}

/// Numbers of keys that were added, removed, or got a value with another identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
}

impl Summary {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
