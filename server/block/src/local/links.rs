//! Tests: no symbolic link below the store's folder is followed, whenever it comes, and nobody else may look in.

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
/// How often a folder is swapped while objects come and go.
const SWAPS: usize = 100;

/// A store as it is on this system, or as on one that opens no whole path at once.
async fn open_as(root: &Path, at_once: bool) -> LocalStore {
    let store = open(root).await;
    if !at_once {
        store.0.paths.store.open_step_by_step();
    }
    store
}

/// A folder elsewhere, with a file of another's wherever the store's would be.
fn elsewhere() -> TempDir {
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
        "a symbolic link is in its way: replace it by a folder or a mount"
    );
}

/// The second put found its folder among those that were known, and wrote through the link.
#[tokio::test]
async fn a_known_folder_that_becomes_a_link_is_not_followed() {
    for at_once in [true, false] {
        for level in ["lake", "lake/repo", "lake/repo/data", "lake/repo/data/p"] {
            let (root, outside) = (TempDir::new().unwrap(), elsewhere());
            let store = open_as(root.path(), at_once).await;
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
async fn an_object_that_becomes_a_link_is_not_followed() {
    for at_once in [true, false] {
        let (root, outside) = (TempDir::new().unwrap(), elsewhere());
        let store = open_as(root.path(), at_once).await;
        put(&store, ADDRESS, b"1").await;
        let path = root.path().join("lake/repo/data/p/x");
        std::fs::remove_file(&path).unwrap();
        symlink(outside.path().join("x"), &path).unwrap();
        assert_refused(store.get(&at(ADDRESS), None).await);
        assert_refused(store.properties(&at(ADDRESS)).await);
        // A put and a deletion are of the name.
        put(&store, ADDRESS, b"2").await;
        assert_eq!(read(&store, ADDRESS).await.unwrap(), b"2");
        std::fs::remove_file(&path).unwrap();
        symlink(outside.path().join("x"), &path).unwrap();
        store.delete(&at(ADDRESS)).await.unwrap();
        assert!(!path.is_symlink());
        assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), SECRET);
    }
}

/// Parts and notes of an upload that are swapped for links are not read, nor written through.
#[tokio::test]
async fn files_of_an_upload_that_become_links_are_not_followed() {
    for suffix in [
        "-00001",
        "-00001.weir-md5",
        ".weir-upload",
        ".weir-done",
        ".weir-lock",
    ] {
        let (root, outside) = (TempDir::new().unwrap(), elsewhere());
        let store = open_as(root.path(), true).await;
        let id = store.create_multipart(&at(ADDRESS)).await.unwrap();
        let body = || from_bytes(Bytes::from_static(b"one"));
        let part = store.put_part(&at(ADDRESS), &id, 1, body()).await.unwrap();
        let path = root.path().join(format!("lake/repo/{id}{suffix}"));
        drop(std::fs::remove_file(&path));
        symlink(outside.path().join("x"), &path).unwrap();
        let named = [crate::CompletedPart {
            number: 1,
            etag: part.etag,
        }];
        let completed = store.complete_multipart(&at(ADDRESS), &id, &named).await;
        assert!(
            matches!(
                completed,
                Err(Error::InvalidAddress { .. } | Error::InvalidPart(_))
            ),
            "{suffix}: {completed:?}"
        );
        drop(store.put_part(&at(ADDRESS), &id, 1, body()).await);
        drop(store.abort_multipart(&at(ADDRESS), &id).await);
        assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), SECRET);
    }
}

/// Between a check and the use that follows it, too: the folder is a link in one instant and none in the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_that_keeps_changing_leads_nowhere_else() {
    for at_once in [true, false] {
        for level in ["lake", "lake/repo/data"] {
            let (root, outside) = (TempDir::new().unwrap(), elsewhere());
            let store = open_as(root.path(), at_once).await;
            put(&store, ADDRESS, b"1").await;
            let before = files(outside.path());
            let stop = Arc::new(AtomicBool::new(false));
            let swapping = {
                let (stop, folder) = (Arc::clone(&stop), root.path().join(level));
                let (aside, link) = (root.path().join("aside"), root.path().join("link"));
                symlink(outside.path().join(level), &link).unwrap();
                tokio::task::spawn_blocking(move || swap(&folder, &aside, &link, &stop))
            };
            for round in 0..SWAPS {
                let body = from_bytes(Bytes::from(vec![b'0'; round % 3]));
                drop(store.put(&at(ADDRESS), body).await);
                if let Ok(bytes) = read(&store, ADDRESS).await {
                    assert_ne!(bytes, SECRET);
                }
                drop(store.delete(&at(ADDRESS)).await);
                drop(store.create_multipart(&at(ADDRESS)).await);
            }
            stop.store(true, Ordering::Relaxed);
            swapping.await.unwrap();
            assert_eq!(files(outside.path()), before);
            assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), SECRET);
        }
    }
}

fn swap(folder: &Path, aside: &Path, link: &Path, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // The store makes the folder anew where it finds none: then there is nothing to swap.
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
async fn files_and_folders_are_their_owners_alone() {
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
    let named = [crate::CompletedPart {
        number: 1,
        etag: part.etag,
    }];
    store
        .complete_multipart(&at(ADDRESS), &id, &named)
        .await
        .unwrap();
    assert_eq!(
        modes(&root),
        BTreeSet::from([(false, 0o600), (true, 0o700)])
    );
}

/// An installation of before, or of lakeFS: others may look in, and it works on.
#[tokio::test]
async fn a_folder_that_is_open_to_others_works_on() {
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
