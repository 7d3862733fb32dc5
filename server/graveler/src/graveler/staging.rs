//! Operations on keys and values: reads at a reference, staged writes, cursors.

use std::sync::Arc;

use base::Page;

use crate::staging::{BranchCursor, StagedChanges, TokensCursor, Write};
use crate::{
    BranchId, Condition, Cursor, Graveler, MetaRangeId, Record, RefKind, Repository, ResolvedRef,
    Result, StagedMove, StagingToken, Value,
};

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// The value of a key at a reference; `None` if it does not exist or is deleted.
    pub async fn get(
        &self,
        repository: &Repository,
        reference: &ResolvedRef,
        key: &[u8],
    ) -> Result<Option<Value>> {
        match (reference.kind, &reference.branch) {
            (RefKind::Branch | RefKind::BranchStaging, Some(branch)) => {
                let staged_only = reference.kind == RefKind::BranchStaging;
                let engine = &self.engine;
                engine.value_on(repository, branch, key, staged_only).await
            }
            _ => {
                let tree = self
                    .engine
                    .tree_of(repository, &reference.commit_id)
                    .await?;
                self.get_from_tree(repository, &tree, key).await
            }
        }
    }

    /// The value of a key in a stored tree.
    pub async fn get_from_tree(
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

    /// Stages a value.
    ///
    /// # Errors
    /// [`crate::Error::PreconditionFailed`] if the condition does not hold,
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
        self.set_with(repository, branch, key, value, condition, force, &[])
            .await
    }

    /// Like [`Self::set`], and writes `extra_ops` together with the value, all or nothing.
    ///
    /// # Errors
    /// Also [`crate::Error::ConcurrentChange`] if a predicate of `extra_ops` fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of `set` and one more"
    )]
    pub async fn set_with(
        &self,
        repository: &Repository,
        branch: &BranchId,
        key: &[u8],
        value: Value,
        condition: Condition,
        force: bool,
        extra_ops: &[kv::Op],
    ) -> Result<()> {
        let write = Write::Set {
            key,
            value: &value,
            condition,
            extra_ops,
        };
        let written = self.engine.write(repository, branch, write, force).await;
        written.map(drop)
    }

    /// Stages values unconditionally, many in one write of the store. Not atomic: a failure may leave
    /// some of them written.
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
            .map(drop)
    }

    /// Deletes keys. Missing keys are not an error.
    pub async fn delete(
        &self,
        repository: &Repository,
        branch: &BranchId,
        keys: &[Vec<u8>],
        force: bool,
    ) -> Result<()> {
        self.engine
            .write(repository, branch, Write::Delete(keys), force)
            .await
            .map(|deleted| self.engine.note_deletions(repository, branch, deleted))
    }

    /// Live records at a reference: staged changes over the committed tree.
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

    /// Staged changes that left their branch and are kept for an undo, oldest first, at most `limit`.
    ///
    /// Each item is a position, where a later call can start (`from`; empty means the first), and the
    /// tokens.
    pub async fn kept_staged(
        &self,
        repository: &Repository,
        from: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<StagingToken>)>> {
        self.engine.kept_staged(repository, from, limit).await
    }

    /// Reference changes since `since`, newest first, with the staged changes that each moved.
    ///
    /// Examines `limit` reflog entries, starting at the entry `from` (empty: the newest).
    pub async fn staged_moves(
        &self,
        repository: &Repository,
        since: base::OffsetDateTime,
        from: &str,
        limit: usize,
    ) -> Result<Page<StagedMove>> {
        self.engine
            .staged_moves(repository, since, from, limit)
            .await
    }

    /// Live records of tokens that no branch names; `tokens` are ordered newest first.
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

    /// The key of a range's or metarange's file below a storage namespace, whether or not the file
    /// exists.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`] unless `id` is 64 lower-case hex digits.
    pub fn table_key(&self, id: &str) -> Result<String> {
        self.engine.committed.key_of(id)
    }

    /// Empties the retired staging tokens that an earlier run of the server left, and returns their
    /// number.
    ///
    /// Run it once in the background after the start: it first waits for the grace period.
    pub async fn sweep_tokens(&self) -> Result<usize> {
        self.engine.janitor.sweep().await
    }
}
