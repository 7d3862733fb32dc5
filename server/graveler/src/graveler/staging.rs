//! Objects at a reference, and what is staged.

use std::sync::Arc;

use base::Page;

use crate::staging::{BranchCursor, StagedChanges, TokensCursor, Write};
use crate::{
    BranchId, Condition, Cursor, Graveler, MetaRangeId, MovedStaged, Record, RefKind, Repository,
    ResolvedRef, Result, StagingToken, Value,
};

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// The value of a key at a reference, or none (also behind a tombstone).
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
        self.set_with(repository, branch, key, value, condition, force, &[])
            .await
    }

    /// As [`Self::set`], and writes the records of `receipt` together with it, or neither.
    /// [`crate::Error::ConcurrentChange`] if a condition of those does not hold.
    #[expect(clippy::too_many_arguments, reason = "as `set`, with one more")]
    pub async fn set_with(
        &self,
        repository: &Repository,
        branch: &BranchId,
        key: &[u8],
        value: Value,
        condition: Condition,
        force: bool,
        receipt: &[kv::Op],
    ) -> Result<()> {
        let write = Write::Set {
            key,
            value: &value,
            condition,
            receipt,
        };
        let written = self.engine.write(repository, branch, write, force).await;
        written.map(drop)
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
            .map(drop)
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
            .await
            .map(|deleted| self.engine.deleted(repository, branch, deleted))
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
}
