//! Property tests of the cursor against a sorted map, and tests of its page sizes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kv::testing::CountingStore;
use kv::{Cursor, MemoryStore, Store};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Next(usize),
    Seek(Vec<u8>),
}

/// Uses few distinct bytes, so that keys are often prefixes of each other and seeks hit existing keys.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, b'/', b'a', b'b', 0xff]), 1..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..80_usize).prop_map(Step::Next),
        key().prop_map(Step::Seek)
    ]
}

proptest! {
    #[test]
    fn walk_matches_a_sorted_map(
        model in prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 0..3), 0..200),
        start in prop::collection::vec(any::<u8>(), 0..2),
        steps in prop::collection::vec(step(), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(walk(&model, &start, &steps))?;
    }
}

async fn walk(
    model: &BTreeMap<Vec<u8>, Vec<u8>>,
    start: &[u8],
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for (key, value) in model {
        store
            .set(b"p", key, Bytes::copy_from_slice(value))
            .await
            .unwrap();
    }
    let mut cursor = Cursor::new(store, b"p", start);
    let mut position = start.to_vec();
    for step in steps {
        match step {
            Step::Seek(target) => {
                cursor.seek(target);
                position = position.max(target.clone());
            }
            Step::Next(times) => {
                for _ in 0..*times {
                    let found = cursor.next().await.unwrap();
                    let expected = model.range(position.clone()..).next();
                    prop_assert_eq!(
                        found
                            .as_ref()
                            .map(|entry| (&entry.key[..], &entry.value[..])),
                        expected.map(|(key, value)| (&key[..], &value[..]))
                    );
                    if let Some(entry) = found {
                        position = [&entry.key[..], b"\0"].concat();
                    }
                }
            }
        }
    }
    Ok(())
}

/// Returns a counting store with a partition of `n` entries.
async fn counting_store(n: usize) -> Arc<CountingStore> {
    let store = Arc::new(CountingStore::new(Arc::new(MemoryStore::new())));
    for n in 0..n {
        let key = format!("{n:05}");
        store.set(b"p", key.as_bytes(), Bytes::new()).await.unwrap();
    }
    store.take();
    store
}

#[tokio::test]
async fn only_a_long_run_prefetches_the_next_page() {
    let store = counting_store(5_000).await;
    let mut cursor = Cursor::new(Arc::clone(&store) as Arc<dyn Store>, b"p", b"");
    for _ in 0..600 {
        cursor.next().await.unwrap();
    }
    tokio::task::yield_now().await;
    assert_eq!(store.take().reads, 3, "32, 128 and 512 entries");
    for n in 600..5_000 {
        assert_eq!(cursor.next().await.unwrap().unwrap().key, format!("{n:05}"));
        if n == 700 {
            tokio::task::yield_now().await;
            assert_eq!(
                store.take().reads,
                2,
                "a page of a thousand entries, and the prefetch of the next page"
            );
        }
    }
    assert_eq!(cursor.next().await.unwrap(), None);
    assert_eq!(store.take().reads, 3);
}

#[tokio::test]
async fn page_size_after_a_seek_follows_the_previous_run() {
    let store = counting_store(5_000).await;
    let mut cursor = Cursor::new(Arc::clone(&store) as Arc<dyn Store>, b"p", b"");
    for n in (0..5_000).step_by(100) {
        cursor.seek(format!("{n:05}").as_bytes());
        assert_eq!(cursor.next().await.unwrap().unwrap().key, format!("{n:05}"));
    }
    assert_eq!(store.take().reads, 50);

    // A caller that reads 70 entries between seeks gets them in one page.
    let mut cursor = Cursor::new(Arc::clone(&store) as Arc<dyn Store>, b"p", b"");
    for n in (0..5_000).step_by(200) {
        cursor.seek(format!("{n:05}").as_bytes());
        for _ in 0..70 {
            cursor.next().await.unwrap();
        }
    }
    assert_eq!(
        store.take().reads,
        3 + 24,
        "4, 16 and 64 entries, then 87 each time"
    );
}
