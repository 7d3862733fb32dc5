//! Tests that multipart uploads end exactly once, even with two servers on one folder or after a crash.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use futures::future;
use tempfile::TempDir;

use super::LocalStore;
use super::tests::{at, files, names, open, read};
use crate::{BlockStore as _, CompletedPart, Error, Location, PartInfo, from_bytes};

/// Number of rounds of each race.
const ROUNDS: u64 = 40;
const ADDRESS: &str = "local://lake/repo/data/p/x";

async fn upload(store: &LocalStore, parts: &[&'static str]) -> (String, Vec<PartInfo>) {
    let id = store.create_multipart(&at(ADDRESS)).await.unwrap();
    let mut infos = Vec::new();
    for (number, bytes) in (1..).zip(parts) {
        infos.push(put_part(store, &id, number, bytes).await.unwrap());
    }
    (id, infos)
}

async fn put_part(
    store: &LocalStore,
    id: &str,
    number: u32,
    bytes: &'static str,
) -> crate::Result<PartInfo> {
    let body = from_bytes(Bytes::from_static(bytes.as_bytes()));
    store.put_part(&at(ADDRESS), id, number, body).await
}

fn completed(infos: &[PartInfo]) -> Vec<CompletedPart> {
    let completed = |info: &PartInfo| CompletedPart {
        number: info.number,
        etag: info.etag.clone(),
    };
    infos.iter().map(completed).collect()
}

async fn complete(
    store: &LocalStore,
    id: &str,
    infos: &[PartInfo],
) -> crate::Result<crate::PutResult> {
    store
        .complete_multipart(&at(ADDRESS), id, &completed(infos))
        .await
}

fn assert_unknown<T: std::fmt::Debug>(ended: &crate::Result<T>) {
    assert!(matches!(ended, Err(Error::NoSuchUpload(_))), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_two_servers_completes_an_upload() {
    let root = TempDir::new().unwrap();
    let (one, two) = (open(root.path()).await, open(root.path()).await);
    for _ in 0..ROUNDS {
        let (id, infos) = upload(&one, &["first", "second", "3"]).await;
        let (left, right) = (&infos[..2], &infos[1..]);
        let ended = future::join4(
            complete(&one, &id, left),
            complete(&two, &id, right),
            complete(&two, &id, left),
            complete(&one, &id, right),
        )
        .await;
        let bytes = read(&one, ADDRESS).await.unwrap();
        let (won, lost) = match bytes.as_slice() {
            b"firstsecond" => ([ended.0, ended.2], [ended.1, ended.3]),
            b"second3" => ([ended.1, ended.3], [ended.0, ended.2]),
            other => panic!("{}", String::from_utf8_lossy(other)),
        };
        let [first, again] = won.map(Result::unwrap);
        assert_eq!(first, again);
        assert_eq!(first.size_bytes, bytes.len() as u64);
        lost.iter().for_each(assert_unknown);
        two.abort_multipart(&at(ADDRESS), &id).await.unwrap();
        assert_eq!(files(root.path()), names(&["lake/repo/data/p/x"]));
    }
}

/// In every order of events, no file of the upload remains, including parts stored after its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_parts_completions_and_aborts_leave_no_files() {
    let root = TempDir::new().unwrap();
    let (one, two) = (open(root.path()).await, open(root.path()).await);
    for round in 0..ROUNDS {
        let (id, infos) = upload(&one, &["first", "second"]).await;
        let abort = async {
            // Vary which of the calls comes first.
            for _ in 0..round % 4 {
                tokio::task::yield_now().await;
            }
            two.abort_multipart(&at(ADDRESS), &id).await
        };
        let (completed, replaced, added, aborted) = future::join4(
            complete(&one, &id, &infos),
            put_part(&two, &id, 1, "FIRST"),
            put_part(&one, &id, 3, "late"),
            abort,
        )
        .await;
        aborted.unwrap();
        for stored in [replaced, added] {
            if stored.is_err() {
                assert_unknown(&stored);
            }
        }
        match completed {
            Ok(_) => assert_eq!(read(&one, ADDRESS).await.unwrap(), b"firstsecond"),
            // Part 1 was replaced before the completion.
            Err(Error::InvalidPart(_)) => {}
            lost => assert_unknown(&lost),
        }
        two.delete(&at(ADDRESS)).await.unwrap();
        assert_eq!(files(root.path()), names(&[]), "round {round}");
    }
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let content = |name: String| {
        let bytes = std::fs::read(folder.join(&name)).unwrap();
        (name, bytes)
    };
    files(folder).into_iter().map(content).collect()
}

/// For each step of a completion, recreates the files that exist if the process dies at this step. Repeating the call
/// must complete the upload. Once the completion record exists, other parts must be rejected. An abort must leave only
/// the object.
#[tokio::test]
async fn completion_can_be_repeated_after_a_crash_at_any_step() {
    for step in 0..5 {
        let root = TempDir::new().unwrap();
        let store = open(root.path()).await;
        let (id, infos) = upload(&store, &["first", "second"]).await;
        let before = contents(root.path());
        let put = complete(&store, &id, &infos).await.unwrap();
        let done = format!("lake/repo/{id}.weir-done");
        assert_eq!(
            files(root.path()),
            names(&["lake/repo/data/p/x", &done]),
            "the parts are removed and the completion record stays"
        );
        let restore = |keep: &dyn Fn(&str) -> bool| {
            for (name, bytes) in before.iter().filter(|(name, _)| keep(name)) {
                std::fs::write(root.path().join(name), bytes).unwrap();
            }
        };
        match step {
            // After publishing the object, before writing the completion record.
            0 => {
                restore(&|_| true);
                std::fs::remove_file(root.path().join(&done)).unwrap();
                // The lock file of a dead process is not locked.
                std::fs::write(root.path().join(format!("lake/repo/{id}.weir-lock")), "").unwrap();
            }
            // After writing the record; after removing the marker; with one part left; at the end.
            1 => restore(&|_| true),
            2 => restore(&|name| !name.ends_with(".weir-upload")),
            3 => restore(&|name| name.ends_with("-00002")),
            _ => {}
        }
        let other = complete(&store, &id, &infos[..1]).await;
        if step == 0 {
            assert_eq!(other.unwrap().size_bytes, 5);
            continue;
        }
        assert_unknown(&other);
        let again = complete(&open(root.path()).await, &id, &infos).await;
        assert_eq!(again.unwrap(), put, "step {step}");
        assert_eq!(read(&store, ADDRESS).await.unwrap(), b"firstsecond");
        store.abort_multipart(&at(ADDRESS), &id).await.unwrap();
        assert_eq!(files(root.path()), names(&["lake/repo/data/p/x"]));
        assert_unknown(&complete(&store, &id, &infos).await);
    }
}

#[tokio::test]
async fn completed_upload_is_unknown_at_other_addresses() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    let (id, infos) = upload(&store, &["first"]).await;
    complete(&store, &id, &infos).await.unwrap();
    let other: Location = at("local://lake/repo/data/p/other");
    let ended = store
        .complete_multipart(&other, &id, &completed(&infos))
        .await;
    assert_unknown(&ended);
    store.abort_multipart(&other, &id).await.unwrap();
    complete(&store, &id, &infos).await.unwrap();
}
