//! The drivers against the contract, each other, a killed process and a failing store.
//!
//! PostgreSQL is used when `WEIR_TEST_POSTGRES` holds a connection string of a
//! user who may create tables.
#![expect(clippy::unwrap_used, reason = "tests")]

mod crash;
mod cursor;
mod faults;
mod group;
mod metered;
mod postgres;
mod sqlite;

use std::sync::Arc;

use kv::{MemoryStore, Store, conformance};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_the_contract() {
    conformance::run_all(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_metered_store_keeps_the_contract() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    conformance::run_all(Arc::new(kv::Metered::new(store))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_faulty_store_without_faults_keeps_the_contract() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let faults = kv::testing::Faults {
        yields: 100,
        ..Default::default()
    };
    conformance::run_all(Arc::new(kv::testing::FaultyStore::new(store, 1, faults))).await;
}
