//! Tests of the Wasm host with real components and in-memory trees.
//!
//! The components are committed builds of `tests/guests`, whose sources document the modes.

mod attacks;
mod components;
mod gate;
mod hostile;
mod objects;
mod stored;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use actions::wasm::{
    CodeKey, CompileLimits, CompileWait, Compiler, Component, Host, HostOptions, Limits, Report,
    Request, Select, Side, Trees, Verdict,
};
use async_trait::async_trait;
use base::{OffsetDateTime, Page};
use block::ByteStream;
use bytes::Bytes;
use catalog::{AddressType, Entry, Object};
use futures::stream;
use graveler::{
    BranchId, CommitId, CommitProposal, Draft, Event, EventDetails, MergeProposal, MergeSource,
    MetaRangeId, Repository, RepositoryId, RepositoryState,
};
use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify};

/// One host for most tests.
static HOST: LazyLock<Host> = LazyLock::new(new_host);

/// A host whose instances and slots no other test uses. All hosts share a disk cache in the build folder.
fn new_host() -> Host {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hooks");
    Host::new(HostOptions::new(folder, code_key(), child_compiler())).unwrap()
}

/// Compiles components in a child process, like a server.
fn child_compiler() -> Compiler {
    Compiler::Child {
        program: env!("CARGO_BIN_EXE_compile-component").into(),
        arguments: Vec::new(),
        limits: CompileLimits::default(),
    }
}

fn code_key() -> CodeKey {
    CodeKey::new([7; 32])
}

fn host() -> Host {
    HOST.clone()
}

fn gate() -> Bytes {
    Bytes::from_static(include_bytes!("../fixtures/test_gate.wasm"))
}

fn object_gate() -> Bytes {
    Bytes::from_static(include_bytes!("../fixtures/test_object_gate.wasm"))
}

/// A storage failure at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadFailure {
    Fails,
    Short,
}

type Files = BTreeMap<String, Object>;

/// In-memory trees with small pages and small chunks.
#[derive(Debug, Default)]
struct Memory {
    candidate: Files,
    base: Files,
    bytes: BTreeMap<String, Bytes>,
    read_failures: BTreeMap<String, ReadFailure>,
    /// (path, range) of each fetch.
    fetched: Mutex<Vec<(String, Range<u64>)>>,
    /// Notified whenever a guest asks for a tree.
    called: Notify,
    /// Number of times that guests asked for a tree.
    calls: AtomicU64,
    /// Each first page of a listing waits here.
    barrier: Option<Arc<Barrier>>,
}

const ROWS: usize = 3;
const PIECE: usize = 5;

impl Memory {
    /// Creates trees from pairs of path and content.
    fn new(base: &[(&str, &str)], candidate: &[(&str, &str)]) -> Self {
        let mut trees = Self::default();
        trees.base = base.iter().map(|(p, c)| trees.file(p, c)).collect();
        trees.candidate = candidate.iter().map(|(p, c)| trees.file(p, c)).collect();
        trees
    }

    fn file(&mut self, path: &str, content: &str) -> (String, Object) {
        let address = format!("memory://{path}/{content}");
        self.bytes
            .insert(address.clone(), Bytes::copy_from_slice(content.as_bytes()));
        let entry = Entry {
            address: address.clone(),
            address_type: AddressType::Full,
            last_modified: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
            size_bytes: i64::try_from(content.len()).unwrap(),
            etag: String::new(),
            metadata: [("owner".to_owned(), "ada".to_owned())].into(),
            content_type: "text/csv".to_owned(),
        };
        let identity = Bytes::copy_from_slice(content.as_bytes());
        (
            path.to_owned(),
            Object {
                path: path.to_owned(),
                entry,
                identity,
                physical_address: address,
            },
        )
    }

    fn with_read_failure(mut self, path: &str, failure: ReadFailure) -> Self {
        self.read_failures.insert(path.to_owned(), failure);
        self
    }

    fn with_barrier(mut self, barrier: &Arc<Barrier>) -> Self {
        self.barrier = Some(Arc::clone(barrier));
        self
    }

    fn side(&self, side: Side) -> &Files {
        match side {
            Side::Candidate => &self.candidate,
            Side::Base | Side::Source => &self.base,
        }
    }
}

fn page<T>(mut rows: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Page<T> {
    let has_more = rows.len() > limit.min(ROWS);
    rows.truncate(limit.min(ROWS));
    let next_offset = rows
        .last()
        .filter(|_| has_more)
        .map(key)
        .unwrap_or_default();
    Page {
        results: rows,
        has_more,
        next_offset,
    }
}

#[async_trait]
impl Trees for Memory {
    fn tree_id(&self, side: Side) -> Option<String> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.called.notify_one();
        match side {
            Side::Candidate => Some("candidate-tree".to_owned()),
            Side::Base => Some("base-tree".to_owned()),
            Side::Source => None,
        }
    }

    async fn stat(&self, side: Side, path: &str) -> catalog::Result<Option<Object>> {
        Ok(self.side(side).get(path).cloned())
    }

    async fn walk(
        &self,
        side: Side,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> catalog::Result<Page<Object>> {
        if let (Some(barrier), "") = (&self.barrier, after) {
            barrier.wait().await;
        }
        let rows = self
            .side(side)
            .values()
            .filter(|o| o.path.starts_with(prefix) && o.path.as_str() > after)
            .cloned();
        Ok(page(rows.collect(), limit, |o| o.path.clone()))
    }

    async fn diff(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> catalog::Result<Page<(Option<Object>, Option<Object>)>> {
        let mut paths: Vec<&String> = self.base.keys().chain(self.candidate.keys()).collect();
        paths.sort();
        paths.dedup();
        let rows = paths
            .into_iter()
            .filter(|p| p.starts_with(prefix) && p.as_str() > after);
        let rows = rows.map(|p| (self.base.get(p).cloned(), self.candidate.get(p).cloned()));
        let differ = rows
            .filter(|(b, a)| b.as_ref().map(|o| &o.identity) != a.as_ref().map(|o| &o.identity));
        Ok(page(differ.collect(), limit, |(b, a)| {
            a.as_ref().or(b.as_ref()).unwrap().path.clone()
        }))
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> catalog::Result<ByteStream> {
        self.fetched
            .lock()
            .unwrap()
            .push((object.path.clone(), range.clone()));
        let mut range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        match self.read_failures.get(&object.path) {
            Some(ReadFailure::Fails) => return Err(catalog::Error::DataGone(object.path.clone())),
            Some(ReadFailure::Short) => range.end -= 1,
            None => {}
        }
        let bytes = self.bytes[&object.physical_address].slice(range);
        let pieces: Vec<_> = bytes
            .chunks(PIECE)
            .map(|p| Ok(Bytes::copy_from_slice(p)))
            .collect();
        Ok(Box::pin(stream::iter(pieces)))
    }
}

fn time() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_700_000_123).unwrap()
}

fn event() -> Event {
    event_of(EventDetails::PreMerge(MergeProposal {
        commit: CommitProposal {
            branch: BranchId::trusted("main"),
            draft: Draft {
                message: "load of May".to_owned(),
                committer: "ada".to_owned(),
                metadata: [("job".to_owned(), "7".to_owned())].into(),
                creation_date: time(),
                meta_range_id: MetaRangeId::trusted("m"),
                parents: vec![CommitId::trusted("p1"), CommitId::trusted("p2")],
                version: 1,
            },
            base: MetaRangeId::trusted(""),
        },
        commit_id: CommitId::trusted("merge"),
        source: MergeSource {
            name: "ingest".to_owned(),
            commit_id: CommitId::trusted("p2"),
            meta_range_id: MetaRangeId::trusted("m"),
        },
    }))
}

fn event_of(details: EventDetails) -> Event {
    let time = time();
    Event {
        run_id: "run-1".to_owned(),
        time,
        repository: Repository {
            id: RepositoryId::trusted("lake"),
            storage_namespace: "mem://lake".to_owned(),
            default_branch: BranchId::trusted("main"),
            creation_date: time,
            state: RepositoryState::Active,
            instance_uid: "uid".to_owned(),
            read_only: false,
            storage_id: String::new(),
        },
        actor: "ada".to_owned(),
        depth: 0,
        details,
    }
}

/// Generous time limits, so that the tests pass on slow machines.
fn limits() -> Limits {
    Limits {
        memory_bytes: 16 << 20,
        time_per_object: Duration::from_secs(100),
        timeout: Duration::from_secs(100),
        read_bytes: 1 << 20,
        findings: 50,
        log_bytes: 4096,
    }
}

fn request(component: Bytes, trees: Memory, config: Value) -> Request {
    Request {
        component: Component::new(component),
        action: "tables gate".to_owned(),
        hook: "schema".to_owned(),
        event: Arc::new(event()),
        trees: Arc::new(trees),
        config,
        select: Select::default(),
        read: Vec::new(),
        limits: limits(),
        parallelism: 4,
        keep_going: false,
        compile_wait: CompileWait::default(),
    }
}

/// Runs the gate in a mode, with empty trees.
async fn run_mode(mode: &str) -> Report {
    host()
        .run(request(gate(), Memory::default(), json!({ "mode": mode })))
        .await
}

/// Formats each finding as `rule: message`, with its path if it has one.
fn findings(report: &Report) -> Vec<String> {
    let line = |f: &graveler::Finding| match &f.path {
        Some(path) => format!("{path} {}: {}", f.rule, f.message),
        None => format!("{}: {}", f.rule, f.message),
    };
    report.findings.iter().map(line).collect()
}

fn log(report: &Report) -> &str {
    std::str::from_utf8(&report.log).unwrap()
}

/// Formats the verdict's error, for example `trap: hook panicked ...`.
fn error(report: &Report) -> String {
    match &report.verdict {
        Verdict::Error(failure) => format!("{}: {failure}", failure.cause),
        other => panic!(
            "{other:?} instead of an error; findings {:?}",
            findings(report)
        ),
    }
}
