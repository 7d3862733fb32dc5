//! Sources of a table's bytes: memory, or ranges of a block store's object.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use block::{BlockStore, Location};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

/// An immutable file with random access.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// The file's length in bytes. Called once per opening.
    async fn size(&self) -> block::Result<u64>;

    /// Reads `len` bytes from `offset`; fewer only at the end of the file.
    async fn read_at(&self, offset: u64, len: usize) -> block::Result<Bytes>;
}

#[async_trait]
impl Source for Bytes {
    async fn size(&self) -> block::Result<u64> {
        Ok(self.len() as u64)
    }

    async fn read_at(&self, offset: u64, len: usize) -> block::Result<Bytes> {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.len());
        let end = start.saturating_add(len).min(self.len());
        Ok(self.slice(start..end))
    }
}

/// A file in a block store, read in ranges.
#[derive(Debug, Clone)]
pub struct StoreSource {
    store: Arc<dyn BlockStore>,
    location: Location,
}

impl StoreSource {
    /// Reads the object at `location`.
    #[must_use]
    pub fn new(store: Arc<dyn BlockStore>, location: Location) -> Self {
        Self { store, location }
    }
}

#[async_trait]
impl Source for StoreSource {
    async fn size(&self) -> block::Result<u64> {
        match self.store.properties(&self.location).await? {
            Some(properties) => Ok(properties.size_bytes),
            None => Err(block::Error::NotFound(self.location.clone())),
        }
    }

    async fn read_at(&self, offset: u64, len: usize) -> block::Result<Bytes> {
        let mut body = self
            .store
            .get(
                &self.location,
                Some(offset..offset.saturating_add(len as u64)),
            )
            .await?
            .body;
        let mut read = BytesMut::new();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|source| block::Error::Storage {
                operation: "read",
                location: self.location.to_string(),
                source,
            })?;
            // If the first piece is the whole answer, return it without copying.
            if read.is_empty() && piece.len() == len {
                return Ok(piece);
            }
            let wanted = piece.len().min(len - read.len());
            read.extend_from_slice(&piece[..wanted]);
            if read.len() == len {
                break;
            }
        }
        Ok(read.freeze())
    }
}
