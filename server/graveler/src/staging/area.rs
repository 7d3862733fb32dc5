//! Reads and writes of single staged keys.
//!
//! A write is acknowledged only if its branch named the same writable token before the write and
//! when the write was durable. A commit that seals the token therefore either sees the write or
//! makes it retry with the next token. The check before the write may use a cached branch record,
//! the check after it may not.

use base::OffsetDateTime;
use bytes::Bytes;
use kv::{Batch, Guard, GuardOutcome, Op, Predicate};

use crate::checks::{check_read_only, count_retry};
use crate::protection::Blocked;
use crate::records::{branch_key, decode_staged, encode_staged};
use crate::refs::StoredBranch;
use crate::staging::Layers;
use crate::{
    Branch, BranchId, BranchRecord, Condition, Error, Graveler, Record, Repository, Result, Value,
};

/// Maximum number of attempts of a write while its branch keeps changing. A commit or merge changes the branch twice,
/// and each change costs at most one attempt.
const MAX_WRITE_TRIES: usize = 10;
/// Maximum number of attempts to read a key while its branch keeps changing and the store is slow.
const MAX_READ_TRIES: usize = 10;
/// Maximum number of keys in one write of the store.
const MAX_BATCH_KEYS: usize = 1_000;

/// A change to stage on a branch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Write<'a> {
    Set {
        key: &'a [u8],
        value: &'a Value,
        condition: Condition,
        /// The caller's own records, written together with the value, all or nothing.
        extra_ops: &'a [Op],
    },
    SetMany(&'a [Record]),
    Delete(&'a [Vec<u8>]),
}

impl<'a> Write<'a> {
    fn extra_ops(self) -> &'a [Op] {
        match self {
            Self::Set { extra_ops, .. } => extra_ops,
            Self::SetMany(_) | Self::Delete(_) => &[],
        }
    }
}

impl Graveler {
    /// The value of a key on a branch: staged, else committed (unless `staged_only`).
    pub(crate) async fn value_on(
        &self,
        repository: &Repository,
        branch: &Branch,
        key: &[u8],
        staged_only: bool,
    ) -> Result<Option<Value>> {
        let mut changed: Option<Branch> = None;
        let mut read_at = self.clock.now();
        for _ in 0..MAX_READ_TRIES {
            let at = changed.as_ref().unwrap_or(branch);
            let value = match staged_only {
                true => self
                    .staging
                    .newest(at.record.tokens(), key)
                    .await?
                    .flatten(),
                false => self.value_at(repository, at, key).await?,
            };
            let (id, record) = (&branch.id, &at.record);
            let read_again_at = self.clock.now();
            match self.changed_since(repository, id, record, read_at).await? {
                None => return Ok(value),
                Some(record) => {
                    let id = branch.id.clone();
                    changed = Some(Branch { id, record });
                    read_at = read_again_at;
                }
            }
        }
        Err(Error::TooManyTries(format!("branch {}", branch.id)))
    }

    /// The branch's new record, if `record` was read so long ago that its tokens may have been
    /// emptied, and the branch has changed since. `None`: results read from the tokens are valid.
    async fn changed_since(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: &BranchRecord,
        read_at: OffsetDateTime,
    ) -> Result<Option<BranchRecord>> {
        if self.staging.is_recent(read_at) {
            return Ok(None);
        }
        let now = self.refs.branch(repository, branch).await?.record;
        Ok((now != *record).then_some(now))
    }

    /// Whether everything that was read from the branch since `read_at` is still valid. Called for
    /// no-op writes, which have no guard that could detect a race.
    pub(crate) async fn is_branch_unchanged(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: &BranchRecord,
        read_at: OffsetDateTime,
    ) -> Result<bool> {
        let changed = self.changed_since(repository, branch, record, read_at);
        Ok(changed.await?.is_none())
    }

    async fn value_at(
        &self,
        repository: &Repository,
        branch: &Branch,
        key: &[u8],
    ) -> Result<Option<Value>> {
        let record = &branch.record;
        if self.is_materialized(repository, &branch.id) {
            let Layers { tokens, tree } = self.layers(repository, branch).await?;
            return match self.staging.newest(tokens.iter(), key).await? {
                Some(staged) => Ok(staged),
                None => {
                    let namespace = &repository.storage_namespace;
                    self.committed.get(namespace, &tree, key).await
                }
            };
        }
        match self.staging.newest(record.tokens(), key).await? {
            Some(staged) => Ok(staged),
            None => self.committed_value(repository, record, key).await,
        }
    }

    async fn committed_value(
        &self,
        repository: &Repository,
        branch: &BranchRecord,
        key: &[u8],
    ) -> Result<Option<Value>> {
        let tree = self.tree_of(repository, &branch.commit_id).await?;
        self.committed
            .get(&repository.storage_namespace, &tree, key)
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
        extra_ops: &[Op],
    ) -> Result<()> {
        let write = Write::Set {
            key,
            value: &value,
            condition,
            extra_ops,
        };
        let written = self.write(repository, branch, write, force).await;
        written.map(drop)
    }

    /// Stages values unconditionally, many in one write of the store. Not atomic: a failure may
    /// leave some of them written.
    pub async fn set_many(
        &self,
        repository: &Repository,
        branch: &BranchId,
        records: &[Record],
        force: bool,
    ) -> Result<()> {
        self.write(repository, branch, Write::SetMany(records), force)
            .await
            .map(drop)
    }

    /// Deletes keys. Missing keys are not an error. Not atomic: a failure may leave some of them
    /// deleted.
    pub async fn delete(
        &self,
        repository: &Repository,
        branch: &BranchId,
        keys: &[Vec<u8>],
        force: bool,
    ) -> Result<()> {
        self.write(repository, branch, Write::Delete(keys), force)
            .await
            .map(|deleted| self.note_deletions(repository, branch, deleted))
    }

    /// Stages a change, in chunks of [`MAX_BATCH_KEYS`] keys; each chunk is one write of the store.
    /// Returns the number of keys written.
    pub(crate) async fn write(
        &self,
        repository: &Repository,
        branch: &BranchId,
        write: Write<'_>,
        force: bool,
    ) -> Result<u64> {
        let mut written = 0;
        check_read_only(repository, force)?;
        self.protection
            .check(repository, branch, Blocked::StagingWrite)
            .await?;
        match write {
            Write::Set { key, value, .. } => {
                check_key(key)?;
                check_value(value)?;
                self.write_chunk(repository, branch, write).await
            }
            Write::SetMany(records) => {
                for record in records {
                    check_key(&record.key)?;
                    check_value(&record.value)?;
                }
                for chunk in records.chunks(MAX_BATCH_KEYS) {
                    written += self
                        .write_chunk(repository, branch, Write::SetMany(chunk))
                        .await?;
                }
                Ok(written)
            }
            Write::Delete(keys) => {
                keys.iter().try_for_each(|key| check_key(key))?;
                for chunk in keys.chunks(MAX_BATCH_KEYS) {
                    written += self
                        .write_chunk(repository, branch, Write::Delete(chunk))
                        .await?;
                }
                Ok(written)
            }
        }
    }

    async fn write_chunk(
        &self,
        repository: &Repository,
        branch: &BranchId,
        write: Write<'_>,
    ) -> Result<u64> {
        let partition = Bytes::from(repository.partition());
        let key = branch_key(branch.as_str());
        let mut remembered = match write {
            // Without transactions the guard is checked after the write. A value that was written
            // because an outdated head lacks the key would therefore stay.
            Write::Set {
                condition: Condition::IfAbsent,
                ..
            } if !self.staging.is_transactional() => None,
            _ => self.refs.cached_branch(repository, branch),
        };
        let is_transactional = self.staging.is_transactional();
        let mut is_retry = false;
        let mut tries = 0;
        while tries < MAX_WRITE_TRIES {
            let read_at = self.clock.now();
            let (stored, fresh) = match remembered.take() {
                Some(stored) => (stored, false),
                None => {
                    tries += 1;
                    (self.refs.branch(repository, branch).await?, true)
                }
            };
            let planned = self.plan(repository, &stored, write, is_retry).await;
            if is_no_op(&planned)
                && (!fresh
                    || !self
                        .is_branch_unchanged(repository, branch, &stored.record, read_at)
                        .await?)
            {
                continue;
            }
            let mut ops = planned?;
            let written = ops.len() as u64;
            if written == 0 {
                return Ok(0);
            }
            let extra_ops = write.extra_ops();
            if is_transactional {
                ops.splice(0..0, extra_ops.iter().cloned());
            }
            let guard = Guard {
                partition: partition.clone(),
                key: key.clone(),
                predicate: stored.predicate,
            };
            match self.staging.write_guarded(&guard, ops).await {
                Ok(GuardOutcome::Written) => {
                    if !is_transactional && !extra_ops.is_empty() {
                        // Write these records only after the guard held. Otherwise a retry would collide with the
                        // records of the previous attempt.
                        let written = self.staging.write(extra_ops.to_vec()).await;
                        written.map_err(|error| extra_ops_error(branch, error))?;
                    }
                    return Ok(written);
                }
                Err(error @ kv::Error::PredicateFailed { index })
                    if is_transactional && index < extra_ops.len() =>
                {
                    return Err(extra_ops_error(branch, error));
                }
                // Without transactions, the values were written to the old token nevertheless.
                Ok(GuardOutcome::GuardFailed) => is_retry = true,
                // Another request changed the key of a conditional write.
                Err(kv::Error::PredicateFailed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            count_retry("write");
        }
        Err(Error::TooManyTries(format!("branch {branch}")))
    }

    /// The store's writes for a change, given the branch's record; empty if the change is a no-op.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the condition does not hold.
    async fn plan(
        &self,
        repository: &Repository,
        stored: &StoredBranch,
        write: Write<'_>,
        is_retry: bool,
    ) -> Result<Batch> {
        let token = Bytes::copy_from_slice(stored.record.staging_token.as_str().as_bytes());
        let set = |key: &[u8], value: Option<&Value>, predicate| Op::Set {
            partition: token.clone(),
            key: Bytes::copy_from_slice(key),
            value: encode_staged(key, value),
            predicate,
        };
        match write {
            Write::Set {
                key,
                value,
                condition: Condition::Always,
                ..
            } => Ok(vec![set(key, Some(value), None)]),
            Write::SetMany(records) => Ok(records
                .iter()
                .map(|record| set(&record.key, Some(&record.value), None))
                .collect()),
            Write::Set {
                key,
                value,
                condition: Condition::IfAbsent,
                ..
            } => {
                let in_token = self.staging.row(&stored.record.staging_token, key).await?;
                let predicate = in_token
                    .as_ref()
                    .map_or(Predicate::Absent, |found| found.predicate.clone());
                let present = match in_token {
                    Some(found) => decode_staged(found.value)?,
                    None => match self
                        .staging
                        .newest(stored.record.sealed_tokens.iter(), key)
                        .await?
                    {
                        Some(staged) => staged,
                        None => {
                            self.committed_value(repository, &stored.record, key)
                                .await?
                        }
                    },
                };
                match present {
                    None => Ok(vec![set(key, Some(value), Some(predicate))]),
                    // An earlier attempt wrote the value, but its guard failed.
                    Some(present) if is_retry && present == *value => {
                        Ok(vec![set(key, Some(value), Some(predicate))])
                    }
                    Some(_) => Err(Error::PreconditionFailed),
                }
            }
            Write::Delete(keys) => {
                let known = self.known_keys(repository, &stored.record, keys).await?;
                Ok(known.into_iter().map(|key| set(key, None, None)).collect())
            }
        }
    }

    /// The keys that a token or the head has. Needs one round trip per token, and a lookup in the
    /// head's tree for each key that no token has.
    ///
    /// A tombstone in a token does not prove that the key is deleted. The guard of its writer may
    /// have failed, and a commit may have read the token before the tombstone was written. A
    /// deletion therefore relies only on its own tombstones, which it wrote under a guard that held.
    async fn known_keys<'k>(
        &self,
        repository: &Repository,
        branch: &BranchRecord,
        keys: &'k [Vec<u8>],
    ) -> Result<Vec<&'k [u8]>> {
        let mut open: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut known = Vec::new();
        for token in branch.tokens() {
            if open.is_empty() {
                return Ok(known);
            }
            let requested: Vec<Bytes> =
                open.iter().map(|key| Bytes::copy_from_slice(key)).collect();
            let found = self.staging.rows(token, &requested).await?;
            let mut left = Vec::new();
            for (key, found) in open.into_iter().zip(found) {
                match found {
                    None => left.push(key),
                    Some(_) => known.push(key),
                }
            }
            open = left;
        }
        for key in open {
            if self
                .committed_value(repository, branch, key)
                .await?
                .is_some()
            {
                known.push(key);
            }
        }
        Ok(known)
    }
}

/// Whether a planned write changes nothing, because there is nothing to write or it is refused.
fn is_no_op(planned: &Result<Batch>) -> bool {
    match planned {
        Ok(ops) => ops.is_empty(),
        Err(error) => matches!(error, Error::PreconditionFailed | Error::NotFound { .. }),
    }
}

/// The error for a write that failed because of its extra records.
fn extra_ops_error(branch: &BranchId, error: kv::Error) -> Error {
    match error {
        kv::Error::PredicateFailed { .. } => {
            Error::ConcurrentChange(format!("a record written together with branch {branch}"))
        }
        error => error.into(),
    }
}

fn check_key(key: &[u8]) -> Result<()> {
    if key.is_empty() {
        return Err(Error::InvalidValue("key is required".to_owned()));
    }
    Ok(())
}

/// A value without identity would read as a tombstone.
fn check_value(value: &Value) -> Result<()> {
    if value.identity.is_empty() {
        return Err(Error::InvalidValue("value has no identity".to_owned()));
    }
    Ok(())
}
