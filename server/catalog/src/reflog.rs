//! The reflog (the history of branches and tags) and undo.

use base::Page;
use graveler::{Kind, RefName, ReflogEntry, Repository, UndoOutcome, UndoParams};
use tracing::{info, instrument};

use crate::{Catalog, Reader, Result};

impl Reader {
    /// Changes of one branch or tag, or of all without `of`, newest first. Includes deleted references. `after` is the
    /// id of an entry (exclusive).
    ///
    /// # Errors
    /// Any error of the record store.
    pub async fn reflog(
        &self,
        repository: &Repository,
        of: Option<&RefName>,
        after: &str,
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        Ok(self.graveler.reflog(repository, of, after, limit).await?)
    }

    /// The entry that an undo would revert: the entry with this `id` or, without `id`, the newest entry of the reference.
    ///
    /// # Errors
    /// Not found: the entry, or the branch or tag itself if it has no entries.
    pub async fn entry_to_undo(
        &self,
        repository: &Repository,
        of: &RefName,
        id: Option<&str>,
    ) -> Result<ReflogEntry> {
        match self.graveler.entry_to_undo(repository, of, id).await {
            Err(
                error @ graveler::Error::NotFound {
                    kind: Kind::ReflogEntry,
                    ..
                },
            ) => {
                let entries = self.reflog(repository, Some(of), "", 1).await?;
                // A branch or tag without entries usually never existed: report that it is not found instead.
                match of {
                    _ if !entries.results.is_empty() => {}
                    RefName::Branch(branch) => {
                        self.branch(repository, branch.as_str()).await?;
                    }
                    RefName::Tag(tag) => {
                        self.tag(repository, tag.as_str()).await?;
                    }
                }
                Err(error.into())
            }
            found => Ok(found?),
        }
    }
}

impl Catalog {
    /// Undoes a change of a branch or tag if the reference has not changed since.
    ///
    /// # Errors
    /// No such entry; the change cannot be undone; later changes exist; read-only; the name is taken.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn undo(
        &self,
        repository: &Repository,
        of: &RefName,
        params: UndoParams,
    ) -> Result<UndoOutcome> {
        let (catalog, repository, of) = (self.clone(), repository.clone(), of.clone());
        self.run_detached(async move {
            let undone = catalog.graveler.undo(&repository, &of, &params).await?;
            let (kind, name) = match &of {
                RefName::Branch(branch) => ("branch", branch.as_str()),
                RefName::Tag(tag) => ("tag", tag.as_str()),
            };
            info!(
                commit.id = %undone.commit_id,
                "undid {} {} of {kind} {name}, which is now at {}",
                undone.entry.operation.as_str(), undone.entry.id, undone.commit_id
            );
            Ok(undone)
        })
        .await
    }
}
