//! Objects: uploads and their checks, listings, deletions, missing bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{ManualClock, SeededIds};
use block::{BlockStore as _, Location};
use bytes::Bytes;
use catalog::testing::{COMMITTER, START_UNIX_SECS, TestCatalog, creation, path_of, text};
use catalog::{
    AddressType, ByteStream, Catalog, Error, Kind, ListRequest, MAX_CONTENT_TYPE_BYTES, Object,
    ObjectTarget, Reader, Repository, UploadOptions, WriteOptions, from_bytes,
};
use futures::StreamExt as _;
use graveler::{Graveler, NoHooks, Options};
use kv::testing::{Faults, FaultyStore};

pub(super) fn to<'a>(repository: &'a Repository, path: &'a str) -> ObjectTarget<'a> {
    ObjectTarget {
        repository,
        branch: "main",
        path,
    }
}

/// A body that must not be read.
pub(super) fn untouched() -> ByteStream {
    Box::pin(futures::stream::once(async {
        panic!("the body was read before the request was checked")
    }))
}

pub(super) async fn stored(lake: &TestCatalog, object: &Object) -> bool {
    lake.block
        .properties(&Location::full(&object.physical_address))
        .await
        .unwrap()
        .is_some()
}

/// The first object of another installation. Ids are seeded, so it has the same address as the first object of each
/// test.
async fn first_object_of_a_twin() -> Object {
    let twin = TestCatalog::new();
    let repository = twin.repository("lake").await;
    let object = twin.put(&repository, "main", "x", "kept").await;
    assert!(stored(&twin, &object).await);
    object
}

pub(super) fn if_absent() -> UploadOptions {
    UploadOptions {
        if_absent: true,
        ..UploadOptions::default()
    }
}

/// Uploads `a/one.txt` with metadata.
async fn lake_with_an_object() -> (TestCatalog, Repository, Object) {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let options = UploadOptions {
        content_type: "text/csv".to_owned(),
        metadata: BTreeMap::from([("owner".to_owned(), "me".to_owned())]),
        expected_md5: Some("5BBF5A52328E7439AE6E719DFE712200".to_owned()),
        ..UploadOptions::default()
    };
    let object = lake
        .put_with(&repository, "main", "a/one.txt", "one\n", options)
        .await
        .unwrap();
    (lake, repository, object)
}

#[tokio::test]
async fn uploaded_object_is_described() {
    let (lake, repository, object) = lake_with_an_object().await;
    assert_eq!(object.entry.etag, "5bbf5a52328e7439ae6e719dfe712200");
    assert_eq!(object.entry.size_bytes, 4);
    assert_eq!(object.entry.content_type, "text/csv");
    assert_eq!(object.entry.address_type, AddressType::Relative);
    assert_eq!(object.entry.last_modified.unix_timestamp(), START_UNIX_SECS);
    assert_eq!(
        object.physical_address,
        format!("mem://lake/{}", object.entry.address)
    );
    let found = lake.reader().stat(&repository, "main", "a/one.txt").await;
    assert_eq!(found.unwrap(), object);
}

#[tokio::test]
async fn uploaded_object_is_read_whole_and_in_ranges() {
    let (lake, repository, object) = lake_with_an_object().await;
    assert_eq!(lake.read(&repository, "main", "a/one.txt").await, "one\n");
    assert_eq!(
        text(
            lake.reader()
                .open(&repository, &object, Some(1..3))
                .await
                .unwrap()
        )
        .await,
        "ne"
    );
    let outside = lake.reader().open(&repository, &object, Some(9..10)).await;
    let error = outside.err().unwrap();
    assert!(
        matches!(error, Error::RangeNotSatisfiable { size: 4 }),
        "{error}"
    );
}

#[tokio::test]
async fn upload_without_bytes_and_type_has_the_default_type() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let plain = lake.put(&repository, "main", "b", "").await;
    assert_eq!(plain.entry.content_type, "application/octet-stream");
    assert_eq!(lake.read(&repository, "main", "b").await, "");
}

#[tokio::test]
async fn addresses_share_a_folder_for_an_hour() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let mut folders = Vec::new();
    for (path, minutes) in [("a", 0), ("b", 59), ("c", 1), ("d", 1)] {
        lake.clock.advance(Duration::from_secs(60 * minutes));
        let address = lake.put(&repository, "main", path, "x").await.entry.address;
        let [data, folder, name] = address.split('/').collect::<Vec<_>>()[..] else {
            panic!("{address}")
        };
        assert_eq!((data, folder.len(), name.len()), ("data", 20, 20));
        folders.push(folder.to_owned());
    }
    assert_eq!(folders[0], folders[1]);
    assert_ne!(folders[1], folders[2]);
    assert_eq!(folders[2], folders[3]);
    assert!(
        folders[2] < folders[1],
        "a newer folder sorts before an older one"
    );
}

/// Uploads a body that must not be read, and returns the error.
async fn refused_upload(
    lake: &TestCatalog,
    target: ObjectTarget<'_>,
    options: UploadOptions,
) -> Error {
    let refused = lake.upload(target, untouched(), options).await;
    refused.unwrap_err()
}

#[tokio::test]
async fn upload_to_an_unknown_branch_is_refused_before_the_body_is_read() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let unknown = ObjectTarget {
        branch: "none",
        ..to(&repository, "x")
    };
    let error = refused_upload(&lake, unknown, UploadOptions::default()).await;
    assert!(
        matches!(&error, Error::NotFound { kind: Kind::Branch, id } if id == "none"),
        "{error}"
    );
}

#[tokio::test]
async fn conditional_upload_to_an_existing_path_is_refused_before_the_body_is_read() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "taken", "x").await;
    let error = refused_upload(&lake, to(&repository, "taken"), if_absent()).await;
    assert!(matches!(error, Error::PreconditionFailed), "{error}");
}

#[tokio::test]
async fn upload_to_an_invalid_path_is_refused_before_the_body_is_read() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let error = refused_upload(&lake, to(&repository, ""), UploadOptions::default()).await;
    assert!(matches!(error, Error::InvalidValue(_)), "{error}");
    let long = "x".repeat(1025);
    let error = refused_upload(&lake, to(&repository, &long), UploadOptions::default()).await;
    assert!(
        matches!(error, Error::PathTooLong { bytes: 1025 }),
        "{error}"
    );
    lake.put(&repository, "main", &"x".repeat(1024), "fits")
        .await;
}

/// Guards against a bug: clients failed on the header of an object with a content type of 120,000 bytes.
#[tokio::test]
async fn content_type_that_is_too_long_is_refused_before_the_body_is_read() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let of = |bytes: usize| UploadOptions {
        content_type: "t".repeat(bytes),
        ..UploadOptions::default()
    };
    let at = to(&repository, "x");
    let error = refused_upload(&lake, at, of(MAX_CONTENT_TYPE_BYTES + 1)).await;
    assert_eq!(
        error.to_string(),
        "content type has 1025 bytes; at most 1024 are allowed"
    );
    let long = of(MAX_CONTENT_TYPE_BYTES + 1);
    assert!(lake.create_multipart(at, &long).await.is_err());
    let source = (&repository, "main", "source");
    lake.put(&repository, "main", "source", "x").await;
    assert!(lake.copy(source, at, Some(long), false).await.is_err());
    lake.create_multipart(at, &of(MAX_CONTENT_TYPE_BYTES))
        .await
        .unwrap();
}

#[tokio::test]
async fn upload_to_a_read_only_repository_must_be_forced() {
    let lake = TestCatalog::new();
    let mut request = creation("frozen");
    request.read_only = true;
    let frozen = lake.create_repository(request).await.unwrap();
    let error = refused_upload(&lake, to(&frozen, "x"), UploadOptions::default()).await;
    assert!(matches!(error, Error::ReadOnly(_)), "{error}");
    let forced = UploadOptions {
        force: true,
        ..UploadOptions::default()
    };
    lake.put_with(&frozen, "main", "x", "forced", forced)
        .await
        .unwrap();
}

#[tokio::test]
async fn conditional_write_that_loses_the_race_leaves_no_bytes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    // Another client writes the path while the body arrives.
    let (racing, same) = (lake.clone(), repository.clone());
    let body = futures::stream::once(async move {
        racing.put(&same, "main", "x", "winner").await;
        Ok(Bytes::from_static(b"loser"))
    });
    let error = lake
        .upload(to(&repository, "x"), body.boxed(), if_absent())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed), "{error}");
    assert_eq!(lake.read(&repository, "main", "x").await, "winner");
    assert!(
        !stored(&lake, &first_object_of_a_twin().await).await,
        "the loser's bytes are deleted"
    );
}

#[tokio::test]
async fn broken_body_leaves_no_bytes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let broken = futures::stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(std::io::Error::other("cut")),
    ]);
    let error = lake
        .upload(
            to(&repository, "x"),
            broken.boxed(),
            UploadOptions::default(),
        )
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Body(_)), "{error}");
    assert_eq!(lake.paths(&repository, "main").await, "");
    assert!(!stored(&lake, &first_object_of_a_twin().await).await);
}

#[tokio::test]
async fn body_with_another_md5_leaves_no_bytes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let options = UploadOptions {
        expected_md5: Some("0".repeat(32)),
        ..UploadOptions::default()
    };
    let error = lake
        .put_with(&repository, "main", "x", "one", options)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Advised { problem, .. } if problem.contains("MD5")),
        "{error}"
    );
    assert_eq!(lake.paths(&repository, "main").await, "");
    assert!(!stored(&lake, &first_object_of_a_twin().await).await);
    let repeated = lake.put(&repository, "main", "x", "one").await;
    assert!(stored(&lake, &repeated).await);
}

#[tokio::test]
async fn listings_overlay_staged_on_committed_objects() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    for path in ["a/1", "a/2", "b/1", "c"] {
        lake.put(&repository, "main", path, path).await;
    }
    lake.commit(&repository, "main", "first").await;
    lake.put(&repository, "main", "b/2", "new").await;
    lake.delete_objects(
        &repository,
        "main",
        &["a/1".to_owned(), "a/2".to_owned()],
        WriteOptions::default(),
    )
    .await
    .unwrap();

    assert_eq!(lake.paths(&repository, "main").await, "b/1 b/2 c");
    assert_eq!(lake.paths(&repository, "main@").await, "a/1 a/2 b/1 c");

    let mut request = ListRequest {
        prefix: String::new(),
        after: String::new(),
        delimiter: "/".to_owned(),
        limit: 1,
    };
    let page = lake
        .reader()
        .list_objects(&repository, "main", &request)
        .await
        .unwrap();
    assert_eq!(
        (
            path_of(&page.results[0]).as_str(),
            page.has_more,
            page.next_offset.as_str()
        ),
        ("b/", true, "b/")
    );
    request.after = page.next_offset;
    let page = lake
        .reader()
        .list_objects(&repository, "main", &request)
        .await
        .unwrap();
    assert_eq!(
        (
            path_of(&page.results[0]).as_str(),
            page.has_more,
            page.next_offset.as_str()
        ),
        ("c", false, "")
    );
}

#[tokio::test]
async fn deleting_missing_paths_is_no_error() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "x").await;
    let paths = ["a", "none", "", &"x".repeat(2000)].map(str::to_owned);
    lake.delete_objects(&repository, "main", &paths, WriteOptions::default())
        .await
        .unwrap();
    assert_eq!(lake.paths(&repository, "main").await, "");
    let error = lake
        .reader()
        .stat(&repository, "main", "a")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::ObjectNotFound(path) if path == "a"),
        "{error}"
    );
}

#[tokio::test]
async fn deleting_from_an_unknown_branch_is_refused() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let error = lake
        .delete_objects(&repository, "none", &[], WriteOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFound {
                kind: Kind::Branch,
                ..
            }
        ),
        "{error}"
    );
}

/// A repository whose object `a` has lost its bytes.
async fn lake_with_missing_bytes() -> (TestCatalog, Repository) {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let object = lake.put(&repository, "main", "a", "x").await;
    lake.block
        .delete(&Location::full(&object.physical_address))
        .await
        .unwrap();
    (lake, repository)
}

#[tokio::test]
async fn reading_missing_bytes_differs_from_reading_a_missing_object() {
    let (lake, repository) = lake_with_missing_bytes().await;
    let found = lake.reader().stat(&repository, "main", "a").await.unwrap();
    let error = lake
        .reader()
        .open(&repository, &found, None)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, Error::DataGone(path) if path == "a"),
        "{error}"
    );
}

#[tokio::test]
async fn copying_missing_bytes_differs_from_copying_a_missing_object() {
    let (lake, repository) = lake_with_missing_bytes().await;
    let from = (&repository, "main", "a");
    let copied = lake.copy(from, to(&repository, "b"), None, false).await;
    assert!(matches!(copied, Err(Error::DataGone(_))));
}

#[tokio::test]
async fn commit_has_the_given_committer() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.upload(
        to(&repository, "a"),
        from_bytes("x".into()),
        UploadOptions::default(),
    )
    .await
    .unwrap();
    assert_eq!(
        lake.commit(&repository, "main", "first").await.committer,
        COMMITTER
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_conditional_writers_wins() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let writers = (0..16).map(|n| {
        let (lake, repository) = (lake.clone(), repository.clone());
        tokio::spawn(async move {
            let body = format!("writer {n}");
            let put = lake.put_with(&repository, "main", "x", &body, if_absent());
            match put.await {
                Ok(object) => Some((body, object)),
                Err(Error::PreconditionFailed) => None,
                Err(error) => panic!("{error}"),
            }
        })
    });
    let mut winners = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        winners.extend(writer.await.unwrap());
    }
    let [(body, object)] = &winners[..] else {
        panic!("{} writers won", winners.len())
    };
    assert_eq!(
        lake.reader().stat(&repository, "main", "x").await.unwrap(),
        *object
    );
    assert_eq!(lake.read(&repository, "main", "x").await, *body);
}

/// After a write with a lost acknowledgement, the upload must not delete its bytes.
#[tokio::test]
async fn entries_have_their_bytes_despite_record_store_failures() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let faults = Faults {
        read: 20,
        before_write: 40,
        after_write: 80,
        yields: 0,
    };
    let records = Arc::new(FaultyStore::new(
        Arc::<kv::MemoryStore>::clone(&lake.kv),
        7,
        faults,
    ));
    let (block, clock, ids) = (
        Arc::clone(&lake.block),
        Arc::clone(&lake.clock),
        Arc::clone(&lake.ids),
    );
    let graveler = Graveler::new(
        Arc::<FaultyStore>::clone(&records),
        Arc::<block::MemoryStore>::clone(&block),
        Arc::<ManualClock>::clone(&clock),
        Arc::<SeededIds>::clone(&ids),
        Options::default(),
    );
    let faulty = Catalog::new(
        Reader::new(graveler, block),
        records,
        Arc::new(NoHooks),
        clock,
        ids,
    );

    let (mut acknowledged, mut failed) = (0, 0);
    for n in 0..200 {
        let path = format!("p{}", n % 50);
        let options = UploadOptions {
            if_absent: n % 2 == 0,
            ..UploadOptions::default()
        };
        match faulty
            .upload(
                to(&repository, &path),
                from_bytes(path.clone().into()),
                options,
            )
            .await
        {
            Ok(object) => {
                acknowledged += 1;
                assert_eq!(
                    lake.reader()
                        .stat(&repository, "main", &path)
                        .await
                        .unwrap(),
                    object
                );
            }
            Err(Error::PreconditionFailed) => {}
            Err(_) => failed += 1,
        }
    }
    assert!(
        acknowledged > 20 && failed > 20,
        "{acknowledged} acknowledged, {failed} failed"
    );
    for path in lake.paths(&repository, "main").await.split(' ') {
        assert_eq!(lake.read(&repository, "main", path).await, path);
    }
}
