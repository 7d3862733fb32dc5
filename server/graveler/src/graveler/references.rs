//! Operations on branches and tags, their reflog, and undo.

use base::Page;

use crate::reflog::MAX_ENTRIES;
use crate::refs::{Listing, RefRequest};
use crate::{
    Branch, BranchId, Error, Graveler, Hooks, RefName, ReflogEntry, Repository, ResolvedRef,
    Result, Tag, TagId, UndoOutcome, UndoParams,
};

/// How often a lookup is repeated because it finished too late to rely on.
const MAX_READS: usize = 10;

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// Resolves a reference expression: a name, then modifiers `~n` and `^n`, or `@` or `$`.
    ///
    /// A name is, in this order, a full commit id, a branch, a tag, or a unique prefix of a commit id.
    ///
    /// # Errors
    /// [`crate::Error::InvalidReference`] if malformed, [`crate::Error::NotFound`] if nothing has the
    /// name.
    pub async fn resolve(&self, repository: &Repository, reference: &str) -> Result<ResolvedRef> {
        let engine = &self.engine;
        for _ in 0..MAX_READS {
            let began = engine.clock.now();
            let resolved = engine.refs.resolve(repository, reference).await?;
            // Only a branch has tokens that may have been emptied since.
            if resolved.branch.is_none() || engine.is_recent(began) {
                return Ok(resolved);
            }
        }
        Err(Error::TooManyTries(format!("reference {reference}")))
    }

    /// The branch's current record.
    pub async fn branch(&self, repository: &Repository, id: &BranchId) -> Result<Branch> {
        let engine = &self.engine;
        for _ in 0..MAX_READS {
            let began = engine.clock.now();
            let record = engine.refs.branch(repository, id).await?.record;
            if engine.is_recent(began) {
                let id = id.clone();
                return Ok(Branch { id, record });
            }
        }
        Err(Error::TooManyTries(format!("branch {id}")))
    }

    /// Branches in order of name, starting after `after` (exclusive), at most `limit`.
    pub async fn list_branches(
        &self,
        repository: &Repository,
        prefix: &str,
        after: &str,
        show_hidden: bool,
        limit: usize,
    ) -> Result<Page<Branch>> {
        let keep = |branch: &Branch| show_hidden || !branch.record.hidden;
        self.engine
            .refs
            .list_branches(
                repository,
                Listing {
                    prefix,
                    after,
                    limit,
                },
                keep,
            )
            .await
    }

    /// Creates a branch at the commit that `source` names.
    ///
    /// # Errors
    /// [`crate::Error::NotUnique`] if a branch, tag or commit has the name.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one field of the request; upper layers name them"
    )]
    pub async fn create_branch(
        &self,
        repository: &Repository,
        id: &BranchId,
        source: &str,
        hidden: bool,
        force: bool,
        actor: &str,
        hooks: &dyn Hooks,
    ) -> Result<Branch> {
        self.engine
            .create_branch(
                repository,
                id,
                source,
                hidden,
                RefRequest {
                    actor,
                    force,
                    hooks,
                },
            )
            .await
    }

    /// Deletes a branch with its uncommitted changes.
    ///
    /// # Errors
    /// [`crate::Error::DefaultBranch`] for the default branch.
    pub async fn delete_branch(
        &self,
        repository: &Repository,
        id: &BranchId,
        force: bool,
        actor: &str,
        hooks: &dyn Hooks,
    ) -> Result<()> {
        self.engine
            .delete_branch(
                repository,
                id,
                RefRequest {
                    actor,
                    force,
                    hooks,
                },
            )
            .await
    }

    /// The tag's record.
    pub async fn tag(&self, repository: &Repository, id: &TagId) -> Result<Tag> {
        self.engine.refs.tag(repository, id).await
    }

    /// Tags in order of name, starting after `after` (exclusive), at most `limit`.
    pub async fn list_tags(
        &self,
        repository: &Repository,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<Tag>> {
        self.engine
            .refs
            .list_tags(
                repository,
                Listing {
                    prefix,
                    after,
                    limit,
                },
            )
            .await
    }

    /// Creates a tag of the commit that `source` names.
    ///
    /// # Errors
    /// [`crate::Error::NotUnique`] if a branch, tag or commit has the name.
    pub async fn create_tag(
        &self,
        repository: &Repository,
        id: &TagId,
        source: &str,
        force: bool,
        actor: &str,
        hooks: &dyn Hooks,
    ) -> Result<Tag> {
        self.engine
            .create_tag(
                repository,
                id,
                source,
                RefRequest {
                    actor,
                    force,
                    hooks,
                },
            )
            .await
    }

    /// Deletes a tag.
    pub async fn delete_tag(
        &self,
        repository: &Repository,
        id: &TagId,
        force: bool,
        actor: &str,
        hooks: &dyn Hooks,
    ) -> Result<()> {
        self.engine
            .delete_tag(
                repository,
                id,
                RefRequest {
                    actor,
                    force,
                    hooks,
                },
            )
            .await
    }

    /// Changes of one reference, or of all, newest first. Includes references that no longer exist.
    ///
    /// Starts after the entry id `after` (exclusive) and returns at most `limit` entries.
    pub async fn reflog(
        &self,
        repository: &Repository,
        of: Option<&RefName>,
        after: &str,
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        self.engine.reflog(repository, of, after, limit).await
    }

    /// The entry that an undo would undo: the given one, or the newest of the reference.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if there is none.
    pub async fn entry_to_undo(
        &self,
        repository: &Repository,
        reference: &RefName,
        id: Option<&str>,
    ) -> Result<ReflogEntry> {
        self.engine.entry_to_undo(repository, reference, id).await
    }

    /// Undoes a change of a reference, provided that the reference still is what the change made it.
    ///
    /// Undoing an undo is a redo. Hooks do not run: the reference had this state before.
    ///
    /// # Errors
    /// [`crate::Error::MovedOn`] if the reference changed since; [`crate::Error::InvalidValue`] for
    /// changes that cannot be undone.
    pub async fn undo(
        &self,
        repository: &Repository,
        reference: &RefName,
        params: &UndoParams,
    ) -> Result<UndoOutcome> {
        self.engine.undo(repository, reference, params).await
    }

    /// Retires staged changes, in all repositories, that were discarded longer than
    /// `Options::keep_staged` ago. Returns the number of reflog entries that kept them.
    pub async fn retire_kept(&self) -> Result<usize> {
        self.engine.retire_kept().await
    }

    /// Removes reflog entries, in all repositories, that are older than `Options::keep_reflog` or
    /// exceed the newest 1,000,000 of their repository or 10,000 of their reference. Returns their
    /// number.
    pub async fn prune_reflog(&self) -> Result<usize> {
        self.engine.prune_reflog(MAX_ENTRIES).await
    }
}
