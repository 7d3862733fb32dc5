//! Multipart uploads: part files `<upload id>-<number>` in the namespace's folder, where
//! lakeFS has them, so that an open upload survives a switch from one to the other.
//!
//! Beside them lie a marker `<upload id>.weir-upload`, which holds the address that is
//! uploaded, and for each part a note of its MD5, good as long as the part has the size and
//! time that the note names. Both can be missing: an upload that lakeFS began has neither.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base::OffsetDateTime;
use md5::{Digest as _, Md5};

use super::paths::{Access, split};
use super::write::{Gone, Pending, Waiter};
use super::{Inner, LocalStore};
use crate::multipart::{MAX_PART_NUMBER, check_number, joined_tag, pick};
use crate::store::from_bytes;
use crate::{ByteStream, CompletedPart, Error, Location, PartInfo, Put, Result};

/// How much of a part is read at once while parts are joined, in bytes.
const JOIN_CHUNK_BYTES: usize = 256 << 10;
/// The longest upload id, in bytes.
const MAX_UPLOAD_ID_BYTES: usize = 128;

/// An upload that exists.
pub(super) struct Upload {
    at: Location,
    id: String,
    folder: PathBuf,
    /// Whether it was begun here, and so must have its marker.
    marked: bool,
    numbers: Vec<u32>,
}

impl Inner {
    /// Finds an upload by its marker, or, if lakeFS began it, by its parts.
    pub(super) fn upload(&self, at: &Location, id: &str) -> Result<Upload> {
        let unknown = || Error::NoSuchUpload(id.to_owned());
        let path = self.paths.resolve(at, Access::Write)?;
        // An id becomes part of a file name.
        let plain = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if id.is_empty() || id.len() > MAX_UPLOAD_ID_BYTES || !plain {
            return Err(unknown());
        }
        let folder = upload_folder(self.paths.root(), &path);
        let listed = self
            .paths
            .confine_parent(at, &marker_path(&folder, id))
            .and_then(|_| {
                part_numbers(&folder, id)
                    .map_err(|source| Error::storage("list the parts of", at, source))
            });
        let numbers = match listed {
            Ok(numbers) => numbers,
            Err(Error::NotFound(_)) => return Err(unknown()),
            Err(error) => return Err(error),
        };
        let marked = match std::fs::read(marker_path(&folder, id)) {
            Ok(marked) if marked == at.as_str().as_bytes() => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !numbers.is_empty() => false,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::failed("read the upload of", at, error));
            }
            _ => return Err(unknown()),
        };
        Ok(Upload {
            at: at.clone(),
            id: id.to_owned(),
            folder,
            marked,
            numbers,
        })
    }
}

impl Upload {
    fn part_path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{}-{number:05}", self.id))
    }

    /// The parts, by number.
    pub(super) fn parts(&self) -> Result<Vec<PartInfo>> {
        let failed = |source| Error::failed("read a part of", &self.at, source);
        self.numbers
            .iter()
            .map(|number| part_info(&self.part_path(*number), *number).map_err(failed))
            .collect()
    }

    /// Removes the parts, then the marker.
    pub(super) fn remove(&self) -> Result<()> {
        let failed = |source| Error::failed("remove a part of", &self.at, source);
        for number in &self.numbers {
            let path = self.part_path(*number);
            remove_if_there(&path).map_err(failed)?;
            remove_if_there(&note_path(&path)).map_err(failed)?;
        }
        remove_if_there(&marker_path(&self.folder, &self.id)).map_err(failed)
    }

    /// Joins parts to the object, hashing again what was hashed when it came.
    fn join(&self, inner: &Inner, named: &[CompletedPart], gone: &Gone) -> Result<Put> {
        let failed = |source| Error::failed("join the parts of", &self.at, source);
        let uploaded = self.parts()?;
        let mut pending = Pending::create(inner, &self.at)?;
        let mut digests = Vec::with_capacity(named.len());
        let mut chunk = vec![0; JOIN_CHUNK_BYTES];
        for part in pick(&uploaded, named)? {
            let mut file = File::open(self.part_path(part.number)).map_err(failed)?;
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
                return Err(Error::InvalidPart(format!(
                    "part {} has changed",
                    part.number
                )));
            }
            digests.push(digest);
        }
        let to = inner.paths.resolve(&self.at, Access::Write)?;
        let stored = pending.place(inner, &self.at, &to, gone)?;
        if let Err(error) = self.remove() {
            // The object is whole; what stays is only room on the disk.
            tracing::warn!(%error, upload.id = %self.id, "parts of a completed upload stay");
        }
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
        let path = self.0.paths.resolve(at, Access::Write)?;
        let id = self.0.ids.uuid().replace('-', "");
        let marker = marker_path(&upload_folder(self.0.paths.root(), &path), &id);
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
            .run(move |inner| inner.upload(&known_at, &known_id))
            .await?;
        let path = upload.part_path(number);
        let stored = self.store(at, path.clone(), body).await?;
        let info = PartInfo {
            number,
            etag: hex::encode(stored.md5),
            size_bytes: stored.size_bytes,
            last_modified: stored.last_modified,
        };
        self.run(move |_| {
            let failed = |source| Error::failed("write a part of", &upload.at, source);
            // The upload may have ended while the part was coming; nobody would remove it.
            if upload.marked && !marker_path(&upload.folder, &upload.id).exists() {
                remove_if_there(&path).map_err(failed)?;
                return Err(Error::NoSuchUpload(upload.id.clone()));
            }
            write_note(&path, &info).map_err(failed)?;
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
        let (at, id, named, gone) = (at.clone(), id.to_owned(), named.to_vec(), waiter.gone());
        self.run(move |inner| inner.upload(&at, &id)?.join(inner, &named, &gone))
            .await
    }
}

/// The folder of an object's namespace: above `data/<partition>/<name>`, the keys that are
/// uploaded in parts; for another key, its own folder. Never the store's.
fn upload_folder(root: &Path, path: &Path) -> PathBuf {
    let above = path
        .ancestors()
        .nth(3)
        .filter(|above| above.starts_with(root) && *above != root);
    match (above, path.ancestors().nth(2).and_then(Path::file_name)) {
        (Some(above), Some(name)) if name == "data" => above.to_owned(),
        _ => split(path).0.to_owned(),
    }
}

fn marker_path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.weir-upload"))
}

fn note_path(part: &Path) -> PathBuf {
    part.with_extension("weir-md5")
}

/// The numbers of an upload's parts, ascending.
fn part_numbers(folder: &Path, id: &str) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(id)?.strip_prefix('-'))
            .filter(|digits| {
                digits.len() == 5 && digits.bytes().all(|digit| digit.is_ascii_digit())
            })
            .and_then(|digits| digits.parse().ok())
            .filter(|number| (1..=MAX_PART_NUMBER).contains(number));
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn part_info(path: &Path, number: u32) -> io::Result<PartInfo> {
    let metadata = path.metadata()?;
    let (size_bytes, last_modified) = (metadata.len(), metadata.modified()?.into());
    let etag = match read_note(path, size_bytes, last_modified)? {
        Some(etag) => etag,
        None => hash_file(path)?,
    };
    Ok(PartInfo {
        number,
        etag,
        size_bytes,
        last_modified,
    })
}

/// What a note says of the part it was written for.
fn fingerprint(size_bytes: u64, last_modified: OffsetDateTime) -> String {
    format!("{size_bytes} {}", last_modified.unix_timestamp_nanos())
}

/// Notes a part's MD5. Not made durable: without a note the part is hashed again.
fn write_note(part: &Path, info: &PartInfo) -> io::Result<()> {
    let of = fingerprint(info.size_bytes, info.last_modified);
    std::fs::write(note_path(part), format!("{} {of}", info.etag))
}

/// The MD5 that was noted for a part as it is.
fn read_note(
    part: &Path,
    size_bytes: u64,
    last_modified: OffsetDateTime,
) -> io::Result<Option<String>> {
    let note = match std::fs::read_to_string(note_path(part)) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let noted = note
        .split_once(' ')
        .filter(|(etag, of)| etag.len() == 32 && *of == fingerprint(size_bytes, last_modified));
    Ok(noted.map(|(etag, _)| etag.to_owned()))
}

fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut md5 = Md5::new();
    let mut chunk = vec![0; JOIN_CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(md5.finalize())),
            read => md5.update(&chunk[..read]),
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
