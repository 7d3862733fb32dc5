//! Tests of group commit: concurrent writes share transactions, and a single write commits immediately.

use bytes::Bytes;
use futures::future::join_all;
use kv::{SqliteStore, Store};

use crate::sqlite::options;

const WRITES: usize = 200;

async fn write_concurrently(store: &dyn Store) {
    let writes = (0..WRITES).map(|n| {
        let key = format!("k{n:03}");
        async move {
            store
                .set(b"group", key.as_bytes(), Bytes::from_static(b"v"))
                .await
        }
    });
    for written in join_all(writes).await {
        written.unwrap();
    }
}

/// Counts the transactions in a write-ahead log. The last frame of a transaction contains the database size.
fn transactions(log: &[u8]) -> usize {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let (page, salt) = (word(8) as usize, word(16));
    (HEADER..)
        .step_by(FRAME_HEADER + page)
        .take_while(|at| at + FRAME_HEADER + page <= log.len() && word(at + 8) == salt)
        .filter(|at| word(at + 4) != 0)
        .count()
}

#[tokio::test]
async fn concurrent_writes_share_transactions_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let store = SqliteStore::open(options(&path)).await.unwrap();
    let log = || transactions(&std::fs::read(folder.path().join("kv.db-wal")).unwrap());
    let before = log();
    for n in 0..10 {
        let key = format!("alone{n}");
        store
            .set(b"group", key.as_bytes(), Bytes::from_static(b"v"))
            .await
            .unwrap();
    }
    assert_eq!(
        log() - before,
        10,
        "sequential writes each have their own transaction"
    );
    let before = log();
    write_concurrently(&store).await;
    let shared = log() - before;
    assert!(shared <= 8, "{WRITES} writes took {shared} transactions");
}
