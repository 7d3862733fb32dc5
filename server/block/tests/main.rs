//! Runs the conformance suite on every driver.

use std::sync::Arc;

use base::{SeededIds, SystemClock};
use block::{LocalOptions, LocalStore, MemoryStore, conformance};

#[tokio::test]
async fn memory_store_conforms() {
    conformance::run(Arc::new(MemoryStore::default()), "mem://lake/repo").await;
}

#[tokio::test]
async fn local_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions {
        path: folder.path().join("objects"),
        default_namespace_prefix: "local://".to_owned(),
        import_enabled: true,
        allowed_external_prefixes: Vec::new(),
    };
    let ids = Arc::new(SeededIds::new(1, Arc::new(SystemClock)));
    let store = LocalStore::open(options, ids).await.unwrap();
    conformance::run(Arc::new(store), "local://lake/repo").await;
}
