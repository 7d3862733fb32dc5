//! Caches repository records, since nearly every request needs one.
//!
//! Once this server marks a repository as deleted, it no longer caches records that it read before
//! the mark, so it reports the deletion at once. Other servers report it within [`MAX_AGE`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::{Repository, RepositoryId};

/// How long a record is served from the cache. A repository that another server deletes is still
/// served for this long.
const MAX_AGE: Duration = Duration::from_secs(5);
const MAX_CACHED: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct RepositoryCache {
    records: Cache<RepositoryId, Repository>,
    /// How often [`Self::forget`] was called.
    changes: Mutex<u64>,
}

impl RepositoryCache {
    pub(crate) fn new() -> Self {
        Self {
            records: Cache::builder()
                .max_capacity(MAX_CACHED)
                .time_to_live(MAX_AGE)
                .build(),
            changes: Mutex::new(0),
        }
    }

    pub(crate) fn get(&self, id: &RepositoryId) -> Option<Repository> {
        self.records.get(id)
    }

    /// The number of changes so far. Read it before reading a record that will be passed to
    /// [`Self::remember`].
    pub(crate) fn changes(&self) -> u64 {
        *self.lock()
    }

    /// Caches a record that was read after `before` changes, unless a record changed since.
    pub(crate) fn remember(&self, repository: &Repository, before: u64) {
        let changes = self.lock();
        if *changes == before {
            self.records
                .insert(repository.id.clone(), repository.clone());
        }
    }

    /// Drops a record that changed in the store.
    pub(crate) fn forget(&self, id: &RepositoryId) {
        *self.lock() += 1;
        self.records.invalidate(id);
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::RepositoryCache;
    use crate::testing::repository;

    #[test]
    fn records_read_before_a_change_are_not_cached_after_it() {
        let (cache, lake) = (RepositoryCache::new(), repository("lake"));
        let before = cache.changes();
        cache.forget(&lake.id);
        cache.remember(&lake, before);
        assert_eq!(cache.get(&lake.id), None);
        cache.remember(&lake, cache.changes());
        assert_eq!(cache.get(&lake.id), Some(lake));
    }
}
