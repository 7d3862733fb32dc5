//! Multipart uploads: their parts lie in the namespace's folder, where lakeFS has them, so that an open upload
//! survives a switch from one to the other. `parts` says which files there are.
//!
//! An upload ends once. Whoever completes or aborts it holds its lock, in whichever process, and looks again under the
//! lock. A completion places the object, then notes durably which parts it is of: that is the moment in which it is
//! completed. Only then do marker and parts go. So a process that dies before leaves an open upload, and one that
//! dies behind it a completed one; neither leaves an object that is half of one list of parts.
//!
//! Parts take no lock. A part that lands is noted, then the upload is looked at: either it is still open, and who
//! ends it later finds the part, or it has ended, and the part is removed again.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use md5::{Digest as _, Md5};
use tokio::sync::OwnedMutexGuard;

use super::folder::Folder;
use super::parts::{
    Done, Lock, READ_BYTES, done_name, marker_name, note_part, part_info, part_name, part_numbers,
    read_note, remove_part,
};
use super::paths::{refused, split};
use super::write::{Gone, Pending, Waiter};
use super::{Inner, LocalStore};
use crate::multipart::{check_number, joined_tag, pick};
use crate::store::from_bytes;
use crate::{ByteStream, CompletedPart, Error, Location, PartInfo, Put, Result};

/// The longest upload id, in bytes.
const MAX_UPLOAD_ID_BYTES: usize = 128;
/// Hex digits that ids made here have behind a UUID's 32, which are all that ids of lakeFS have: who finds parts of such
/// an upload and no marker knows that it has ended. lakeFS takes any hex digits.
const OWN_SUFFIX: &str = "77";
const OWN_ID_BYTES: usize = 34;
/// How many uploads may have ended before their turns are looked through.
const MAX_IDLE_TURNS: usize = 1_024;

/// Who ends an upload waits here for others of this process, without a thread.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn wait(&self, id: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().expect("no holder of the turns panics");
            if turns.len() > MAX_IDLE_TURNS {
                turns.retain(|_, turn| turn.strong_count() > 0);
            }
            let waited_for = turns.get(id).and_then(Weak::upgrade);
            waited_for.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(id.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

/// An upload that exists.
pub(super) struct Upload {
    at: Location,
    id: String,
    folder: Folder,
    /// Whether it was begun here, and so must have its marker.
    marked: bool,
    done: Option<Done>,
    numbers: Vec<u32>,
}

impl Inner {
    /// An upload that takes parts.
    pub(super) fn open_upload(&self, at: &Location, id: &str) -> Result<Upload> {
        let upload = self.upload(at, id)?;
        match upload.done {
            None => Ok(upload),
            Some(_) => Err(Error::NoSuchUpload(id.to_owned())),
        }
    }

    /// Finds an upload, open or completed, by its marker, or, if lakeFS began it, by its parts.
    fn upload(&self, at: &Location, id: &str) -> Result<Upload> {
        let unknown = || Error::NoSuchUpload(id.to_owned());
        let path = self.paths.inside(at)?;
        // An id becomes part of a file name.
        let plain = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if id.is_empty() || id.len() > MAX_UPLOAD_ID_BYTES || !plain {
            return Err(unknown());
        }
        let folder = match self.paths.parent(at, &upload_folder(&path).join(id)) {
            Err(Error::NotFound(_)) => return Err(unknown()),
            folder => folder?,
        };
        let failed = |source| {
            refused(at, source, |source| {
                Error::failed("read the upload of", at, source)
            })
        };
        let numbers = part_numbers(&folder, id).map_err(failed)?;
        let marker = read_note(&folder, &marker_name(id)).map_err(failed)?;
        // Behind the marker, which goes when the note is there.
        let done = Done::read(&folder, id, at).map_err(failed)?;
        let marked = match marker {
            Some(address) if address == at.as_str() => true,
            Some(_) => return Err(unknown()),
            None if done.is_some() => false,
            None if !numbers.is_empty()
                && !is_own(id)
                && folder.stat(&done_name(id)).map_err(failed)?.is_none() =>
            {
                false
            }
            None => return Err(unknown()),
        };
        Ok(Upload {
            at: at.clone(),
            id: id.to_owned(),
            folder,
            marked,
            done,
            numbers,
        })
    }
}

impl Upload {
    /// The parts, by number. One that goes meanwhile is none.
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
        refused(&self.at, source, |source| {
            Error::failed(operation, &self.at, source)
        })
    }

    /// Whether it ended since it was found.
    fn has_ended(&self) -> io::Result<bool> {
        let is_there = |name: String| Ok::<_, io::Error>(self.folder.stat(&name)?.is_some());
        Ok((self.marked && !is_there(marker_name(&self.id))?) || is_there(done_name(&self.id))?)
    }

    /// Removes marker and parts, also those that came since the upload was found. The marker goes first: a part that
    /// lands behind it is removed by whoever stores it.
    fn clear(&self) -> io::Result<()> {
        self.folder.remove(marker_name(&self.id))?;
        for number in part_numbers(&self.folder, &self.id)? {
            remove_part(&self.folder, &self.id, number)?;
        }
        Ok(())
    }

    /// Joins parts to the object, hashing again what was hashed when it came.
    fn join(&self, inner: &Inner, named: &[CompletedPart], gone: &Gone) -> Result<Put> {
        let failed = |source| self.failed("join the parts of", source);
        let uploaded = self.parts()?;
        let picked = pick(&uploaded, named)?;
        let mut pending = Pending::create(inner, &self.at)?;
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
                if gone.is() {
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
        let stored = pending.place(inner, &self.at, &to, gone)?;
        Ok(Put {
            size_bytes: stored.size_bytes,
            md5: joined_tag(&digests),
            last_modified: stored.last_modified,
        })
    }
}

impl LocalStore {
    /// Begins an upload: writes its marker.
    pub(super) async fn begin_upload(&self, at: &Location) -> Result<String> {
        let path = self.0.paths.inside(at)?;
        let id = format!("{}{OWN_SUFFIX}", self.0.ids.uuid().replace('-', ""));
        let marker = upload_folder(&path).join(marker_name(&id));
        self.store(at, marker, from_bytes(at.as_str().to_owned().into()))
            .await?;
        Ok(id)
    }

    /// Stores a part and notes its MD5.
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
            note_part(&upload.folder, &upload.id, &info).map_err(failed)?;
            // The upload may have ended while the part was coming; nobody else would remove it.
            if upload.has_ended().map_err(failed)? {
                remove_part(&upload.folder, &upload.id, number).map_err(failed)?;
                return Err(Error::NoSuchUpload(upload.id.clone()));
            }
            Ok(info)
        })
        .await
    }

    /// Joins parts to the object and ends the upload.
    pub(super) async fn join_parts(
        &self,
        at: &Location,
        id: &str,
        named: &[CompletedPart],
    ) -> Result<Put> {
        let waiter = Waiter::default();
        let _turn = self.0.turns.wait(id).await;
        let (at, id, named, gone) = (at.clone(), id.to_owned(), named.to_vec(), waiter.gone());
        self.run(move |inner| complete(inner, &at, &id, &named, &gone))
            .await
    }

    /// Aborts an upload, or forgets that it was completed.
    pub(super) async fn end_upload(&self, at: &Location, id: &str) -> Result<()> {
        let _turn = self.0.turns.wait(id).await;
        let (at, id) = (at.clone(), id.to_owned());
        self.run(move |inner| {
            let upload = match inner.upload(&at, &id) {
                Err(Error::NoSuchUpload(_)) => return Ok(()),
                upload => upload?,
            };
            let failed = |source| upload.failed("remove a part of", source);
            let _lock = Lock::take(&upload.folder, &id).map_err(failed)?;
            upload.clear().map_err(failed)?;
            upload.folder.remove(done_name(&id)).map_err(failed)
        })
        .await
    }
}

fn complete(
    inner: &Inner,
    at: &Location,
    id: &str,
    named: &[CompletedPart],
    gone: &Gone,
) -> Result<Put> {
    let found = inner.upload(at, id)?;
    let locked = Lock::take(&found.folder, id);
    let _lock = locked.map_err(|source| found.failed("lock the upload of", source))?;
    let mut upload = inner.upload(at, id)?;
    let put = match upload.done.take() {
        Some(done) => done
            .answer_to(named)
            .ok_or_else(|| Error::NoSuchUpload(id.to_owned()))?,
        None => {
            let put = upload.join(inner, named, gone)?;
            Done::new(named, put.clone())
                .write(&inner.temp, &upload.folder, id, at)
                .map_err(|source| upload.failed("complete the upload of", source))?;
            put
        }
    };
    if let Err(error) = upload.clear() {
        // The object is whole; what stays is only room on the disk, until the upload is forgotten.
        tracing::warn!(%error, upload.id = %id, "parts of a completed upload stay");
    }
    Ok(put)
}

/// Whether an upload was begun here, by a version that tells by the id.
fn is_own(id: &str) -> bool {
    id.len() == OWN_ID_BYTES && id.ends_with(OWN_SUFFIX)
}

/// The folder of an object's namespace: above `data/<partition>/<name>`, the keys that are
/// uploaded in parts; for another key, its own folder. Never the store's.
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
