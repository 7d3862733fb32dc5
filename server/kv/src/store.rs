//! The [`Store`] trait and its types: predicates, batches and guards.
//!
//! The crate's documentation lists the guarantees that drivers give. No driver is defined here.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Result};

/// A value together with the predicate that detects later changes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The value; may be empty.
    pub value: Bytes,
    /// Always [`Predicate::Unchanged`]: pass it to [`Store::set_if`] or a [`Guard`].
    pub predicate: Predicate,
}

impl Versioned {
    /// Wraps a value of a driver that compares whole values, as all drivers here do.
    pub(crate) fn by_value(value: Bytes) -> Self {
        let predicate = Predicate::Unchanged(value.clone());
        Self { value, predicate }
    }
}

/// A condition on the current value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// The key must not exist.
    Absent,
    /// The key must exist, whatever its value.
    Exists,
    /// The key must be unchanged since it was read.
    ///
    /// The bytes are opaque and come from a [`Versioned`]. The drivers here use the whole previous value;
    /// others may use an entity tag. When drivers compare values, a record that changes and then
    /// changes back to identical bytes counts as unchanged (the ABA problem). Records that cannot tolerate
    /// this include a value that never repeats; a branch includes its staging token.
    Unchanged(Bytes),
}

impl Predicate {
    /// Returns whether the condition holds for the value `current`. For drivers that compare whole values.
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

/// Size of keys and values, in bytes, at which a page of a scan ends. The entry that reaches it is the last one.
pub const SCAN_PAGE_BYTES: usize = 4 << 20;

/// One page of a scan of a partition; see [`Store::scan`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// The entries, in ascending order of key: at least one if there is a `next`, possibly fewer than the limit.
    pub entries: Vec<Entry>,
    /// The key at which the next page starts; `None` if there are no more entries.
    pub next: Option<Bytes>,
}

impl ScanPage {
    /// Drops entries from the first key that does not start with `prefix`. If there is one, this is the last page.
    #[must_use]
    pub fn within(mut self, prefix: &[u8]) -> Self {
        let inside = self
            .entries
            .iter()
            .take_while(|entry| entry.key.starts_with(prefix));
        let inside = inside.count();
        if inside < self.entries.len() {
            self.entries.truncate(inside);
            self.next = None;
        }
        self
    }
}

/// One write of a batch.
#[derive(Debug, Clone)]
pub enum Op {
    /// Writes `value` if `predicate` holds or is `None`.
    Set {
        /// The partition of the key.
        partition: Bytes,
        /// The key within the partition.
        key: Bytes,
        /// The new value.
        value: Bytes,
        /// The condition, if any.
        predicate: Option<Predicate>,
    },
    /// Deletes the key. Succeeds if the key does not exist.
    Delete {
        /// The partition of the key.
        partition: Bytes,
        /// The key within the partition.
        key: Bytes,
    },
}

impl Op {
    /// Returns the partition and key of the write.
    #[must_use]
    pub fn address(&self) -> (&Bytes, &Bytes) {
        match self {
            Self::Set { partition, key, .. } | Self::Delete { partition, key } => (partition, key),
        }
    }

    /// Returns partition, key and value if this is a `Set` without a predicate.
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

/// The condition of a guarded write: a predicate on a record other than the written ones.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The partition of the guarded record.
    pub partition: Bytes,
    /// The key of the guarded record.
    pub key: Bytes,
    /// The predicate that the guarded record must satisfy.
    pub predicate: Predicate,
}

/// The outcome of a guarded write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardOutcome {
    /// The writes were applied, and the guard still held when they became durable.
    Written,
    /// The guard did not hold. The writes may have been applied anyway, because drivers without
    /// transactions write first and check the guard afterwards. The caller retries with the guard's
    /// new value.
    GuardFailed,
}

/// An ordered key-value store. Implementations are shared as `Arc<dyn Store>`.
///
/// The crate's documentation lists the guarantees. An empty partition or key is [`Error::Invalid`]; an empty value is
/// legal. Every request can fail with [`Error::Storage`] or [`Error::SlowDown`]; the methods list only other errors.
///
/// No method has a default implementation, so that the compiler finds methods that a wrapper does not forward.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Returns the driver's name in the configuration (`sqlite`, `postgres`, `mem`).
    fn name(&self) -> &'static str;

    /// Reads one value.
    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>>;

    /// Reads several values of one partition, in the order of `keys`. One round trip if the driver supports it.
    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>>;

    /// Writes a value unconditionally.
    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()>;

    /// Writes a value if the predicate holds.
    ///
    /// # Errors
    /// [`Error::PredicateFailed`] if it does not.
    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()>;

    /// Deletes a key. Succeeds if the key does not exist.
    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()>;

    /// Deletes all keys of a partition in as few statements as possible.
    ///
    /// Not atomic: keys written concurrently may survive, and an interrupted call may have deleted
    /// some of the keys. Repeating the call is safe.
    async fn delete_partition(&self, partition: &[u8]) -> Result<()>;

    /// Returns up to `limit` entries of a partition with key >= `start`, in ascending order.
    ///
    /// An empty `start` starts at the first key. `limit` is at least 1. The page ends early with the entry at which it
    /// reaches [`SCAN_PAGE_BYTES`], so only [`ScanPage::next`] tells whether there are more entries. A driver does not
    /// load the values after the page into memory. Some drivers return a page that is not a snapshot, and two pages are
    /// never from the same snapshot.
    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<ScanPage>;

    /// Applies writes in order. A predicate sees the earlier writes of the same batch.
    ///
    /// If [`Store::is_transactional`] is true, all writes are applied or none. Otherwise the driver stops
    /// at the first failed predicate; callers order the writes so that a prefix of them is safe.
    ///
    /// # Errors
    /// [`Error::PredicateFailed`] with the index of the first write whose predicate failed.
    async fn batch(&self, ops: Batch) -> Result<()>;

    /// Returns whether [`Store::batch`] is all or nothing.
    fn is_transactional(&self) -> bool;

    /// Applies `ops` if `guard` holds and still holds when they become durable. One round trip if the
    /// driver supports it.
    ///
    /// If this returns `Written`, everyone who changes the guarded record, at any time, sees these writes after
    /// the change.
    ///
    /// # Errors
    /// [`Error::PredicateFailed`] if the predicate of a write fails.
    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome>;
}

/// Rejects an empty partition.
pub(crate) fn check_partition(partition: &[u8]) -> Result<()> {
    if partition.is_empty() {
        return Err(Error::Invalid("partition key must not be empty"));
    }
    Ok(())
}

/// Rejects an empty partition or key.
pub(crate) fn check_address(partition: &[u8], key: &[u8]) -> Result<()> {
    check_partition(partition)?;
    if key.is_empty() {
        return Err(Error::Invalid("key must not be empty"));
    }
    Ok(())
}

/// Rejects a batch that contains an empty partition or key. Drivers call this before they write anything.
pub(crate) fn check_ops(ops: &[Op]) -> Result<()> {
    for op in ops {
        let (partition, key) = op.address();
        check_address(partition, key)?;
    }
    Ok(())
}
