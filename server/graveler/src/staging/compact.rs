//! Merges sealed tokens into one, so that refused commits leave a branch bounded.
//!
//! Every refused commit with writes since the last one leaves one more sealed token,
//! and reads ask each of them. The merged token is written whole before a branch names
//! it, and says of each key what the tokens said together; tombstones stay, since
//! the head's tree lies below.

use bytes::Bytes;
use kv::{Batch, Op};

use super::{StagedChanges, retire_op};
use crate::committed::{Change, ChangeCursor as _};
use crate::engine::Engine;
use crate::records::encode_staged;
use crate::{BranchId, Repository, Result, StagingToken};

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
    ) -> Result<StagingToken> {
        let fresh = self.new_staging_token(repository, branch);
        match self.copy_staged(tokens, &fresh).await {
            Ok(()) => Ok(fresh),
            Err(error) => {
                self.give_up_token(fresh).await;
                Err(error)
            }
        }
    }

    async fn copy_staged(&self, tokens: &[StagingToken], fresh: &StagingToken) -> Result<()> {
        let partition = Bytes::copy_from_slice(fresh.as_str().as_bytes());
        let mut changes = StagedChanges::new(&self.kv, tokens);
        let mut batch = Batch::new();
        let mut bytes = 0;
        while let Some(Change { key, value }) = changes.next().await? {
            let value = encode_staged(&key, value.as_ref());
            bytes += value.len();
            batch.push(Op::Set {
                partition: partition.clone(),
                key,
                value,
                predicate: None,
            });
            if batch.len() >= MAX_BATCH_KEYS || bytes >= MAX_BATCH_BYTES {
                self.kv.batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.kv.batch(batch).await?;
        }
        Ok(())
    }

    /// Has a token emptied that no branch came to name. Not before that is certain: what
    /// is recorded as retired is emptied, whoever names it.
    pub(crate) async fn give_up_token(&self, token: StagingToken) {
        match self.kv.batch(vec![retire_op(&token)]).await {
            Ok(()) => self.janitor.retire(vec![token]),
            Err(error) => {
                tracing::warn!(%token, error = &error as &dyn std::error::Error, "failed to retire a merged staging token; its records stay");
            }
        }
    }
}
