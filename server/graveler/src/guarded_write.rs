//! Guards writes into a repository against its deletion.
//!
//! A deletion first marks the repository's record (see [`crate::deletion`]). A write that creates a
//! record in the repository must fail once the mark is set.

use bytes::Bytes;
use kv::{Guard, GuardOutcome, Op, Store};

use crate::error::not_found;
use crate::records::{REPOSITORIES, Stored as _, repository_key};
use crate::{Error, Kind, Repository, RepositoryState, Result};

/// Writes a batch, all or nothing, if the repository exists and no server is deleting it. The
/// deletion finds everything written before the mark, and nothing is written after it.
///
/// # Errors
/// [`Error::InDeletion`], also if a newer repository has the name; [`Error::NotFound`];
/// [`Error::Kv`], where the index of [`kv::Error::PredicateFailed`] refers to `ops`.
pub(crate) async fn write_unless_deleted(
    kv: &dyn Store,
    repository: &Repository,
    ops: Vec<Op>,
) -> Result<()> {
    let guard = deletion_guard(kv, repository).await?;
    match kv.guarded(&guard, ops).await? {
        GuardOutcome::Written => Ok(()),
        GuardOutcome::GuardFailed => Err(Error::InDeletion(repository.id.to_string())),
    }
}

/// A guard that fails once the repository is marked or gone.
async fn deletion_guard(kv: &dyn Store, repository: &Repository) -> Result<Guard> {
    let key = repository_key(&repository.id);
    let Some(stored) = kv.get(REPOSITORIES, &key).await? else {
        return Err(not_found(Kind::Repository, repository.id.as_str()));
    };
    let there = Repository::decode(stored.value)?;
    if there.instance_uid != repository.instance_uid || there.state == RepositoryState::InDeletion {
        return Err(Error::InDeletion(repository.id.to_string()));
    }
    Ok(Guard {
        partition: Bytes::from_static(REPOSITORIES),
        key,
        predicate: stored.predicate,
    })
}
