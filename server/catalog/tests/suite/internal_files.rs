//! Internal files, such as those that hooks write, below a repository's namespace.

use block::{BlockStore as _, Location};
use bytes::Bytes;
use catalog::Error;
use catalog::testing::{TestCatalog, text};

#[tokio::test]
async fn internal_files_stay_in_their_folder() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.internal_files()
        .put(&repository, "actions/log/r/h.log", "said".into())
        .await
        .unwrap();
    let body = lake
        .reader()
        .get_internal(&repository, "actions/log/r/h.log")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(text(body).await, "said");
    let at = Location::full("mem://lake/_lakefs/actions/log/r/h.log");
    assert!(lake.block.properties(&at).await.unwrap().is_some());
    assert!(
        lake.reader()
            .get_internal(&repository, "actions/none")
            .await
            .unwrap()
            .is_none()
    );
    for key in ["../x", "a/../../x", "/x", "a//b", "", "a/./b", "a\\b"] {
        let error = lake
            .reader()
            .get_internal(&repository, key)
            .await
            .err()
            .unwrap();
        assert!(matches!(error, Error::InvalidValue(_)), "{key}: {error}");
        assert!(
            lake.internal_files()
                .put(&repository, key, Bytes::new())
                .await
                .is_err(),
            "{key}"
        );
    }
}
