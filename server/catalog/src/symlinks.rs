//! Symlink files: lists of addresses, through which Hive and similar engines read a branch directly from the store.
//!
//! Each directory that holds objects has one file,
//! `symlinks/REPOSITORY/REFERENCE/DIRECTORY/symlink.txt` below the storage namespace, with a full
//! address on each line. The listing is streamed: only the files of the current path's directories
//! are open.

use block::Location;
use graveler::Repository;
use tracing::{info, instrument};

use crate::file_writer::FileWriter;
use crate::listing::text;
use crate::{Catalog, Error, Object, Result};

const FOLDER: &str = "symlinks";
const FILE: &str = "symlink.txt";
/// The maximum nesting of directories that hold objects. Their files are all open at the same time.
pub const MAX_NESTED_DIRECTORIES: usize = 64;

/// The file of one directory.
#[derive(Debug)]
struct Directory {
    /// Ends in a slash; empty for the root.
    path: Vec<u8>,
    file: FileWriter,
}

impl Catalog {
    /// Writes a symlink file for each directory of a reference that holds objects. Lists only objects whose paths start
    /// with `location`.
    ///
    /// Returns the address of the folder of all symlink files. Files of directories that no longer exist stay.
    ///
    /// # Errors
    /// Any error of resolving the reference; [`Error::Advised`] for directory names that the store does not support and
    /// for more than [`MAX_NESTED_DIRECTORIES`] nested directories; [`Error::InvalidValue`] for addresses with line
    /// breaks. Files of earlier directories are already written then.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn export_symlinks(
        &self,
        repository: &Repository,
        reference: &str,
        location: &str,
    ) -> Result<String> {
        let resolved = self.graveler.resolve(repository, reference).await?;
        let mut records = self.graveler.cursor(repository, &resolved).await?;
        records.seek(location.as_bytes());
        let mut open: Vec<Directory> = Vec::new();
        let mut written = 0_u64;
        while let Some(record) = records.next().await? {
            if !record.key.starts_with(location.as_bytes()) {
                break;
            }
            let path = directory_of(&record.key);
            // Paths are sorted, so an open directory that does not contain this path is complete.
            while let Some(complete) = open.pop_if(|open| !path.starts_with(&open.path)) {
                complete.finish().await?;
                written += 1;
            }
            if open.last().is_none_or(|open| open.path != path) {
                if open.len() == MAX_NESTED_DIRECTORIES {
                    return Err(Error::with_advice(
                        format!(
                            "more than {MAX_NESTED_DIRECTORIES} nested directories hold objects, down to {:?}",
                            text(path)
                        ),
                        "set `location` to a path inside that directory",
                    ));
                }
                open.push(self.symlink_file(repository, reference, path));
            }
            let object = Object::from_value(
                &repository.storage_namespace,
                text(&record.key),
                &record.value,
            )?;
            let file = open.last_mut().expect("the directory was opened");
            file.add(&object).await?;
        }
        while let Some(complete) = open.pop() {
            complete.finish().await?;
            written += 1;
        }
        info!("wrote {written} symlink files of {reference}");
        Ok(Location::below(&repository.storage_namespace, FOLDER)
            .as_str()
            .to_owned())
    }

    fn symlink_file(&self, repository: &Repository, reference: &str, path: &[u8]) -> Directory {
        let key = format!(
            "{FOLDER}/{}/{reference}/{}{FILE}",
            repository.id,
            text(path)
        );
        let at = Location::below(&repository.storage_namespace, &key);
        Directory {
            path: path.to_vec(),
            file: FileWriter::create(&self.block, at),
        }
    }
}

impl Directory {
    async fn add(&mut self, object: &Object) -> Result<()> {
        let address = &object.physical_address;
        if address.contains(['\n', '\r']) {
            return Err(Error::InvalidValue(format!(
                "the address of {:?} contains a line break, which a symlink file cannot represent",
                object.path
            )));
        }
        let written = self.file.write(format!("{address}\n").as_bytes()).await;
        written.map_err(|error| name_directory(&self.path, error))
    }

    async fn finish(self) -> Result<()> {
        let finished = self.file.finish().await;
        finished.map_err(|error| name_directory(&self.path, error))
    }
}

/// Names the directory in the error if the store cannot use its path as a file name.
fn name_directory(directory: &[u8], error: Error) -> Error {
    match error {
        Error::InvalidAddress { reason, .. } => Error::with_advice(
            format!(
                "cannot write a symlink file for directory {:?}: {reason}",
                text(directory)
            ),
            "set `location` to a path outside that directory",
        ),
        other => other,
    }
}

/// A path up to its last slash.
fn directory_of(key: &[u8]) -> &[u8] {
    let end = key.iter().rposition(|&byte| byte == b'/');
    &key[..end.map_or(0, |slash| slash + 1)]
}
