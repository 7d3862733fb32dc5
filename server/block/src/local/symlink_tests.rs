//! Tests that no symbolic link below the store's folder is followed, and that only the owner can access the files.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tempfile::TempDir;

use super::LocalStore;
use super::tests::{at, files, open, put, read};
use crate::{BlockStore as _, Error, from_bytes};

const ADDRESS: &str = "local://lake/repo/data/p/x";
const SECRET: &[u8] = b"secret";
/// Number of rounds of writes and deletions while a folder is being swapped for a link.
const SWAPS: usize = 100;

/// Opens a store, with or without `openat2`.
async fn open_as(root: &Path, has_openat2: bool) -> LocalStore {
    let store = open(root).await;
    if !has_openat2 {
        store.0.paths.store.disable_openat2();
    }
    store
}

/// Returns a folder outside the store with a secret file at every path that the tests could reach by a link.
fn outside_folder() -> TempDir {
    let outside = TempDir::new().unwrap();
    for folder in [
        "",
        "lake/",
        "lake/repo/",
        "lake/repo/data/",
        "lake/repo/data/p/",
    ] {
        for below in ["", "p/", "data/p/", "repo/data/p/"] {
            let folder = outside.path().join(format!("{folder}{below}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("x"), SECRET).unwrap();
        }
    }
    outside
}

fn assert_refused<T>(done: crate::Result<T>) {
    let Err(Error::InvalidAddress { reason, .. }) = done.map(drop) else {
        panic!("a link was followed");
    };
    assert_eq!(
        reason,
        "its path contains a symbolic link: replace the link with a folder or a mount"
    );
}

/// Regression test: the second put used a cached folder path and wrote through the link.
#[tokio::test]
async fn known_folder_replaced_by_a_link_is_not_followed() {
    for has_openat2 in [true, false] {
        for level in ["lake", "lake/repo", "lake/repo/data", "lake/repo/data/p"] {
            let (root, outside) = (TempDir::new().unwrap(), outside_folder());
            let store = open_as(root.path(), has_openat2).await;
            put(&store, ADDRESS, b"1").await;
            let id = store.create_multipart(&at(ADDRESS)).await.unwrap();
            let before = files(outside.path());

            let folder = root.path().join(level);
            std::fs::rename(&folder, root.path().join("aside")).unwrap();
            symlink(outside.path().join(level), &folder).unwrap();

            let body = || from_bytes(Bytes::from_static(b"2"));
            assert_refused(store.put(&at(ADDRESS), body()).await);
            assert_refused(store.put(&at(&format!("{ADDRESS}/deeper/y")), body()).await);
            assert_refused(store.get(&at(ADDRESS), None).await);
            assert_refused(store.properties(&at(ADDRESS)).await);
            assert_refused(store.delete(&at(ADDRESS)).await);
            assert_refused(store.copy(&at(ADDRESS), &at("local://other/y")).await);
            if level == "lake" || level == "lake/repo" {
                assert_refused(store.create_multipart(&at(ADDRESS)).await);
                assert_refused(store.put_part(&at(ADDRESS), &id, 1, body()).await);
                assert_refused(store.list_parts(&at(ADDRESS), &id).await);
                assert_refused(store.complete_multipart(&at(ADDRESS), &id, &[]).await);
                assert_refused(store.abort_multipart(&at(ADDRESS), &id).await);
            }
            assert_eq!(files(outside.path()), before, "{level}");
            assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), SECRET);
        }
    }
}

#[tokio::test]
async fn object_replaced_by_a_link_is_not_followed() {
    for has_openat2 in [true, false] {
        let (root, outside) = (TempDir::new().unwrap(), outside_folder());
        let store = open_as(root.path(), has_openat2).await;
        put(&store, ADDRESS, b"1").await;
        let path = root.path().join("lake/repo/data/p/x");
        std::fs::remove_file(&path).unwrap();
        symlink(outside.path().join("x"), &path).unwrap();
        assert_refused(store.get(&at(ADDRESS), None).await);
        assert_refused(store.properties(&at(ADDRESS)).await);
        // A put or a deletion replaces or removes the link itself.
        put(&store, ADDRESS, b"2").await;
        assert_eq!(read(&store, ADDRESS).await.unwrap(), b"2");
        std::fs::remove_file(&path).unwrap();
        symlink(outside.path().join("x"), &path).unwrap();
        store.delete(&at(ADDRESS)).await.unwrap();
        assert!(!path.is_symlink());
        assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), SECRET);
    }
}

/// Files of an upload that are replaced by links are neither read nor written.
#[tokio::test]
async fn upload_files_replaced_by_links_are_not_followed() {
    for suffix in [
        "-00001",
        "-00001.weir-md5",
        ".weir-upload",
        ".weir-done",
        ".weir-lock",
    ] {
        let (root, outside) = (TempDir::new().unwrap(), outside_folder());
        let store = open_as(root.path(), true).await;
        let id = store.create_multipart(&at(ADDRESS)).await.unwrap();
        let body = || from_bytes(Bytes::from_static(b"one"));
        let part = store.put_part(&at(ADDRESS), &id, 1, body()).await.unwrap();
        let path = root.path().join(format!("lake/repo/{id}{suffix}"));
        if let Err(error) = std::fs::remove_file(&path) {
            // Not every upload has every file.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{suffix}");
        }
        symlink(outside.path().join("x"), &path).unwrap();
        let parts = [crate::CompletedPart {
            number: 1,
            etag: part.etag,
        }];
        let completed = store.complete_multipart(&at(ADDRESS), &id, &parts).await;
        assert!(
            matches!(
                completed,
                Err(Error::InvalidAddress { .. } | Error::InvalidPart(_))
            ),
            "{suffix}: {completed:?}"
        );
        assert_done_or_refused(store.put_part(&at(ADDRESS), &id, 1, body()).await);
        assert_done_or_refused(store.abort_multipart(&at(ADDRESS), &id).await);
        assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), SECRET);
    }
}

/// Asserts that the store succeeded, refused a link, or did not find a file. Which of them depends on when the link appears.
#[track_caller]
fn assert_done_or_refused<T: std::fmt::Debug>(outcome: crate::Result<T>) {
    match outcome {
        Ok(_)
        | Err(Error::InvalidAddress { .. } | Error::InvalidPart(_) | Error::NoSuchUpload(_)) => {}
        // While the folder is swapped, its path does not exist or is the link.
        Err(Error::Storage { source, .. })
            if matches!(
                source.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// Stops the swapping task even if the test fails. Otherwise the runtime would wait for it forever.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Repeatedly swaps a folder for a link, to hit the moment between a check and the following use.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn folder_swapped_for_a_link_during_use_is_not_followed() {
    for has_openat2 in [true, false] {
        for level in ["lake", "lake/repo/data"] {
            let (root, outside) = (TempDir::new().unwrap(), outside_folder());
            let store = open_as(root.path(), has_openat2).await;
            put(&store, ADDRESS, b"1").await;
            let before = files(outside.path());
            let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
            let swapping = {
                let (stop, folder) = (Arc::clone(&stop.0), root.path().join(level));
                let (aside, link) = (root.path().join("aside"), root.path().join("link"));
                symlink(outside.path().join(level), &link).unwrap();
                tokio::task::spawn_blocking(move || swap(&folder, &aside, &link, &stop))
            };
            for round in 0..SWAPS {
                let body = from_bytes(Bytes::from(vec![b'0'; round % 3]));
                assert_done_or_refused(store.put(&at(ADDRESS), body).await);
                if let Ok(bytes) = read(&store, ADDRESS).await {
                    assert_ne!(bytes, SECRET);
                }
                assert_done_or_refused(store.delete(&at(ADDRESS)).await);
                assert_done_or_refused(store.create_multipart(&at(ADDRESS)).await);
            }
            drop(stop);
            swapping.await.unwrap();
            assert_eq!(files(outside.path()), before);
            assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), SECRET);
        }
    }
}

fn swap(folder: &Path, aside: &Path, link: &Path, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // The store may have recreated the folder, so the renames may fail.
        if std::fs::rename(folder, aside).is_ok() {
            let linked = std::fs::rename(link, folder).is_ok();
            if linked {
                std::fs::rename(folder, link).unwrap();
            }
            if std::fs::rename(aside, folder).is_err() {
                std::fs::remove_dir_all(aside).unwrap();
            }
        }
    }
}

fn modes(folder: &Path) -> BTreeSet<(bool, u32)> {
    let mut found = BTreeSet::new();
    let mut paths: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = paths.pop() {
        let metadata = path.symlink_metadata().unwrap();
        found.insert((metadata.is_dir(), metadata.permissions().mode() & 0o777));
        if metadata.is_dir() {
            paths.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    found
}

#[tokio::test]
async fn only_the_owner_can_access_files_and_folders() {
    let home = TempDir::new().unwrap();
    let root = home.path().join("new/objects");
    let store = open(&root).await;
    put(&store, ADDRESS, b"1").await;
    let id = store.create_multipart(&at(ADDRESS)).await.unwrap();
    let body = from_bytes(Bytes::from_static(b"one"));
    let part = store.put_part(&at(ADDRESS), &id, 1, body).await.unwrap();
    assert_eq!(
        modes(&home.path().join("new")),
        BTreeSet::from([(false, 0o600), (true, 0o700)])
    );
    let parts = [crate::CompletedPart {
        number: 1,
        etag: part.etag,
    }];
    store
        .complete_multipart(&at(ADDRESS), &id, &parts)
        .await
        .unwrap();
    assert_eq!(
        modes(&root),
        BTreeSet::from([(false, 0o600), (true, 0o700)])
    );
}

/// Older installations and lakeFS create folders that others can access. They must keep working.
#[tokio::test]
async fn folder_that_others_can_access_still_works() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("lake/repo/data/p");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("x"), "1").unwrap();
    for (path, mode) in [(root.path().to_owned(), 0o755), (folder.join("x"), 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let store = open(root.path()).await;
    assert!(store.0.paths.store.is_open_to_others().unwrap());
    assert_eq!(read(&store, ADDRESS).await.unwrap(), b"1");
    put(&store, ADDRESS, b"2").await;
    assert_eq!(read(&store, ADDRESS).await.unwrap(), b"2");
}
