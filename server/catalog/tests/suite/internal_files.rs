//! Internal files, such as those that hooks write, below a repository's namespace.

use block::{BlockStore as _, Location};
use bytes::Bytes;
use catalog::Error;
use catalog::testing::{TestCatalog, text};

#[tokio::test]
async fn internal_file_is_stored_below_the_namespace() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.internal_files()
        .put(&repository, "actions/log/r/h.log", "logged".into())
        .await
        .unwrap();
    let body = lake
        .reader()
        .get_internal(&repository, "actions/log/r/h.log")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(text(body).await, "logged");
    let at = Location::full("mem://lake/_lakefs/actions/log/r/h.log");
    assert!(lake.block.properties(&at).await.unwrap().is_some());
}

#[tokio::test]
async fn missing_internal_file_is_none() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let found = lake.reader().get_internal(&repository, "actions/none");
    assert!(found.await.unwrap().is_none());
}

#[tokio::test]
async fn internal_files_cannot_leave_their_folder() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    for key in ["../x", "a/../../x", "/x", "a//b", "", "a/./b", "a\\b"] {
        let read = lake.reader().get_internal(&repository, key).await;
        let error = read.err().unwrap();
        assert!(matches!(error, Error::InvalidValue(_)), "{key}: {error}");
        let files = lake.internal_files();
        let written = files.put(&repository, key, Bytes::new()).await;
        assert!(written.is_err(), "{key}");
    }
}
