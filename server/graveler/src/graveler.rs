//! The operations of the engine, as a list. Each is worked out in a module of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Clock, IdGenerator, Page};
use block::BlockStore;
use kv::Store;

use crate::deletion::write_unless_deleted;
use crate::dump::{CountRecords, RefsDump, RestoreRefs};
use crate::engine::Engine;
use crate::namespaces::{Claim, NoClaim};
use crate::protection::Blocked;
use crate::receipt::{NoReceipt, Receipt};
use crate::reflog::MAX_ENTRIES;
use crate::refs::{Change, CommitLog, Listing};
use crate::reset::ResetBy;
use crate::retention::{KeptCommits, MAX_INDEXED_COMMITS, Retention};
use crate::staging::{BranchCursor, StagedChanges, TokensCursor, Write};
use crate::{
    Branch, BranchId, BranchProtection, CherryPickParams, Commit, CommitId, CommitParams,
    Condition, CreateRepository, Cursor, DiffCursor, Hooks, LogRequest, MergeBase, MergeOutcome,
    MergeParams, MetaRangeId, MovedStaged, Options, Record, RefKind, RefName, ReflogEntry,
    Repository, RepositoryId, ResetScope, ResolvedRef, Result, RevertParams, StagingToken, Tag,
    TagId, UndoParams, Undone, Value,
};

/// The engine. Cheap to clone; shared by every request.
///
/// Beside what each operation names, any can fail with [`crate::Error::Kv`],
/// [`crate::Error::Block`] or [`crate::Error::Corrupt`].
#[derive(Debug, Clone)]
pub struct Graveler {
    pub(crate) engine: Arc<Engine>,
}

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// Puts the engine together.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the options are the engine's from here on"
    )]
    pub fn new(
        kv: Arc<dyn Store>,
        block: Arc<dyn BlockStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: Options,
    ) -> Self {
        Self {
            engine: Arc::new(Engine::new(kv, block, clock, ids, &options)),
        }
    }

    // ---- repositories

    /// Creates a repository; unless bare, with a first commit and its default branch.
    /// [`crate::Error::NotUnique`] if the name is taken, [`crate::Error::Namespace`] if the namespace is inside of
    /// another's, around it or, unless bare, the same; [`crate::Error::TooManyTries`].
    pub async fn create_repository(&self, request: CreateRepository) -> Result<Repository> {
        self.create_repository_claiming(request, &NoClaim).await
    }

    /// As [`Self::create_repository`], with what the caller does to the namespace before.
    pub async fn create_repository_claiming(
        &self,
        request: CreateRepository,
        claim: &dyn Claim,
    ) -> Result<Repository> {
        self.engine.create_repository(request, claim).await
    }

    /// Served from a cache for a bounded time. [`crate::Error::InDeletion`] while it is being deleted.
    pub async fn repository(&self, id: &RepositoryId) -> Result<Repository> {
        self.engine.repository(id).await
    }

    /// Repositories by name from `after` (exclusive), `limit` at most, with names that start with `prefix` and contain
    /// `search`, of those that `is_visible` tells of.
    pub async fn list_repositories(
        &self,
        prefix: &str,
        after: &str,
        search: &str,
        limit: usize,
        is_visible: impl Fn(&RepositoryId) -> bool + Send,
    ) -> Result<Page<Repository>> {
        let range = Listing {
            prefix,
            after,
            limit,
        };
        self.engine
            .list_repositories(range, search, is_visible)
            .await
    }

    /// Whether a repository, in whatever state, has exactly this storage namespace, however it is spelled.
    pub async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        self.engine.has_namespace(namespace).await
    }

    /// Writes records of the caller's own, all or nothing, unless the repository is being deleted
    /// ([`crate::Error::InDeletion`]): so nothing is left behind in what is gone.
    pub async fn write_unless_deleted(
        &self,
        repository: &Repository,
        ops: kv::Batch,
    ) -> Result<()> {
        write_unless_deleted(self.engine.kv.as_ref(), repository, ops).await
    }

    /// Removes a repository's records; objects stay. Goes on with a deletion that was
    /// cut short. [`crate::Error::ReadOnly`] without `force`.
    pub async fn delete_repository(&self, id: &RepositoryId, force: bool) -> Result<()> {
        self.engine.delete_repository(id, force).await
    }

    /// Goes on with deletions that were cut short, `limit` of them at most, and gives their number.
    /// Other servers may do the same, and may be deleting just now.
    pub async fn finish_deletions(&self, limit: usize) -> Result<usize> {
        self.engine.finish_deletions(limit).await
    }

    /// All metadata of a repository.
    pub async fn repository_metadata(
        &self,
        repository: &Repository,
    ) -> Result<BTreeMap<String, String>> {
        self.engine.repository_metadata(repository).await
    }

    /// Sets some keys of the metadata, leaving the others. [`crate::Error::InvalidValue`] if all of it
    /// would then have more than `max_bytes`, keys and values; [`crate::Error::TooManyTries`] if other servers
    /// keep changing it.
    pub async fn set_repository_metadata(
        &self,
        repository: &Repository,
        set: BTreeMap<String, String>,
        max_bytes: usize,
    ) -> Result<()> {
        self.engine
            .change_repository_metadata(repository, |metadata| {
                metadata.extend(set.clone());
                let bytes: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
                if bytes > max_bytes {
                    return Err(crate::Error::InvalidValue(format!(
                        "repository metadata would have {bytes} bytes: make it at most {max_bytes}"
                    )));
                }
                Ok(())
            })
            .await
    }

    /// Deletes some keys of the metadata; those that are not there are no error.
    pub async fn delete_repository_metadata(
        &self,
        repository: &Repository,
        keys: &[String],
    ) -> Result<()> {
        self.engine
            .change_repository_metadata(repository, |metadata| {
                metadata.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await
    }

    // ---- branch protection

    /// The rules as they are now.
    pub async fn branch_protection(&self, repository: &Repository) -> Result<BranchProtection> {
        self.engine.protection.rules(repository).await
    }

    /// Replaces the rules; with a tag, only if they still are those of the tag ([`crate::Error::Stale`]).
    /// They hold on this server at once, on others within a second. [`crate::Error::InvalidValue`]
    /// for malformed patterns.
    pub async fn set_branch_protection(
        &self,
        repository: &Repository,
        patterns: &[String],
        if_tag: Option<&str>,
    ) -> Result<()> {
        let protection = &self.engine.protection;
        protection.replace(repository, patterns, if_tag).await
    }

    /// Adds one rule to the others. [`crate::Error::NotUnique`] if it is there; [`crate::Error::TooManyTries`]
    /// if other servers keep changing them.
    pub async fn add_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        let _turn = self.engine.protection_turn(repository).await?;
        self.engine.protection.add(repository, pattern).await
    }

    /// Removes one rule from the others. [`crate::Error::NotFound`] if it is not there; [`crate::Error::TooManyTries`]
    /// if other servers keep changing them.
    pub async fn remove_protected_pattern(
        &self,
        repository: &Repository,
        pattern: &str,
    ) -> Result<()> {
        let _turn = self.engine.protection_turn(repository).await?;
        self.engine.protection.remove(repository, pattern).await
    }

    /// [`crate::Error::Protected`] if the branch takes no writes, for who would do work before it writes.
    pub async fn check_unprotected(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<()> {
        let protection = &self.engine.protection;
        protection
            .check(repository, branch, Blocked::StagingWrite)
            .await
    }

    // ---- refs

    /// Resolves a reference expression: a name (full commit id, branch, tag, unique
    /// start of a commit id, in this order) and modifiers `~n ^n`, or `@` or `$`.
    /// [`crate::Error::InvalidValue`] if malformed, [`crate::Error::NotFound`] if it names nothing.
    pub async fn resolve(&self, repository: &Repository, reference: &str) -> Result<ResolvedRef> {
        self.engine.refs.resolve(repository, reference).await
    }

    /// The branch as it is now.
    pub async fn branch(&self, repository: &Repository, id: &BranchId) -> Result<Branch> {
        let record = self.engine.refs.branch(repository, id).await?.record;
        Ok(Branch {
            id: id.clone(),
            record,
        })
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

    // ---- staging

    /// The value of a key at a reference, or none (also behind a tombstone).
    pub async fn get(
        &self,
        repository: &Repository,
        reference: &ResolvedRef,
        key: &[u8],
    ) -> Result<Option<Value>> {
        match (reference.kind, &reference.branch) {
            (RefKind::Branch, Some(branch)) => self.engine.value_on(repository, branch, key).await,
            (RefKind::BranchStaging, Some(branch)) => {
                Ok(self.engine.staged(&branch.record, key).await?.flatten())
            }
            _ => {
                let tree = self
                    .engine
                    .tree_of(repository, &reference.commit_id)
                    .await?;
                self.get_in(repository, &tree, key).await
            }
        }
    }

    /// The value of a key in a stored tree.
    pub async fn get_in(
        &self,
        repository: &Repository,
        tree: &MetaRangeId,
        key: &[u8],
    ) -> Result<Option<Value>> {
        self.engine
            .committed
            .get(&repository.storage_namespace, tree, key)
            .await
    }

    /// Stages a value. [`crate::Error::PreconditionFailed`] if the condition does not hold,
    /// [`crate::Error::TooManyTries`] if the branch keeps changing.
    pub async fn set(
        &self,
        repository: &Repository,
        branch: &BranchId,
        key: &[u8],
        value: Value,
        condition: Condition,
        force: bool,
    ) -> Result<()> {
        self.engine
            .write(
                repository,
                branch,
                Write::Set {
                    key,
                    value: &value,
                    condition,
                },
                force,
            )
            .await
    }

    /// Stages values, many in one write of the store, whatever was there. Not all or nothing.
    pub async fn set_many(
        &self,
        repository: &Repository,
        branch: &BranchId,
        records: &[Record],
        force: bool,
    ) -> Result<()> {
        self.engine
            .write(repository, branch, Write::SetMany(records), force)
            .await
    }

    /// Deletes keys; those that do not exist are no error.
    pub async fn delete(
        &self,
        repository: &Repository,
        branch: &BranchId,
        keys: &[Vec<u8>],
        force: bool,
    ) -> Result<()> {
        self.engine
            .write(repository, branch, Write::Delete(keys), force)
            .await?;
        self.engine.deleted(repository, branch, keys.len());
        Ok(())
    }

    /// Live records at a reference: staged over committed.
    pub async fn cursor(
        &self,
        repository: &Repository,
        reference: &ResolvedRef,
    ) -> Result<Box<dyn Cursor>> {
        let staged_only = reference.kind == RefKind::BranchStaging;
        match (reference.kind, &reference.branch) {
            (RefKind::Branch | RefKind::BranchStaging, Some(branch)) => {
                let engine = Arc::clone(&self.engine);
                Ok(Box::new(
                    BranchCursor::open(engine, repository.clone(), branch.clone(), staged_only)
                        .await?,
                ))
            }
            _ => {
                let tree = self
                    .engine
                    .tree_of(repository, &reference.commit_id)
                    .await?;
                self.tree_cursor(repository, &tree).await
            }
        }
    }

    /// Staged changes that left their branch and are kept for an undo, oldest first, `limit` of them at most: a
    /// place to begin `from` (empty: the first), and the tokens.
    pub async fn kept_staged(
        &self,
        repository: &Repository,
        from: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<StagingToken>)>> {
        self.engine.kept_staged(repository, from, limit).await
    }

    /// Changes of references since then, newest first, and the staged changes that moved with each. Of the
    /// reflog `limit` entries are looked at, from the entry `from` on (empty: the newest).
    pub async fn moved_staged(
        &self,
        repository: &Repository,
        since: base::OffsetDateTime,
        from: &str,
        limit: usize,
    ) -> Result<Page<MovedStaged>> {
        self.engine
            .moved_staged(repository, since, from, limit)
            .await
    }

    /// Live records of tokens, given newest first, that no branch names.
    #[must_use]
    pub fn tokens_cursor(&self, tokens: &[StagingToken]) -> Box<dyn Cursor> {
        Box::new(TokensCursor(StagedChanges::new(&self.engine.kv, tokens)))
    }

    /// Records of a stored tree.
    pub async fn tree_cursor(
        &self,
        repository: &Repository,
        tree: &MetaRangeId,
    ) -> Result<Box<dyn Cursor>> {
        self.engine
            .committed
            .cursor(&repository.storage_namespace, tree)
            .await
    }

    /// Where the file of a range or metarange lies below a storage namespace, whether or not it is
    /// there. [`crate::Error::InvalidValue`] for what is not 64 lower-case hex digits.
    pub fn table_key(&self, id: &str) -> Result<String> {
        self.engine.committed.key_of(id)
    }

    /// Empties the staging tokens that an earlier run of the server left behind, and gives
    /// their number. To be run beside the requests once after the start: it waits some seconds first.
    pub async fn sweep_tokens(&self) -> Result<usize> {
        self.engine.janitor.sweep().await
    }

    // ---- commits

    /// Commits what is staged. [`crate::Error::NoChanges`] if that is nothing (unless allowed),
    /// [`crate::Error::Rejected`] if a hook refuses.
    pub async fn commit(
        &self,
        repository: &Repository,
        branch: &BranchId,
        params: CommitParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.commit_with(repository, branch, params, hooks, &NoReceipt)
            .await
    }

    /// Commits, and writes what `receipt` wants in the batch that makes the commit the head.
    /// [`crate::Error::ConcurrentChange`] if a condition of those writes does not hold: nothing moved.
    pub async fn commit_with(
        &self,
        repository: &Repository,
        branch: &BranchId,
        params: CommitParams,
        hooks: &dyn Hooks,
        receipt: &dyn Receipt,
    ) -> Result<Commit> {
        self.engine
            .commit(repository, branch, params, hooks, receipt)
            .await
    }

    /// Takes back what the commit that `reference` names changed, in a new commit. Conflicts as
    /// with [`Self::merge`]; [`crate::Error::ParentRequired`] for a merge without a parent's number,
    /// [`crate::Error::NoChanges`] if there is nothing to take back (unless allowed).
    pub async fn revert(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        params: RevertParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.engine
            .revert(repository, branch, reference, params, hooks)
            .await
    }

    /// Makes the change of the commit that `reference` names, in a new commit, which is made
    /// also if there is nothing to change. Conflicts as with [`Self::merge`].
    pub async fn cherry_pick(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        params: CherryPickParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.engine
            .cherry_pick(repository, branch, reference, params, hooks)
            .await
    }

    /// Throws away uncommitted changes; what is not staged is no error.
    /// [`crate::Error::Protected`] on a protected branch.
    pub async fn reset(
        &self,
        repository: &Repository,
        branch: &BranchId,
        scope: ResetScope,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        self.engine
            .reset(repository, branch, scope, ResetBy { actor, force })
            .await
    }

    /// Moves a branch's head to the commit that `reference` names. What is staged stays staged.
    /// [`crate::Error::Protected`] on a protected branch.
    pub async fn hard_reset(
        &self,
        repository: &Repository,
        branch: &BranchId,
        reference: &str,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        self.engine
            .hard_reset(repository, branch, reference, ResetBy { actor, force })
            .await
    }

    /// Records a commit that was made elsewhere; no branch moves. [`crate::Error::InvalidValue`] if its id
    /// is not that of its content, or a parent or its tree is not here. To record it again is no error.
    pub async fn create_commit_record(
        &self,
        repository: &Repository,
        commit: &Commit,
        force: bool,
    ) -> Result<()> {
        self.engine
            .create_commit_record(repository, commit, force)
            .await
    }

    /// The commit of this id, or of the only one that starts so.
    pub async fn get_commit(&self, repository: &Repository, id: &CommitId) -> Result<Commit> {
        self.engine.get_commit(repository, id).await
    }

    /// Commits in the order of the log; the caller stops when it has enough.
    pub async fn log(&self, repository: &Repository, request: LogRequest) -> Result<CommitLog> {
        CommitLog::new(Arc::clone(&self.engine), repository.clone(), request).await
    }

    /// Whether a commit changed one of `keys` or anything below one of `prefixes`, against its first parent.
    pub async fn touches(
        &self,
        repository: &Repository,
        commit: &Commit,
        keys: &[Vec<u8>],
        prefixes: &[Vec<u8>],
    ) -> Result<bool> {
        self.engine
            .touches(repository, commit, keys, prefixes)
            .await
    }

    /// The commits that garbage collection must keep.
    pub async fn kept_commits<'a>(
        &'a self,
        repository: &'a Repository,
        retention: &Retention,
    ) -> Result<KeptCommits<'a>> {
        KeptCommits::open(&self.engine, repository, retention, MAX_INDEXED_COMMITS).await
    }

    // ---- diff and merge

    /// Uncommitted changes of a branch, in key order.
    pub async fn diff_uncommitted(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> Result<DiffCursor> {
        self.engine.diff_uncommitted(repository, branch).await
    }

    /// Two-dot: what must happen to `left` to become `right`. A branch counts as its
    /// head; `branch$` on the right as the branch with its staged changes.
    pub async fn diff(
        &self,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
        self.engine.diff(repository, left, right).await
    }

    /// Three-dot: what `right` changed since its merge base with `left`; a key both changed is a conflict.
    pub async fn compare(
        &self,
        repository: &Repository,
        left: &ResolvedRef,
        right: &ResolvedRef,
    ) -> Result<DiffCursor> {
        self.engine.compare(repository, left, right).await
    }

    /// Between two stored trees.
    pub async fn diff_trees(
        &self,
        repository: &Repository,
        left: &MetaRangeId,
        right: &MetaRangeId,
    ) -> Result<DiffCursor> {
        self.engine
            .committed
            .diff(&repository.storage_namespace, left, right)
            .await
    }

    /// The nearest common ancestor of two references.
    pub async fn find_merge_base(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
    ) -> Result<MergeBase> {
        self.engine
            .find_merge_base(repository, source, destination)
            .await
    }

    /// Merges a reference into a branch. [`crate::Error::DirtyBranch`], [`crate::Error::NoChanges`],
    /// [`crate::Error::Conflict`], [`crate::Error::NoMergeBase`] or [`crate::Error::Rejected`] leave the branch as it was.
    pub async fn merge(
        &self,
        repository: &Repository,
        destination: &BranchId,
        source: &str,
        params: MergeParams,
        hooks: &dyn Hooks,
    ) -> Result<MergeOutcome> {
        self.merge_with(repository, destination, source, params, hooks, &NoReceipt)
            .await
    }

    /// Merges, and writes what `receipt` wants in the batch that makes the commit the head.
    /// [`crate::Error::ConcurrentChange`] if a condition of those writes does not hold: nothing moved.
    pub async fn merge_with(
        &self,
        repository: &Repository,
        destination: &BranchId,
        source: &str,
        params: MergeParams,
        hooks: &dyn Hooks,
        receipt: &dyn Receipt,
    ) -> Result<MergeOutcome> {
        self.engine
            .merge(repository, destination, source, params, hooks, receipt)
            .await
    }

    // ---- dumps

    /// Writes all commits, tags and branches into the storage namespace; not uncommitted changes.
    /// `count` hears of every record.
    pub async fn dump_refs(
        &self,
        repository: &Repository,
        count: CountRecords<'_>,
    ) -> Result<RefsDump> {
        self.engine.dump_refs(repository, count).await
    }

    /// Fills a bare repository from a dump in its storage namespace, every commit's id worked out anew.
    /// [`crate::Error::InvalidValue`] if it is not bare, or the dump not sound: nothing is written then.
    /// One that was cut short goes on when it is repeated.
    pub async fn restore_refs(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
        count: CountRecords<'_>,
    ) -> Result<()> {
        self.engine.restore_refs(repository, restore, count).await
    }
}
