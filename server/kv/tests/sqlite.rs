//! Tests specific to SQLite: the file, other processes, closing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kv::{Error, Op, Predicate, SqliteOptions, SqliteStore, Store as _, conformance};
use sqlx::Connection as _;

pub(crate) fn options(path: &Path) -> SqliteOptions {
    SqliteOptions {
        path: path.to_owned(),
        sync_writes: true,
        max_readers: 4,
    }
}

fn database_path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("state/deep/kv.db")
}

async fn raw(path: &Path) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(&database_path(&folder)))
        .await
        .unwrap();
    conformance::run_all(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_on_one_file_see_each_others_writes() {
    let folder = tempfile::tempdir().unwrap();
    let first = SqliteStore::open(options(&database_path(&folder)))
        .await
        .unwrap();
    let second = SqliteStore::open(options(&database_path(&folder)))
        .await
        .unwrap();
    let key = |index: u8| [index];
    for index in 0..20 {
        let (one, other) = if index % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        one.set_if(b"p", &key(index), Bytes::new(), Predicate::Absent)
            .await
            .unwrap();
        assert!(other.get(b"p", &key(index)).await.unwrap().is_some());
        other
            .set_if(b"p", &key(index), Bytes::new(), Predicate::Absent)
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn writes_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = database_path(&folder);
    let store = SqliteStore::open(options(&path)).await.unwrap();
    store
        .set(b"p", b"k", Bytes::from_static(b"v"))
        .await
        .unwrap();
    store.close().await;
    assert!(
        matches!(
            store.set(b"p", b"k", Bytes::new()).await,
            Err(Error::Storage { .. })
        ),
        "closed"
    );

    let store = SqliteStore::open(options(&path)).await.unwrap();
    assert_eq!(store.get(b"p", b"k").await.unwrap().unwrap().value, "v");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = database_path(&folder);
    let store = SqliteStore::open(options(&path)).await.unwrap();
    store.set(b"p", b"k", Bytes::new()).await.unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
        names.push(entry.file_name());
    }
    assert_eq!(names.len(), 3, "database, log and index: {names:?}");
}

#[tokio::test]
async fn error_for_an_unusable_file_says_what_to_check() {
    let folder = tempfile::tempdir().unwrap();
    let refused = async |path: &Path, reason: &str| {
        let error = SqliteStore::open(options(path))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(reason) && error.contains(&path.display().to_string()),
            "{error}"
        );
    };
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "not a database, but long enough to be read as one".repeat(50),
    )
    .unwrap();
    refused(&text, "not a SQLite database").await;
    refused(&text.join("kv.db"), "check that its folder").await;

    let newer = folder.path().join("newer.db");
    let mut connection = raw(&newer).await;
    sqlx::raw_sql("PRAGMA user_version = 9")
        .execute(&mut connection)
        .await
        .unwrap();
    refused(&newer, "newer version").await;
}

/// While another process holds the write lock, writers wait and readers continue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_waits_for_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = database_path(&folder);
    let store = Arc::new(SqliteStore::open(options(&path)).await.unwrap());
    store
        .set(b"p", b"k", Bytes::from_static(b"old"))
        .await
        .unwrap();

    let mut other = raw(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.set(b"p", b"k", Bytes::from_static(b"new")).await }
    });
    // The time that these reads take is enough for the writer to start waiting.
    for _ in 0..50 {
        store.get(b"p", b"taken").await.unwrap();
    }
    assert!(!writer.is_finished(), "the lock is held");
    assert_eq!(store.get(b"p", b"k").await.unwrap().unwrap().value, "old");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    writer.await.unwrap().unwrap();
    assert_eq!(store.get(b"p", b"k").await.unwrap().unwrap().value, "new");
}

/// A failed job must not affect the other jobs of its group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_write_of_a_group_has_its_own_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = database_path(&folder);
    let store = Arc::new(SqliteStore::open(options(&path)).await.unwrap());
    store.set(b"p", b"taken", Bytes::new()).await.unwrap();

    // All writes wait for the lock and therefore share transactions.
    let mut other = raw(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let writers: Vec<_> = (0..100)
        .map(|index| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let op = |key: String, predicate| Op::Set {
                    partition: Bytes::from_static(b"p"),
                    key: key.into(),
                    value: Bytes::new(),
                    predicate,
                };
                let last = if index % 2 == 0 {
                    "taken".to_owned()
                } else {
                    format!("free {index}")
                };
                store
                    .batch(vec![
                        op(format!("{index}"), None),
                        op(last, Some(Predicate::Absent)),
                    ])
                    .await
            })
        })
        .collect();
    // The time that these reads take is enough for most writers to queue.
    for _ in 0..50 {
        store.get(b"p", b"taken").await.unwrap();
    }
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();

    for (index, writer) in writers.into_iter().enumerate() {
        let key = index.to_string();
        let written = store.get(b"p", key.as_bytes());
        if index % 2 == 0 {
            assert!(matches!(
                writer.await.unwrap(),
                Err(Error::PredicateFailed { index: 1 })
            ));
            assert!(written.await.unwrap().is_none(), "{index} was undone");
        } else {
            writer.await.unwrap().unwrap();
            assert!(written.await.unwrap().is_some(), "{index} was written");
        }
    }
}
