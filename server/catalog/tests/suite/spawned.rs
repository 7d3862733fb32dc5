//! Checks that the futures of the catalog can be spawned on the server's threads.

use catalog::testing::{TestCatalog, commit_params, creation, merge_params};
use catalog::{DiffQuery, ListRequest, LogQuery, MetaRangeId, UploadOptions, WriteOptions};

use super::objects::{to, untouched};

/// Compiles only for futures that a server can spawn.
fn spawnable<T: Send>(_: T) {}

#[tokio::test]
async fn writes_can_be_spawned() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let (from, into) = ((&repository, "main", "a"), to(&repository, "b"));
    spawnable(lake.create_repository(creation("other")));
    spawnable(lake.add_sample_data(&repository, "tester"));
    spawnable(lake.upload(into, untouched(), UploadOptions::default()));
    spawnable(lake.copy(from, into, None, false));
    spawnable(lake.delete_objects(&repository, "main", &[], WriteOptions::default()));
    spawnable(lake.create_branch(&repository, "dev", "main", false, false, "tester"));
    spawnable(lake.create_tag(&repository, "v1", "main", false, "tester"));
    spawnable(lake.commit_branch(&repository, "main", commit_params("first")));
    spawnable(lake.merge(&repository, "dev", "main", merge_params()));
    spawnable(lake.create_multipart(into, &UploadOptions::default()));
    spawnable(lake.put_part_copy(into, "id", 1, from, None));
    spawnable(lake.complete_multipart(into, "id", &[], false));
}

#[tokio::test]
async fn reads_can_be_spawned() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a/b", "x").await;
    let commit = lake.commit(&repository, "main", "first").await;
    let request = ListRequest {
        prefix: String::new(),
        after: String::new(),
        delimiter: "/".to_owned(),
        limit: 9,
    };
    let diffs = DiffQuery {
        prefix: String::new(),
        after: String::new(),
        delimiter: String::new(),
        limit: 9,
    };
    let log = LogQuery {
        amount: 9,
        prefixes: vec!["a/".to_owned()],
        ..LogQuery::default()
    };
    let counts = tokio::spawn(async move {
        let snapshot = lake.reader().snapshot(&repository, &commit.meta_range_id);
        let empty = lake
            .reader()
            .snapshot(&repository, &MetaRangeId::trusted(""));
        [
            lake.reader()
                .list_objects(&repository, "main", &request)
                .await
                .unwrap()
                .results
                .len(),
            lake.reader()
                .diff_uncommitted(&repository, "main", &diffs)
                .await
                .unwrap()
                .results
                .len(),
            lake.reader()
                .diff_refs(&repository, "main~1", "main", false, &diffs)
                .await
                .unwrap()
                .results
                .len(),
            lake.reader()
                .log(&repository, "main", &log)
                .await
                .unwrap()
                .results
                .len(),
            snapshot.walk("", "", 9).await.unwrap().results.len(),
            empty
                .diff(&snapshot, "", "", 9)
                .await
                .unwrap()
                .results
                .len(),
            lake.list_multiparts(&repository, "", ("", ""), 9)
                .await
                .unwrap()
                .results
                .len(),
        ]
    });
    assert_eq!(counts.await.unwrap(), [1, 0, 1, 1, 1, 1, 0]);
}
