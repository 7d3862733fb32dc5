//! Symlink files: lists of addresses by which Hive and its relatives read a branch straight from the store.
//!
//! One file for each directory that holds objects, at
//! `symlinks/REPOSITORY/REFERENCE/DIRECTORY/symlink.txt` below the storage namespace, with a full
//! address on each line. The listing streams through: what is in memory are the files of the
//! directories above the present path.

use block::Location;
use graveler::Repository;
use tracing::{info, instrument};

use crate::file_writer::FileWriter;
use crate::listing::text;
use crate::{Catalog, Error, Object, Result};

const FOLDER: &str = "symlinks";
const FILE: &str = "symlink.txt";
/// Directories inside of each other that hold objects themselves, whose files are all open at the same time.
pub const MAX_NESTED_DIRECTORIES: usize = 64;

/// The file of one directory.
#[derive(Debug)]
struct Directory {
    /// With the slash at its end; empty for the root.
    path: Vec<u8>,
    file: FileWriter,
}

impl Catalog {
    /// Writes a symlink file for each directory at a reference, of objects whose paths start with `location`.
    ///
    /// Gives the address of the folder of all symlink files. Files of directories that are no more stay.
    ///
    /// # Errors
    /// The reference's; [`Error::InvalidValue`] for directories that the store can not name or that nest
    /// deeper than [`MAX_NESTED_DIRECTORIES`], and for addresses of more than one line: files before
    /// them are written by then.
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
            // Paths are sorted: a directory that this one is not inside of is complete.
            while let Some(complete) = open.pop_if(|open| !path.starts_with(&open.path)) {
                complete.finish().await?;
                written += 1;
            }
            if open.last().is_none_or(|open| open.path != path) {
                if open.len() == MAX_NESTED_DIRECTORIES {
                    return Err(Error::advised(
                        format!(
                            "more than {MAX_NESTED_DIRECTORIES} directories inside of each other hold objects, down to {:?}",
                            text(path)
                        ),
                        "give a `location` inside of that directory",
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
                "the address of {:?} has more than one line: no symlink file can name it",
                object.path
            )));
        }
        let written = self.file.write(format!("{address}\n").as_bytes()).await;
        written.map_err(|error| unnamed(&self.path, error))
    }

    async fn finish(self) -> Result<()> {
        let finished = self.file.finish().await;
        finished.map_err(|error| unnamed(&self.path, error))
    }
}

/// Objects have paths that files can not have, on some stores.
fn unnamed(directory: &[u8], error: Error) -> Error {
    match error {
        Error::Block(block::Error::InvalidAddress { reason, .. }) => Error::advised(
            format!(
                "no symlink file can be written for directory {:?}: {reason}",
                text(directory)
            ),
            "give a `location` beside that directory",
        ),
        other => other,
    }
}

/// A path up to its last slash.
fn directory_of(key: &[u8]) -> &[u8] {
    let end = key.iter().rposition(|&byte| byte == b'/');
    &key[..end.map_or(0, |slash| slash + 1)]
}
