//! Writes staged changes anew, into tokens that no branch names yet.
//!
//! Sealed tokens are merged into one so that refused commits leave a branch bounded: every
//! refused commit with writes since the last one leaves one more, and reads ask each
//! of them. The merged token is written whole before a branch names it, and says of each
//! key what the tokens said together; tombstones stay, since the head's tree lies below.

use bytes::Bytes;
use kv::{Batch, Op};

use super::{StagedChanges, retire_op};
use crate::committed::{Change, ChangeCursor as _};
use crate::engine::Engine;
use crate::records::encode_staged;
use crate::{BranchId, Repository, Result, StagingToken, Value};

/// How many keys go into one write of the store.
const MAX_BATCH_KEYS: usize = 1_000;
/// How many bytes of values, but for the last one, go into one write of the store.
const MAX_BATCH_BYTES: usize = 4 << 20;

impl Engine {
    /// A fresh token with all that `tokens` (newest first) say. No branch names it yet.
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
        let mut changes = StagedChanges::new(&self.kv, tokens);
        while let Some(Change { key, value }) = changes.next().await? {
            fresh.add(key, value.as_ref()).await?;
        }
        Ok(())
    }

    /// Has a token emptied that no branch came to name. Not before that is certain: what
    /// is recorded as retired is emptied, whoever names it.
    pub(crate) async fn give_up_token(&self, token: StagingToken) {
        match self.kv.batch(vec![retire_op(&token)]).await {
            Ok(()) => self.janitor.retire(vec![token]),
            Err(error) => {
                tracing::warn!(%token, error = &error as &dyn std::error::Error, "failed to retire a staging token that is not needed; its records stay");
            }
        }
    }
}

/// A token that is being filled, in writes of bounded size.
pub(crate) struct FreshToken<'e> {
    engine: &'e Engine,
    token: StagingToken,
    batch: Batch,
    batch_bytes: usize,
    is_stored: bool,
}

impl<'e> FreshToken<'e> {
    pub(crate) fn new(engine: &'e Engine, repository: &Repository, branch: &BranchId) -> Self {
        Self {
            engine,
            token: engine.new_staging_token(repository, branch),
            batch: Batch::new(),
            batch_bytes: 0,
            is_stored: false,
        }
    }

    /// Adds a value, or a tombstone. The last one of a key counts.
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
        Ok(self
            .engine
            .kv
            .batch(std::mem::take(&mut self.batch))
            .await?)
    }

    /// The token if all of it is stored; none if there is nothing in it.
    ///
    /// # Errors
    /// That of filling it, or of storing its rest; what was stored is given up then.
    pub(crate) async fn finish(mut self, filled: Result<()>) -> Result<Option<StagingToken>> {
        let mut outcome = filled;
        if outcome.is_ok() && !self.batch.is_empty() {
            outcome = self.store().await;
        }
        match outcome {
            Ok(()) => Ok(self.is_stored.then_some(self.token)),
            Err(error) => {
                if self.is_stored {
                    self.engine.give_up_token(self.token).await;
                }
                Err(error)
            }
        }
    }
}
