//! The folder of temporary files, on the same file system as the objects.
//!
//! Each open store has its own folder below `.weir-tmp`, protected by a file lock. The system releases the lock
//! when the process ends for any reason. Files in an unlocked folder therefore belong to a dead
//! process and can be removed.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{Folder, Root};

/// Name of the folder below the store's folder. Namespaces cannot have this name.
pub(super) const TEMP_FOLDER: &str = ".weir-tmp";
/// Maximum number of processes that can open a store at the same time.
const MAX_HOLDERS: u32 = 256;

/// The temporary folder of this open store.
#[derive(Debug)]
pub(super) struct TempFolder {
    folder: Folder,
    next: AtomicU64,
    /// Locked as long as the store is open.
    _lock: File,
}

impl TempFolder {
    /// Locks the first free folder, and empties all folders that are not locked.
    pub(super) fn claim(root: &Root) -> io::Result<Self> {
        let all = root.create_folder(Path::new(TEMP_FOLDER))?;
        let mut claimed = None;
        for holder in 0..MAX_HOLDERS {
            let lock_name = format!("{holder}.lock");
            // After the first free folder, check only folders that have been used before.
            if claimed.is_some() && all.stat(&lock_name)?.is_none() {
                break;
            }
            let lock = all.open_or_create(&lock_name)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let folder = all.create_folder(holder.to_string())?;
            for name in folder.names()? {
                folder.remove(&name)?;
            }
            claimed.get_or_insert((folder, lock));
        }
        let (folder, lock) = claimed.ok_or_else(|| {
            io::Error::other(format!(
                "{MAX_HOLDERS} processes already have the store open"
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

    /// Returns an unused file name.
    pub(super) fn next_name(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }
}
