//! Measures one run of a no-op gate inside the server: create store, instantiate, call, drop.
//!
//! Run it with `cargo xtask bench hooks`. Expected: tens of microseconds. A storage read costs
//! more.

use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use actions::wasm::{
    CodeKey, CompileWait, Compiler, Component, Host, HostOptions, Limits, Request, Select, Side,
    Trees, Verdict,
};
use async_trait::async_trait;
use base::{OffsetDateTime, Page};
use block::ByteStream;
use bytes::Bytes;
use catalog::Object;
use graveler::{
    BranchCreation, BranchId, CommitId, Event, EventDetails, MetaRangeId, Repository, RepositoryId,
    RepositoryState,
};

static GATE: LazyLock<Component> = LazyLock::new(|| {
    let bytes = include_bytes!("../tests/fixtures/test_gate.wasm");
    Component::new(Bytes::from_static(bytes))
});
const WARM_UP: usize = 200;
const RUNS: usize = 5_000;

#[expect(clippy::print_stdout, reason = "a benchmark")]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("failed to create the runtime");
    let folder = tempfile::tempdir().expect("failed to create a temporary folder");
    let options = HostOptions::new(
        folder.path().to_owned(),
        CodeKey::new([1; 32]),
        Compiler::InProcess,
    );
    let host = Host::new(options).expect("failed to create the host");
    let mut taken = runtime.block_on(async {
        for _ in 0..WARM_UP {
            once(&host).await;
        }
        let mut taken = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let started = Instant::now();
            once(&host).await;
            taken.push(started.elapsed());
        }
        taken
    });
    taken.sort_unstable();
    let allocator = if host.is_pooled() {
        "pooled"
    } else {
        "on demand"
    };
    println!(
        "| a gate that does nothing: instantiate, call, drop ({allocator}) | p50 us | p99 us |"
    );
    println!("|---|--:|--:|");
    println!(
        "| {RUNS} runs, one after another | {:.1} | {:.1} |",
        micros(taken[RUNS / 2]),
        micros(taken[RUNS * 99 / 100])
    );
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

async fn once(host: &Host) {
    let report = host.run(request()).await;
    assert_eq!(report.verdict, Verdict::Skip);
}

fn request() -> Request {
    Request {
        component: GATE.clone(),
        action: "bench".to_owned(),
        hook: "noop".to_owned(),
        event: Arc::new(event()),
        trees: Arc::new(NoTrees),
        config: serde_json::json!({ "mode": "skip" }),
        select: Select::default(),
        read: Vec::new(),
        limits: Limits {
            memory_bytes: 16 << 20,
            time_per_object: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            read_bytes: 1 << 20,
            findings: 10,
            log_bytes: 4096,
        },
        parallelism: 1,
        keep_going: false,
        compile_wait: CompileWait::default(),
    }
}

fn event() -> Event {
    Event {
        run_id: "run".to_owned(),
        time: OffsetDateTime::UNIX_EPOCH,
        repository: Repository {
            id: RepositoryId::trusted("bench"),
            storage_namespace: "mem://bench".to_owned(),
            default_branch: BranchId::trusted("main"),
            creation_date: OffsetDateTime::UNIX_EPOCH,
            state: RepositoryState::Active,
            instance_uid: "uid".to_owned(),
            read_only: false,
            storage_id: String::new(),
        },
        actor: "bench".to_owned(),
        depth: 0,
        details: EventDetails::PreCreateBranch(BranchCreation {
            branch: BranchId::trusted("main"),
            source: "main".to_owned(),
            commit_id: CommitId::trusted("c"),
            meta_range_id: MetaRangeId::trusted(""),
        }),
    }
}

/// Trees without any objects.
#[derive(Debug)]
struct NoTrees;

#[async_trait]
impl Trees for NoTrees {
    fn tree_id(&self, _side: Side) -> Option<String> {
        None
    }

    async fn stat(&self, _side: Side, _path: &str) -> catalog::Result<Option<Object>> {
        Ok(None)
    }

    async fn walk(
        &self,
        _side: Side,
        _prefix: &str,
        _after: &str,
        _limit: usize,
    ) -> catalog::Result<Page<Object>> {
        Ok(Page::empty())
    }

    async fn diff(
        &self,
        _prefix: &str,
        _after: &str,
        _limit: usize,
    ) -> catalog::Result<Page<(Option<Object>, Option<Object>)>> {
        Ok(Page::empty())
    }

    async fn open(&self, object: &Object, _range: Range<u64>) -> catalog::Result<ByteStream> {
        Err(catalog::Error::DataGone(object.path.clone()))
    }
}
