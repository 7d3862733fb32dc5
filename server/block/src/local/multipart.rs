//! Multipart uploads. The parts are stored in the namespace's folder, as in lakeFS, so that an open upload survives
//! a switch between the two servers. The `parts` module lists the files.
//!
//! An upload ends exactly once. A process that completes or aborts an upload takes its lock. A completion then checks
//! the state of the upload again, publishes the object, and durably writes a completion record with a digest of the
//! list of parts. The upload is completed as soon as the record exists; marker and parts are removed afterwards. If the
//! process dies before the record exists, the upload is still open. If it dies later, the upload is completed. In both
//! cases the object consists of the parts of a single list.
//!
//! Storing a part takes no lock. After writing the part, the process checks the upload again. If the upload is
//! still open, the process that ends it finds the part. If it has ended, the storing process removes the part.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};

use super::folder::Folder;
use super::parts::{
    Completion, READ_BYTES, UploadLock, completion_name, marker_name, part_info, part_name,
    part_numbers, read_small_file, remove_part, write_part_md5,
};
use super::paths::{path_error, split};
use super::write::{CancelFlag, CancelOnDrop, TempFile};
use super::{Inner, LocalStore};
use crate::multipart::{check_number, multipart_etag, select_parts};
use crate::store::from_bytes;
use crate::{ByteStream, CompletedPart, Error, Location, PartInfo, PutResult, Result};

/// Maximum length of an upload id, in bytes.
const MAX_UPLOAD_ID_BYTES: usize = 128;
/// Suffix of the upload ids created here. lakeFS's ids are the 32 hex digits of a UUID; lakeFS accepts longer ones.
/// If an upload with this suffix has parts but no marker, it has ended.
const OWN_SUFFIX: &str = "77";
const OWN_ID_BYTES: usize = 34;

/// An existing upload, open or completed.
pub(super) struct Upload {
    at: Location,
    id: String,
    folder: Folder,
    /// Whether the marker existed when the upload was read. Uploads started by lakeFS have none.
    has_marker: bool,
    completion: Option<Completion>,
    numbers: Vec<u32>,
}

impl Inner {
    /// Returns an open upload.
    pub(super) fn open_upload(&self, at: &Location, id: &str) -> Result<Upload> {
        let upload = self.upload(at, id)?;
        match upload.completion {
            None => Ok(upload),
            Some(_) => Err(Error::NoSuchUpload(id.to_owned())),
        }
    }

    /// Finds an open or completed upload by its marker or, if lakeFS started it, by its parts.
    fn upload(&self, at: &Location, id: &str) -> Result<Upload> {
        let unknown = || Error::NoSuchUpload(id.to_owned());
        let path = self.paths.inside(at)?;
        // The id becomes part of file names.
        let is_plain = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if id.is_empty() || id.len() > MAX_UPLOAD_ID_BYTES || !is_plain {
            return Err(unknown());
        }
        let folder = match self.paths.parent(at, &upload_folder(&path).join(id)) {
            Err(Error::NotFound(_)) => return Err(unknown()),
            folder => folder?,
        };
        let failed = |source| {
            path_error(at, source, |source| {
                Error::failed("read the upload of", at, source)
            })
        };
        let numbers = part_numbers(&folder, id).map_err(failed)?;
        let marker = read_small_file(&folder, &marker_name(id)).map_err(failed)?;
        // Read the record after the marker. A completion removes the marker only after it has written the record, so
        // at least one of them is found.
        let completion = Completion::read(&folder, id, at).map_err(failed)?;
        let has_marker = match marker {
            Some(address) if address == at.as_str() => true,
            Some(_) => return Err(unknown()),
            None if completion.is_some() => false,
            None if !numbers.is_empty()
                && !is_own(id)
                && folder.stat(&completion_name(id)).map_err(failed)?.is_none() =>
            {
                false
            }
            None => return Err(unknown()),
        };
        Ok(Upload {
            at: at.clone(),
            id: id.to_owned(),
            folder,
            has_marker,
            completion,
            numbers,
        })
    }
}

impl Upload {
    /// Returns the parts ordered by number. Skips parts that are removed concurrently.
    pub(super) fn parts(&self) -> Result<Vec<PartInfo>> {
        let mut parts = Vec::with_capacity(self.numbers.len());
        for number in &self.numbers {
            match part_info(&self.folder, &self.id, *number) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed("read a part of", error)),
                Ok(part) => parts.push(part),
            }
        }
        Ok(parts)
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> Error {
        path_error(&self.at, source, |source| {
            Error::failed(operation, &self.at, source)
        })
    }

    /// Returns whether the upload has ended since it was found.
    fn has_ended(&self) -> io::Result<bool> {
        let is_there = |name: String| Ok::<_, io::Error>(self.folder.stat(&name)?.is_some());
        Ok((self.has_marker && !is_there(marker_name(&self.id))?)
            || is_there(completion_name(&self.id))?)
    }

    /// Removes the marker, then all parts, including those stored since the upload was found. The task that stores a
    /// part after the marker is removed also removes that part.
    fn clear(&self) -> io::Result<()> {
        self.folder.remove(marker_name(&self.id))?;
        for number in part_numbers(&self.folder, &self.id)? {
            remove_part(&self.folder, &self.id, number)?;
        }
        Ok(())
    }

    /// Joins the listed parts into the object. Verifies the MD5 of each part again.
    fn join(
        &self,
        inner: &Inner,
        named: &[CompletedPart],
        cancelled: &CancelFlag,
    ) -> Result<PutResult> {
        let failed = |source| self.failed("join the parts of", source);
        let uploaded = self.parts()?;
        let picked = select_parts(&uploaded, named)?;
        let mut pending = TempFile::create(inner, &self.at)?;
        let mut digests = Vec::with_capacity(named.len());
        let mut chunk = vec![0; READ_BYTES];
        for part in picked {
            let changed = || Error::InvalidPart(format!("part {} has changed", part.number));
            let mut file = match self.folder.open(&part_name(&self.id, part.number)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(changed()),
                opened => opened.map_err(failed)?,
            };
            let mut md5 = Md5::new();
            loop {
                let read = file.read(&mut chunk).map_err(failed)?;
                if read == 0 {
                    break;
                }
                if cancelled.is_set() {
                    return Err(failed(io::ErrorKind::Interrupted.into()));
                }
                md5.update(&chunk[..read]);
                pending.write(&self.at, &chunk[..read])?;
            }
            let digest: [u8; 16] = md5.finalize().into();
            if hex::encode(digest) != part.etag {
                return Err(changed());
            }
            digests.push(digest);
        }
        let to = inner.paths.inside(&self.at)?;
        let stored = pending.publish(inner, &self.at, &to, cancelled)?;
        Ok(PutResult {
            size_bytes: stored.size_bytes,
            md5: multipart_etag(&digests),
            last_modified: stored.last_modified,
        })
    }
}

impl LocalStore {
    /// Starts an upload by writing its marker.
    pub(super) async fn begin_upload(&self, at: &Location) -> Result<String> {
        let path = self.0.paths.inside(at)?;
        let id = format!("{}{OWN_SUFFIX}", self.0.ids.uuid().replace('-', ""));
        let marker = upload_folder(&path).join(marker_name(&id));
        self.store(at, marker, from_bytes(at.as_str().to_owned().into()))
            .await?;
        Ok(id)
    }

    /// Stores a part and records its MD5.
    pub(super) async fn store_part(
        &self,
        at: &Location,
        id: &str,
        number: u32,
        body: ByteStream,
    ) -> Result<PartInfo> {
        check_number(number)?;
        let (known_at, known_id) = (at.clone(), id.to_owned());
        let upload = self
            .run(move |inner| inner.open_upload(&known_at, &known_id))
            .await?;
        let path = upload_folder(&self.0.paths.inside(at)?).join(part_name(id, number));
        let stored = self.store(at, path, body).await?;
        let info = PartInfo {
            number,
            etag: hex::encode(stored.md5),
            size_bytes: stored.size_bytes,
            last_modified: stored.last_modified,
        };
        self.run(move |_| {
            let failed = |source| upload.failed("write a part of", source);
            write_part_md5(&upload.folder, &upload.id, &info).map_err(failed)?;
            // If the upload ended while the part was being stored, only this task can still remove the part.
            if upload.has_ended().map_err(failed)? {
                remove_part(&upload.folder, &upload.id, number).map_err(failed)?;
                return Err(Error::NoSuchUpload(upload.id.clone()));
            }
            Ok(info)
        })
        .await
    }

    /// Completes an upload.
    pub(super) async fn join_parts(
        &self,
        at: &Location,
        id: &str,
        named: &[CompletedPart],
    ) -> Result<PutResult> {
        let cancel = CancelOnDrop::default();
        let _guard = self.0.upload_locks.lock(id).await;
        let (at, id, named, cancelled) = (at.clone(), id.to_owned(), named.to_vec(), cancel.flag());
        self.run(move |inner| complete(inner, &at, &id, &named, &cancelled))
            .await
    }

    /// Aborts an open upload, or removes the completion record of a completed one.
    pub(super) async fn end_upload(&self, at: &Location, id: &str) -> Result<()> {
        let _guard = self.0.upload_locks.lock(id).await;
        let (at, id) = (at.clone(), id.to_owned());
        self.run(move |inner| {
            let upload = match inner.upload(&at, &id) {
                Err(Error::NoSuchUpload(_)) => return Ok(()),
                upload => upload?,
            };
            let failed = |source| upload.failed("remove a part of", source);
            let _lock = UploadLock::acquire(&upload.folder, &id).map_err(failed)?;
            upload.clear().map_err(failed)?;
            upload.folder.remove(completion_name(&id)).map_err(failed)
        })
        .await
    }
}

fn complete(
    inner: &Inner,
    at: &Location,
    id: &str,
    named: &[CompletedPart],
    cancelled: &CancelFlag,
) -> Result<PutResult> {
    let found = inner.upload(at, id)?;
    let locked = UploadLock::acquire(&found.folder, id);
    let _lock = locked.map_err(|source| found.failed("lock the upload of", source))?;
    let mut upload = inner.upload(at, id)?;
    let put = match upload.completion.take() {
        Some(completion) => completion
            .result_for(named)
            .ok_or_else(|| Error::NoSuchUpload(id.to_owned()))?,
        None => {
            let put = upload.join(inner, named, cancelled)?;
            Completion::new(named, put.clone())
                .write(&inner.temp, &upload.folder, id, at)
                .map_err(|source| upload.failed("complete the upload of", source))?;
            put
        }
    };
    if let Err(error) = upload.clear() {
        // The object is complete. The remaining parts only take disk space until the upload is removed.
        tracing::warn!(%error, upload.id = %id, "failed to remove the parts of a completed upload");
    }
    Ok(put)
}

/// Returns whether the id was created here, by a version that adds the suffix.
fn is_own(id: &str) -> bool {
    id.len() == OWN_ID_BYTES && id.ends_with(OWN_SUFFIX)
}

/// Returns the folder for the files of an upload. Keys of multipart uploads usually have the form
/// `data/<partition>/<name>`. For these, it is the namespace's folder, which contains `data`, unless that is the
/// store's folder. In all other cases, it is the object's folder.
fn upload_folder(path: &Path) -> PathBuf {
    let above = path
        .ancestors()
        .nth(3)
        .filter(|above| !above.as_os_str().is_empty());
    match (above, path.ancestors().nth(2).and_then(Path::file_name)) {
        (Some(above), Some(name)) if name == "data" => above.to_owned(),
        _ => split(path).0.to_owned(),
    }
}
