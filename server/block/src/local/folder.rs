//! Folders and files by handle: no step of a way below a root follows a symbolic link.
//!
//! A path that is checked and then opened can be swapped for a link in between. Here a folder is opened once, link
//! by link refused, and everything that happens in it goes through the handle. What is made is its owner's alone:
//! folders 0700, files 0600.
//!
//! Linux opens a whole path in one call (`openat2`). Where that is missing or forbidden, as in older kernels and
//! containers, each folder on the way is opened in the one before it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

use base::OffsetDateTime;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Of folders that are made: their owner's alone.
const FOLDER_MODE: Mode = Mode::RWXU;
/// Of files that are made.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const OPEN_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);
/// Without waiting for the writer of a pipe.
const OPEN_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

/// A folder, and ways to what is below it.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    /// Whether the system opens a whole path without links in one call.
    at_once: AtomicBool,
}

/// An open folder. It stays the same one whatever becomes of its name.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Root {
    /// Opens a folder; `path` itself may lead through links.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OPEN_FOLDER.difference(OFlags::NOFOLLOW);
        let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self {
            folder,
            at_once: AtomicBool::new(cfg!(target_os = "linux")),
        })
    }

    /// Opens from now on as on a system that opens no path at once.
    #[cfg(test)]
    pub(super) fn open_step_by_step(&self) {
        self.at_once.store(false, Ordering::Relaxed);
    }

    /// Whether others than its owner may look into the folder.
    pub(super) fn is_open_to_others(&self) -> io::Result<bool> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.folder)?.st_mode);
        Ok(mode.intersects(Mode::RWXG.union(Mode::RWXO)))
    }

    /// Opens the folder `path`, which is below this one.
    pub(super) fn folder(&self, path: &Path) -> io::Result<Folder> {
        Ok(Folder(self.open_below(path, OPEN_FOLDER)?))
    }

    /// Opens the file `path` for reading.
    pub(super) fn file(&self, path: &Path) -> io::Result<File> {
        Ok(File::from(self.open_below(path, OPEN_FILE)?))
    }

    /// Opens the folder `path`, making what is missing of it. What was made is durable.
    pub(super) fn make_folder(&self, path: &Path) -> io::Result<Folder> {
        match self.folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let mut at = Folder(self.folder.try_clone()?);
        for name in names(path)? {
            at = at.make_folder(name)?;
        }
        Ok(at)
    }

    fn open_below(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        if path.as_os_str().is_empty() {
            return self.folder.try_clone();
        }
        #[cfg(target_os = "linux")]
        if self.at_once.load(Ordering::Relaxed) {
            use rustix::fs::ResolveFlags;
            names(path)?;
            // With it a link at the end would be no link that is followed, and told of as no folder.
            let flags = flags.difference(OFlags::NOFOLLOW);
            let resolve = ResolveFlags::BENEATH
                .union(ResolveFlags::NO_SYMLINKS)
                .union(ResolveFlags::NO_MAGICLINKS);
            let opened = rustix::io::retry_on_intr(|| {
                rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), resolve)
            });
            match opened {
                // An older kernel, or a container that forbids what it does not know.
                Err(Errno::NOSYS) => self.at_once.store(false, Ordering::Relaxed),
                Err(Errno::PERM) => {}
                opened => return Ok(opened?),
            }
        }
        self.open_by_steps(path, flags)
    }

    fn open_by_steps(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let mut at = self.folder.try_clone()?;
        let mut names = names(path)?.into_iter().peekable();
        while let Some(name) = names.next() {
            let is_last = names.peek().is_none();
            let flags = if is_last { flags } else { OPEN_FOLDER };
            at = open_step(&at, name, flags)?;
        }
        Ok(at)
    }
}

/// The names on a way down; a way that leads anywhere else is none.
fn names(path: &Path) -> io::Result<Vec<&OsStr>> {
    let plain = path.components().map(|part| match part {
        Component::Normal(name) => Ok(name),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    });
    plain.collect()
}

fn open_step(folder: impl AsFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let opened = rustix::io::retry_on_intr(|| {
        rustix::fs::openat(folder.as_fd(), name, flags, Mode::empty())
    });
    match opened {
        // Systems call a link where a folder is wanted either this or that.
        Err(Errno::NOTDIR) if is_link(folder.as_fd(), name) => Err(Errno::LOOP.into()),
        opened => Ok(opened?),
    }
}

fn is_link(folder: impl AsFd, name: &OsStr) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// Whether opening failed at a symbolic link or at a way out.
pub(super) fn is_link_error(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::LOOP, Errno::XDEV]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

impl Folder {
    /// Opens the folder `name` in this one, making it durably if it is missing.
    pub(super) fn make_folder(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        match open_step(&self.0, name, OPEN_FOLDER) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(Self),
        }
        match rustix::fs::mkdirat(&self.0, name, FOLDER_MODE) {
            // Another writer made it.
            Err(Errno::EXIST) => {}
            made => made?,
        }
        self.sync()?;
        open_step(&self.0, name, OPEN_FOLDER).map(Self)
    }

    /// Makes a file that is not there yet.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open_to_write(name, flags)
    }

    /// Opens a file for writing that may be there or not.
    pub(super) fn open_or_create(&self, name: &str) -> io::Result<File> {
        self.open_to_write(name, OFlags::RDWR | OFlags::CREATE)
    }

    fn open_to_write(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
        Ok(File::from(rustix::fs::openat(
            &self.0, name, flags, FILE_MODE,
        )?))
    }

    /// Opens a file for reading.
    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        open_step(&self.0, OsStr::new(name), OPEN_FILE).map(File::from)
    }

    /// What lies under a name, itself and not what a link leads to; none if nothing does.
    pub(super) fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Gives a file another name, in another folder too. What has that name is replaced.
    pub(super) fn rename(&self, name: &str, to: &Self, to_name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, to_name)?)
    }

    /// Removes a file or a link; no error if it is gone.
    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name.as_ref(), AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// The names of what lies here, in no order. What is no UTF-8 is none of ours.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if let Some(name) = name.to_str().filter(|name| !matches!(*name, "." | "..")) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

/// When a file was written last.
pub(super) fn modified(stat: &Stat) -> io::Result<OffsetDateTime> {
    let nanos = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(io::Error::other)
}

/// The length of a file in bytes.
pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
