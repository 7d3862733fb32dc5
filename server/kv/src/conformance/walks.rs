//! Tests of scans and multi-key reads, and of the cursor against a sorted map.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{IdGenerator as _, SeededIds, SystemClock};
use bytes::Bytes;

use super::fresh;
use crate::{Cursor, Op, SCAN_PAGE_BYTES, Store};

pub(super) async fn pages_are_bytewise_ordered_and_complete(store: &dyn Store) {
    let partition = fresh(store, "pages").await;
    let neighbour = fresh(store, "pages/neighbour").await;
    store
        .set(&neighbour, b"aa", Bytes::new())
        .await
        .expect("a value can be set");
    let ordered: [&[u8]; 9] = [
        b"\0", b"\0\0", b"A", b"a", b"a\0", b"a/b", b"ab", b"\x7f", b"\xff",
    ];
    // Write the keys in an order that differs from their sort order.
    for key in ordered
        .iter()
        .rev()
        .step_by(2)
        .chain(ordered.iter().rev().skip(1).step_by(2))
    {
        store
            .set(&partition, key, Bytes::copy_from_slice(key))
            .await
            .expect("a value can be set");
    }
    let scan = async |start: &[u8], limit| {
        let page = store
            .scan(&partition, start, limit)
            .await
            .expect("a partition can be scanned");
        page.entries
            .into_iter()
            .map(|entry| entry.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(scan(b"", 100).await, ordered, "bytewise order");
    assert_eq!(
        scan(b"", 9).await,
        ordered,
        "a limit equal to the number of entries"
    );
    assert_eq!(scan(b"", 4).await, ordered[..4], "the limit is honored");
    assert_eq!(scan(b"a", 3).await, ordered[3..6], "the start is inclusive");
    assert_eq!(
        scan(b"a!", 2).await,
        ordered[5..7],
        "the start need not exist"
    );
    assert_eq!(
        scan(b"\xff\0", 5).await,
        [&b""[..]; 0],
        "no entries after the last key"
    );
    assert_eq!(scan(b"", 0).await, [&b""[..]; 0], "a limit of zero");
    fresh(store, "pages").await;
    fresh(store, "pages/neighbour").await;
}

/// A page ends with the entry at which it reaches [`SCAN_PAGE_BYTES`], and returns the start of the next page.
pub(super) async fn pages_are_bounded_in_bytes(store: &Arc<dyn Store>) {
    let partition = fresh(&**store, "large").await;
    // Large values between small ones. The first and the last value fill a page on their own.
    let size = |index: usize| match index {
        0 | 40 => SCAN_PAGE_BYTES + 1,
        _ if index.is_multiple_of(3) => 700 << 10,
        _ => index * 100,
    };
    let model: Vec<(Bytes, Bytes)> = (0..=40)
        .map(|index| {
            let value = vec![u8::try_from(index).expect("a small number"); size(index)];
            (Bytes::from(format!("{index:02}")), Bytes::from(value))
        })
        .collect();
    for (key, value) in &model {
        let stored = store.set(&partition, key, value.clone()).await;
        stored.expect("a value can be set");
    }
    for limit in [1, 2, 7, 1_000, 1_000_000] {
        let (mut read, mut next, mut pages) = (Vec::new(), Some(Bytes::new()), 0);
        while let Some(start) = next {
            let page = store.scan(&partition, &start, limit).await;
            let page = page.expect("a partition can be scanned");
            let sizes = page.entries.iter().map(|e| e.key.len() + e.value.len());
            let (bytes, last) = (sizes.clone().sum::<usize>(), sizes.last().unwrap_or(0));
            assert!(bytes - last < SCAN_PAGE_BYTES, "{bytes} bytes in a page");
            assert!(page.entries.len() <= limit, "the limit is honored");
            let is_last = page.next.is_none();
            assert!(
                is_last || !page.entries.is_empty(),
                "a page before the last one has an entry"
            );
            read.extend(
                page.entries
                    .into_iter()
                    .map(|entry| (entry.key, entry.value)),
            );
            (next, pages) = (page.next, pages + 1);
        }
        assert!(read == model, "pages of {limit} entries are complete");
        assert!(pages >= 4, "{pages} pages");
    }
    let mut cursor = Cursor::new(Arc::clone(store), &partition, b"");
    for (key, value) in &model {
        let entry = cursor.next().await.expect("a cursor can move");
        let entry = entry.expect("a cursor returns every entry");
        assert!(entry.key == key && entry.value == value, "{key:?}");
    }
    assert_eq!(cursor.next().await.expect("a cursor can move"), None);
    fresh(&**store, "large").await;
}

pub(super) async fn get_many_returns_values_in_request_order(store: &dyn Store) {
    let partition = fresh(store, "many").await;
    let key = |index: usize| Bytes::from(format!("{index:04}"));
    // Every third key is absent.
    let ops = (0..600)
        .filter(|index| index % 3 != 0)
        .map(|index| Op::Set {
            partition: partition.clone(),
            key: key(index),
            value: Bytes::from(format!("v{index}")),
            predicate: None,
        });
    store
        .batch(ops.collect())
        .await
        .expect("a batch can be applied");
    assert_eq!(
        store
            .get_many(&partition, &[])
            .await
            .expect("an empty list of keys can be read"),
        []
    );
    for count in [1, 2, 3, 255, 256, 257, 600] {
        // Request the keys in descending order, and the first of them twice.
        let order: Vec<usize> = (0..count).rev().chain([count - 1]).collect();
        let keys: Vec<Bytes> = order.iter().map(|index| key(*index)).collect();
        let found = store
            .get_many(&partition, &keys)
            .await
            .expect("many keys can be read");
        let values: Vec<_> = found
            .into_iter()
            .map(|found| found.map(|versioned| versioned.value))
            .collect();
        let expected: Vec<_> = order
            .iter()
            .map(|index| (index % 3 != 0).then(|| Bytes::from(format!("v{index}"))))
            .collect();
        assert_eq!(values, expected, "{count} keys");
    }
    fresh(store, "many").await;
}

/// Compares random reads and seeks of the cursor with a sorted map. The numbers of entries are close to the cursor's page
/// sizes.
pub(super) async fn cursor_matches_a_sorted_map(store: &Arc<dyn Store>) {
    for (seed, size) in [0, 1, 31, 32, 33, 96, 97, 1500].into_iter().enumerate() {
        let partition = fresh(&**store, "cursor").await;
        let dice = SeededIds::new(seed as u64, Arc::new(SystemClock));
        let roll = |sides: usize| {
            let mut bytes = [0; 4];
            dice.random_bytes(&mut bytes);
            u32::from_be_bytes(bytes) as usize % sides
        };
        let mut model: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        while model.len() < size {
            let mut key = vec![0; 1 + roll(5)];
            dice.random_bytes(&mut key);
            model.insert(key.into(), Bytes::from(model.len().to_string()));
        }
        let ops = model.iter().map(|(key, value)| Op::Set {
            partition: partition.clone(),
            key: key.clone(),
            value: value.clone(),
            predicate: None,
        });
        store
            .batch(ops.collect())
            .await
            .expect("a batch can be applied");

        let mut cursor = Cursor::new(Arc::clone(store), &partition, b"");
        let mut position = Bytes::new();
        loop {
            // Occasionally seek forward, backward or to the current position.
            if roll(20) == 0 {
                let mut target = vec![0; 1 + roll(3)];
                dice.random_bytes(&mut target);
                cursor.seek(&target);
                position = position.max(target.into());
            }
            let entry = cursor.next().await.expect("a cursor can move");
            let expected = model.range(position.clone()..).next();
            let found = entry.as_ref().map(|entry| (&entry.key, &entry.value));
            assert_eq!(found, expected, "seed {seed}, at {position:?}");
            let Some(entry) = entry else {
                break;
            };
            position = [&entry.key[..], b"\0"].concat().into();
        }
        assert_eq!(
            cursor.next().await.expect("a cursor can stay at the end"),
            None
        );
        fresh(&**store, "cursor").await;
    }
}
