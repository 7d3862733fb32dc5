//! Fixtures for the engine's own tests.

use base::OffsetDateTime;

use crate::{BranchId, Repository, RepositoryId, RepositoryState};

/// A repository's record, stored nowhere.
pub(crate) fn repository(id: &str) -> Repository {
    Repository {
        id: RepositoryId::trusted(id),
        storage_namespace: format!("mem://{id}"),
        default_branch: BranchId::trusted("main"),
        creation_date: OffsetDateTime::UNIX_EPOCH,
        state: RepositoryState::Active,
        instance_uid: "uid".to_owned(),
        read_only: false,
        storage_id: String::new(),
    }
}
