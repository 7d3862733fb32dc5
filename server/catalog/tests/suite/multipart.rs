//! Multipart uploads: parts, completion, abort, listing, and failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::testing::SeededFaults;
use catalog::testing::TestCatalog;
use catalog::{
    CompletedPart, Error, Kind, MultipartUpload, ObjectTarget, PartInfo, Repository, UploadOptions,
    from_bytes,
};

fn to<'a>(repository: &'a Repository, path: &'a str) -> ObjectTarget<'a> {
    ObjectTarget {
        repository,
        branch: "main",
        path,
    }
}

async fn begin(lake: &TestCatalog, to: ObjectTarget<'_>) -> MultipartUpload {
    lake.create_multipart(to, &UploadOptions::default())
        .await
        .unwrap()
}

async fn part(
    lake: &TestCatalog,
    to: ObjectTarget<'_>,
    id: &str,
    number: u32,
    body: &'static str,
) -> CompletedPart {
    let PartInfo { number, etag, .. } = lake
        .put_part(to, id, number, from_bytes(body.into()))
        .await
        .unwrap();
    CompletedPart { number, etag }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the calls read as statements"
)]
fn unknown<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::NoSuchUpload(_))), "{result:?}");
}

#[tokio::test]
async fn upload_is_found_by_its_id() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let to = to(&repository, "big");
    let upload = begin(&lake, to).await;
    assert_eq!(upload.path, "main/big");
    assert_eq!(lake.multipart(to, &upload.upload_id).await.unwrap(), upload);
}

#[tokio::test]
async fn object_is_not_visible_before_the_completion() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let to = to(&repository, "big");
    let id = begin(&lake, to).await.upload_id;
    part(&lake, to, &id, 1, "one ").await;
    part(&lake, to, &id, 3, "three").await;
    assert_eq!(lake.list_parts(to, &id).await.unwrap().len(), 2);
    assert_eq!(lake.paths(&repository, "main").await, "");
}

#[tokio::test]
async fn parts_become_an_object() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let to = to(&repository, "big");
    let options = UploadOptions {
        content_type: "x/mp".to_owned(),
        metadata: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        ..UploadOptions::default()
    };
    let upload = lake.create_multipart(to, &options).await.unwrap();
    let id = &upload.upload_id;
    let parts = [
        part(&lake, to, id, 1, "one ").await,
        part(&lake, to, id, 3, "three").await,
    ];
    let object = lake
        .complete_multipart(to, id, &parts, false)
        .await
        .unwrap();
    assert_eq!(object.physical_address, upload.physical_address);
    assert_eq!(
        (object.entry.size_bytes, object.entry.content_type.as_str()),
        (9, "x/mp")
    );
    assert_eq!(object.entry.metadata["a"], "b");
    assert!(object.entry.etag.ends_with("-2"), "{}", object.entry.etag);
    assert_eq!(lake.read(&repository, "main", "big").await, "one three");
}

#[tokio::test]
async fn completed_upload_is_not_found() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let to = to(&repository, "big");
    let id = &begin(&lake, to).await.upload_id;
    let parts = [
        part(&lake, to, id, 1, "one ").await,
        part(&lake, to, id, 3, "three").await,
    ];
    lake.complete_multipart(to, id, &parts, false)
        .await
        .unwrap();
    unknown(lake.complete_multipart(to, id, &parts[..1], false).await);
    unknown(lake.put_part(to, id, 1, from_bytes("x".into())).await);
    unknown(lake.list_parts(to, id).await);
    unknown(lake.abort_multipart(to, id).await);
    let listed = lake.list_multiparts(&repository, "", ("", ""), 9).await;
    assert!(listed.unwrap().results.is_empty());
}

#[tokio::test]
async fn aborted_upload_is_not_found() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let to = to(&repository, "big");
    let id = begin(&lake, to).await.upload_id;
    part(&lake, to, &id, 1, "x").await;
    lake.abort_multipart(to, &id).await.unwrap();
    unknown(lake.abort_multipart(to, &id).await);
    unknown(lake.multipart(to, &id).await);
    unknown(lake.multipart(to, "").await);
}

#[tokio::test]
async fn upload_belongs_to_one_path_of_one_repository() {
    let lake = TestCatalog::new();
    let (repository, other) = (
        lake.repository("lake").await,
        lake.repository("other").await,
    );
    lake.create_branch(&repository, "dev", "main", false, false, "tester")
        .await
        .unwrap();
    let id = begin(&lake, to(&repository, "big")).await.upload_id;
    for wrong in [
        to(&repository, "other"),
        to(&other, "big"),
        ObjectTarget {
            branch: "dev",
            ..to(&repository, "big")
        },
    ] {
        unknown(lake.multipart(wrong, &id).await);
        unknown(lake.put_part(wrong, &id, 1, from_bytes("x".into())).await);
        unknown(lake.abort_multipart(wrong, &id).await);
    }
    lake.multipart(to(&repository, "big"), &id).await.unwrap();
}

#[tokio::test]
async fn invalid_completion_leaves_the_upload_unchanged() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let to = to(&repository, "big");
    let id = begin(&lake, to).await.upload_id;
    let one = part(&lake, to, &id, 1, "one").await;
    let two = part(&lake, to, &id, 2, "two").await;
    let complete = async |parts: &[CompletedPart], if_absent| {
        lake.complete_multipart(to, &id, parts, if_absent).await
    };

    assert!(matches!(
        complete(&[], false).await,
        Err(Error::InvalidValue(_))
    ));
    assert!(matches!(
        complete(&[two.clone(), one.clone()], false).await,
        Err(Error::InvalidValue(_))
    ));
    assert!(matches!(
        complete(&[one.clone(), one.clone()], false).await,
        Err(Error::InvalidValue(_))
    ));
    let forged = CompletedPart {
        number: 2,
        etag: "0".repeat(32),
    };
    assert!(matches!(
        complete(&[one.clone(), forged], false).await,
        Err(Error::InvalidPart(_))
    ));
    lake.put(&repository, "main", "big", "first").await;
    assert!(matches!(
        complete(&[one.clone(), two.clone()], true).await,
        Err(Error::PreconditionFailed)
    ));

    complete(&[one, two], false).await.unwrap();
    assert_eq!(lake.read(&repository, "main", "big").await, "onetwo");
}

#[tokio::test]
async fn part_numbers_and_branches_are_checked() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let to = to(&repository, "big");
    let id = begin(&lake, to).await.upload_id;
    for number in [0, 10_001] {
        let error = lake
            .put_part(to, &id, number, from_bytes("x".into()))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::InvalidValue(_)), "{error}");
    }
    let error = lake
        .create_multipart(
            ObjectTarget {
                branch: "none",
                ..to
            },
            &UploadOptions::default(),
        )
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

#[tokio::test]
async fn part_can_copy_a_range_of_an_object() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "src", "0123456789").await;
    let (to, from) = (to(&repository, "big"), (&repository, "main", "src"));
    let id = begin(&lake, to).await.upload_id;
    let copy = async |number, range| lake.put_part_copy(to, &id, number, from, range).await;
    let first = copy(1, Some(2..5)).await.unwrap();
    let second = copy(2, None).await.unwrap();
    assert_eq!((first.size_bytes, second.size_bytes), (3, 10));
    for range in [5..5, 8..11, 20..30] {
        assert!(matches!(
            copy(3, Some(range)).await,
            Err(Error::RangeNotSatisfiable { size: 10 })
        ));
    }
    let none = lake
        .put_part_copy(to, &id, 3, (&repository, "main", "none"), None)
        .await;
    assert!(matches!(none, Err(Error::ObjectNotFound(_))));
    let parts = [first, second].map(|part| CompletedPart {
        number: part.number,
        etag: part.etag,
    });
    lake.complete_multipart(to, &id, &parts, false)
        .await
        .unwrap();
    assert_eq!(lake.read(&repository, "main", "big").await, "2340123456789");
}

/// Open uploads in order: `a`, two of `b`, `b/c`. Another repository has one too.
async fn lake_with_uploads() -> (TestCatalog, Repository, Vec<String>) {
    let lake = TestCatalog::new();
    let (repository, other) = (
        lake.repository("lake").await,
        lake.repository("other").await,
    );
    let mut twins = [
        begin(&lake, to(&repository, "b")).await.upload_id,
        begin(&lake, to(&repository, "b")).await.upload_id,
    ];
    twins.sort();
    let [first, second] = twins;
    let a = begin(&lake, to(&repository, "a")).await.upload_id;
    let c = begin(&lake, to(&repository, "b/c")).await.upload_id;
    begin(&lake, to(&other, "x")).await;
    (lake, repository, vec![a, first, second, c])
}

/// Lists uploads. Returns their ids, whether more follow, and the next offset.
async fn list_uploads(
    lake: &TestCatalog,
    repository: &Repository,
    prefix: &str,
    after: (&str, &str),
    limit: usize,
) -> (Vec<String>, bool, String) {
    let page = lake
        .list_multiparts(repository, prefix, after, limit)
        .await
        .unwrap();
    let ids = page.results.into_iter().map(|upload| upload.upload_id);
    (ids.collect(), page.has_more, page.next_offset)
}

#[tokio::test]
async fn open_uploads_are_listed_by_path_then_id() {
    let (lake, repository, all) = lake_with_uploads().await;
    let list = async |after, limit| list_uploads(&lake, &repository, "", after, limit).await;
    assert_eq!(list(("", ""), 9).await, (all.clone(), false, String::new()));
    assert_eq!(list(("", ""), 4).await.0, all);
    assert_eq!(
        list(("", ""), 2).await,
        (all[..2].to_vec(), true, "main/b".to_owned())
    );
    assert_eq!(list(("main/b", &all[1]), 9).await.0, all[2..]);
    assert_eq!(list(("main/b", ""), 9).await.0, all[3..]);
    assert_eq!(list(("", ""), 0).await, (Vec::new(), false, String::new()));
}

#[tokio::test]
async fn open_uploads_are_filtered_by_prefix() {
    let (lake, repository, all) = lake_with_uploads().await;
    let list =
        async |prefix, after, limit| list_uploads(&lake, &repository, prefix, after, limit).await;
    assert_eq!(list("main/b", ("", ""), 9).await.0, all[1..]);
    assert_eq!(
        list("main/b", ("main/a", &all[0]), 1).await,
        (all[1..2].to_vec(), true, "main/b".to_owned())
    );
    assert_eq!(list("dev/", ("", ""), 9).await.0, [""; 0]);
}

/// A lakeFS server that completes an upload does not update the index.
#[tokio::test]
async fn uploads_without_a_record_are_not_listed() {
    let (lake, repository, all) = lake_with_uploads().await;
    kv::Store::delete(lake.kv.as_ref(), b"multiparts", all[0].as_bytes())
        .await
        .unwrap();
    let (listed, ..) = list_uploads(&lake, &repository, "", ("", ""), 2).await;
    assert_eq!(listed, all[1..3]);
    unknown(lake.multipart(to(&repository, "a"), &all[0]).await);
}

/// Guards against a bug: a part whose source was damaged or could not be read had the error of a client's broken body.
#[tokio::test]
async fn part_is_not_copied_from_bytes_that_cannot_be_read() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let source = lake.put(&repository, "main", "src", "0123456789").await;
    let (to, from) = (to(&repository, "big"), (&repository, "main", "src"));
    let id = begin(&lake, to).await.upload_id;
    let faults = block::testing::Faults {
        body: 255,
        ..block::testing::Faults::default()
    };
    let bytes: Arc<dyn block::BlockStore> = Arc::new(block::testing::FaultyStore::with_schedule(
        Arc::<block::MemoryStore>::clone(&lake.block),
        faults,
        Arc::new(SeededFaults::new(1, 0)),
    ));
    let failing = lake.over_blocks(&bytes);
    let copied = failing.put_part_copy(to, &id, 1, from, None).await;
    assert!(matches!(copied, Err(Error::Storage { .. })), "{copied:?}");

    lake.replace_bytes(&source, b"0123").await;
    for range in [None, Some(0..2), Some(5..10)] {
        let copied = lake.put_part_copy(to, &id, 1, from, range).await;
        assert!(matches!(copied, Err(Error::WrongSize(_))), "{copied:?}");
    }
    assert!(lake.list_parts(to, &id).await.unwrap().is_empty());
}
