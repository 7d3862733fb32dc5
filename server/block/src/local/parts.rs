//! The files of multipart uploads: what lies in a namespace's folder for one of them, and how it is read.
//!
//! | name | what |
//! |---|---|
//! | `ID-NNNNN` | a part, where lakeFS has it |
//! | `ID-NNNNN.weir-md5` | its MD5, good as long as the part has the size and time that are noted with it |
//! | `ID.weir-upload` | the address that is uploaded: the upload is open. Missing if lakeFS began it |
//! | `ID.weir-done` | which parts became the object, and what was answered |
//! | `ID.weir-lock` | held by whoever completes or aborts the upload, in whichever process |

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use base::OffsetDateTime;
use md5::{Digest as _, Md5};

use super::folder::{Folder, modified, size};
use super::temp::TempFolder;
use crate::multipart::{MAX_PART_NUMBER, normal};
use crate::{CompletedPart, Location, PartInfo, Put};

/// How much of a part is read at once, in bytes.
pub(super) const READ_BYTES: usize = 256 << 10;
/// Longer than any note, in bytes: an address and a few numbers.
const MAX_NOTE_BYTES: u64 = 16 << 10;

pub(super) fn part_name(id: &str, number: u32) -> String {
    format!("{id}-{number:05}")
}

pub(super) fn marker_name(id: &str) -> String {
    format!("{id}.weir-upload")
}

pub(super) fn done_name(id: &str) -> String {
    format!("{id}.weir-done")
}

fn note_name(part: &str) -> String {
    format!("{part}.weir-md5")
}

/// The right to end an upload, held against other processes. The system drops it when the process ends.
#[derive(Debug)]
pub(super) struct Lock<'a> {
    folder: &'a Folder,
    name: String,
    _file: File,
}

impl<'a> Lock<'a> {
    /// Waits until nobody else has it.
    pub(super) fn take(folder: &'a Folder, id: &str) -> io::Result<Self> {
        let name = format!("{id}.weir-lock");
        loop {
            let file = folder.open_or_create(&name)?;
            file.lock()?;
            // Who had it before has removed the file that was waited for; then another one counts.
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

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.folder.remove(&self.name) {
            tracing::warn!(%error, name = %self.name, "the lock file of an upload stays");
        }
    }
}

/// How an upload was completed.
#[derive(Debug)]
pub(super) struct Done {
    /// Stands for the list of parts.
    of: String,
    put: Put,
}

impl Done {
    pub(super) fn new(named: &[CompletedPart], put: Put) -> Self {
        Self {
            of: digest_of(named),
            put,
        }
    }

    /// What was answered to this list of parts; none if it was another one.
    pub(super) fn answer_to(self, named: &[CompletedPart]) -> Option<Put> {
        (self.of == digest_of(named)).then_some(self.put)
    }

    /// Reads the note of a completed upload of `at`.
    pub(super) fn read(folder: &Folder, id: &str, at: &Location) -> io::Result<Option<Self>> {
        let Some(text) = read_note(folder, &done_name(id))? else {
            return Ok(None);
        };
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap_or_default();
        let (of, md5, size, nanos, address) = (next(), next(), next(), next(), next());
        let put = || {
            Some(Put {
                size_bytes: size.parse().ok()?,
                md5: md5.to_owned(),
                last_modified: OffsetDateTime::from_unix_timestamp_nanos(nanos.parse().ok()?)
                    .ok()?,
            })
        };
        let put =
            put().ok_or_else(|| io::Error::other("the note of its completion is malformed"))?;
        Ok((address == escaped(at)).then(|| Self {
            of: of.to_owned(),
            put,
        }))
    }

    /// Writes the note durably: from then on the upload is completed.
    pub(super) fn write(
        &self,
        temp: &TempFolder,
        folder: &Folder,
        id: &str,
        at: &Location,
    ) -> io::Result<()> {
        let Put {
            size_bytes,
            md5,
            last_modified,
        } = &self.put;
        let nanos = last_modified.unix_timestamp_nanos();
        let text = format!(
            "{}\n{md5}\n{size_bytes}\n{nanos}\n{}\n",
            self.of,
            escaped(at)
        );
        let name = temp.next_name();
        let written = write_durably(temp.folder(), &name, text.as_bytes()).and_then(|()| {
            temp.folder()
                .rename(&name, folder, OsStr::new(&done_name(id)))
        });
        if let Err(error) = written {
            temp.folder().remove(&name)?;
            return Err(error);
        }
        folder.sync()
    }
}

fn write_durably(folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = folder.create(name)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// An address on one line.
fn escaped(at: &Location) -> String {
    at.as_str().escape_debug().to_string()
}

fn digest_of(named: &[CompletedPart]) -> String {
    let mut md5 = Md5::new();
    for part in normal(named) {
        md5.update(format!("{} {}\n", part.number, part.etag));
    }
    hex::encode(md5.finalize())
}

/// What a small file says; none if it is not there.
pub(super) fn read_note(folder: &Folder, name: &str) -> io::Result<Option<String>> {
    let file = match folder.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(MAX_NOTE_BYTES).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// The numbers of an upload's parts, ascending.
pub(super) fn part_numbers(folder: &Folder, id: &str) -> io::Result<Vec<u32>> {
    let names = folder.names()?;
    let number = |name: &String| {
        let digits = name.strip_prefix(id)?.strip_prefix('-')?;
        let plain = digits.len() == 5 && digits.bytes().all(|digit| digit.is_ascii_digit());
        digits
            .parse()
            .ok()
            .filter(|number| plain && (1..=MAX_PART_NUMBER).contains(number))
    };
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn part_info(folder: &Folder, id: &str, number: u32) -> io::Result<PartInfo> {
    let name = part_name(id, number);
    let stat = folder.stat(&name)?.ok_or(io::ErrorKind::NotFound)?;
    let (size_bytes, last_modified) = (size(&stat), modified(&stat)?);
    let noted = read_note(folder, &note_name(&name))?.and_then(|note| {
        let (etag, of) = note.split_once(' ')?;
        let good = etag.len() == 32 && of == fingerprint(size_bytes, last_modified);
        good.then(|| etag.to_owned())
    });
    let etag = match noted {
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

/// What a note says of the part that it was written for.
fn fingerprint(size_bytes: u64, last_modified: OffsetDateTime) -> String {
    format!("{size_bytes} {}", last_modified.unix_timestamp_nanos())
}

/// Notes a part's MD5. Not made durable: without a note the part is hashed again.
pub(super) fn note_part(folder: &Folder, id: &str, info: &PartInfo) -> io::Result<()> {
    let name = note_name(&part_name(id, info.number));
    let of = fingerprint(info.size_bytes, info.last_modified);
    // Anew: what lies there may be a link.
    folder.remove(&name)?;
    match folder.create(&name) {
        // Another upload of the same part notes at the same time: then its own fingerprint tells whose note it is.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created?.write_all(format!("{} {of}", info.etag).as_bytes()),
    }
}

pub(super) fn remove_part(folder: &Folder, id: &str, number: u32) -> io::Result<()> {
    let name = part_name(id, number);
    folder.remove(&name)?;
    folder.remove(note_name(&name))
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
