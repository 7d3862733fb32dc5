//! The suite that every driver runs: the contract of [`Store`], one function a promise.
//!
//! Functions panic with what was broken. Each uses partitions of its own, named
//! after it, which it leaves empty; a store may be used for many runs. Races
//! need a runtime of several threads to be worth much.

mod basics;
mod batches;
mod races;
mod walks;

use std::sync::Arc;

use bytes::Bytes;

use crate::{Op, Predicate, Store};

/// Runs everything.
///
/// # Panics
/// At the first promise that `store` does not keep.
pub async fn run_all(store: Arc<dyn Store>) {
    basics::empty_addresses_are_refused(&*store).await;
    basics::values_are_kept_exactly(&*store).await;
    basics::conditions_decide(&*store).await;
    basics::identical_values_cannot_be_told_apart(&*store).await;
    basics::a_partition_is_deleted_whole_and_alone(&*store).await;

    walks::pages_are_bytewise_ordered_and_complete(&*store).await;
    walks::many_reads_answer_in_order(&*store).await;
    walks::a_cursor_agrees_with_a_sorted_map(&store).await;

    batches::writes_apply_in_order(&*store).await;
    batches::a_failed_predicate_names_its_write(&*store).await;
    batches::a_guard_decides(&*store).await;
    if store.is_transactional() {
        batches::all_or_nothing(&*store).await;
    }

    races::one_of_many_swaps_wins(&store).await;
    races::one_of_many_creators_wins(&store).await;
    races::concurrent_writes_and_reads_are_all_answered(&store).await;
    races::crossed_batches_finish(&store).await;
    races::a_guarded_write_is_seen_after_the_guard_changes(&store).await;
}

/// A partition that is empty, whatever ran before.
async fn fresh(store: &dyn Store, name: &str) -> Bytes {
    let partition = Bytes::from(format!("conformance/{name}"));
    store
        .delete_partition(&partition)
        .await
        .expect("a partition can be deleted");
    partition
}

/// The value at a key, without its predicate.
async fn value(store: &dyn Store, partition: &[u8], key: &[u8]) -> Option<Bytes> {
    store
        .get(partition, key)
        .await
        .expect("a value can be read")
        .map(|versioned| versioned.value)
}

/// Every entry of a partition as text, `key=value` separated by blanks.
async fn contents(store: &dyn Store, partition: &[u8]) -> String {
    let entries = store
        .scan(partition, b"", 10_000)
        .await
        .expect("a partition can be scanned");
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| {
            format!(
                "{}={}",
                String::from_utf8_lossy(&entry.key),
                String::from_utf8_lossy(&entry.value)
            )
        })
        .collect();
    shown.join(" ")
}

fn set(partition: &Bytes, key: &str, value: &str, predicate: Option<Predicate>) -> Op {
    Op::Set {
        partition: partition.clone(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        predicate,
    }
}

fn delete(partition: &Bytes, key: &str) -> Op {
    Op::Delete {
        partition: partition.clone(),
        key: Bytes::copy_from_slice(key.as_bytes()),
    }
}

/// The predicate of drivers that compare whole values; others get theirs by reading.
async fn as_read(store: &dyn Store, partition: &[u8], key: &[u8]) -> Predicate {
    let versioned = store
        .get(partition, key)
        .await
        .expect("a value can be read");
    versioned.expect("the key exists").predicate
}
