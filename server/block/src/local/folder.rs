//! Opens files and folders below a root without following symbolic links.
//!
//! If a path were checked first and opened later, it could be replaced by a link in between. This module opens a
//! folder once, refusing links at every step, and uses the handle for all operations in the folder. New folders
//! have mode 0700 and new files 0600.
//!
//! Linux can open a path without links in one call (`openat2`). If the call is missing or forbidden, as in older
//! kernels and some containers, each folder of the path is opened relative to its parent.

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

/// Mode of new folders: accessible only by their owner.
const FOLDER_MODE: Mode = Mode::RWXU;
/// Mode of new files.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const OPEN_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);
/// Flags for opening a file to read. `NONBLOCK` keeps the call from waiting for the writer of a named pipe.
const OPEN_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

/// A folder below which paths are opened without following links.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    /// Whether `openat2` is available.
    has_openat2: AtomicBool,
}

/// An open folder. The handle refers to the same folder even if the folder is renamed.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Root {
    /// Opens a folder. `path` itself may contain links.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OPEN_FOLDER.difference(OFlags::NOFOLLOW);
        let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self {
            folder,
            has_openat2: AtomicBool::new(cfg!(target_os = "linux")),
        })
    }

    /// Simulates a system without `openat2`.
    #[cfg(test)]
    pub(super) fn disable_openat2(&self) {
        self.has_openat2.store(false, Ordering::Relaxed);
    }

    /// Returns whether users other than its owner can access the folder.
    pub(super) fn is_open_to_others(&self) -> io::Result<bool> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.folder)?.st_mode);
        Ok(mode.intersects(Mode::RWXG.union(Mode::RWXO)))
    }

    /// Opens the folder `path` below this root.
    pub(super) fn folder(&self, path: &Path) -> io::Result<Folder> {
        Ok(Folder(self.open_below(path, OPEN_FOLDER)?))
    }

    /// Opens the file `path` for reading.
    pub(super) fn file(&self, path: &Path) -> io::Result<File> {
        Ok(File::from(self.open_below(path, OPEN_FILE)?))
    }

    /// Opens the folder `path`. Durably creates the folders that do not exist.
    pub(super) fn create_folder(&self, path: &Path) -> io::Result<Folder> {
        match self.folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let mut at = Folder(self.folder.try_clone()?);
        for name in names(path)? {
            at = at.create_folder(name)?;
        }
        Ok(at)
    }

    fn open_below(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        if path.as_os_str().is_empty() {
            return self.folder.try_clone();
        }
        #[cfg(target_os = "linux")]
        if self.has_openat2.load(Ordering::Relaxed) {
            use rustix::fs::ResolveFlags;
            names(path)?;
            // With NOFOLLOW the error for a link at the end would be ENOTDIR instead of ELOOP.
            let flags = flags.difference(OFlags::NOFOLLOW);
            let resolve = ResolveFlags::BENEATH
                .union(ResolveFlags::NO_SYMLINKS)
                .union(ResolveFlags::NO_MAGICLINKS);
            let opened = rustix::io::retry_on_intr(|| {
                rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), resolve)
            });
            match opened {
                // Older kernels return ENOSYS. Some containers forbid unknown calls with EPERM.
                Err(Errno::NOSYS) => self.has_openat2.store(false, Ordering::Relaxed),
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

/// Returns the names in a path. Fails for paths with `..` or other components that are not plain names.
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
        // If a link is opened as a folder, some systems return ENOTDIR and others ELOOP.
        Err(Errno::NOTDIR) if is_link(folder.as_fd(), name) => Err(Errno::LOOP.into()),
        opened => Ok(opened?),
    }
}

fn is_link(folder: impl AsFd, name: &OsStr) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// Returns whether opening failed because of a symbolic link, or because the path leads out of the root.
pub(super) fn is_link_error(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::LOOP, Errno::XDEV]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

impl Folder {
    /// Opens the folder `name` in this folder. Durably creates it if it does not exist.
    pub(super) fn create_folder(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        match open_step(&self.0, name, OPEN_FOLDER) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(Self),
        }
        match rustix::fs::mkdirat(&self.0, name, FOLDER_MODE) {
            // Another writer has created it.
            Err(Errno::EXIST) => {}
            made => made?,
        }
        self.sync()?;
        open_step(&self.0, name, OPEN_FOLDER).map(Self)
    }

    /// Creates a file. Fails if it exists.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open_to_write(name, flags)
    }

    /// Opens a file for reading and writing, and creates it if it does not exist.
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

    /// Returns the status of a file or, without following it, of a link; `None` if nothing has this name.
    pub(super) fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Renames a file, optionally to another folder. Replaces an existing file of that name.
    pub(super) fn rename(&self, name: &str, to: &Self, to_name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, to_name)?)
    }

    /// Removes a file or a link. Succeeds if it does not exist.
    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name.as_ref(), AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Returns the names of the folder's entries in no particular order. Names that are not UTF-8 are skipped,
    /// because the store creates none.
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

    /// Flushes the folder's entries to disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

/// Returns the modification time of a file.
pub(super) fn modified(stat: &Stat) -> io::Result<OffsetDateTime> {
    let nanos = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(io::Error::other)
}

/// Returns the size of a file in bytes.
pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
