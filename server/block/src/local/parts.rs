//! Reads and writes the files of multipart uploads, which are in the namespace's folder.
//!
//! | name | content |
//! |---|---|
//! | `ID-NNNNN` | a part, at the same path as in lakeFS |
//! | `ID-NNNNN.weir-md5` | the part's MD5, with the size and modification time for which it is valid |
//! | `ID.weir-upload` | marker of an open upload: its address. Uploads started by lakeFS have none |
//! | `ID.weir-done` | completion record: a digest of the list of parts, and the result |
//! | `ID.weir-lock` | locked by the process that completes or aborts the upload |

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use base::OffsetDateTime;
use md5::{Digest as _, Md5};

use super::folder::{Folder, modified, size};
use super::temp::TempFolder;
use crate::multipart::{MAX_PART_NUMBER, normalized};
use crate::{CompletedPart, Location, PartInfo, PutResult};

/// Number of bytes of a part read in one step.
pub(super) const READ_BYTES: usize = 256 << 10;
/// Maximum size of a small file that is read as text, in bytes. An address and a few numbers fit.
const MAX_SMALL_FILE_BYTES: u64 = 16 << 10;

pub(super) fn part_name(id: &str, number: u32) -> String {
    format!("{id}-{number:05}")
}

pub(super) fn marker_name(id: &str) -> String {
    format!("{id}.weir-upload")
}

pub(super) fn completion_name(id: &str) -> String {
    format!("{id}.weir-done")
}

fn md5_name(part: &str) -> String {
    format!("{part}.weir-md5")
}

/// The lock that a process holds while it completes or aborts an upload. The system releases it when the process ends.
#[derive(Debug)]
pub(super) struct UploadLock<'a> {
    folder: &'a Folder,
    name: String,
    _file: File,
}

impl<'a> UploadLock<'a> {
    /// Waits for the lock, blocking the thread.
    pub(super) fn acquire(folder: &'a Folder, id: &str) -> io::Result<Self> {
        let name = format!("{id}.weir-lock");
        loop {
            let file = folder.open_or_create(&name)?;
            file.lock()?;
            // The previous holder removes the file. If the locked file is no longer the one at this
            // path, try again with the new file.
            let held = file.metadata()?;
            let there = folder.stat(&name)?;
            if there.is_some_and(|there| there.st_ino == held.ino() && there.st_dev == held.dev()) {
                let _file = file;
                return Ok(Self {
                    folder,
                    name,
                    _file,
                });
            }
        }
    }
}

impl Drop for UploadLock<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.folder.remove(&self.name) {
            tracing::warn!(%error, name = %self.name, "failed to remove the lock file of an upload");
        }
    }
}

/// The record of a completed upload.
#[derive(Debug)]
pub(super) struct Completion {
    /// Digest of the list of parts.
    parts: String,
    put: PutResult,
}

impl Completion {
    pub(super) fn new(named: &[CompletedPart], put: PutResult) -> Self {
        Self {
            parts: parts_digest(named),
            put,
        }
    }

    /// Returns the result, or `None` if the upload was completed with a different list of parts.
    pub(super) fn result_for(self, named: &[CompletedPart]) -> Option<PutResult> {
        (self.parts == parts_digest(named)).then_some(self.put)
    }

    /// Reads the completion record of an upload to `at`. Returns `None` if there is none for this address.
    pub(super) fn read(folder: &Folder, id: &str, at: &Location) -> io::Result<Option<Self>> {
        let Some(text) = read_small_file(folder, &completion_name(id))? else {
            return Ok(None);
        };
        Self::parse(&text, at)
    }

    fn parse(text: &str, at: &Location) -> io::Result<Option<Self>> {
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap_or_default();
        let (parts, md5, size, nanos, address) = (next(), next(), next(), next(), next());
        let put = || {
            Some(PutResult {
                size_bytes: size.parse().ok()?,
                md5: md5.to_owned(),
                last_modified: OffsetDateTime::from_unix_timestamp_nanos(nanos.parse().ok()?)
                    .ok()?,
            })
        };
        let put = put().ok_or_else(|| io::Error::other("its completion record is malformed"))?;
        Ok((address == escaped(at)).then(|| Self {
            parts: parts.to_owned(),
            put,
        }))
    }

    /// Durably writes the record. From then on the upload is completed.
    pub(super) fn write(
        &self,
        temp: &TempFolder,
        folder: &Folder,
        id: &str,
        at: &Location,
    ) -> io::Result<()> {
        let name = temp.next_name();
        let text = self.text(at);
        let written = write_durably(temp.folder(), &name, text.as_bytes()).and_then(|()| {
            temp.folder()
                .rename(&name, folder, OsStr::new(&completion_name(id)))
        });
        if let Err(error) = written {
            temp.folder().remove(&name)?;
            return Err(error);
        }
        folder.sync()
    }

    fn text(&self, at: &Location) -> String {
        let PutResult {
            size_bytes,
            md5,
            last_modified,
        } = &self.put;
        let nanos = last_modified.unix_timestamp_nanos();
        let (parts, address) = (&self.parts, escaped(at));
        format!("{parts}\n{md5}\n{size_bytes}\n{nanos}\n{address}\n")
    }
}

/// Parses the text as each kind of file of an upload, for [`crate::fuzzing`]. Checks that a completion record is the same
/// after it was written and parsed again.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_upload_file(text: &str) {
    drop(recorded_etag(text, "1 2"));
    let at = Location::full(text.lines().nth(4).unwrap_or_default());
    if let Ok(Some(record)) = Completion::parse(text, &at)
        && !text.contains('\r')
    {
        let written = record.text(&at);
        let read = Completion::parse(&written, &at);
        let read = read.expect("a written record is well-formed");
        let read = read.expect("the record is of the same address");
        assert_eq!((read.parts, read.put), (record.parts, record.put));
    }
}

fn write_durably(folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = folder.create(name)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Returns an address as a single line.
fn escaped(at: &Location) -> String {
    at.as_str().escape_debug().to_string()
}

fn parts_digest(named: &[CompletedPart]) -> String {
    let mut md5 = Md5::new();
    for part in normalized(named) {
        md5.update(format!("{} {}\n", part.number, part.etag));
    }
    hex::encode(md5.finalize())
}

/// Reads a small text file. Returns `None` if it does not exist.
pub(super) fn read_small_file(folder: &Folder, name: &str) -> io::Result<Option<String>> {
    let file = match folder.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(MAX_SMALL_FILE_BYTES).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Returns the numbers of an upload's parts in ascending order.
pub(super) fn part_numbers(folder: &Folder, id: &str) -> io::Result<Vec<u32>> {
    let names = folder.names()?;
    let number = |name: &String| {
        let digits = name.strip_prefix(id)?.strip_prefix('-')?;
        let is_number = digits.len() == 5 && digits.bytes().all(|digit| digit.is_ascii_digit());
        digits
            .parse()
            .ok()
            .filter(|number| is_number && (1..=MAX_PART_NUMBER).contains(number))
    };
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn part_info(folder: &Folder, id: &str, number: u32) -> io::Result<PartInfo> {
    let name = part_name(id, number);
    let stat = folder.stat(&name)?.ok_or(io::ErrorKind::NotFound)?;
    let (size_bytes, last_modified) = (size(&stat), modified(&stat)?);
    let recorded = read_small_file(folder, &md5_name(&name))?
        .and_then(|text| recorded_etag(&text, &fingerprint(size_bytes, last_modified)));
    let etag = match recorded {
        Some(etag) => etag,
        None => hash(&mut folder.open(&name)?)?,
    };
    Ok(PartInfo {
        number,
        etag,
        size_bytes,
        last_modified,
    })
}

/// Returns the MD5 that a file records, if it is valid for this version of the part.
fn recorded_etag(text: &str, fingerprint: &str) -> Option<String> {
    let (etag, valid_for) = text.split_once(' ')?;
    let is_valid = etag.len() == 32 && valid_for == fingerprint;
    is_valid.then(|| etag.to_owned())
}

/// Identifies the version of a part for which a recorded MD5 is valid.
fn fingerprint(size_bytes: u64, last_modified: OffsetDateTime) -> String {
    format!("{size_bytes} {}", last_modified.unix_timestamp_nanos())
}

/// Records a part's MD5. The file is not flushed to disk, because a part without a valid record is hashed again.
pub(super) fn write_part_md5(folder: &Folder, id: &str, info: &PartInfo) -> io::Result<()> {
    let name = md5_name(&part_name(id, info.number));
    let valid_for = fingerprint(info.size_bytes, info.last_modified);
    // Create a new file instead of writing to an existing one, which may be a link.
    folder.remove(&name)?;
    match folder.create(&name) {
        // A concurrent upload of the same part has recorded its MD5. The fingerprint shows which part it is for.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created?.write_all(format!("{} {valid_for}", info.etag).as_bytes()),
    }
}

pub(super) fn remove_part(folder: &Folder, id: &str, number: u32) -> io::Result<()> {
    let name = part_name(id, number);
    folder.remove(&name)?;
    folder.remove(md5_name(&name))
}

fn hash(file: &mut File) -> io::Result<String> {
    let mut md5 = Md5::new();
    let mut chunk = vec![0; READ_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(md5.finalize())),
            read => md5.update(&chunk[..read]),
        }
    }
}
