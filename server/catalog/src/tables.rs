//! The files of committed trees as they are stored: where they lie, and their bytes.
//!
//! For clients that read trees themselves, such as Spark jobs. An id becomes part of a path
//! only after it was found to be 64 hex digits.

use block::{ByteStream, Location};
use graveler::Repository;

use crate::{Error, Reader, Result};

impl Reader {
    /// Where the file of a range or metarange lies, below the storage namespace.
    ///
    /// Does not look whether it is there: clients ask for each range of a tree.
    ///
    /// # Errors
    /// Invalid id.
    pub fn table_key(&self, id: &str) -> Result<String> {
        Ok(self.graveler.table_key(id)?)
    }

    /// Size and bytes of the file of a range or metarange.
    ///
    /// # Errors
    /// [`Error::DataGone`] if there is none; invalid id.
    pub async fn open_table(&self, repository: &Repository, id: &str) -> Result<(u64, ByteStream)> {
        let key = self.graveler.table_key(id)?;
        let at = Location::below(&repository.storage_namespace, &key);
        let gone = || Error::DataGone(id.to_owned());
        let properties = self.block.properties(&at).await?.ok_or_else(gone)?;
        match self.block.get(&at, None).await {
            Err(block::Error::NotFound(_)) => Err(gone()),
            opened => Ok((properties.size_bytes, opened?)),
        }
    }
}
