//! The in-memory store, for tests.
//!
//! One mutex protects all data, and no operation waits while it holds the mutex, so every operation is atomic.
//! This is the reference implementation for the other drivers, so it stays simple.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;

use crate::page::PageBuilder;
use crate::store::{check_address, check_ops, check_partition};
use crate::{
    Batch, Entry, Error, Guard, GuardOutcome, Op, Predicate, Result, ScanPage, Store, Versioned,
};

type Partitions = BTreeMap<Bytes, BTreeMap<Bytes, Bytes>>;

/// A store that keeps its data in memory.
#[derive(Default)]
pub struct MemoryStore {
    partitions: Mutex<Partitions>,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Partitions> {
        self.partitions
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl fmt::Debug for MemoryStore {
    /// Shows only the number of partitions, because values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("partitions", &self.lock().len())
            .finish()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "mem"
    }

    async fn get(&self, partition: &[u8], key: &[u8]) -> Result<Option<Versioned>> {
        check_address(partition, key)?;
        Ok(current(&self.lock(), partition, key)
            .cloned()
            .map(Versioned::by_value))
    }

    async fn get_many(&self, partition: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Versioned>>> {
        keys.iter()
            .try_for_each(|key| check_address(partition, key))?;
        let partitions = self.lock();
        Ok(keys
            .iter()
            .map(|key| {
                current(&partitions, partition, key)
                    .cloned()
                    .map(Versioned::by_value)
            })
            .collect())
    }

    async fn set(&self, partition: &[u8], key: &[u8], value: Bytes) -> Result<()> {
        check_address(partition, key)?;
        put(&mut self.lock(), partition, key, Some(value));
        Ok(())
    }

    async fn set_if(
        &self,
        partition: &[u8],
        key: &[u8],
        value: Bytes,
        predicate: Predicate,
    ) -> Result<()> {
        check_address(partition, key)?;
        let mut partitions = self.lock();
        if !predicate.holds(current(&partitions, partition, key).map(AsRef::as_ref)) {
            return Err(Error::PredicateFailed { index: 0 });
        }
        put(&mut partitions, partition, key, Some(value));
        Ok(())
    }

    async fn delete(&self, partition: &[u8], key: &[u8]) -> Result<()> {
        check_address(partition, key)?;
        put(&mut self.lock(), partition, key, None);
        Ok(())
    }

    async fn delete_partition(&self, partition: &[u8]) -> Result<()> {
        check_partition(partition)?;
        self.lock().remove(partition);
        Ok(())
    }

    async fn scan(&self, partition: &[u8], start: &[u8], limit: usize) -> Result<ScanPage> {
        check_partition(partition)?;
        let partitions = self.lock();
        let Some(keys) = partitions.get(partition) else {
            return Ok(ScanPage::default());
        };
        let mut page = PageBuilder::new(start, limit);
        for (key, value) in keys.range::<[u8], _>((Bound::Included(start), Bound::Unbounded)) {
            if page.room() == 0 {
                return Ok(page.full());
            }
            page.push(Entry {
                key: key.clone(),
                value: value.clone(),
            });
        }
        Ok(page.last())
    }

    async fn batch(&self, ops: Batch) -> Result<()> {
        check_ops(&ops)?;
        apply(&mut self.lock(), ops)
    }

    fn is_transactional(&self) -> bool {
        true
    }

    async fn guarded(&self, guard: &Guard, ops: Batch) -> Result<GuardOutcome> {
        check_address(&guard.partition, &guard.key)?;
        check_ops(&ops)?;
        let mut partitions = self.lock();
        if !guard
            .predicate
            .holds(current(&partitions, &guard.partition, &guard.key).map(AsRef::as_ref))
        {
            return Ok(GuardOutcome::GuardFailed);
        }
        apply(&mut partitions, ops)?;
        Ok(GuardOutcome::Written)
    }
}

/// Applies the writes in order. Undoes all of them if a predicate fails.
fn apply(partitions: &mut Partitions, ops: Batch) -> Result<()> {
    let mut undo = Vec::with_capacity(ops.len());
    for (index, op) in ops.into_iter().enumerate() {
        let (partition, key, value) = match op {
            Op::Set {
                partition,
                key,
                value,
                predicate,
            } => {
                let held = predicate.is_none_or(|predicate| {
                    predicate.holds(current(partitions, &partition, &key).map(AsRef::as_ref))
                });
                if !held {
                    for (partition, key, previous) in undo.into_iter().rev() {
                        let (partition, key): (Bytes, Bytes) = (partition, key);
                        put(partitions, &partition, &key, previous);
                    }
                    return Err(Error::PredicateFailed { index });
                }
                (partition, key, Some(value))
            }
            Op::Delete { partition, key } => (partition, key, None),
        };
        let previous = put(partitions, &partition, &key, value);
        undo.push((partition, key, previous));
    }
    Ok(())
}

fn current<'a>(partitions: &'a Partitions, partition: &[u8], key: &[u8]) -> Option<&'a Bytes> {
    partitions.get(partition)?.get(key)
}

/// Sets or removes a key and returns its previous value. Removes partitions that become empty.
fn put(
    partitions: &mut Partitions,
    partition: &[u8],
    key: &[u8],
    value: Option<Bytes>,
) -> Option<Bytes> {
    let Some(value) = value else {
        let keys = partitions.get_mut(partition)?;
        let previous = keys.remove(key);
        if keys.is_empty() {
            partitions.remove(partition);
        }
        return previous;
    };
    let keys = partitions
        .entry(Bytes::copy_from_slice(partition))
        .or_default();
    keys.insert(Bytes::copy_from_slice(key), value)
}
