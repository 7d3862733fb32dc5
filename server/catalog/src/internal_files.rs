//! Internal files of the server below `_lakefs/` in a storage namespace: logs and manifests of hook runs, garbage
//! collection rules, manifests of dumps. They are not objects of the repository.
//!
//! [`Reader::get_internal`] reads them. [`InternalFiles`] writes them, and can write nothing else.

use std::sync::Arc;

use block::{BlockStore, ByteStream, Location};
use bytes::Bytes;
use graveler::Repository;

use crate::{Error, Reader, Result};

/// The folder for internal files of the server, in every storage namespace.
const INTERNAL_FOLDER: &str = "_lakefs";

/// Writes internal files, such as the logs of hooks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InternalFiles {
    block: Arc<dyn BlockStore>,
}

impl InternalFiles {
    /// Creates a writer to `block`.
    #[must_use]
    pub fn new(block: Arc<dyn BlockStore>) -> Self {
        Self { block }
    }

    /// Stores a file below `_lakefs/`. Replaces an existing file.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for a key that would leave the folder; any error of the block store.
    pub async fn put(&self, repository: &Repository, key: &str, body: Bytes) -> Result<()> {
        let at = internal_location(repository, key)?;
        self.block.put(&at, block::from_bytes(body)).await?;
        Ok(())
    }
}

impl Reader {
    /// Reads an internal file. Returns none if it does not exist.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for a key that would leave the folder; any error of the block store.
    pub async fn get_internal(
        &self,
        repository: &Repository,
        key: &str,
    ) -> Result<Option<ByteStream>> {
        let at = internal_location(repository, key)?;
        match self.block.get(&at, None).await {
            Ok(stored) => Ok(Some(stored.body)),
            Err(block::Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The location of an internal file. Checks `key`, because it may contain ids from a request.
fn internal_location(repository: &Repository, key: &str) -> Result<Location> {
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) || key.contains(['\\', '\0']) {
        return Err(Error::InvalidValue(format!("invalid internal key {key:?}")));
    }
    Ok(Location::below(
        &repository.storage_namespace,
        &format!("{INTERNAL_FOLDER}/{key}"),
    ))
}
