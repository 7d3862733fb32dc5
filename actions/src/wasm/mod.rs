//! Runs hooks that are WebAssembly components, sandboxed and bounded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::Snapshot;
use graveler::{Event, Finding};

/// What one hook may use. Effective limits are the lower of the server's and the action's.
#[derive(Debug, Clone)]
pub struct Limits {
    pub memory_bytes: u64,
    /// Of one object (object-gate) or the whole call (gate).
    pub time_per_object: Duration,
    /// Of the whole hook.
    pub timeout: Duration,
    pub read_bytes: u64,
    pub findings: usize,
    pub log_bytes: usize,
}

/// Which changes an object gate is shown.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// Globs on whole paths; empty: all (or the component's own default).
    pub paths: Vec<String>,
    /// `added`, `changed`, `removed`; empty: added and changed.
    pub kinds: Vec<String>,
    pub max_size_bytes: Option<u64>,
}

/// One hook to run.
#[derive(Debug, Clone)]
pub struct Request {
    pub component: Bytes,
    /// Names for logs, findings and the `event` interface.
    pub action: String,
    pub hook: String,
    pub event: Arc<Event>,
    pub candidate: Option<Snapshot>,
    pub base: Option<Snapshot>,
    pub source: Option<Snapshot>,
    pub config: serde_json::Value,
    pub select: Select,
    /// Globs of paths that may be read beside the selected ones.
    pub read: Vec<String>,
    pub limits: Limits,
    /// Objects judged at once.
    pub parallelism: usize,
}

/// Why a hook gave no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    HookError,
    Trap,
    LimitTime,
    LimitMemory,
    LimitRead,
    ComponentMissing,
    ComponentDigest,
    ComponentInvalid,
    ComponentAbi,
    Denied,
    Storage,
}

impl Cause {
    /// The code users see: `limit_time`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HookError => "hook_error",
            Self::Trap => "trap",
            Self::LimitTime => "limit_time",
            Self::LimitMemory => "limit_memory",
            Self::LimitRead => "limit_read",
            Self::ComponentMissing => "component_missing",
            Self::ComponentDigest => "component_digest",
            Self::ComponentInvalid => "component_invalid",
            Self::ComponentAbi => "component_abi",
            Self::Denied => "denied",
            Self::Storage => "storage",
        }
    }
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    Skip,
    /// No answer; findings and log up to then are kept.
    Error { cause: Cause, message: String },
}

/// What a hook left.
#[derive(Debug, Clone)]
pub struct Report {
    pub verdict: Verdict,
    /// In path order, bounded by the limit.
    pub findings: Vec<Finding>,
    /// Findings beyond the limit, which were dropped.
    pub findings_dropped: u64,
    /// UTF-8 lines, bounded; ends in a note if it was cut.
    pub log: Vec<u8>,
    /// Markdown, if the hook gave one.
    pub summary: Option<String>,
    /// (name, value, unit).
    pub metrics: Vec<(String, f64, String)>,
    pub objects: u64,
    pub read_bytes: u64,
    pub peak_memory_bytes: u64,
}

/// The Wasm engine with its compiled components. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {}

#[expect(unused_variables, clippy::unused_async, reason = "skeleton")]
impl Host {
    /// Sets up the engine; compiled code is kept in `cache_dir`, keyed by digest.
    ///
    /// # Errors
    /// When the engine can't be set up on this machine.
    pub fn new(cache_dir: PathBuf) -> Result<Self, String> {
        todo!()
    }
    /// Runs one hook. Never panics and never outlives its limits, whatever the component does.
    pub async fn run(&self, request: Request) -> Report {
        todo!()
    }
    /// What a component says of itself (JSON of `describe`), cached by digest.
    ///
    /// # Errors
    /// The cause and a message with what to do.
    pub async fn describe(&self, component: &Bytes) -> Result<serde_json::Value, (Cause, String)> {
        todo!()
    }
}
