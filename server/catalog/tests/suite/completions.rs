//! A multipart upload ends exactly once, despite concurrent completions and aborts, and despite failing servers and
//! stores.
//!
//! Guards against two bugs. Two concurrent completions with different parts left an object with the size and `ETag` of
//! one list and the bytes of the other. A client that lost the response and repeated the request got 404.

use std::sync::Arc;
use std::time::Duration;

use base::testing::{FaultSchedule, SeededFaults};
use block::testing::Faults as BlockFaults;
use block::{BlockStore as _, Location};
use bytes::Bytes;
use catalog::testing::TestCatalog;
use catalog::{
    COMPLETION_RETENTION, Catalog, CompletedPart, Error, Object, ObjectTarget, Reader, Repository,
    Result, UploadOptions, WriteOptions, from_bytes,
};
use graveler::{Graveler, NoHooks, Options};
use kv::Store as _;
use kv::testing::{Faults, FaultyStore};

const BODIES: [&str; 3] = ["first ", "second", "3"];

fn to(repository: &Repository) -> ObjectTarget<'_> {
    ObjectTarget {
        repository,
        branch: "main",
        path: "big",
    }
}

/// Creates an upload with three parts.
async fn upload(lake: &TestCatalog, repository: &Repository) -> (String, Vec<CompletedPart>) {
    let options = UploadOptions::default();
    let begun = lake.create_multipart(to(repository), &options).await;
    let id = begun.unwrap().upload_id;
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(BODIES) {
        let stored = lake
            .put_part(to(repository), &id, number, from_bytes(body.into()))
            .await
            .unwrap();
        parts.push(CompletedPart {
            number,
            etag: stored.etag,
        });
    }
    (id, parts)
}

fn joined(parts: &[CompletedPart]) -> String {
    let body = |part: &CompletedPart| BODIES[part.number as usize - 1];
    parts.iter().map(body).collect()
}

/// Another server of the same installation whose stores inject failures and yields.
fn server(lake: &TestCatalog, seed: u64, kv: Faults, block: BlockFaults) -> Catalog {
    let schedule: Arc<dyn FaultSchedule> = Arc::new(SeededFaults::new(seed, kv.yields));
    let records: Arc<dyn kv::Store> = Arc::new(FaultyStore::with_schedule(
        Arc::<kv::MemoryStore>::clone(&lake.kv),
        kv,
        Arc::clone(&schedule),
    ));
    let bytes: Arc<dyn block::BlockStore> = Arc::new(block::testing::FaultyStore::with_schedule(
        Arc::<block::MemoryStore>::clone(&lake.block),
        block,
        schedule,
    ));
    let (clock, ids) = (Arc::clone(&lake.clock), Arc::clone(&lake.ids));
    let graveler = Graveler::new(
        Arc::clone(&records),
        Arc::clone(&bytes),
        Arc::clone(&clock) as _,
        Arc::clone(&ids) as _,
        Options::default(),
    );
    let reader = Reader::new(graveler, bytes);
    Catalog::new(reader, records, Arc::new(NoHooks), clock, ids)
}

/// Yields `count` times, so that other tasks run first.
async fn turns(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

fn is_unknown<T>(ended: &Result<T>) -> bool {
    matches!(ended, Err(Error::NoSuchUpload(_)))
}

/// How three completions, the last one equal to the first, and one abort ended. Each runs on a separate
/// server.
struct Race {
    lake: TestCatalog,
    repository: Repository,
    parts: Vec<CompletedPart>,
    /// The parts that each completion named, and its result.
    completions: [(Vec<CompletedPart>, Result<Object>); 3],
    abort: Result<()>,
}

impl Race {
    async fn run(seed: u64) -> Self {
        let yields = Faults {
            yields: 160,
            ..Faults::default()
        };
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let (id, parts) = upload(&lake, &repository).await;
        let (left, right) = (&parts[..2], &parts[1..]);
        let servers =
            [0, 1, 2, 3].map(|n| server(&lake, seed * 4 + n, yields, BlockFaults::default()));
        let complete = async |n: usize, wait, parts: &[CompletedPart]| {
            let server: &Catalog = &servers[n];
            turns(wait).await;
            let ended = server
                .complete_multipart(to(&repository), &id, parts, false)
                .await;
            (parts.to_vec(), ended)
        };
        let abort = async {
            // A completion takes more steps than an abort.
            turns(seed % 60).await;
            servers[3].abort_multipart(to(&repository), &id).await
        };
        let (one, other, again, abort) = tokio::join!(
            complete(0, seed % 7, left),
            complete(1, seed % 5, right),
            complete(2, seed % 11, left),
            abort,
        );
        Self {
            completions: [one, other, again],
            abort,
            lake,
            repository,
            parts,
        }
    }

    fn winner(&self) -> Option<(&[CompletedPart], &Object)> {
        self.completions
            .iter()
            .find_map(|(parts, ended)| Some((parts.as_slice(), ended.as_ref().ok()?)))
    }

    async fn assert_aborted(&self, seed: u64) {
        let abort = &self.abort;
        assert!(abort.is_ok(), "seed {seed}: nobody won: {abort:?}");
        let paths = self.lake.paths(&self.repository, "main").await;
        assert_eq!(paths, "", "seed {seed}");
        assert_eq!(data_addresses(&self.lake), [""; 0], "seed {seed}");
    }

    /// Asserts that the object has the content of `parts`, and that only requests with these parts
    /// succeeded.
    async fn assert_completed(&self, seed: u64, parts: &[CompletedPart], object: &Object) {
        assert!(is_unknown(&self.abort), "seed {seed}: {:?}", self.abort);
        for (named, ended) in &self.completions {
            assert_eq!(named == parts, ended.is_ok(), "seed {seed}: {ended:?}");
        }
        let whole = joined(parts);
        let read = self.lake.read(&self.repository, "main", "big").await;
        assert_eq!(read, whole, "seed {seed}");
        assert_eq!(object.entry.size_bytes, i64::try_from(whole.len()).unwrap());
        let reader = self.lake.reader();
        let staged = reader.stat(&self.repository, "main", "big").await;
        assert_eq!(&staged.unwrap(), object, "seed {seed}");
    }
}

#[tokio::test]
async fn one_of_concurrent_completions_and_aborts_takes_effect() {
    let (mut aborted, mut won) = (0, [0, 0]);
    for seed in base::testing::seeds(300, 20_000) {
        let race = Race::run(seed).await;
        for (_, ended) in &race.completions {
            assert!(ended.is_ok() || is_unknown(ended), "seed {seed}: {ended:?}");
        }
        match race.winner() {
            None => {
                aborted += 1;
                race.assert_aborted(seed).await;
            }
            Some((parts, object)) => {
                won[usize::from(*parts == race.parts[1..])] += 1;
                race.assert_completed(seed, parts, object).await;
            }
        }
    }
    assert!(
        aborted > 5 && won.iter().all(|won| *won > 5),
        "{aborted} {won:?}"
    );
}

/// Guards against a bug: of two equal concurrent completions, the slower one failed because the faster one had created the
/// object.
#[tokio::test]
async fn equal_completions_with_if_absent_all_succeed() {
    let yields = Faults {
        yields: 160,
        ..Faults::default()
    };
    for seed in base::testing::seeds(100, 10_000) {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let (id, parts) = upload(&lake, &repository).await;
        let servers = [0, 1].map(|n| server(&lake, seed * 2 + n, yields, BlockFaults::default()));
        let complete = async |server: &Catalog, wait| {
            turns(wait).await;
            server
                .complete_multipart(to(&repository), &id, &parts, true)
                .await
        };
        let (one, other) =
            tokio::join!(complete(&servers[0], 0), complete(&servers[1], seed % 40),);
        let (one, other) = (
            one.unwrap(),
            other.unwrap_or_else(|e| panic!("seed {seed}: {e}")),
        );
        assert_eq!(one, other, "seed {seed}");
    }
}

#[tokio::test]
async fn completion_with_if_absent_fails_if_another_object_exists() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let (id, parts) = upload(&lake, &repository).await;
    lake.put(&repository, "main", "big", "another").await;
    let ended = lake
        .complete_multipart(to(&repository), &id, &parts, true)
        .await;
    assert!(matches!(ended, Err(Error::PreconditionFailed)), "{ended:?}");
    assert_eq!(lake.read(&repository, "main", "big").await, "another");
}

/// The addresses of all stored objects.
fn data_addresses(lake: &TestCatalog) -> Vec<String> {
    let addresses = lake.block.addresses().into_iter();
    let addresses = addresses.map(|at| at.as_str().to_owned());
    addresses.filter(|at| at.contains("/data/")).collect()
}

type Completed = (TestCatalog, Repository, String, Vec<CompletedPart>, Object);

fn is_store_failure(error: &Error) -> bool {
    matches!(
        error,
        Error::Storage { .. }
            | Error::Records(_)
            | Error::RecordsBusy(_)
            | Error::TooManyTries(_)
            | Error::ConcurrentChange(_)
    )
}

/// Completes an upload on a server whose stores fail. Repeats the request until it succeeds, and
/// returns the number of failures.
async fn completed_despite_failures(seed: u64) -> (Completed, u32) {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let (id, parts) = upload(&lake, &repository).await;
    let kv = Faults {
        read: 10,
        before_write: 60,
        after_write: 60,
        yields: 20,
    };
    let block = BlockFaults {
        before_write: 60,
        after_write: 60,
        ..BlockFaults::default()
    };
    let faulty = server(&lake, seed, kv, block);
    for failures in 0..200 {
        let ended = faulty
            .complete_multipart(to(&repository), &id, &parts, seed.is_multiple_of(2))
            .await;
        match ended {
            Ok(object) => return ((lake, repository, id, parts, object), failures),
            Err(error) => assert!(is_store_failure(&error), "seed {seed}: {error}"),
        }
    }
    panic!("seed {seed}: 200 requests failed");
}

/// A server may die between storing the bytes and the entry, or before it responds. A repeated request then completes
/// the upload.
#[tokio::test]
async fn repeated_call_completes_the_upload_despite_store_failures() {
    let (mut failures, mut lost) = (0, 0);
    for seed in base::testing::seeds(200, 10_000) {
        let (completed, failed) = completed_despite_failures(seed).await;
        let (lake, repository, id, parts, object) = completed;
        failures += failed;
        lost += u32::from(failed > 0);
        assert_eq!(lake.read(&repository, "main", "big").await, joined(&parts));
        let staged = lake.reader().stat(&repository, "main", "big").await;
        assert_eq!(staged.unwrap(), object, "seed {seed}");
        let again = lake
            .complete_multipart(to(&repository), &id, &parts, false)
            .await;
        assert_eq!(again.unwrap(), object, "seed {seed}");
    }
    assert!(failures > 50 && lost > 20, "{failures} {lost}");
}

#[tokio::test]
async fn request_with_other_parts_fails_after_store_failures() {
    for seed in base::testing::seeds(100, 10_000) {
        let ((lake, repository, id, parts, _), _) = completed_despite_failures(seed).await;
        let other = lake
            .complete_multipart(to(&repository), &id, &parts[..1], false)
            .await;
        assert!(is_unknown(&other), "seed {seed}: {other:?}");
        assert_eq!(lake.read(&repository, "main", "big").await, joined(&parts));
    }
}

#[tokio::test]
async fn repeated_call_leaves_only_the_object_and_the_result() {
    for seed in base::testing::seeds(100, 10_000) {
        let ((lake, repository, id, parts, object), _) = completed_despite_failures(seed).await;
        // A server that failed may have left records, which the repeated request deletes.
        let again = lake
            .complete_multipart(to(&repository), &id, &parts, false)
            .await;
        assert_eq!(again.unwrap(), object, "seed {seed}");
        assert_eq!(lake.records("multiparts").await, [""; 0], "seed {seed}");
        assert_eq!(
            lake.records("weir-multiparts").await,
            [""; 0],
            "seed {seed}"
        );
        assert_eq!(
            data_addresses(&lake),
            std::slice::from_ref(&object.physical_address)
        );
        let at = Location::full(&object.physical_address);
        let forgotten = lake.block.complete_multipart(&at, &id, &parts).await;
        assert!(forgotten.is_err(), "seed {seed}");
    }
}

async fn completed() -> Completed {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let (id, parts) = upload(&lake, &repository).await;
    let object = lake
        .complete_multipart(to(&repository), &id, &parts, true)
        .await
        .unwrap();
    (lake, repository, id, parts, object)
}

#[tokio::test]
async fn repeated_completion_returns_the_same_object() {
    let (lake, repository, id, parts, object) = completed().await;
    let mut quoted = parts.clone();
    quoted[0].etag = format!("\"{}\"", quoted[0].etag.to_uppercase());
    for parts in [&parts, &quoted] {
        // Succeeds even with `if_absent`, because this upload made the existing object.
        let again = lake
            .complete_multipart(to(&repository), &id, parts, true)
            .await;
        assert_eq!(again.unwrap(), object);
    }
    lake.put(&repository, "main", "big", "newer").await;
    let again = lake.complete_multipart(to(&repository), &id, &parts, false);
    assert_eq!(again.await.unwrap(), object);
    assert_eq!(lake.read(&repository, "main", "big").await, "newer");

    let paths = ["big".to_owned()];
    lake.delete_objects(&repository, "main", &paths, WriteOptions::default())
        .await
        .unwrap();
    let again = lake.complete_multipart(to(&repository), &id, &parts, false);
    assert_eq!(again.await.unwrap(), object);
    assert_eq!(lake.paths(&repository, "main").await, "");
}

#[tokio::test]
async fn repeated_completion_must_name_the_same_upload() {
    let (lake, repository, id, parts, _) = completed().await;
    let other = lake.repository("other").await;
    let elsewhere = [
        to(&other),
        ObjectTarget {
            path: "another",
            ..to(&repository)
        },
        ObjectTarget {
            branch: "dev",
            ..to(&repository)
        },
    ];
    for to in elsewhere {
        let ended = lake.complete_multipart(to, &id, &parts, false).await;
        assert!(is_unknown(&ended), "{ended:?}");
    }
    for parts in [&parts[..2], &parts[1..]] {
        let ended = lake
            .complete_multipart(to(&repository), &id, parts, false)
            .await;
        assert!(is_unknown(&ended), "{ended:?}");
    }
    let mut forged = parts.clone();
    forged[0].etag = "0".repeat(32);
    let ended = lake
        .complete_multipart(to(&repository), &id, &forged, false)
        .await;
    assert!(is_unknown(&ended), "{ended:?}");
}

#[tokio::test]
async fn results_of_completions_are_kept_for_a_day() {
    let (lake, repository, id, parts, object) = completed().await;
    lake.clock.advance(COMPLETION_RETENTION);
    assert_eq!(lake.prune_completions().await.unwrap(), 0);
    let again = lake.complete_multipart(to(&repository), &id, &parts, false);
    assert_eq!(again.await.unwrap(), object);

    let (later, _) = upload(&lake, &repository).await;
    let last = lake.complete_multipart(to(&repository), &later, &parts, false);
    last.await.unwrap();
    lake.clock.advance(Duration::from_secs(1));
    assert_eq!(lake.prune_completions().await.unwrap(), 1);
    assert_eq!(lake.records("weir-multiparts-done").await.len(), 1);
    let forgotten = lake
        .complete_multipart(to(&repository), &id, &parts, false)
        .await;
    assert!(is_unknown(&forgotten), "{forgotten:?}");
    // The object itself stays.
    assert_eq!(lake.read(&repository, "main", "big").await, joined(&parts));
}

/// If a completion is refused after the parts were joined, the upload can still be completed or aborted.
#[tokio::test]
async fn refused_completion_leaves_the_upload_open() {
    for abort in [true, false] {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let (id, parts) = upload(&lake, &repository).await;
        // Simulates an object that is written between the check and the joining of the parts.
        let at = lake.multipart(to(&repository), &id).await.unwrap();
        let at = Location::full(&at.physical_address);
        let joined_here = lake.block.complete_multipart(&at, &id, &parts).await;
        joined_here.unwrap();
        lake.put(&repository, "main", "big", "there").await;
        let refused = lake
            .complete_multipart(to(&repository), &id, &parts, true)
            .await;
        assert!(
            matches!(refused, Err(Error::PreconditionFailed)),
            "{refused:?}"
        );
        if abort {
            lake.abort_multipart(to(&repository), &id).await.unwrap();
            assert_eq!(data_addresses(&lake).len(), 1, "the bytes of `there`");
        } else {
            lake.complete_multipart(to(&repository), &id, &parts, false)
                .await
                .unwrap();
            assert_eq!(lake.read(&repository, "main", "big").await, joined(&parts));
        }
    }
}

/// Guards against a bug: one unreadable record stopped the job for all records.
#[tokio::test]
async fn unreadable_record_does_not_stop_the_pruning() {
    let (lake, repository, id, parts, _) = completed().await;
    let broken = kv::Op::Set {
        partition: Bytes::from_static(b"weir-multiparts-done"),
        // Sorts before the other record.
        key: Bytes::from_static(b"\x00\xff/broken"),
        value: Bytes::from_static(b"\xff\xff"),
        predicate: None,
    };
    lake.kv.batch(vec![broken]).await.unwrap();
    lake.clock
        .advance(COMPLETION_RETENTION + Duration::from_secs(1));
    assert_eq!(lake.prune_completions().await.unwrap(), 1);
    let kept = lake.records("weir-multiparts-done").await;
    assert_eq!(kept.len(), 1, "the unreadable record");
    let forgotten = lake
        .complete_multipart(to(&repository), &id, &parts, false)
        .await;
    assert!(is_unknown(&forgotten), "{forgotten:?}");
    assert_eq!(lake.prune_completions().await.unwrap(), 0);
}

/// The server may die, or its store may fail, between the two steps of an abort.
#[tokio::test]
async fn parts_that_an_abort_left_are_deleted_after_a_day() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let (id, _) = upload(&lake, &repository).await;
    let open = lake.list_multiparts(&repository, "", ("", ""), 1);
    let at = Location::full(&open.await.unwrap().results[0].physical_address);
    let failing = BlockFaults {
        before_write: u8::MAX,
        ..BlockFaults::default()
    };
    let failing = server(&lake, 1, Faults::default(), failing);
    let abort = failing.abort_multipart(to(&repository), &id);
    abort.await.unwrap();
    let put = async || {
        lake.block
            .put_part(&at, &id, 1, from_bytes("1".into()))
            .await
    };
    put().await.expect("the store still knows the upload");

    lake.clock
        .advance(COMPLETION_RETENTION + Duration::from_secs(1));
    assert_eq!(lake.prune_completions().await.unwrap(), 1);
    put().await.expect_err("the job made the store forget it");
}
