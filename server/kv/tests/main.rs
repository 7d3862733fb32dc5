//! Tests of the drivers: conformance, concurrent processes, killed processes and injected failures.
//!
//! The PostgreSQL tests run if `WEIR_TEST_POSTGRES` holds the connection string of a user who may create tables.
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
async fn memory_store_conforms() {
    conformance::run_all(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn metered_store_conforms() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    conformance::run_all(Arc::new(kv::MeteredStore::new(store))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn faulty_store_without_faults_conforms() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let faults = kv::testing::Faults {
        yields: 100,
        ..Default::default()
    };
    conformance::run_all(Arc::new(kv::testing::FaultyStore::new(store, 1, faults))).await;
}
