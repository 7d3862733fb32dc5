//! Branch protection: which writes it refuses.

use catalog::testing::{TestCatalog, commit_params, merge_params};
use catalog::{Error, ObjectTarget, Repository, Result, UploadOptions, WriteOptions, from_bytes};

fn assert_protected<T: std::fmt::Debug>(outcome: &Result<T>, what: &str) {
    assert!(
        matches!(outcome, Err(Error::Protected { .. })),
        "{what}: {outcome:?}"
    );
}

fn at<'a>(repository: &'a Repository, path: &'a str) -> ObjectTarget<'a> {
    ObjectTarget {
        repository,
        branch: "main",
        path,
    }
}

async fn protect(lake: &TestCatalog, repository: &Repository, patterns: &[&str]) {
    let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
    lake.set_branch_protection(repository, &patterns, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn protected_branch_refuses_every_kind_of_write() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    lake.commit(&repository, "main", "first").await;
    lake.create_branch(&repository, "dev", "main", false, false, "me")
        .await
        .unwrap();
    let options = UploadOptions::default();
    let upload = lake
        .create_multipart(at(&repository, "big"), &options)
        .await
        .unwrap();
    let part = lake
        .put_part(
            at(&repository, "big"),
            &upload.upload_id,
            1,
            from_bytes("part".into()),
        )
        .await
        .unwrap();
    protect(&lake, &repository, &["main"]).await;

    // The upload is refused before its body is read.
    let body = Box::pin(futures::stream::poll_fn(|_| panic!("the body is read")));
    let to = at(&repository, "b");
    assert_protected(&lake.upload(to, body, options.clone()).await, "upload");
    let from = (&repository, "dev", "a");
    assert_protected(&lake.copy(from, to, None, false).await, "copy");
    assert_protected(
        &lake.copy_by_reference(from, to, None, false).await,
        "copy by reference",
    );
    let paths = ["a".to_owned()];
    assert_protected(
        &lake
            .delete_objects(&repository, "main", &paths, WriteOptions::default())
            .await,
        "delete",
    );
    assert_protected(
        &lake.create_multipart(to, &options).await,
        "create a multipart upload",
    );
    let parts = [catalog::CompletedPart {
        number: 1,
        etag: part.etag,
    }];
    assert_protected(
        &lake
            .complete_multipart(at(&repository, "big"), &upload.upload_id, &parts, false)
            .await,
        "complete a multipart upload",
    );
    assert_protected(
        &lake
            .commit_branch(&repository, "main", commit_params("x"))
            .await,
        "commit",
    );
    assert_eq!(lake.paths(&repository, "main").await, "a");

    // Merges are allowed.
    lake.put(&repository, "dev", "b", "2").await;
    lake.commit(&repository, "dev", "second").await;
    lake.merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    assert_eq!(lake.paths(&repository, "main").await, "a b");

    // Earlier parts are not lost: the upload can be completed once the rule is removed.
    protect(&lake, &repository, &[]).await;
    lake.complete_multipart(at(&repository, "big"), &upload.upload_id, &parts, false)
        .await
        .unwrap();
    assert_eq!(lake.paths(&repository, "main").await, "a b big");
}
