//! Copies staged changes to new tokens that no branch names yet.
//!
//! Every refused commit may leave one more sealed token, and each read looks into all of them.
//! Sealed tokens are therefore merged into one before there are too many. The merged token is
//! complete before a branch names it. It has the newest change of each key, including tombstones,
//! since they hide values of the head's tree.

use bytes::Bytes;
use kv::{Batch, Op};

use super::Staging;
use crate::committed::{Change, ChangeCursor as _};
use crate::records::encode_staged;
use crate::{BranchId, Repository, Result, StagingToken, Value};

/// Maximum number of keys in one write of the store.
const MAX_BATCH_KEYS: usize = 1_000;
/// Maximum size of the values in one write of the store; the last value may exceed it.
const MAX_BATCH_BYTES: usize = 4 << 20;

impl Staging {
    /// Merges `tokens` (newest first) into a new token that no branch names yet; `None` if they are
    /// empty.
    pub(crate) async fn compacted(
        &self,
        repository: &Repository,
        branch: &BranchId,
        tokens: &[StagingToken],
    ) -> Result<Option<StagingToken>> {
        let mut fresh = FreshToken::new(self, repository, branch);
        let copied = self.copy_staged(tokens, &mut fresh).await;
        fresh.finish(copied).await
    }

    async fn copy_staged(&self, tokens: &[StagingToken], fresh: &mut FreshToken<'_>) -> Result<()> {
        let mut changes = self.changes(tokens);
        while let Some(Change { key, value }) = changes.next().await? {
            fresh.add(key, value.as_ref()).await?;
        }
        Ok(())
    }
}

/// A token that is being filled, in writes of bounded size.
pub(crate) struct FreshToken<'e> {
    staging: &'e Staging,
    token: StagingToken,
    batch: Batch,
    batch_bytes: usize,
    is_stored: bool,
}

impl<'e> FreshToken<'e> {
    pub(crate) fn new(staging: &'e Staging, repository: &Repository, branch: &BranchId) -> Self {
        Self {
            staging,
            token: staging.new_token(repository, branch),
            batch: Batch::new(),
            batch_bytes: 0,
            is_stored: false,
        }
    }

    /// Adds a value or a tombstone. A later one for the same key replaces an earlier one.
    pub(crate) async fn add(&mut self, key: Bytes, value: Option<&Value>) -> Result<()> {
        let value = encode_staged(&key, value);
        self.batch_bytes += value.len();
        self.batch.push(Op::Set {
            partition: Bytes::copy_from_slice(self.token.as_str().as_bytes()),
            key,
            value,
            predicate: None,
        });
        if self.batch.len() >= MAX_BATCH_KEYS || self.batch_bytes >= MAX_BATCH_BYTES {
            self.store().await?;
        }
        Ok(())
    }

    async fn store(&mut self) -> Result<()> {
        self.is_stored = true;
        self.batch_bytes = 0;
        Ok(self.staging.write(std::mem::take(&mut self.batch)).await?)
    }

    /// Writes the rest and returns the token; `None` if nothing was added.
    ///
    /// # Errors
    /// The error in `filled`, or that of writing the rest. The token is then retired.
    pub(crate) async fn finish(mut self, filled: Result<()>) -> Result<Option<StagingToken>> {
        let mut outcome = filled;
        if outcome.is_ok() && !self.batch.is_empty() {
            outcome = self.store().await;
        }
        match outcome {
            Ok(()) => Ok(self.is_stored.then_some(self.token)),
            Err(error) => {
                if self.is_stored {
                    self.staging.retire_unused(self.token).await;
                }
                Err(error)
            }
        }
    }
}
