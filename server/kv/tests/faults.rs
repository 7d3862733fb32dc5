//! Tests of the faulty store: its errors, and writes that are applied despite an error.

use std::sync::Arc;

use bytes::Bytes;
use kv::testing::{Faults, FaultyStore};
use kv::{Error, MemoryStore, Predicate, Store};

/// Creates a hundred keys. Returns which were acknowledged and which exist.
async fn create_keys(seed: u64, faults: Faults) -> (Vec<bool>, Vec<bool>) {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let store = FaultyStore::new(Arc::clone(&inner), seed, faults);
    let (mut acknowledged, mut present) = (Vec::new(), Vec::new());
    for key in 0..100_u8 {
        let result = store
            .set_if(b"p", &[key], Bytes::new(), Predicate::Absent)
            .await;
        assert!(
            matches!(result, Ok(()) | Err(Error::Storage { .. })),
            "{result:?}"
        );
        acknowledged.push(result.is_ok());
        present.push(inner.get(b"p", &[key]).await.unwrap().is_some());
    }
    (acknowledged, present)
}

#[tokio::test]
async fn failure_before_the_write_applies_nothing() {
    let (acknowledged, present) = create_keys(
        1,
        Faults {
            before_write: 100,
            ..Faults::default()
        },
    )
    .await;
    assert_eq!(acknowledged, present);
    assert!(acknowledged.contains(&true) && acknowledged.contains(&false));
}

#[tokio::test]
async fn failure_after_the_write_keeps_the_write() {
    let (acknowledged, present) = create_keys(
        1,
        Faults {
            after_write: 100,
            ..Faults::default()
        },
    )
    .await;
    assert!(present.iter().all(|present| *present));
    assert!(acknowledged.contains(&true) && acknowledged.contains(&false));
}

#[tokio::test]
async fn same_seed_gives_the_same_failures() {
    let faults = Faults {
        read: 100,
        before_write: 50,
        after_write: 50,
        yields: 50,
    };
    assert_eq!(create_keys(7, faults).await, create_keys(7, faults).await);
    assert_ne!(create_keys(7, faults).await, create_keys(8, faults).await);

    let store = FaultyStore::new(Arc::new(MemoryStore::new()), 7, faults);
    let mut failures = 0;
    for _ in 0..100 {
        failures += usize::from(store.get(b"p", b"k").await.is_err());
    }
    assert!(
        (10..90).contains(&failures),
        "{failures} of 100 reads failed"
    );
}
