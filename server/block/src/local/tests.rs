//! Tests of what the conformance suite cannot check: where the files are, and what remains on disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use base::{SeededIds, SystemClock};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use md5::{Digest as _, Md5};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::sink::{CreateSink, Sink, write_to_file};
use super::{LocalOptions, LocalStore};
use crate::{BlockStore as _, CompletedPart, Error, Location, from_bytes};

async fn open_with(path: &Path, external: &[&Path], create: CreateSink) -> LocalStore {
    let options = LocalOptions {
        path: path.to_owned(),
        default_namespace_prefix: "local://".to_owned(),
        import_enabled: true,
        allowed_external_prefixes: external
            .iter()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect(),
    };
    let ids = Arc::new(SeededIds::new(1, Arc::new(SystemClock)));
    LocalStore::open_with(options, ids, create).await.unwrap()
}

pub(super) async fn open(path: &Path) -> LocalStore {
    open_with(path, &[], write_to_file).await
}

pub(super) fn at(address: &str) -> Location {
    Location::full(address)
}

pub(super) async fn put(store: &LocalStore, address: &str, bytes: &'static [u8]) {
    store
        .put(&at(address), from_bytes(Bytes::from_static(bytes)))
        .await
        .unwrap();
}

pub(super) async fn read(store: &LocalStore, address: &str) -> crate::Result<Vec<u8>> {
    let pieces: Vec<Bytes> = store
        .get(&at(address), None)
        .await?
        .body
        .try_collect()
        .await
        .unwrap();
    Ok(pieces.concat())
}

/// Returns all files below a folder except lock files.
pub(super) fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "lock") {
                found.insert(
                    path.strip_prefix(folder)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    found
}

pub(super) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn objects_have_the_same_paths_as_in_lakefs() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    put(&store, "local://lake/repo/data/p/x,signature_-", b"1").await;
    put(&store, "local://lake/repo/_lakefs/dummy", b"2").await;
    assert_eq!(
        files(root.path()),
        names(&["lake/repo/data/p/x,signature_-", "lake/repo/_lakefs/dummy"])
    );

    // lakeFS records addresses by their absolute path.
    let absolute = format!("local://{}/lake/repo/_lakefs/dummy", root.path().display());
    assert_eq!(read(&store, &absolute).await.unwrap(), b"2");

    std::fs::remove_dir_all(root.path().join("lake")).unwrap();
    put(&store, "local://lake/repo/data/p/y", b"3").await;
    assert_eq!(
        files(root.path()),
        names(&["lake/repo/data/p/y"]),
        "a removed folder is created again"
    );
}

/// A nearly full disk: each write takes only some bytes, until no space is left.
struct FullDisk {
    file: File,
    room: usize,
}

impl FullDisk {
    fn create(file: File) -> Box<dyn Sink> {
        Box::new(Self {
            file,
            room: 300_000,
        })
    }
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.room).min(1000);
        self.room -= taken;
        self.file.write_all(&bytes[..taken])?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Sink for FullDisk {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[tokio::test]
async fn full_disk_is_an_error_and_leaves_no_file() {
    let root = TempDir::new().unwrap();
    let store = open_with(root.path(), &[], FullDisk::create).await;
    let body = stream::iter((0..10).map(|_| Ok(Bytes::from(vec![7; 100_000]))));
    let failed = store
        .put(&at("local://lake/data/p/x"), Box::pin(body))
        .await
        .unwrap_err();
    let Error::Storage { source, .. } = failed else {
        panic!("{failed}")
    };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    assert_eq!(files(root.path()), names(&[]));

    put(
        &store,
        "local://lake/data/p/x",
        b"short writes are continued",
    )
    .await;
    assert_eq!(
        read(&store, "local://lake/data/p/x").await.unwrap(),
        b"short writes are continued"
    );
}

/// A file that accepts all writes but cannot be flushed to disk.
struct FailingFlush(File);

impl FailingFlush {
    fn create(file: File) -> Box<dyn Sink> {
        Box::new(Self(file))
    }
}

impl Write for FailingFlush {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for FailingFlush {
    fn sync(&mut self) -> io::Result<()> {
        Err(io::Error::other("the disk failed"))
    }
}

#[tokio::test]
async fn failed_flush_is_an_error_and_leaves_no_file() {
    let root = TempDir::new().unwrap();
    let store = open_with(root.path(), &[], FailingFlush::create).await;
    let failed = store
        .put(
            &at("local://lake/data/p/x"),
            from_bytes(Bytes::from_static(b"1")),
        )
        .await;
    assert!(matches!(failed, Err(Error::Storage { .. })), "{failed:?}");
    assert!(
        store
            .create_multipart(&at("local://lake/data/p/x"))
            .await
            .is_err()
    );
    assert_eq!(files(root.path()), names(&[]));
}

#[tokio::test]
async fn symbolic_links_are_rejected() {
    let outside = TempDir::new().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    put(&store, "local://lake/data/p/x", b"1").await;
    symlink(outside.path(), root.path().join("lake/out")).unwrap();
    symlink(outside.path().join("secret"), root.path().join("lake/file")).unwrap();
    symlink(root.path().join("lake/data"), root.path().join("lake/in")).unwrap();

    for address in ["local://lake/out/secret", "local://lake/file"] {
        assert!(
            matches!(
                read(&store, address).await,
                Err(Error::InvalidAddress { .. })
            ),
            "{address}"
        );
        assert!(matches!(
            store.properties(&at(address)).await,
            Err(Error::InvalidAddress { .. })
        ));
    }
    for address in ["local://lake/out/new", "local://lake/out/folder/new"] {
        let refused = store.put(&at(address), from_bytes(Bytes::new())).await;
        assert!(
            matches!(refused, Err(Error::InvalidAddress { .. })),
            "{refused:?}"
        );
    }
    assert!(matches!(
        store.delete(&at("local://lake/out/secret")).await,
        Err(Error::InvalidAddress { .. })
    ));
    let inner = read(&store, "local://lake/in/p/x").await;
    assert!(
        matches!(inner, Err(Error::InvalidAddress { .. })),
        "a link within the store could lead to another repository: {inner:?}"
    );
    // A put replaces the link itself, not its target.
    put(&store, "local://lake/file", b"2").await;
    assert_eq!(files(outside.path()), names(&["secret"]));
    assert_eq!(
        std::fs::read(outside.path().join("secret")).unwrap(),
        b"secret"
    );
}

#[tokio::test]
async fn allowed_external_folders_are_read_only() {
    let outside = TempDir::new().unwrap();
    std::fs::write(outside.path().join("import"), "bytes").unwrap();
    let root = TempDir::new().unwrap();
    let store = open_with(root.path(), &[outside.path()], write_to_file).await;
    let address = format!("local://{}/import", outside.path().display());
    assert_eq!(read(&store, &address).await.unwrap(), b"bytes");
    let refused = store.put(&at(&address), from_bytes(Bytes::new())).await;
    assert!(
        matches!(refused, Err(Error::InvalidAddress { .. })),
        "{refused:?}"
    );
    assert!(store.delete(&at(&address)).await.is_err());
    assert!(store.check_namespace(&address).is_err());
}

#[tokio::test]
async fn error_for_an_invalid_namespace_says_what_to_use() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    for (namespace, expected) in [
        (
            "local://",
            "invalid address \"local://\": the name after local:// is missing",
        ),
        (
            "local:///",
            "invalid address \"local:///\": the name after local:// is missing",
        ),
        (
            "local:////etc/x",
            "invalid address \"local:////etc/x\": a segment is empty",
        ),
        (
            "s3://x",
            "invalid address \"s3://x\": it does not start with local://",
        ),
    ] {
        let refused = store.check_namespace(namespace).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

/// `lakefs-spec` appends `/name` to the prefix `local://`.
#[tokio::test]
async fn name_after_a_slash_is_below_the_store_folder() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    let root = root.path().canonicalize().unwrap();
    let absolute = format!("local://{}/lake", root.display());
    for (given, spelled) in [
        ("local:///lake", "local://lake"),
        ("local:///lake/", "local://lake"),
        ("local:///etc/x", "local://etc/x"),
        ("local://lake/", "local://lake/"),
        (absolute.as_str(), "local://lake"),
    ] {
        assert_eq!(store.check_namespace(given).unwrap(), spelled);
    }
    put(&store, "local:///lake/data/p/x", b"1").await;
    assert_eq!(read(&store, "local://lake/data/p/x").await.unwrap(), b"1");
    assert_eq!(files(&root), names(&["lake/data/p/x"]));
}

/// A folder has many spellings: relative or absolute, as configured or resolved, through a link.
#[tokio::test]
async fn all_spellings_of_a_folder_have_one_canonical_form() {
    let home = TempDir::new().unwrap();
    let home = home.path().canonicalize().unwrap();
    symlink(home.join("real"), home.join("configured")).unwrap();
    std::fs::create_dir(home.join("real")).unwrap();
    let store = open(&home.join("configured")).await;
    put(&store, "local://lake/_lakefs/dummy", b"x").await;
    symlink(home.join("real/lake"), home.join("real/pond")).unwrap();
    let inner = format!("local://{}/real/lake/inner", home.display());
    for spelling in [
        "local://lake/inner".to_owned(),
        "local://lake/inner/".to_owned(),
        "local://pond/inner".to_owned(),
        format!("local://{}/real/lake/inner", home.display()),
        format!("local://{}/configured/pond/inner", home.display()),
    ] {
        let canonical = store.canonical_namespaces(vec![spelling.clone()]).await;
        assert_eq!(canonical, [inner.as_str()], "{spelling}");
    }
    let namespaces = ["local://pond", "local://new/er", "local://../x"].map(str::to_owned);
    let canonical = store.canonical_namespaces(namespaces.to_vec()).await;
    let real = format!("local://{}/real", home.display());
    let expected = [
        format!("{real}/lake"),
        format!("{real}/new/er"),
        "local://../x".to_owned(),
    ];
    assert_eq!(canonical, expected);
}

#[tokio::test]
async fn temporary_folder_is_not_a_valid_namespace() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    assert!(store.check_namespace("local://.weir-tmp").is_err());
    assert!(read(&store, "local://.weir-tmp/0.lock").await.is_err());
    let absolute = format!("local://{}/.weir-tmp/0.lock", root.path().display());
    assert!(matches!(
        read(&store, &absolute).await,
        Err(Error::InvalidAddress { .. })
    ));
}

#[tokio::test]
async fn only_temporary_files_of_dead_processes_are_removed() {
    let root = TempDir::new().unwrap();
    let living = open(root.path()).await;
    let (wait, held) = futures::channel::oneshot::channel::<()>();
    let (began, begun) = futures::channel::oneshot::channel::<()>();
    let body = stream::iter([Ok(Bytes::from(vec![1; 600_000]))]).chain(stream::once(async move {
        began.send(()).unwrap();
        held.await.map_err(io::Error::other)?;
        Ok(Bytes::from_static(b"end"))
    }));
    let writer = living.clone();
    let put = tokio::spawn(async move {
        writer
            .put(&at("local://lake/data/p/x"), Box::pin(body))
            .await
    });
    begun.await.unwrap();
    // This file belongs to a dead process, whose lock is free.
    std::fs::create_dir_all(root.path().join(".weir-tmp/1")).unwrap();
    std::fs::write(root.path().join(".weir-tmp/1/0"), "half").unwrap();

    let second = open(root.path()).await;
    assert_eq!(files(root.path()), names(&[".weir-tmp/0/0"]));
    put_and_check(&second).await;
    wait.send(()).unwrap();
    assert_eq!(put.await.unwrap().unwrap().size_bytes, 600_003);
    assert_eq!(
        files(root.path()),
        names(&["lake/data/p/x", "lake/data/p/y"])
    );
}

async fn put_and_check(store: &LocalStore) {
    put(store, "local://lake/data/p/y", b"1").await;
    assert_eq!(read(store, "local://lake/data/p/y").await.unwrap(), b"1");
}

/// An upload of `x` with one part.
async fn upload_with_a_part(store: &LocalStore) -> (Location, String, CompletedPart) {
    let x = at("local://lake/repo/data/p/x");
    let id = store.create_multipart(&x).await.unwrap();
    let part = store
        .put_part(&x, &id, 1, from_bytes(Bytes::from_static(b"one")))
        .await
        .unwrap();
    let completed = CompletedPart {
        number: 1,
        etag: part.etag,
    };
    (x, id, completed)
}

#[tokio::test]
async fn upload_files_are_in_the_namespace_and_are_removed() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    let (x, id, part) = upload_with_a_part(&store).await;
    let (file, md5, marker) = (
        format!("lake/repo/{id}-00001"),
        format!("lake/repo/{id}-00001.weir-md5"),
        format!("lake/repo/{id}.weir-upload"),
    );
    assert_eq!(files(root.path()), names(&[&file, &md5, &marker]));
    store.complete_multipart(&x, &id, &[part]).await.unwrap();
    let done = format!("lake/repo/{id}.weir-done");
    assert_eq!(files(root.path()), names(&["lake/repo/data/p/x", &done]));
    store.abort_multipart(&x, &id).await.unwrap();
    assert_eq!(files(root.path()), names(&["lake/repo/data/p/x"]));
}

#[tokio::test]
async fn part_that_changed_on_disk_is_refused() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    let (x, id, part) = upload_with_a_part(&store).await;
    let file = root.path().join(format!("lake/repo/{id}-00001"));
    std::fs::write(&file, "two").unwrap();
    let completed = [part];
    let refused = store.complete_multipart(&x, &id, &completed).await;
    assert!(matches!(refused, Err(Error::InvalidPart(_))), "{refused:?}");
    std::fs::write(&file, "one").unwrap();
    store.complete_multipart(&x, &id, &completed).await.unwrap();
}

#[tokio::test]
async fn aborted_upload_leaves_no_files() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    let (x, id, _part) = upload_with_a_part(&store).await;
    store.abort_multipart(&x, &id).await.unwrap();
    assert_eq!(files(root.path()), names(&[]));
}

#[tokio::test]
async fn upload_started_by_lakefs_is_completed() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    let id = "8b1c1d8f0a1b4c2d9e3f4a5b6c7d8e9f";
    std::fs::create_dir_all(root.path().join("lake")).unwrap();
    std::fs::write(root.path().join(format!("lake/{id}-00001")), "one").unwrap();
    let x = at("local://lake/data/p/x");
    store
        .put_part(&x, id, 2, from_bytes(Bytes::from_static(b"two")))
        .await
        .unwrap();
    let parts = store.list_parts(&x, id).await.unwrap();
    assert_eq!(parts[0].etag, hex::encode(Md5::digest(b"one")));
    let completed: Vec<_> = parts
        .into_iter()
        .map(|part| CompletedPart {
            number: part.number,
            etag: part.etag,
        })
        .collect();
    store.complete_multipart(&x, id, &completed).await.unwrap();
    assert_eq!(
        read(&store, "local://lake/data/p/x").await.unwrap(),
        b"onetwo"
    );
    store.abort_multipart(&x, id).await.unwrap();
    assert_eq!(files(root.path()), names(&["lake/data/p/x"]));
}

#[tokio::test]
async fn cancelled_put_leaves_no_file() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    let (began, begun) = futures::channel::oneshot::channel::<()>();
    let body = stream::iter([Ok(Bytes::from(vec![1; 600_000]))]).chain(stream::once(async move {
        began.send(()).unwrap();
        std::future::pending::<io::Result<Bytes>>().await
    }));
    let x = at("local://lake/data/p/x");
    let put = store.put(&x, Box::pin(body));
    // The put waits for its body, so no disk work is in progress.
    match futures::future::select(put, begun).await {
        futures::future::Either::Left((put, _)) => {
            panic!("the put returned before its body ended: {put:?}")
        }
        futures::future::Either::Right((_, put)) => drop(put),
    }
    assert_eq!(files(root.path()), names(&[]));
}

/// Guards against a bug: disk work that the runtime cancelled at its shutdown was reported as an error of the disk.
#[test]
fn disk_work_waits_when_the_runtime_shuts_down() {
    let dir = TempDir::new().unwrap();
    let runtime = Runtime::new().unwrap();
    let store = runtime.block_on(open(dir.path()));
    let stopped = runtime.handle().clone();
    runtime.shutdown_background();
    let _inside = stopped.enter();
    assert!(read(&store, "local://b/a").now_or_never().is_none());
}
