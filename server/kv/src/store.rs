//! The contract of a driver: two-level ordered addresses, conditions, batches, guards.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;

/// A value and what a later conditional write compares against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    pub value: Bytes,
    /// Opaque: the previous value here, an entity tag elsewhere.
    pub predicate: Predicate,
}

/// A condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// The key must not exist.
    Absent,
    /// The key must exist, whatever its value.
    Exists,
    /// The key must still be as it was read.
    Unchanged(Bytes),
}

/// A key and its value, from a scan of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Bytes,
    pub value: Bytes,
}

/// One write of a batch.
#[derive(Debug, Clone)]
pub enum Op {
    /// Writes `value`, if `predicate` holds (always, where it is none).
    Set { partition: Bytes, key: Bytes, value: Bytes, predicate: Option<Predicate> },
    /// Deletes the key; no error if it is absent.
    Delete { partition: Bytes, key: Bytes },
}

/// Writes applied in order; see [`Store::batch`].
pub type Batch = Vec<Op>;

/// A record that must still be as it was read for a guarded write to happen.
#[derive(Debug, Clone)]
pub struct Guard {
    pub partition: Bytes,
    pub key: Bytes,
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
/// empty partition or key is [`crate::Error::Invalid`]; an empty value is legal.
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

    /// Writes if the predicate holds, else [`crate::Error::PredicateFailed`].
    async fn set_if(&self, partition: &[u8], key: &[u8], value: Bytes, predicate: Predicate) -> Result<()>;

    /// Deletes; no error if the key is absent.
    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()>;

    /// Deletes every key of a partition, in as few statements as the driver can.
    async fn delete_partition(&self, partition: &[u8]) -> Result<()>;

    /// Up to `limit` entries of a partition with key >= `start`, ascending.
    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<Vec<Entry>>;

    /// Applies all writes or none where [`Store::is_transactional`]; elsewhere in
    /// order, stopping at the first failed predicate, so callers order writes to be
    /// safe when cut short.
    async fn batch(&self, ops: Batch) -> Result<()>;

    /// Whether [`Store::batch`] is all or nothing.
    fn is_transactional(&self) -> bool;

    /// Applies `ops` if `guard` holds, and makes sure that it still held when they
    /// were durable: no concurrent change of the guarded record that was acknowledged
    /// before this returns `Written` can have missed these writes. One round trip where the
    /// driver can. A failed predicate of an op is [`crate::Error::PredicateFailed`].
    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome>;
}
