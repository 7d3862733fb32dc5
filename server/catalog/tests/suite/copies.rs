//! Copies of objects: full copies, and copies by reference.

use std::collections::BTreeMap;

use catalog::testing::TestCatalog;
use catalog::{Error, UploadOptions};

use super::objects::{if_absent, stored, to};

#[tokio::test]
async fn copy_has_its_own_bytes_and_equal_identity() {
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

    let from = (&repository, "main", "a");
    let copy = lake
        .copy(from, to(&repository, "b"), None, false)
        .await
        .unwrap();
    assert_ne!(copy.physical_address, source.physical_address);
    assert_eq!(copy.identity, source.identity);
    assert_eq!(lake.read(&repository, "main", "b").await, "x,y");

    let elsewhere = lake.copy(from, to(&other, "b"), None, false).await.unwrap();
    assert!(
        elsewhere.physical_address.starts_with("mem://other/data/"),
        "{}",
        elsewhere.physical_address
    );
    assert_eq!(lake.read(&other, "main", "b").await, "x,y");

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

    let error = lake
        .copy(
            (&repository, "main", "none"),
            to(&repository, "d"),
            None,
            false,
        )
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
