//! Creating repositories: checks, their order, what a refused request leaves behind, and sample data.

use block::{BlockStore as _, Location};
use catalog::testing::{TestCatalog, creation};
use catalog::{BranchId, Error, Kind, NamespaceProblem, RepositoryId};

async fn marked(lake: &TestCatalog, namespace: &str) -> bool {
    lake.block
        .properties(&Location::below(namespace, "_lakefs/dummy"))
        .await
        .unwrap()
        .is_some()
}

#[tokio::test]
async fn new_repository_has_a_first_commit_and_a_marked_namespace() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    assert_eq!(
        lake.catalog.reader().repository("lake").await.unwrap(),
        repository
    );
    let commit = lake
        .catalog
        .reader()
        .commit(&repository, "main")
        .await
        .unwrap();
    assert_eq!(commit.message, "Repository created");
    assert!(marked(&lake, "mem://lake").await);
    assert_eq!(lake.paths(&repository, "main").await, "");
}

#[tokio::test]
async fn taken_name_is_refused_before_the_namespace_is_checked() {
    let lake = TestCatalog::new();
    lake.repository("lake").await;
    let mut request = creation("lake");
    request.storage_namespace = "s3://elsewhere".to_owned();
    let error = lake.create_repository(request).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotUnique {
                kind: Kind::Repository,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn namespace_serves_one_repository() {
    let lake = TestCatalog::new();
    lake.repository("lake").await;
    let mut request = creation("other");
    request.storage_namespace = "mem://lake/".to_owned();
    let error = lake.create_repository(request.clone()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Namespace(NamespaceProblem::InUse { key, .. }) if key == "_lakefs/dummy"),
        "{error}"
    );

    // The deletion of the repository does not free the namespace, because the bytes stay.
    lake.delete_repository("lake", false).await.unwrap();
    assert!(matches!(
        lake.create_repository(request.clone()).await,
        Err(Error::Namespace(_))
    ));

    // A bare repository may use it, because a restore needs the bytes.
    request.bare = true;
    lake.create_repository(request).await.unwrap();
}

/// Garbage collection of the outer repository would delete the objects of the inner one.
#[tokio::test]
async fn nested_namespaces_are_refused() {
    let lake = TestCatalog::new();
    let mut request = creation("lake");
    request.storage_namespace = "mem://data/lake".to_owned();
    lake.create_repository(request).await.unwrap();
    for (namespace, bare) in [
        ("mem://data/lake/inner", false),
        ("mem://data/lake/data/", false),
        ("mem://data", false),
        ("mem://data/lake/inner", true),
    ] {
        let mut request = creation("other");
        request.storage_namespace = namespace.to_owned();
        request.bare = bare;
        let error = lake.create_repository(request).await.unwrap_err();
        assert!(
            matches!(&error, Error::Namespace(NamespaceProblem::Overlaps { repository, .. }) if repository == "lake"),
            "{namespace}: {error}"
        );
        assert!(
            !marked(&lake, namespace).await,
            "the namespace is refused before it is marked"
        );
    }
    for (name, namespace) in [("beside", "mem://data/lake2"), ("other", "mem://data2")] {
        let mut request = creation(name);
        request.storage_namespace = namespace.to_owned();
        lake.create_repository(request).await.unwrap();
    }
}

/// The marker was deleted, but the repository exists.
#[tokio::test]
async fn namespace_of_a_repository_without_marker_is_in_use() {
    let lake = TestCatalog::new();
    lake.repository("lake").await;
    lake.block
        .delete(&Location::full("mem://lake/_lakefs/dummy"))
        .await
        .unwrap();
    let mut request = creation("other");
    request.storage_namespace = "mem://lake".to_owned();
    let error = lake.create_repository(request).await.unwrap_err();
    assert!(matches!(error, Error::Namespace(_)), "{error}");
}

#[tokio::test]
async fn metadata_of_a_read_only_repository_is_read_only() {
    let lake = TestCatalog::new();
    let mut request = creation("frozen");
    request.read_only = true;
    let frozen = lake.create_repository(request).await.unwrap();
    let set = [("k".to_owned(), "v".to_owned())];
    for refused in [
        lake.set_repository_metadata(&frozen, set.into()).await,
        lake.delete_repository_metadata(&frozen, &["k".to_owned()])
            .await,
    ] {
        assert!(matches!(refused, Err(Error::ReadOnly(_))));
    }
    let metadata = lake.repository_metadata(&frozen).await.unwrap();
    assert!(metadata.is_empty());
}

/// A bare repository has no branches until it is restored.
#[tokio::test]
async fn bare_repository_has_no_branch_to_write_to() {
    let lake = TestCatalog::new();
    let mut request = creation("bare");
    request.bare = true;
    let bare = lake.create_repository(request).await.unwrap();
    let assert_missing = |result: catalog::Result<()>| {
        let error = result.unwrap_err();
        let is_missing = matches!(
            error,
            Error::NotFound {
                kind: Kind::Branch | Kind::Reference,
                ..
            }
        );
        assert!(is_missing, "{error}");
    };
    let put = lake.put_with(&bare, "main", "a", "1", catalog::UploadOptions::default());
    assert_missing(put.await.map(drop));
    assert_missing(
        lake.delete_objects(
            &bare,
            "main",
            &["a".to_owned()],
            catalog::WriteOptions::default(),
        )
        .await,
    );
    let commit = lake.commit_branch(&bare, "main", catalog::testing::commit_params("m"));
    assert_missing(commit.await.map(drop));
    assert_missing(
        lake.create_branch(&bare, "main", "main", false, false, "me")
            .await
            .map(drop),
    );
    assert_missing(
        lake.create_tag(&bare, "v1", "main", false, "me")
            .await
            .map(drop),
    );
    assert!(!marked(&lake, "mem://bare").await);
}

#[tokio::test]
async fn marker_of_old_releases_marks_the_namespace() {
    let lake = TestCatalog::new();
    lake.block
        .put(
            &Location::full("mem://old/dummy"),
            block::from_bytes("x".into()),
        )
        .await
        .unwrap();
    let error = lake.create_repository(creation("old")).await.unwrap_err();
    assert!(matches!(error, Error::Namespace(_)), "{error}");
}

#[tokio::test]
async fn invalid_requests_are_refused_before_anything_is_written() {
    let lake = TestCatalog::new();
    let mut request = creation("lake");
    request.default_branch = BranchId::trusted("a b");
    let error = lake.create_repository(request).await.unwrap_err();
    assert!(matches!(error, Error::InvalidName { .. }), "{error}");
    assert!(!marked(&lake, "mem://lake").await);

    let mut request = creation("lake");
    request.storage_id = "archive".to_owned();
    let error = lake.create_repository(request).await.unwrap_err();
    assert!(
        matches!(&error, Error::Advised { problem, advice } if problem.contains("storage_id") && advice.contains("leave")),
        "{error}"
    );
    assert!(!marked(&lake, "mem://lake").await);

    let mut request = creation("lake");
    request.id = RepositoryId::trusted("Not A Name");
    assert!(matches!(
        lake.create_repository(request).await,
        Err(Error::InvalidName { .. })
    ));

    let mut request = creation("lake");
    request.storage_namespace = "s3://bucket/x".to_owned();
    let error = lake.create_repository(request).await.unwrap_err();
    assert!(
        matches!(&error, Error::Namespace(NamespaceProblem::OtherStore { expected, .. }) if expected == "^mem://"),
        "{error}"
    );

    lake.repository("lake").await;
}

#[tokio::test]
async fn unknown_and_invalid_names_are_not_found() {
    let lake = TestCatalog::new();
    for name in ["unknown", "Not A Name", ""] {
        for result in [
            lake.catalog.reader().repository(name).await.map(drop),
            lake.delete_repository(name, true).await,
        ] {
            let error = result.unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::NotFound {
                        kind: Kind::Repository,
                        ..
                    }
                ),
                "{name:?}: {error}"
            );
        }
    }
}

/// Tutorials query these columns and rows.
#[tokio::test]
async fn sample_lakes_are_a_parquet_file() {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;

    let lake = TestCatalog::new();
    let repository = lake.create_repository(creation("lake")).await.unwrap();
    lake.add_sample_data(&repository, "admin").await.unwrap();
    let object = lake
        .reader()
        .stat(&repository, "main", "lakes.parquet")
        .await
        .unwrap();
    let body = lake
        .reader()
        .open(&repository, &object, None)
        .await
        .unwrap();
    let read: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(body).await.unwrap();
    let file = SerializedFileReader::new(bytes::Bytes::from(read.concat())).unwrap();
    let (mut rows, mut in_denmark, mut deepest) = (0_i64, 0, 0.0_f64);
    for row in file.get_row_iter(None).unwrap() {
        rows += 1;
        let row = row.unwrap().into_columns();
        let names: Vec<&str> = row.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Hylak_id", "Lake_name", "Country", "Depth_m"]);
        let (Field::Long(id), Field::Str(name)) = (&row[0].1, &row[1].1) else {
            panic!("{row:?}");
        };
        let (Field::Str(country), Field::Double(depth)) = (&row[2].1, &row[3].1) else {
            panic!("{row:?}");
        };
        assert!(*id == rows && name.contains(' ') && *depth > 0.0, "{row:?}");
        in_denmark += u32::from(country == "Denmark");
        deepest = deepest.max(*depth);
    }
    assert_eq!(rows, i64::try_from(catalog::LAKES).unwrap());
    assert!((200..800).contains(&in_denmark), "{in_denmark}");
    assert!((100.0..=250.0).contains(&deepest), "{deepest}");
}

#[tokio::test]
async fn sample_data_is_committed() {
    let lake = TestCatalog::new();
    let mut request = creation("lake");
    request.read_only = true;
    let repository = lake.create_repository(request).await.unwrap();
    lake.add_sample_data(&repository, "admin").await.unwrap();
    assert_eq!(
        lake.paths(&repository, "main@").await,
        "README.md data/gates/require-owner.yaml data/lakes.source.md data/levels/year=2023/levels.csv \
         data/levels/year=2024/levels.csv images/branches.png images/lake-at-night.png images/lake.png lakes.parquet"
    );
    assert!(
        lake.read(&repository, "main", "README.md")
            .await
            .starts_with("# ")
    );
    assert_eq!(
        lake.catalog
            .reader()
            .commit(&repository, "main")
            .await
            .unwrap()
            .committer,
        "admin"
    );
}
