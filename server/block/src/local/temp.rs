//! The folder of half-written files, on the same file system as the objects.
//!
//! Each open store has a folder of its own below `.weir-tmp`, held by a lock that the
//! system drops when the process ends, however it ends. So what is found in a folder
//! without a holder is a dead process's, and removing it harms nobody.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Below the store's folder; no namespace may have this name.
pub(super) const TEMP_FOLDER: &str = ".weir-tmp";
/// How many processes may have one store open.
const MAX_HOLDERS: u32 = 256;

/// A folder that this store alone writes to.
#[derive(Debug)]
pub(super) struct TempFolder {
    path: PathBuf,
    next: AtomicU64,
    /// Held as long as the store is open.
    _lock: File,
}

impl TempFolder {
    /// Empties the folders that nobody holds, and holds the first.
    pub(super) fn claim(root: &Path) -> io::Result<Self> {
        let all = root.join(TEMP_FOLDER);
        std::fs::create_dir_all(&all)?;
        let mut claimed = None;
        for holder in 0..MAX_HOLDERS {
            let (path, lock_path) = (
                all.join(holder.to_string()),
                all.join(format!("{holder}.lock")),
            );
            // Behind the first free folder, only those that were used before are looked at.
            if claimed.is_some() && !lock_path.exists() {
                break;
            }
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&lock_path)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            std::fs::create_dir_all(&path)?;
            empty(&path)?;
            claimed.get_or_insert((path, lock));
        }
        let (path, lock) = claimed.ok_or_else(|| {
            io::Error::other(format!(
                "{MAX_HOLDERS} processes have the store open already"
            ))
        })?;
        Ok(Self {
            path,
            next: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// A path that was not given before.
    pub(super) fn next_path(&self) -> PathBuf {
        self.path
            .join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        std::fs::remove_file(entry?.path())?;
    }
    Ok(())
}
