//! Preparing garbage collection. Reads the files as a garbage collection job reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, ManualClock, OffsetDateTime};
use block::{BlockStore as _, Location};
use bytes::Bytes;
use catalog::testing::{TestCatalog, creation, text};
use catalog::{Error, GcRules, PreparedUncommitted, Repository};
use futures::TryStreamExt as _;
use parquet::basic::{Compression, Encoding, Type};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn rules(lake: &TestCatalog, repository: &Repository, default: i32, main: i32) {
    let rules = GcRules {
        default_retention_days: default,
        branch_retention_days: BTreeMap::from([("main".to_owned(), main)]),
    };
    lake.set_gc_rules(repository, &rules).await.unwrap();
}

pub(super) async fn read(lake: &TestCatalog, address: &str) -> String {
    text(
        lake.block
            .get(&Location::full(address), None)
            .await
            .unwrap()
            .body,
    )
    .await
}

#[tokio::test]
async fn kept_commits_are_listed_in_a_file() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let mut commits = Vec::new();
    for number in 0..4 {
        lake.clock.advance(DAY * 5);
        lake.put(&repository, "main", "a", &number.to_string())
            .await;
        commits.push(lake.commit(&repository, "main", "a commit").await);
    }
    rules(&lake, &repository, 100, 7).await;
    let first = lake.prepare_gc_commits(&repository).await.unwrap();
    let run = &first.run_id;
    let folder = "mem://lake/_lakefs/retention/gc";
    assert_eq!(
        first.commits_location,
        format!("{folder}/commits/run_id={run}/commits.csv")
    );
    assert_eq!(first.addresses_location, format!("{folder}/addresses"));
    let file = read(&lake, &first.commits_location).await;
    let rows: Vec<&str> = file.lines().collect();
    assert_eq!(rows[0], "commit_id,expired,metarange_id");
    // The last two commits are younger than seven days. The one before them was the head seven days ago.
    let expected: Vec<String> = commits[1..]
        .iter()
        .rev()
        .map(|commit| format!("{},false,{}", commit.id, commit.meta_range_id))
        .collect();
    assert_eq!(rows[1..], expected);

    lake.clock.advance(Duration::from_secs(1));
    let second = lake.prepare_gc_commits(&repository).await.unwrap();
    assert!(second.run_id < first.run_id, "later runs are listed first");
}

#[tokio::test]
async fn preparation_without_rules_fails() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let refused = async || {
        let refusals = [
            lake.prepare_gc_commits(&repository).await.map(drop),
            lake.submit_gc_commits(&repository).await.map(drop),
        ];
        refusals
            .iter()
            .all(|refusal| matches!(refusal, Err(Error::NoGcRules)))
    };
    assert!(refused().await);
    rules(&lake, &repository, 1, 1).await;
    assert!(!refused().await);
    lake.delete_gc_rules(&repository).await.unwrap();
    assert!(refused().await);
}

#[tokio::test]
async fn task_prepares_the_same_file() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    rules(&lake, &repository, 1, 1).await;
    let id = lake.submit_gc_commits(&repository).await.unwrap();
    assert!(id.starts_with("GCPC"), "{id}");
    lake.drain().await;
    let status = lake.gc_commits_status(&repository, &id).await.unwrap();
    assert!(status.done && status.failure.is_none(), "{status:?}");
    assert_eq!(status.progress, 1);
    let file = read(&lake, &status.info.unwrap().commits_location).await;
    let root = lake
        .catalog
        .reader()
        .commit(&repository, "main")
        .await
        .unwrap()
        .id;
    assert_eq!(
        file,
        format!("commit_id,expired,metarange_id\n{root},false,\n")
    );
    let unknown = lake.gc_commits_status(&repository, "GCPCx").await;
    assert!(matches!(unknown, Err(Error::TaskNotFound(_))));
}

#[tokio::test]
async fn read_only_repository_refuses_preparation() {
    let lake = TestCatalog::new();
    let mut request = creation("frozen");
    request.read_only = true;
    let frozen = lake.create_repository(request).await.unwrap();
    for refused in [
        lake.prepare_gc_commits(&frozen).await.map(drop),
        lake.prepare_gc_uncommitted(&frozen, None).await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::ReadOnly(_))));
    }
}

/// lakeFS accepted negative days. A cutoff in the future would expire objects of new commits.
#[tokio::test]
async fn negative_days_in_stored_rules_count_as_zero() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let config = Location::full("mem://lake/_lakefs/retention/gc/rules/config.json");
    let minus_ten = Bytes::from_static(b"\x08\xf6\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    lake.block
        .put(&config, block::from_bytes(minus_ten))
        .await
        .unwrap();
    assert_eq!(
        lake.reader()
            .gc_rules(&repository)
            .await
            .unwrap()
            .unwrap()
            .default_retention_days,
        -10
    );
    lake.put(&repository, "main", "a", "1").await;
    let commit = lake
        .commit_branch(&repository, "main", catalog::testing::commit_params("now"))
        .await
        .unwrap();
    let prepared = lake.prepare_gc_commits(&repository).await.unwrap();
    let file = read(&lake, &prepared.commits_location).await;
    assert_eq!(
        file.lines().count(),
        3,
        "the head, and the commit that it has just replaced"
    );
    assert!(file.contains(commit.id.as_str()));
}

/// The addresses and times (in seconds) in all files of a run.
pub(super) async fn uncommitted(
    lake: &TestCatalog,
    prepared: &PreparedUncommitted,
) -> Vec<(String, i64)> {
    let mut rows = Vec::new();
    for file in files(lake, prepared).await {
        let reader = SerializedFileReader::new(file).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            rows.push((row.get_string(0).unwrap().clone(), row.get_long(1).unwrap()));
        }
    }
    rows.sort();
    rows
}

async fn files(lake: &TestCatalog, prepared: &PreparedUncommitted) -> Vec<Bytes> {
    let mut files = Vec::new();
    for at in lake.block.addresses() {
        if at.as_str().starts_with(&format!("{}/", prepared.location)) {
            let body = lake.block.get(&at, None).await.unwrap().body;
            let pieces: Vec<Bytes> = body.try_collect().await.unwrap();
            files.push(Bytes::from(pieces.concat()));
        }
    }
    files
}

pub(super) fn relative(address: &str) -> String {
    address.strip_prefix("mem://lake/").unwrap().to_owned()
}

#[tokio::test]
async fn uncommitted_objects_of_all_branches_are_listed() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "committed", "1").await;
    lake.commit(&repository, "main", "first").await;
    lake.create_branch(&repository, "hidden", "main", true, false, "me")
        .await
        .unwrap();
    let mut expected = Vec::new();
    for (branch, path) in [("main", "a"), ("main", "b/c"), ("hidden", "a")] {
        let object = lake.put(&repository, branch, path, branch).await;
        let created = object.entry.last_modified.unix_timestamp();
        expected.push((relative(&object.physical_address), created));
    }
    expected.sort();
    lake.put(&repository, "main", "taken back", "x").await;
    let deleted = ["committed".to_owned(), "taken back".to_owned()];
    lake.delete_objects(&repository, "main", &deleted, Default::default())
        .await
        .unwrap();

    let prepared = lake
        .prepare_gc_uncommitted(&repository, None)
        .await
        .unwrap();
    assert_eq!(prepared.continuation, None);
    let run = &prepared.run_id;
    let folder = format!("mem://lake/_lakefs/retention/gc/uncommitted/{run}/uncommitted");
    assert_eq!(prepared.location, folder);
    assert_eq!(uncommitted(&lake, &prepared).await, expected);
}

#[tokio::test]
async fn folder_has_a_file_even_without_rows() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let empty = lake
        .prepare_gc_uncommitted(&repository, None)
        .await
        .unwrap();
    assert_eq!(files(&lake, &empty).await.len(), 1);
    assert_eq!(uncommitted(&lake, &empty).await, []);
}

/// The only row group of the file that lists one object.
async fn row_group() -> RowGroupMetaData {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    let prepared = lake
        .prepare_gc_uncommitted(&repository, None)
        .await
        .unwrap();
    let file = files(&lake, &prepared).await.remove(0);
    let reader = SerializedFileReader::new(file).unwrap();
    reader.metadata().row_group(0).clone()
}

/// lakeFS's client depends on these names and types.
#[tokio::test]
async fn files_have_the_columns_that_the_spark_client_reads() {
    let group = row_group().await;
    let columns: Vec<_> = group
        .columns()
        .iter()
        .map(|column| (column.column_path().string(), column.column_type()))
        .collect();
    assert_eq!(
        columns,
        [
            ("physical_address".to_owned(), Type::BYTE_ARRAY),
            ("creation_date".to_owned(), Type::INT64)
        ]
    );
    let text = group.column(0).column_descr().converted_type();
    assert_eq!(text, parquet::basic::ConvertedType::UTF8);
}

#[tokio::test]
async fn columns_are_compressed_and_addresses_have_a_dictionary() {
    let group = row_group().await;
    for column in group.columns() {
        let compression = column.compression();
        assert!(
            matches!(compression, Compression::GZIP(_)),
            "{compression:?}"
        );
    }
    let encodings: Vec<Encoding> = group.column(0).encodings().collect();
    assert!(
        encodings.contains(&Encoding::RLE_DICTIONARY)
            || encodings.contains(&Encoding::PLAIN_DICTIONARY)
    );
}

/// A clock that advances with each reading.
#[derive(Debug)]
pub(super) struct Slow(pub(super) Arc<ManualClock>, pub(super) Duration);

impl Clock for Slow {
    fn now(&self) -> OffsetDateTime {
        self.0.advance(self.1);
        self.0.now()
    }
}

#[tokio::test]
async fn call_stops_after_a_minute_and_the_next_one_resumes() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    for branch in ["b1", "b2", "b3"] {
        lake.create_branch(&repository, branch, "main", false, false, "me")
            .await
            .unwrap();
    }
    let mut expected = Vec::new();
    for number in 0..2_500 {
        let object = lake
            .put(&repository, "b2", &format!("{number:05}"), "")
            .await;
        expected.push(relative(&object.physical_address));
    }
    let object = lake.put(&repository, "main", "last", "").await;
    expected.push(relative(&object.physical_address));
    expected.sort();

    let slow = lake.with_clock(Arc::new(Slow(
        Arc::clone(&lake.clock),
        Duration::from_secs(40),
    )));
    let mut rows = Vec::new();
    let mut prepared = slow
        .prepare_gc_uncommitted(&repository, None)
        .await
        .unwrap();
    let (run, mut calls) = (prepared.run_id.clone(), 1);
    while let Some(token) = prepared.continuation {
        prepared = slow
            .prepare_gc_uncommitted(&repository, Some(&token))
            .await
            .unwrap();
        assert_eq!(prepared.run_id, run);
        calls += 1;
    }
    for (address, _) in uncommitted(&lake, &prepared).await {
        rows.push(address);
    }
    assert_eq!(rows, expected, "each object is listed once");
    assert!(calls >= 3, "{calls}");
}

/// An undo can restore changes that were deleted with their branch, so their objects must stay.
#[tokio::test]
async fn objects_that_an_undo_can_restore_are_listed() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let mut expected = Vec::new();
    for branch in ["gone", "gone-too"] {
        lake.create_branch(&repository, branch, "main", false, false, "me")
            .await
            .unwrap();
        for path in ["a", "b"] {
            let object = lake.put(&repository, branch, path, branch).await;
            expected.push(relative(&object.physical_address));
        }
        lake.delete_branch(&repository, branch, false, "me")
            .await
            .unwrap();
    }
    expected.sort();
    // Changes that were dropped shortly before the run may be listed twice, so wait.
    lake.clock.advance(Duration::from_secs(600));
    let slow = lake.with_clock(Arc::new(Slow(
        Arc::clone(&lake.clock),
        Duration::from_secs(40),
    )));
    let mut prepared = slow
        .prepare_gc_uncommitted(&repository, None)
        .await
        .unwrap();
    let mut calls = 1;
    while let Some(token) = prepared.continuation {
        prepared = slow
            .prepare_gc_uncommitted(&repository, Some(&token))
            .await
            .unwrap();
        calls += 1;
    }
    let rows = uncommitted(&lake, &prepared).await;
    let addresses: Vec<String> = rows.into_iter().map(|(address, _)| address).collect();
    assert_eq!(addresses, expected, "each object is listed once");
    assert!(calls >= 2, "{calls}");
}

/// An undo between two calls moves kept changes to a branch that was already processed.
#[tokio::test]
async fn objects_restored_by_an_undo_during_a_run_are_listed() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let gone = graveler::RefName::branch("a-gone").unwrap();
    lake.create_branch(&repository, "a-gone", "main", false, false, "me")
        .await
        .unwrap();
    let object = lake.put(&repository, "a-gone", "path", "1").await;
    lake.delete_branch(&repository, "a-gone", false, "me")
        .await
        .unwrap();
    let slow = lake.with_clock(Arc::new(Slow(
        Arc::clone(&lake.clock),
        Duration::from_secs(70),
    )));
    let first = slow
        .prepare_gc_uncommitted(&repository, None)
        .await
        .unwrap();
    // `main` was processed already and sorts behind the branch that is restored now.
    lake.undo(&repository, &gone, graveler::UndoParams::default())
        .await
        .unwrap();
    let (mut prepared, mut calls) = (first, 1);
    while let Some(token) = prepared.continuation {
        prepared = slow
            .prepare_gc_uncommitted(&repository, Some(&token))
            .await
            .unwrap();
        calls += 1;
    }
    assert!(calls >= 2, "{calls}");
    let rows = uncommitted(&lake, &prepared).await;
    let addresses: BTreeSet<String> = rows.into_iter().map(|(address, _)| address).collect();
    assert_eq!(
        Vec::from_iter(addresses),
        [relative(&object.physical_address)]
    );
}
