//! Branches and tags, what became of them, and the undo of it.

use base::Page;

use crate::reflog::MAX_ENTRIES;
use crate::refs::{Change, Listing};
use crate::{
    Branch, BranchId, Error, Graveler, Hooks, RefName, ReflogEntry, Repository, ResolvedRef,
    Result, Tag, TagId, UndoParams, Undone,
};

/// How often a reference is looked up whose answer comes late, before the caller is told to try again.
const MAX_LOOKS: usize = 10;

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// Resolves a reference expression: a name (full commit id, branch, tag, unique
    /// start of a commit id, in this order) and modifiers `~n ^n`, or `@` or `$`.
    /// [`crate::Error::InvalidValue`] if malformed, [`crate::Error::NotFound`] if it names nothing.
    pub async fn resolve(&self, repository: &Repository, reference: &str) -> Result<ResolvedRef> {
        let engine = &self.engine;
        for _ in 0..MAX_LOOKS {
            let began = engine.clock.now();
            let resolved = engine.refs.resolve(repository, reference).await?;
            // Only branches have what may be emptied.
            if resolved.branch.is_none() || engine.is_recent(began) {
                return Ok(resolved);
            }
        }
        Err(Error::TooManyTries(format!("reference {reference}")))
    }

    /// The branch as it is now.
    pub async fn branch(&self, repository: &Repository, id: &BranchId) -> Result<Branch> {
        let engine = &self.engine;
        for _ in 0..MAX_LOOKS {
            let began = engine.clock.now();
            let record = engine.refs.branch(repository, id).await?.record;
            if engine.is_recent(began) {
                let id = id.clone();
                return Ok(Branch { id, record });
            }
        }
        Err(Error::TooManyTries(format!("branch {id}")))
    }

    /// Branches by name from `after` (exclusive), `limit` at most.
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

    /// Creates a branch at the commit that `source` names. [`crate::Error::NotUnique`] if a
    /// branch, tag or commit has the name.
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
                Change {
                    actor,
                    force,
                    hooks,
                },
            )
            .await
    }

    /// Deletes a branch with its uncommitted changes. [`crate::Error::DefaultBranch`] for the default one.
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
                Change {
                    actor,
                    force,
                    hooks,
                },
            )
            .await
    }

    /// The tag.
    pub async fn tag(&self, repository: &Repository, id: &TagId) -> Result<Tag> {
        self.engine.refs.tag(repository, id).await
    }

    /// Tags by name from `after` (exclusive), `limit` at most.
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

    /// Creates a tag of the commit that `source` names. [`crate::Error::NotUnique`] if a
    /// branch, tag or commit has the name.
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
                Change {
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
                Change {
                    actor,
                    force,
                    hooks,
                },
            )
            .await
    }

    /// Changes of a branch or tag, or of all of them, newest first, from `after` (the id of an
    /// entry, exclusive), `limit` at most. Also of references that are gone.
    pub async fn reflog(
        &self,
        repository: &Repository,
        of: Option<&RefName>,
        after: &str,
        limit: usize,
    ) -> Result<Page<ReflogEntry>> {
        self.engine.reflog(repository, of, after, limit).await
    }

    /// The entry that an undo would take back: the one of this id, or the newest of the reference.
    /// [`crate::Error::NotFound`] if there is none.
    pub async fn entry_to_undo(
        &self,
        repository: &Repository,
        reference: &RefName,
        id: Option<&str>,
    ) -> Result<ReflogEntry> {
        self.engine.entry_to_undo(repository, reference, id).await
    }

    /// Takes a change of a reference back, if the reference still is what the change made it; else
    /// [`crate::Error::MovedOn`]. [`crate::Error::InvalidValue`] for what can't be undone.
    /// An undo of an undo is a redo. Hooks are not asked: the reference was so before.
    pub async fn undo(
        &self,
        repository: &Repository,
        reference: &RefName,
        params: &UndoParams,
    ) -> Result<Undone> {
        self.engine.undo(repository, reference, params).await
    }

    /// Retires staged changes that were thrown away and kept for long enough
    /// (`Options::keep_staged`), in all repositories. Gives the number of entries that kept some.
    pub async fn retire_kept(&self) -> Result<usize> {
        self.engine.retire_kept().await
    }

    /// Forgets entries of the reflog that are older than `Options::keep_reflog`, or behind the newest 1,000,000
    /// of their repository or 10,000 of their reference, in all repositories. Gives their number.
    pub async fn prune_reflog(&self) -> Result<usize> {
        self.engine.prune_reflog(MAX_ENTRIES).await
    }
}
