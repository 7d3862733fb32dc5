//! The conformance suite for drivers: one function per guarantee of [`Store`].
//!
//! A function panics if the driver breaks its guarantee. Each function uses its own partitions and leaves them
//! empty, so a store can be tested repeatedly. The race tests need a multi-threaded
//! runtime to be effective.

mod basics;
mod batches;
mod races;
mod walks;

use std::sync::Arc;

use bytes::Bytes;

use crate::{Entry, Op, Predicate, Store, first_entries};

/// Runs all tests.
///
/// # Panics
/// If `store` breaks a guarantee.
pub async fn run_all(store: Arc<dyn Store>) {
    basics::empty_addresses_are_rejected(&*store).await;
    basics::values_are_stored_unchanged(&*store).await;
    basics::conditional_writes_honor_their_predicate(&*store).await;
    basics::value_changed_back_counts_as_unchanged(&*store).await;
    basics::deleting_a_partition_keeps_other_partitions(&*store).await;

    walks::pages_are_bytewise_ordered_and_complete(&*store).await;
    walks::pages_are_bounded_in_bytes(&store).await;
    walks::get_many_returns_values_in_request_order(&*store).await;
    walks::cursor_matches_a_sorted_map(&store).await;

    batches::batch_applies_writes_in_order(&*store).await;
    batches::failed_predicate_reports_its_index(&*store).await;
    batches::guard_of_a_missing_record_honors_its_predicate(&*store).await;
    batches::guard_of_an_existing_record_honors_its_predicate(&*store).await;
    batches::guarded_write_honors_its_predicates(&*store).await;
    batches::guarded_write_can_change_its_guard(&*store).await;
    if store.is_transactional() {
        batches::failed_batch_writes_nothing(&*store).await;
    }

    races::concurrent_swaps_lose_no_update(&store).await;
    races::exactly_one_concurrent_creator_wins(&store).await;
    races::concurrent_requests_are_all_answered(&store).await;
    races::batches_in_opposite_key_order_do_not_deadlock(&store).await;
    races::guarded_write_is_visible_after_the_guard_changes(&store).await;
}

/// Returns a partition after deleting all its keys.
async fn fresh(store: &dyn Store, name: &str) -> Bytes {
    let partition = Bytes::from(format!("conformance/{name}"));
    store
        .delete_partition(&partition)
        .await
        .expect("a partition can be deleted");
    partition
}

/// Returns the value of a key.
async fn value(store: &dyn Store, partition: &[u8], key: &[u8]) -> Option<Bytes> {
    store
        .get(partition, key)
        .await
        .expect("a value can be read")
        .map(|versioned| versioned.value)
}

/// Returns the entries of a partition.
async fn all_entries(store: &dyn Store, partition: &[u8]) -> Vec<Entry> {
    first_entries(store, partition, b"", usize::MAX)
        .await
        .expect("a partition can be scanned")
}

/// Returns the entries of a partition as text: `key=value` pairs separated by spaces.
async fn contents(store: &dyn Store, partition: &[u8]) -> String {
    let shown: Vec<_> = all_entries(store, partition)
        .await
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

/// Reads a key and returns the predicate that holds while it is unchanged.
async fn unchanged_since_read(store: &dyn Store, partition: &[u8], key: &[u8]) -> Predicate {
    let versioned = store
        .get(partition, key)
        .await
        .expect("a value can be read");
    versioned.expect("the key exists").predicate
}
