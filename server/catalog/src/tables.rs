//! Range and metarange files of committed trees: locations and bytes.
//!
//! For clients that read trees themselves, such as Spark jobs. Ids are validated (64 hex digits) before they
//! become part of a path.

use block::{ByteStream, Location};
use graveler::Repository;

use crate::{Error, Reader, Result};

impl Reader {
    /// The key of a range or metarange file, relative to the storage namespace.
    ///
    /// Does not check that the file exists, because clients ask for every range of a tree.
    ///
    /// # Errors
    /// Invalid id.
    pub fn table_key(&self, id: &str) -> Result<String> {
        Ok(self.graveler.table_key(id)?)
    }

    /// The size in bytes and the content of a range or metarange file.
    ///
    /// # Errors
    /// [`Error::DataGone`] if the file does not exist; invalid id.
    pub async fn open_table(&self, repository: &Repository, id: &str) -> Result<(u64, ByteStream)> {
        let key = self.graveler.table_key(id)?;
        let at = Location::below(&repository.storage_namespace, &key);
        match self.block.get(&at, None).await {
            Err(block::Error::NotFound(_)) => Err(Error::DataGone(id.to_owned())),
            opened => {
                let opened = opened?;
                Ok((opened.object_size_bytes, opened.body))
            }
        }
    }
}
