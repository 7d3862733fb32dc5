//! The rows of staging tokens, and the tokens' life cycle: new, named by a branch, retired,
//! emptied.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, IdGenerator, OffsetDateTime};
use bytes::Bytes;
use kv::{Batch, Guard, GuardOutcome, Op, Store, Versioned};

use super::{Janitor, StagedChanges, retire_op};
use crate::records::decode_staged;
use crate::{BranchId, Repository, Result, StagingToken, Value};

/// The rows of staging tokens.
#[derive(Debug)]
pub(crate) struct Staging {
    kv: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    janitor: Janitor,
    /// See `Options::token_grace`.
    pub token_grace: Duration,
}

impl Staging {
    pub(crate) fn new(
        kv: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        token_grace: Duration,
    ) -> Self {
        Self {
            janitor: Janitor::new(Arc::clone(&kv), token_grace),
            kv,
            clock,
            ids,
            token_grace,
        }
    }

    /// A new staging token; no branch has ever named it.
    pub(crate) fn new_token(&self, repository: &Repository, branch: &BranchId) -> StagingToken {
        StagingToken::trusted(format!("{}-{branch}:{}", repository.id, self.ids.uuid()))
    }

    /// Whether the tokens that a branch named at `then` are still guaranteed to keep their rows.
    ///
    /// Retired tokens are emptied after the grace period. Half of it is the limit here, so that a
    /// caller can go on using the tokens for the other half.
    pub(crate) fn is_recent(&self, then: OffsetDateTime) -> bool {
        self.token_grace.is_zero() || self.clock.now() - then <= self.token_grace / 2
    }

    /// The changes in `tokens`, given newest first.
    pub(crate) fn changes<'a>(
        &self,
        tokens: impl IntoIterator<Item = &'a StagingToken>,
    ) -> StagedChanges {
        StagedChanges::new(&self.kv, tokens)
    }

    pub(crate) async fn is_empty(&self, token: &StagingToken) -> Result<bool> {
        let page = self.kv.scan(token.as_str().as_bytes(), b"", 1).await?;
        Ok(page.entries.is_empty())
    }

    /// The newest change of a key; `None` if no token has one, `Some(None)` if it is a tombstone.
    pub(crate) async fn newest(
        &self,
        tokens: impl Iterator<Item = &StagingToken> + Send,
        key: &[u8],
    ) -> Result<Option<Option<Value>>> {
        for token in tokens {
            if let Some(stored) = self.row(token, key).await? {
                return Ok(Some(decode_staged(stored.value)?));
            }
        }
        Ok(None)
    }

    /// One row of a token.
    pub(crate) async fn row(&self, token: &StagingToken, key: &[u8]) -> Result<Option<Versioned>> {
        Ok(self.kv.get(token.as_str().as_bytes(), key).await?)
    }

    /// Rows of a token, in the order of `keys`.
    pub(crate) async fn rows(
        &self,
        token: &StagingToken,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Versioned>>> {
        Ok(self.kv.get_many(token.as_str().as_bytes(), keys).await?)
    }

    /// Whether [`Self::write_guarded`] checks the guard and writes in one transaction.
    pub(crate) fn is_transactional(&self) -> bool {
        self.kv.is_transactional()
    }

    /// Writes `ops` if the guard on the branch holds. Drivers without transactions check the guard
    /// after the write.
    pub(crate) async fn write_guarded(
        &self,
        guard: &Guard,
        ops: Batch,
    ) -> std::result::Result<GuardOutcome, kv::Error> {
        self.kv.guarded(guard, ops).await
    }

    /// Writes rows of a token that no branch names yet, or the caller's records.
    pub(crate) async fn write(&self, ops: Batch) -> std::result::Result<(), kv::Error> {
        self.kv.batch(ops).await
    }

    /// Schedules tokens, whose retirement is already stored, to be emptied after the grace period.
    /// Returns at once.
    pub(crate) fn retire(&self, tokens: Vec<StagingToken>) {
        self.janitor.retire(tokens);
    }

    /// Retires a token that no branch ever named. Call it only if that is certain, since retired
    /// tokens are emptied even if a branch names them.
    pub(crate) async fn retire_unused(&self, token: StagingToken) {
        let retired: Vec<Op> = vec![retire_op(&token)];
        match self.kv.batch(retired).await {
            Ok(()) => self.janitor.retire(vec![token]),
            Err(error) => {
                tracing::warn!(%token, error = &error as &dyn std::error::Error, "failed to retire an unused staging token; its records stay");
            }
        }
    }

    /// Empties every token that is recorded as retired, and returns their number.
    ///
    /// Waits for the grace period first, since another server may have retired some just now.
    pub(crate) async fn sweep(&self) -> Result<usize> {
        self.janitor.sweep().await
    }
}
