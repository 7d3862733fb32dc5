//! Pages of large entries are limited in bytes. A client that follows the pages sees each entry once, in order.

use std::collections::BTreeMap;

use catalog::testing::{TestCatalog, commit_params, path_of};
use catalog::{
    DiffQuery, ListRequest, LogQuery, MAX_COMMIT_METADATA_BYTES, MAX_PAGE_BYTES,
    MAX_PULL_DESCRIPTION_BYTES, MAX_USER_METADATA_BYTES, NewPullRequest, PullFilter, Repository,
    UploadOptions,
};

fn metadata(bytes: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("k".to_owned(), "v".repeat(bytes - 1))])
}

fn size_of(metadata: &BTreeMap<String, String>) -> usize {
    metadata.iter().map(|(k, v)| k.len() + v.len()).sum()
}

/// Checks that a page ended because of its size. Its `entries` entries have `bytes` bytes in total; `largest` is the
/// maximum size of an entry.
#[track_caller]
fn check_full(entries: usize, bytes: usize, largest: usize) {
    assert!(entries > 0 && bytes <= MAX_PAGE_BYTES, "{bytes} bytes");
    assert!(
        bytes + 3 * largest > MAX_PAGE_BYTES,
        "the page ends too early: {bytes} bytes"
    );
}

#[tokio::test]
async fn log_pages_are_limited_in_bytes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let mut expected = vec!["Repository created".to_owned()];
    for n in 0..10 {
        lake.clock.advance(std::time::Duration::from_secs(1));
        lake.put(&repository, "main", "a", &n.to_string()).await;
        let mut params = commit_params(&n.to_string());
        params.metadata = metadata(MAX_COMMIT_METADATA_BYTES);
        lake.commit_branch(&repository, "main", params)
            .await
            .unwrap();
        expected.insert(0, n.to_string());
    }
    let mut query = LogQuery {
        amount: 1000,
        ..LogQuery::default()
    };
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = lake
            .reader()
            .log(&repository, "main", &query)
            .await
            .unwrap();
        let bytes = page.results.iter().map(|c| size_of(&c.metadata)).sum();
        found.extend(page.results.iter().map(|c| c.message.clone()));
        pages += 1;
        if !page.has_more {
            break;
        }
        check_full(page.results.len(), bytes, MAX_COMMIT_METADATA_BYTES);
        query.after = page.next_offset;
    }
    assert_eq!(found, expected);
    assert_eq!(pages, 4, "three commits of a megabyte per page");
}

/// Writes more objects than fit in a page, each with the maximum metadata.
async fn large_objects(lake: &TestCatalog, repository: &Repository, branch: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for n in 0..150 {
        let path = format!("a/{n:03}");
        let options = UploadOptions {
            metadata: metadata(MAX_USER_METADATA_BYTES),
            ..UploadOptions::default()
        };
        lake.put_with(repository, branch, &path, "x", options)
            .await
            .unwrap();
        paths.push(path);
    }
    paths
}

fn list_request(prefix: &str) -> ListRequest {
    ListRequest {
        prefix: prefix.to_owned(),
        after: String::new(),
        delimiter: "/".to_owned(),
        limit: 1000,
    }
}

#[tokio::test]
async fn listing_pages_are_limited_in_bytes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let expected = large_objects(&lake, &repository, "main").await;
    let mut request = list_request("a/");
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = lake
            .reader()
            .list_objects(&repository, "main", &request)
            .await
            .unwrap();
        found.extend(page.results.iter().map(path_of));
        pages += 1;
        if !page.has_more {
            break;
        }
        let bytes = page.results.len() * MAX_USER_METADATA_BYTES;
        check_full(page.results.len(), bytes, MAX_USER_METADATA_BYTES);
        request.after = page.next_offset;
    }
    assert_eq!(found, expected);
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn diff_pages_are_limited_in_bytes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let expected = large_objects(&lake, &repository, "main").await;
    let mut query = DiffQuery {
        prefix: String::new(),
        after: String::new(),
        delimiter: String::new(),
        limit: 1000,
    };
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = lake
            .reader()
            .diff_uncommitted(&repository, "main", &query)
            .await
            .unwrap();
        found.extend(page.results.iter().map(|d| d.path.clone()));
        pages += 1;
        if !page.has_more {
            break;
        }
        query.after = page.next_offset;
    }
    assert_eq!(found, expected);
    assert_eq!(pages, 3);
}

/// Folded into a common prefix, all objects are one small row.
#[tokio::test]
async fn folded_objects_count_as_one_row() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    large_objects(&lake, &repository, "main").await;
    let page = lake
        .reader()
        .list_objects(&repository, "main", &list_request(""))
        .await
        .unwrap();
    assert_eq!((page.results.len(), page.has_more), (1, false));
}

#[tokio::test]
async fn pull_request_pages_are_limited_in_bytes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.create_branch(&repository, "dev", "main", false, false, "tester")
        .await
        .unwrap();
    let mut expected = Vec::new();
    for n in 0..200 {
        lake.clock.advance(std::time::Duration::from_secs(1));
        let new = NewPullRequest {
            title: n.to_string(),
            description: "d".repeat(MAX_PULL_DESCRIPTION_BYTES),
            author: "tester".to_owned(),
            source_branch: "dev".to_owned(),
            destination_branch: "main".to_owned(),
        };
        lake.create_pull_request(&repository, new).await.unwrap();
        expected.insert(0, n.to_string());
    }
    let (mut found, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page = lake
            .list_pull_requests(&repository, PullFilter::All, "", &after, 1000)
            .await
            .unwrap();
        let bytes = page.results.iter().map(|p| p.description.len()).sum();
        found.extend(page.results.iter().map(|p| p.title.clone()));
        pages += 1;
        if !page.has_more {
            break;
        }
        check_full(page.results.len(), bytes, MAX_PULL_DESCRIPTION_BYTES);
        after = page.next_offset;
    }
    assert_eq!(found, expected);
    assert_eq!(pages, 2);
}

/// Guards against a bug: a page of uploads in progress was limited in number only, and could have 64 MiB of metadata.
#[tokio::test]
async fn pages_of_uploads_are_limited_in_bytes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let mut expected = Vec::new();
    for n in 0..150 {
        let path = format!("a/{n:03}");
        let to = catalog::ObjectTarget {
            repository: &repository,
            branch: "main",
            path: &path,
        };
        let options = UploadOptions {
            metadata: metadata(MAX_USER_METADATA_BYTES),
            ..UploadOptions::default()
        };
        lake.create_multipart(to, &options).await.unwrap();
        expected.push(format!("main/{path}"));
    }
    let (mut found, mut after, mut pages) = (Vec::new(), (String::new(), String::new()), 0);
    loop {
        let page = lake
            .list_multiparts(&repository, "", (&after.0, &after.1), 1000)
            .await
            .unwrap();
        found.extend(page.results.iter().map(|upload| upload.path.clone()));
        pages += 1;
        if !page.has_more {
            break;
        }
        let bytes = page.results.iter().map(|u| size_of(&u.metadata)).sum();
        check_full(page.results.len(), bytes, MAX_USER_METADATA_BYTES);
        let last = page.results.last().unwrap();
        assert_eq!(page.next_offset, last.path);
        after = (last.path.clone(), last.upload_id.clone());
    }
    assert_eq!((found, pages), (expected, 3));
}
