//! Reads of keys and values: at a reference, in a stored tree, and in tokens that left their
//! branch.

use crate::staging::{BranchCursor, TokensCursor};
use crate::{
    Cursor, Graveler, MetaRangeId, RefKind, Repository, ResolvedRef, Result, StagingToken, Value,
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
                self.value_on(repository, branch, key, staged_only).await
            }
            _ => {
                let tree = self.tree_of(repository, &reference.commit_id).await?;
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
        self.committed
            .get(&repository.storage_namespace, tree, key)
            .await
    }

    /// Live records at a reference, in order of key. A branch's records include its staged changes.
    pub async fn cursor(
        &self,
        repository: &Repository,
        reference: &ResolvedRef,
    ) -> Result<Box<dyn Cursor>> {
        let staged_only = reference.kind == RefKind::BranchStaging;
        match (reference.kind, &reference.branch) {
            (RefKind::Branch | RefKind::BranchStaging, Some(branch)) => Ok(Box::new(
                BranchCursor::open(
                    self.clone(),
                    repository.clone(),
                    branch.clone(),
                    staged_only,
                )
                .await?,
            )),
            _ => {
                let tree = self.tree_of(repository, &reference.commit_id).await?;
                self.tree_cursor(repository, &tree).await
            }
        }
    }

    /// Records of a stored tree.
    pub async fn tree_cursor(
        &self,
        repository: &Repository,
        tree: &MetaRangeId,
    ) -> Result<Box<dyn Cursor>> {
        self.committed
            .cursor(&repository.storage_namespace, tree)
            .await
    }

    /// Live records of tokens that no branch names; `tokens` are ordered newest first.
    #[must_use]
    pub fn tokens_cursor(&self, tokens: &[StagingToken]) -> Box<dyn Cursor> {
        Box::new(TokensCursor::new(self.staging.changes(tokens)))
    }

    /// The key of a range's or metarange's file below a storage namespace, whether or not the file
    /// exists.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`] unless `id` is 64 lower-case hex digits.
    pub fn table_key(&self, id: &str) -> Result<String> {
        self.committed.key_of(id)
    }

    /// Empties all retired staging tokens, such as those that an earlier run of the server left,
    /// and returns their number.
    ///
    /// Run it once in the background after the start: it first waits for the grace period.
    pub async fn sweep_tokens(&self) -> Result<usize> {
        self.staging.sweep().await
    }
}
