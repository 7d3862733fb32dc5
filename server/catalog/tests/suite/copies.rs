//! Copies of objects: full copies, and copies by reference.

use std::collections::BTreeMap;

use catalog::testing::TestCatalog;
use catalog::{Error, Object, Repository, UploadOptions};

use super::objects::{if_absent, stored, to};

/// A repository `lake` whose branch has `a`, and a repository `other`.
async fn lake_with_a_source() -> (TestCatalog, Repository, Repository, Object) {
    let lake = TestCatalog::new();
    let (repository, other) = (
        lake.repository("lake").await,
        lake.repository("other").await,
    );
    let options = UploadOptions {
        content_type: "text/csv".to_owned(),
        metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        ..UploadOptions::default()
    };
    let source = lake
        .put_with(&repository, "main", "a", "x,y", options)
        .await
        .unwrap();
    (lake, repository, other, source)
}

#[tokio::test]
async fn copy_has_its_own_bytes_and_equal_identity() {
    let (lake, repository, _other, source) = lake_with_a_source().await;
    let copy = lake
        .copy(
            (&repository, "main", "a"),
            to(&repository, "b"),
            None,
            false,
        )
        .await
        .unwrap();
    assert_ne!(copy.physical_address, source.physical_address);
    assert_eq!(copy.identity, source.identity);
    assert_eq!(lake.read(&repository, "main", "b").await, "x,y");
}

#[tokio::test]
async fn copy_to_another_repository_has_its_bytes_there() {
    let (lake, repository, other, _source) = lake_with_a_source().await;
    let copy = lake
        .copy((&repository, "main", "a"), to(&other, "b"), None, false)
        .await
        .unwrap();
    assert!(
        copy.physical_address.starts_with("mem://other/data/"),
        "{}",
        copy.physical_address
    );
    assert_eq!(lake.read(&other, "main", "b").await, "x,y");
}

#[tokio::test]
async fn copy_can_replace_the_metadata_and_depend_on_the_destination() {
    let (lake, repository, _other, _source) = lake_with_a_source().await;
    let from = (&repository, "main", "a");
    let replaced = lake
        .copy(from, to(&repository, "c"), Some(if_absent()), false)
        .await
        .unwrap();
    assert_eq!(replaced.entry.content_type, "application/octet-stream");
    assert!(replaced.entry.metadata.is_empty());
    assert!(matches!(
        lake.copy(from, to(&repository, "c"), Some(if_absent()), false)
            .await,
        Err(Error::PreconditionFailed)
    ));
}

#[tokio::test]
async fn copy_of_a_missing_object_is_refused() {
    let (lake, repository, _other, _source) = lake_with_a_source().await;
    let from = (&repository, "main", "none");
    let error = lake
        .copy(from, to(&repository, "d"), None, false)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::ObjectNotFound(_)), "{error}");
}

#[tokio::test]
async fn copy_by_reference_shares_bytes_within_a_repository() {
    let lake = TestCatalog::new();
    let (repository, other) = (
        lake.repository("lake").await,
        lake.repository("other").await,
    );
    let source = lake.put(&repository, "main", "a", "x").await;
    let from = (&repository, "main", "a");
    let copy = lake
        .copy_by_reference(from, to(&repository, "b"), None, false)
        .await
        .unwrap();
    assert_eq!(copy.physical_address, source.physical_address);
    // A refused copy must not delete the shared bytes.
    let again = lake
        .copy_by_reference(from, to(&repository, "b"), Some(if_absent()), false)
        .await;
    assert!(matches!(again, Err(Error::PreconditionFailed)));
    assert!(stored(&lake, &source).await);
    let error = lake
        .copy_by_reference(from, to(&other, "b"), None, false)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InvalidValue(_)), "{error}");
}
