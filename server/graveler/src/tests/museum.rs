//! Records and tables that lakeFS wrote (`tests/compat/museum`): reference vectors for every id and
//! encoding.
//!
//! Rewriting a record must give the same bytes, and each commit and table must have the id that
//! lakeFS gave it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;

use crate::ident::{Ident, commit_id};
use crate::records::Stored;
use crate::sstable::{Reader, Writer};
use crate::{Branch, Commit, Repository, Tag};

fn museum(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/compat/museum")
        .join(name)
}

/// All keys and values of the database, without their partitions.
fn records() -> Vec<(String, Bytes)> {
    let dump = std::fs::read_to_string(museum("kv.sql")).unwrap();
    let rows = dump.lines().filter(|line| line.starts_with("\\\\x"));
    let column = |hex: &str| hex::decode(&hex["\\\\x".len()..]).unwrap();
    rows.map(|row| {
        let columns: Vec<_> = row.split('\t').map(column).collect();
        let key = String::from_utf8(columns[1].clone()).unwrap();
        (key, Bytes::from(columns[2].clone()))
    })
    .collect()
}

/// The records below `folder`: name, decoded record and stored bytes.
fn below<T: Stored>(folder: &str) -> Vec<(String, T, Bytes)> {
    let mut found = Vec::new();
    for (key, stored) in records() {
        if let Some(name) = key.strip_prefix(folder).filter(|name| !name.contains('/')) {
            let record = T::decode(stored.clone()).unwrap();
            found.push((name.to_owned(), record, stored));
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

fn assert_rewritten<T: Stored>(folder: &str, name_of: impl Fn(&T) -> &str) {
    for (name, record, stored) in below::<T>(folder) {
        assert_eq!(name_of(&record), name);
        assert_eq!(hex::encode(record.encode()), hex::encode(stored), "{name}");
    }
}

#[test]
fn rewritten_lakefs_records_keep_their_bytes() {
    assert_rewritten("branches/", |branch: &Branch| branch.id.as_str());
    assert_rewritten("tags/", |tag: &Tag| tag.id.as_str());
    assert_rewritten("repos/", |repository: &Repository| repository.id.as_str());
}

#[test]
fn rewritten_lakefs_commits_keep_their_ids() {
    let mut parents = Vec::new();
    for (name, commit, stored) in below::<Commit>("commits/") {
        assert_eq!(commit_id(&commit).as_str(), name);
        // lakeFS writes the entries of a map in arbitrary order.
        if commit.metadata.len() < 2 {
            assert_eq!(hex::encode(commit.encode()), hex::encode(stored), "{name}");
        }
        parents.push(commit.parents.len());
    }
    assert!([0, 1, 2].iter().all(|n| parents.contains(n)), "{parents:?}");
}

/// A commit's id covers the identity of its list of parents.
#[test]
fn parents_identity_matches_reference_vectors() {
    let of = |parents: &[&str]| hex::encode(Ident::new().texts(parents.iter().copied()).finish());
    // Computed from the encoding with another implementation of SHA-256.
    assert_eq!(
        of(&[]),
        "c05d0ae027f29a4a5776bafad29a3b776473f1da64ad40219803783b75286a6d"
    );
    assert_eq!(
        of(&["deadbeef1", "deadbeef12"]),
        "cbfb73b0b93427d7440a11bbbb2557c734eb0f9c0d614548496437acfb08e144"
    );
}

/// Rewrites a table; its id and bytes must stay those of lakeFS. Returns its kind.
async fn rewrite(id: &str, bytes: Bytes) -> String {
    let reader = Reader::from_bytes(bytes.clone()).await.unwrap();
    let mut cursor = reader.cursor();
    let mut writer = Writer::new();
    while let Some(record) = cursor.next().await.unwrap() {
        writer.add(&record.key, &record.value).unwrap();
    }
    let kind = String::from_utf8(reader.properties().kind().to_vec()).unwrap();
    let written = writer.finish(&BTreeMap::from([("type".to_owned(), kind.clone())]));
    assert_eq!(written.id, id);
    assert!(written.bytes == bytes, "{id} must keep its bytes");
    kind
}

#[tokio::test]
async fn rewritten_lakefs_tables_keep_their_ids_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(museum("objects.tar.gz"))
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(unpacked.unwrap().success());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(folder.path().join("museum/_lakefs")).unwrap() {
        let entry = entry.unwrap();
        let id = entry.file_name().into_string().unwrap();
        if id.len() == 64 {
            let bytes = Bytes::from(std::fs::read(entry.path()).unwrap());
            *counts.entry(rewrite(&id, bytes).await).or_default() += 1;
        }
    }
    let expected = [("metaranges", 6), ("ranges", 49)].map(|(kind, n)| (kind.to_owned(), n));
    assert_eq!(counts, BTreeMap::from(expected));
}
