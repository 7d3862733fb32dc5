//! The reflog and undo: what was done to branches and tags, and taking it back.

use base::Page;
use graveler::{RefName, ReflogEntry, Repository, UndoOutcome, UndoParams};
use tracing::{info, instrument};

use crate::{Catalog, Reader, Result};

impl Reader {
    /// Changes of a branch or tag, or of all of them, newest first, from `after` (the id of an
    /// entry, exclusive). Also of references that are gone.
    ///
    /// # Errors
    /// The record store's.
    pub async fn reflog(
        &self,
        repository: &Repository,
        of: Option<&RefName>,
        after: &str,
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        Ok(self.graveler.reflog(repository, of, after, limit).await?)
    }

    /// The entry that an undo would take back: the one of this id, or the newest of the reference.
    ///
    /// # Errors
    /// Not found.
    pub async fn entry_to_undo(
        &self,
        repository: &Repository,
        of: &RefName,
        id: Option<&str>,
    ) -> Result<ReflogEntry> {
        Ok(self.graveler.entry_to_undo(repository, of, id).await?)
    }
}

impl Catalog {
    /// Takes a change of a branch or tag back, if it is still what that change made it.
    ///
    /// # Errors
    /// No such entry; it can't be undone; others came after it; read-only; a name that is taken.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn undo(
        &self,
        repository: &Repository,
        of: &RefName,
        params: UndoParams,
    ) -> Result<UndoOutcome> {
        let (catalog, repository, of) = (self.clone(), repository.clone(), of.clone());
        self.see_through(async move {
            let undone = catalog.graveler.undo(&repository, &of, &params).await?;
            let (kind, name) = match &of {
                RefName::Branch(branch) => ("branch", branch.as_str()),
                RefName::Tag(tag) => ("tag", tag.as_str()),
            };
            info!(
                commit.id = %undone.commit_id,
                "undid {} {} of {kind} {name}, which is at {} now",
                undone.entry.operation.as_str(), undone.entry.id, undone.commit_id
            );
            Ok(undone)
        })
        .await
    }
}
