//! Symlink files: which files are written, what they list, and which directories are refused.

use block::{BlockStore as _, Location};
use catalog::testing::{TestCatalog, text};
use catalog::{Error, MAX_NESTED_DIRECTORIES, Repository};

async fn file(lake: &TestCatalog, key: &str) -> Option<Vec<String>> {
    let at = Location::full(&format!("mem://lake/symlinks/lake/{key}"));
    let body = lake.block.get(&at, None).await.ok()?.body;
    Some(text(body).await.lines().map(str::to_owned).collect())
}

async fn addresses(lake: &TestCatalog, repository: &Repository, paths: &[&str]) -> Vec<String> {
    let mut addresses = Vec::new();
    for path in paths {
        let object = lake.reader().stat(repository, "main", path).await.unwrap();
        addresses.push(object.physical_address);
    }
    addresses
}

#[tokio::test]
async fn each_directory_has_a_file_of_full_addresses() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let paths = [
        "root",
        "t/day=1/a",
        "t/day=1/sub/x",
        "t/day=1/z",
        "t/day=2/b",
        "t.d",
    ];
    for path in paths {
        lake.put(&repository, "main", path, path).await;
    }
    lake.commit(&repository, "main", "all").await;
    lake.put(&repository, "main", "t/day=2/staged", "s").await;
    lake.delete_objects(
        &repository,
        "main",
        &["t/day=2/b".to_owned()],
        Default::default(),
    )
    .await
    .unwrap();

    let folder = lake.export_symlinks(&repository, "main", "").await.unwrap();
    assert_eq!(folder, "mem://lake/symlinks");
    // Objects of a subdirectory are not listed, although their paths sort between the directory's own.
    for (key, expected) in [
        ("main/symlink.txt", &["root", "t.d"][..]),
        ("main/t/day=1/symlink.txt", &["t/day=1/a", "t/day=1/z"]),
        ("main/t/day=1/sub/symlink.txt", &["t/day=1/sub/x"]),
        ("main/t/day=2/symlink.txt", &["t/day=2/staged"]),
    ] {
        let expected = addresses(&lake, &repository, expected).await;
        assert_eq!(file(&lake, key).await, Some(expected), "{key}");
    }
    assert_eq!(
        file(&lake, "main/t/symlink.txt").await,
        None,
        "the directory holds no objects directly"
    );
    assert!(addresses(&lake, &repository, &["root"]).await[0].starts_with("mem://lake/data/"));
}

#[tokio::test]
async fn location_limits_the_export() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    for path in ["a/x", "b/day=1/x", "b/day=2/x", "c/x"] {
        lake.put(&repository, "main", path, "").await;
    }
    lake.export_symlinks(&repository, "main", "b/")
        .await
        .unwrap();
    for (key, is_there) in [
        ("a", false),
        ("b/day=1", true),
        ("b/day=2", true),
        ("c", false),
    ] {
        let key = format!("main/{key}/symlink.txt");
        assert_eq!(file(&lake, &key).await.is_some(), is_there, "{key}");
    }
    let unknown = lake.export_symlinks(&repository, "none", "").await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn directory_with_many_objects_has_one_file() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    for number in 0..3_000 {
        lake.put(&repository, "main", &format!("d/{number:05}"), "")
            .await;
    }
    lake.export_symlinks(&repository, "main", "").await.unwrap();
    let lines = file(&lake, "main/d/symlink.txt").await.unwrap();
    assert_eq!(lines.len(), 3_000);
    let last = addresses(&lake, &repository, &["d/02999"]).await;
    assert_eq!(lines.last(), last.last());
}

#[tokio::test]
async fn unsupported_directories_are_refused_with_the_reason() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "odd//name", "").await;
    let error = lake
        .export_symlinks(&repository, "main", "")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Advised { problem, .. } if problem.contains("\"odd//\"") && problem.contains("segment is empty")),
        "{error}"
    );

    let nested = lake.repository("nested").await;
    let mut path = String::new();
    for _ in 0..=MAX_NESTED_DIRECTORIES {
        lake.put(&nested, "main", &format!("{path}0"), "").await;
        path.push_str("d/");
    }
    let error = lake.export_symlinks(&nested, "main", "").await.unwrap_err();
    assert!(
        matches!(&error, Error::Advised { advice, .. } if advice.contains("inside that directory")),
        "{error}"
    );
    lake.export_symlinks(&nested, "main", "d/").await.unwrap();
}
