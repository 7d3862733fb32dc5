//! The contract of a driver: two-level ordered addresses, conditions, batches, guards.
//!
//! The essay in the crate's root says what the words promise; here they are
//! types. No driver lives here.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Result};

/// A value and what a later conditional write compares against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The value; may be empty.
    pub value: Bytes,
    /// Always [`Predicate::Unchanged`]: pass it to [`Store::set_if`] or a [`Guard`].
    pub predicate: Predicate,
}

impl Versioned {
    /// A value of a driver that compares whole values (all drivers here do).
    pub(crate) fn by_value(value: Bytes) -> Self {
        let predicate = Predicate::Unchanged(value.clone());
        Self { value, predicate }
    }
}

/// A condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// The key must not exist.
    Absent,
    /// The key must exist, whatever its value.
    Exists,
    /// The key must still be as it was read.
    ///
    /// The bytes are opaque, and come from a [`Versioned`]: the whole previous value in the drivers here,
    /// an entity tag elsewhere. Where they are the value, a record that was changed and
    /// changed back to identical bytes counts as unchanged (ABA). Whoever cannot bear that puts
    /// something into the record that never repeats, as a branch does with its staging token.
    Unchanged(Bytes),
}

impl Predicate {
    /// Whether the condition holds of `current`, in a driver that compares whole values.
    #[must_use]
    pub fn holds(&self, current: Option<&[u8]>) -> bool {
        match (self, current) {
            (Self::Absent, current) => current.is_none(),
            (Self::Exists, current) => current.is_some(),
            (Self::Unchanged(previous), Some(current)) => previous == current,
            (Self::Unchanged(_), None) => false,
        }
    }
}

/// A key and its value, from a scan of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key within its partition.
    pub key: Bytes,
    /// The value; may be empty.
    pub value: Bytes,
}

/// One write of a batch.
#[derive(Debug, Clone)]
pub enum Op {
    /// Writes `value`, if `predicate` holds (always, where it is none).
    Set {
        /// Where the key lives.
        partition: Bytes,
        /// The key within the partition.
        key: Bytes,
        /// What to write.
        value: Bytes,
        /// The condition, if any.
        predicate: Option<Predicate>,
    },
    /// Deletes the key; no error if it is absent.
    Delete {
        /// Where the key lives.
        partition: Bytes,
        /// The key within the partition.
        key: Bytes,
    },
}

impl Op {
    /// The partition and key that the write is about.
    #[must_use]
    pub fn address(&self) -> (&Bytes, &Bytes) {
        match self {
            Self::Set { partition, key, .. } | Self::Delete { partition, key } => (partition, key),
        }
    }

    /// The address and value of a write without a condition.
    pub(crate) fn unconditional_set(&self) -> Option<(&Bytes, &Bytes, &Bytes)> {
        match self {
            Self::Set {
                partition,
                key,
                value,
                predicate: None,
            } => Some((partition, key, value)),
            _ => None,
        }
    }
}

/// Writes applied in order; see [`Store::batch`].
pub type Batch = Vec<Op>;

/// A record that must still be as it was read for a guarded write to happen.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Where the record lives.
    pub partition: Bytes,
    /// The record's key within the partition.
    pub key: Bytes,
    /// What must hold of it.
    pub predicate: Predicate,
}

/// What became of a guarded write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardOutcome {
    /// The guard held until after the write was durable.
    Written,
    /// The guard did not hold. The writes may or may not have been applied
    /// (drivers without transactions write first and look after); the caller
    /// repeats them against the guard's new value.
    GuardFailed,
}

/// An ordered store. Implementations are shared as `Arc<dyn Store>`.
///
/// Reads are strongly consistent. Keys sort bytewise within one partition. An
/// empty partition or key is [`Error::Invalid`]; an empty value is legal.
///
/// Every method is required, so that a wrapper cannot forget to forward one.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// The driver's name as configuration has it (`sqlite`, `postgres`, `mem`).
    fn name(&self) -> &'static str;

    /// Reads one value.
    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>>;

    /// Reads many values of one partition in one round trip, in the order asked.
    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>>;

    /// Writes, whatever was there.
    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()>;

    /// Writes if the predicate holds, else [`Error::PredicateFailed`].
    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()>;

    /// Deletes; no error if the key is absent.
    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()>;

    /// Deletes every key of a partition, in as few statements as the driver can.
    ///
    /// Not atomic: keys written meanwhile may survive, and a call cut short has
    /// deleted some. Repeating it is safe.
    async fn delete_partition(&self, partition: &[u8]) -> Result<()>;

    /// Up to `limit` entries of a partition with key >= `start`, ascending.
    ///
    /// An empty `start` is the beginning. Fewer than `limit` entries means that
    /// nothing followed them. A page is one snapshot at best; two pages are never.
    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<Vec<Entry>>;

    /// Applies all writes or none where [`Store::is_transactional`]; elsewhere in
    /// order, stopping at the first failed predicate, so callers order writes to be
    /// safe when cut short.
    ///
    /// A predicate sees the writes before it in the same batch.
    async fn batch(&self, ops: Batch) -> Result<()>;

    /// Whether [`Store::batch`] is all or nothing.
    fn is_transactional(&self) -> bool;

    /// Applies `ops` if `guard` holds, and makes sure that it still held when they
    /// were durable: no concurrent change of the guarded record that was acknowledged
    /// before this returns `Written` can have missed these writes. One round trip where the
    /// driver can. A failed predicate of an op is [`Error::PredicateFailed`].
    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome>;
}

/// Refuses an empty partition.
pub(crate) fn check_partition(partition: &[u8]) -> Result<()> {
    if partition.is_empty() {
        return Err(Error::Invalid("partition key must not be empty"));
    }
    Ok(())
}

/// Refuses an empty partition or key.
pub(crate) fn check_address(partition: &[u8], key: &[u8]) -> Result<()> {
    check_partition(partition)?;
    if key.is_empty() {
        return Err(Error::Invalid("key must not be empty"));
    }
    Ok(())
}

/// Refuses a batch in which any address is empty, before anything is written.
pub(crate) fn check_ops(ops: &[Op]) -> Result<()> {
    for op in ops {
        let (partition, key) = op.address();
        check_address(partition, key)?;
    }
    Ok(())
}
