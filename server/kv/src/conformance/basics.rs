//! Tests of single reads and writes, their conditions and their errors.

use bytes::Bytes;

use super::{all_entries, contents, delete, fresh, set, unchanged_since_read, value};
use crate::{Error, Guard, Predicate, Store};

pub(super) async fn empty_addresses_are_rejected(store: &dyn Store) {
    let partition = fresh(store, "empty addresses").await;
    let empty = Bytes::new();
    let guard = |partition: &Bytes, key: &str| Guard {
        partition: partition.clone(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        predicate: Predicate::Absent,
    };
    let value = || Bytes::from_static(b"v");
    let results = [
        store.get(b"", b"k").await.map(drop),
        store.get(&partition, b"").await.map(drop),
        store
            .get_many(&partition, std::slice::from_ref(&empty))
            .await
            .map(drop),
        store.set(b"", b"k", value()).await,
        store.set(&partition, b"", value()).await,
        store.set_if(b"", b"k", value(), Predicate::Absent).await,
        store
            .set_if(&partition, b"", value(), Predicate::Absent)
            .await,
        store.delete(b"", b"k").await,
        store.delete(&partition, b"").await,
        store.delete_partition(b"").await,
        store.scan(b"", b"", 1).await.map(drop),
        store
            .batch(vec![
                set(&partition, "k", "v", None),
                set(&partition, "", "v", None),
            ])
            .await,
        store
            .batch(vec![set(&partition, "k", "v", None), delete(&empty, "k")])
            .await,
        store
            .guarded(
                &guard(&partition, ""),
                vec![set(&partition, "k", "v", None)],
            )
            .await
            .map(drop),
        store
            .guarded(
                &guard(&partition, "g"),
                vec![set(&partition, "", "v", None)],
            )
            .await
            .map(drop),
    ];
    for (index, result) in results.into_iter().enumerate() {
        assert!(
            matches!(result, Err(Error::Invalid(_))),
            "call {index} accepts an empty address: {result:?}"
        );
    }
    assert_eq!(
        contents(store, &partition).await,
        "",
        "a rejected batch wrote something"
    );
}

pub(super) async fn values_are_stored_unchanged(store: &dyn Store) {
    let partition = fresh(store, "values").await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let long = vec![0xab; 1 << 20];
    for (key, expected) in [
        (&b"empty"[..], &b""[..]),
        (b"zero", b"\0"),
        (b"\0", b"zero key"),
        (b"\xff\xfe", b"not UTF-8"),
        (&all_bytes, &all_bytes),
        (b"long", &long),
    ] {
        assert_eq!(
            value(store, &partition, key).await,
            None,
            "absent before it is written"
        );
        for _ in 0..2 {
            store
                .set(&partition, key, Bytes::copy_from_slice(expected))
                .await
                .expect("a value can be set");
            assert_eq!(
                value(store, &partition, key).await.as_deref(),
                Some(expected)
            );
        }
        let other = fresh(store, "values of another partition").await;
        assert_eq!(
            value(store, &other, key).await,
            None,
            "partitions are separate"
        );
        store
            .delete(&partition, key)
            .await
            .expect("a key can be deleted");
        assert_eq!(value(store, &partition, key).await, None, "deleted");
        store
            .delete(&partition, key)
            .await
            .expect("an absent key can be deleted");
    }
}

pub(super) async fn conditional_writes_honor_their_predicate(store: &dyn Store) {
    let partition = fresh(store, "conditions").await;
    let try_set = |text: &'static str, predicate| {
        let partition = partition.clone();
        async move {
            match store
                .set_if(
                    &partition,
                    b"k",
                    Bytes::from_static(text.as_bytes()),
                    predicate,
                )
                .await
            {
                Ok(()) => true,
                Err(Error::PredicateFailed { index: 0 }) => false,
                Err(error) => panic!("setting {text} failed: {error:?}"),
            }
        }
    };
    assert!(!try_set("exists on absent", Predicate::Exists).await);
    let guess = Predicate::Unchanged(Bytes::from_static(b"guess"));
    assert!(!try_set("unchanged on absent", guess).await);
    assert_eq!(value(store, &partition, b"k").await, None);

    assert!(try_set("", Predicate::Absent).await);
    let when_empty = unchanged_since_read(store, &partition, b"k").await;
    assert!(
        !try_set("absent on empty", Predicate::Absent).await,
        "an empty value is a value"
    );
    assert!(try_set("first", when_empty.clone()).await);
    assert!(!try_set("stale", when_empty).await);
    assert!(try_set("second", Predicate::Exists).await);
    let when_second = unchanged_since_read(store, &partition, b"k").await;
    assert!(
        matches!(when_second, Predicate::Unchanged(_)),
        "a read returns a predicate for later writes"
    );
    assert!(try_set("third", when_second.clone()).await);
    assert!(!try_set("stale", when_second).await);
    assert_eq!(
        value(store, &partition, b"k").await.as_deref(),
        Some(&b"third"[..])
    );

    let when_third = unchanged_since_read(store, &partition, b"k").await;
    store
        .delete(&partition, b"k")
        .await
        .expect("a key can be deleted");
    assert!(!try_set("deleted since the read", when_third).await);
    assert!(try_set("created again", Predicate::Absent).await);
    fresh(store, "conditions").await;
}

/// Documents the ABA problem of drivers that compare whole values. A driver with versions may detect the change.
pub(super) async fn value_changed_back_counts_as_unchanged(store: &dyn Store) {
    let partition = fresh(store, "aba").await;
    let set = async |text: &'static [u8]| {
        store
            .set(&partition, b"k", Bytes::from_static(text))
            .await
            .expect("a value can be set");
    };
    set(b"a").await;
    let when_a = unchanged_since_read(store, &partition, b"k").await;
    set(b"b").await;
    set(b"a").await;
    let by_value = when_a == Predicate::Unchanged(Bytes::from_static(b"a"));
    let result = store
        .set_if(&partition, b"k", Bytes::from_static(b"c"), when_a)
        .await;
    assert!(
        result.is_ok() || !by_value,
        "a value changed and changed back counts as unchanged: {result:?}"
    );
    fresh(store, "aba").await;
}

pub(super) async fn deleting_a_partition_keeps_other_partitions(store: &dyn Store) {
    let kept = fresh(store, "delete").await;
    let deleted = fresh(store, "delete me").await;
    store
        .set(&kept, b"k", Bytes::from_static(b"v"))
        .await
        .expect("a value can be set");
    let many = (0..2500)
        .map(|index| set(&deleted, &format!("{index:05}"), "v", None))
        .collect();
    store
        .batch(many)
        .await
        .expect("a large batch can be applied");
    assert_eq!(all_entries(store, &deleted).await.len(), 2500);
    store
        .delete_partition(&deleted)
        .await
        .expect("a partition can be deleted");
    assert_eq!(contents(store, &deleted).await, "");
    store
        .delete_partition(&deleted)
        .await
        .expect("an empty partition can be deleted");
    assert_eq!(contents(store, &kept).await, "k=v");
    fresh(store, "delete").await;
}
