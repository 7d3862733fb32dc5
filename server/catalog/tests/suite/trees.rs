//! Files of trees: locations and content.

use catalog::Error;
use catalog::testing::TestCatalog;
use futures::TryStreamExt as _;

#[tokio::test]
async fn tree_of_a_commit_is_read_byte_for_byte() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let commit = lake.commit(&repository, "main", "first").await;
    let tree = commit.meta_range_id.as_str();
    assert_eq!(
        lake.reader().table_key(tree).unwrap(),
        format!("_lakefs/{tree}")
    );

    let (size_bytes, body) = lake.reader().open_table(&repository, tree).await.unwrap();
    let pieces: Vec<bytes::Bytes> = body.try_collect().await.unwrap();
    let bytes = pieces.concat();
    assert_eq!(bytes.len() as u64, size_bytes);
    assert!(
        bytes.ends_with(b"\xf7\xcf\xf4\x85\xb7\x41\xe2\x88"),
        "a table ends with RocksDB's magic number"
    );
}

#[tokio::test]
async fn only_table_ids_become_paths() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let upper = "A".repeat(64);
    for id in [
        "",
        "dummy",
        "../data/x",
        "a/b",
        "0",
        &upper,
        &"0".repeat(63),
        &"0".repeat(65),
    ] {
        for error in [
            lake.reader().table_key(id).unwrap_err(),
            lake.reader()
                .open_table(&repository, id)
                .await
                .map(drop)
                .unwrap_err(),
        ] {
            assert!(matches!(error, Error::InvalidValue(_)), "{id}: {error}");
        }
    }
    let unknown = "0".repeat(64);
    lake.reader().table_key(&unknown).unwrap();
    let error = lake
        .reader()
        .open_table(&repository, &unknown)
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, Error::DataGone(_)), "{error}");
}
