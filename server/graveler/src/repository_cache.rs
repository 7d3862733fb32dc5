//! Records of repositories as they were read a moment ago, for nearly every request asks for one.
//!
//! What was read before a deletion was marked here is not remembered after it: this server answers
//! that the repository is being deleted as soon as it is, others within [`MAX_AGE`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::{Repository, RepositoryId};

/// How long a record may be served without looking again. A repository that another server deletes
/// is still served here for this long.
const MAX_AGE: Duration = Duration::from_secs(5);
const MAX_CACHED: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct RepositoryCache {
    records: Cache<RepositoryId, Repository>,
    /// How often one was forgotten.
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

    /// To be asked before a record is read that is to be remembered.
    pub(crate) fn changes(&self) -> u64 {
        *self.lock()
    }

    /// Keeps a record that was read when there had been `before` changes, unless there was one since.
    pub(crate) fn remember(&self, repository: &Repository, before: u64) {
        let changes = self.lock();
        if *changes == before {
            self.records
                .insert(repository.id.clone(), repository.clone());
        }
    }

    /// To be called after the record was changed.
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
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let (cache, lake) = (RepositoryCache::new(), repository("lake"));
        let before = cache.changes();
        cache.forget(&lake.id);
        cache.remember(&lake, before);
        assert_eq!(cache.get(&lake.id), None);
        cache.remember(&lake, cache.changes());
        assert_eq!(cache.get(&lake.id), Some(lake));
    }
}
