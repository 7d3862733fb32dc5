//! The folder of half-written files, on the same file system as the objects.
//!
//! Each open store has a folder of its own below `.weir-tmp`, held by a lock that the
//! system drops when the process ends, however it ends. So what is found in a folder
//! without a holder is a dead process's, and removing it harms nobody.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{Folder, Root};

/// Below the store's folder; no namespace may have this name.
pub(super) const TEMP_FOLDER: &str = ".weir-tmp";
/// How many processes may have one store open.
const MAX_HOLDERS: u32 = 256;

/// A folder that this store alone writes to.
#[derive(Debug)]
pub(super) struct TempFolder {
    folder: Folder,
    next: AtomicU64,
    /// Held as long as the store is open.
    _lock: File,
}

impl TempFolder {
    /// Empties the folders that nobody holds, and holds the first.
    pub(super) fn claim(root: &Root) -> io::Result<Self> {
        let all = root.make_folder(Path::new(TEMP_FOLDER))?;
        let mut claimed = None;
        for holder in 0..MAX_HOLDERS {
            let lock_name = format!("{holder}.lock");
            // Behind the first free folder, only those that were used before are looked at.
            if claimed.is_some() && all.stat(&lock_name)?.is_none() {
                break;
            }
            let lock = all.open_or_create(&lock_name)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let folder = all.make_folder(holder.to_string())?;
            for name in folder.names()? {
                folder.remove(&name)?;
            }
            claimed.get_or_insert((folder, lock));
        }
        let (folder, lock) = claimed.ok_or_else(|| {
            io::Error::other(format!(
                "{MAX_HOLDERS} processes have the store open already"
            ))
        })?;
        Ok(Self {
            folder,
            next: AtomicU64::new(0),
            _lock: lock,
        })
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A name that was not given before.
    pub(super) fn next_name(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }
}
