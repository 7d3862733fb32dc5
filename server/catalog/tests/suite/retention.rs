//! Garbage collection rules: storage, validation, deletion.

use std::collections::BTreeMap;

use block::{BlockStore as _, Location};
use bytes::Bytes;
use catalog::testing::{TestCatalog, creation};
use catalog::{Error, GcRules, Repository};
use futures::TryStreamExt as _;

const STORED_AT: &str = "_lakefs/retention/gc/rules/config.json";

fn rules(default_retention_days: i32, branches: &[(&str, i32)]) -> GcRules {
    GcRules {
        default_retention_days,
        branch_retention_days: branches
            .iter()
            .map(|(branch, days)| ((*branch).to_owned(), *days))
            .collect::<BTreeMap<_, _>>(),
    }
}

async fn stored(lake: &TestCatalog, repository: &Repository) -> Vec<u8> {
    let at = Location::below(&repository.storage_namespace, STORED_AT);
    let body = lake.block.get(&at, None).await.unwrap().body;
    body.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

async fn store(lake: &TestCatalog, repository: &Repository, bytes: &'static [u8]) {
    let at = Location::below(&repository.storage_namespace, STORED_AT);
    let body = block::from_bytes(Bytes::from_static(bytes));
    lake.block.put(&at, body).await.unwrap();
}

#[tokio::test]
async fn rules_are_set_replaced_and_deleted() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    assert_eq!(lake.reader().gc_rules(&repository).await.unwrap(), None);

    let first = rules(21, &[("main", 7), ("dev", 3)]);
    lake.set_gc_rules(&repository, &first).await.unwrap();
    assert_eq!(
        lake.reader().gc_rules(&repository).await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(first.retention_days("main"), 7);
    assert_eq!(first.retention_days("other"), 21);

    let second = rules(14, &[]);
    lake.set_gc_rules(&repository, &second).await.unwrap();
    assert_eq!(
        lake.reader().gc_rules(&repository).await.unwrap(),
        Some(second)
    );

    lake.delete_gc_rules(&repository).await.unwrap();
    assert_eq!(lake.reader().gc_rules(&repository).await.unwrap(), None);
    lake.delete_gc_rules(&repository).await.unwrap();
}

#[tokio::test]
async fn rules_are_stored_in_the_format_of_lakefs() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    // Written by lakeFS 1.84.
    store(&lake, &repository, b"\x08\x15\x12\x07\x0a\x03dev\x10\x07").await;
    let read = lake.reader().gc_rules(&repository).await.unwrap();
    assert_eq!(read, Some(rules(21, &[("dev", 7)])));

    let written = rules(21, &[("dev", 7)]);
    lake.set_gc_rules(&repository, &written).await.unwrap();
    assert_eq!(
        stored(&lake, &repository).await,
        b"\x08\x15\x12\x07\x0a\x03dev\x10\x07"
    );
    lake.delete_gc_rules(&repository).await.unwrap();
    assert_eq!(
        stored(&lake, &repository).await,
        b"",
        "lakeFS reads an empty file as no rules"
    );
}

#[tokio::test]
async fn rules_with_only_zeros_are_not_empty() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let at_once = rules(0, &[]);
    lake.set_gc_rules(&repository, &at_once).await.unwrap();
    assert_eq!(
        lake.reader().gc_rules(&repository).await.unwrap(),
        Some(at_once)
    );
}

#[tokio::test]
async fn invalid_rules_are_refused() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let good = rules(21, &[]);
    lake.set_gc_rules(&repository, &good).await.unwrap();
    for (bad, words) in [
        (rules(-1, &[]), "default_retention_days is -1"),
        (rules(1, &[("dev", -2)]), "branch \"dev\" is -2"),
        (rules(1, &[("a/b", 1)]), "branch id"),
        (rules(1, &[("", 1)]), "branch id"),
    ] {
        match lake.set_gc_rules(&repository, &bad).await {
            Err(Error::InvalidValue(text)) => assert!(text.contains(words), "{text}"),
            Err(Error::InvalidName { rule, .. }) => {
                assert!(rule.contains(words), "{rule}");
            }
            other => panic!("{bad:?}: {other:?}"),
        }
    }
    assert_eq!(
        lake.reader().gc_rules(&repository).await.unwrap(),
        Some(good)
    );
}

#[tokio::test]
async fn read_only_repository_refuses_changes_of_its_rules() {
    let lake = TestCatalog::new();
    let mut request = creation("lake");
    request.read_only = true;
    let repository = lake.create_repository(request).await.unwrap();
    for refused in [
        lake.set_gc_rules(&repository, &rules(1, &[])).await,
        lake.delete_gc_rules(&repository).await,
    ] {
        assert!(matches!(refused, Err(Error::ReadOnly(_))));
    }
    assert_eq!(lake.reader().gc_rules(&repository).await.unwrap(), None);
}

#[tokio::test]
async fn unreadable_rules_are_an_error() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    store(&lake, &repository, b"{}").await;
    assert!(matches!(
        lake.reader().gc_rules(&repository).await,
        Err(Error::Corrupt { .. })
    ));
}
