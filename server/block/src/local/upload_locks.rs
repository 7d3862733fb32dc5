//! Locks of uploads within this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::OwnedMutexGuard;

/// Number of entries above which unused locks are removed from the map.
const MAX_IDLE_LOCKS: usize = 1_024;

/// In-process locks by upload id. Tasks of this process wait for each other here, without blocking a thread.
#[derive(Debug, Default)]
pub(super) struct UploadLocks(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl UploadLocks {
    /// Waits until no other task of this process has the upload locked.
    pub(super) async fn lock(&self, id: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self
                .0
                .lock()
                .expect("no code panics while it holds this lock");
            if locks.len() > MAX_IDLE_LOCKS {
                locks.retain(|_, lock| lock.strong_count() > 0);
            }
            let existing = locks.get(id).and_then(Weak::upgrade);
            existing.unwrap_or_else(|| {
                let lock = Arc::default();
                locks.insert(id.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }
}
