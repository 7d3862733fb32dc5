//! Runs hooks that are WebAssembly components, sandboxed and bounded.
//!
//! This file is what the rest of the crate sees: a [`Request`] in, a [`Report`]
//! out. Below it, [`Host`] owns the engines; a component is checked and compiled in a process of its own
//! (`compile`), once per digest (`cache`), waits for room (`admission`) and runs in a fresh instance per
//! call (`instance`), on a thread of its own (`guests`). It sees the world through `session` and its WIT
//! shim `v0_1`. `fanout` runs an object gate over every changed object.
//!
//! Nothing here knows action files or run records. The invariant: whatever a
//! component does, [`Host::run`] returns, within its limits, with a cause.

mod admission;
mod artifact;
mod cache;
mod capability;
mod check;
mod collect;
mod compile;
mod disk;
mod engine;
mod fanout;
pub(crate) mod fuzzing;
mod guests;
mod host;
mod instance;
mod limits;
mod log;
mod nesting;
mod outside;
mod reads;
mod session;
mod tree;
mod v0_1;
mod wasi;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use graveler::{Event, Finding};

pub use compile::{CompileLimits, Compiler, compile_job};
pub use host::{Host, HostOptions};
pub use tree::{Side, SnapshotTrees, Trees};

/// What one hook may use. Effective limits are the lower of the server's and the action's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Linear memory and tables of one instance.
    pub memory_bytes: u64,
    /// Of one object (object-gate) or the whole call (gate).
    pub time_per_object: Duration,
    /// Of the whole hook.
    pub timeout: Duration,
    /// Bytes fetched from storage by the whole hook.
    pub read_bytes: u64,
    /// Findings that are kept; more are counted.
    pub findings: usize,
    /// An instance that writes more is stopped; what is kept of a whole hook is cut.
    pub log_bytes: usize,
}

/// Which changes an object gate is shown.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// Globs on whole paths; empty: the component's own default, or all.
    pub paths: Vec<String>,
    /// `added`, `changed`, `removed`; empty: the component's own default, or added and changed.
    pub kinds: Vec<String>,
    /// Larger objects are not shown.
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
    /// The trees of the event: [`SnapshotTrees`] outside of tests.
    pub trees: Arc<dyn Trees>,
    pub config: serde_json::Value,
    pub select: Select,
    /// Globs of paths that may be read beside the selected ones.
    pub read: Vec<String>,
    pub limits: Limits,
    /// Objects judged at once.
    pub parallelism: usize,
    /// Whether an object gate that breaks on one object (a trap, a limit) is shown the rest all the same.
    pub keep_going: bool,
}

/// Why a hook gave no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The hook said that it could not decide, or was asked to do what can't be done.
    HookError,
    Trap,
    LimitTime,
    LimitMemory,
    LimitRead,
    LimitLog,
    /// There was no room on the server in time.
    Busy,
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
            Self::LimitLog => "limit_log",
            Self::Busy => "busy",
            Self::ComponentMissing => "component_missing",
            Self::ComponentDigest => "component_digest",
            Self::ComponentInvalid => "component_invalid",
            Self::ComponentAbi => "component_abi",
            Self::Denied => "denied",
            Self::Storage => "storage",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    Skip,
    /// No answer; findings and log up to then are kept.
    Error {
        cause: Cause,
        message: String,
    },
}

/// What a hook left.
#[derive(Debug, Clone)]
pub struct Report {
    pub verdict: Verdict,
    /// Why something got no verdict, even if another object's `Fail` decided.
    pub undecided: Option<(Cause, String)>,
    /// In path order, bounded by the limit. An object that got no verdict has
    /// one whose rule is the cause.
    pub findings: Vec<Finding>,
    /// Findings beyond the limit, which were dropped.
    pub findings_dropped: u64,
    /// UTF-8 lines, bounded; ends in a note if it was cut.
    pub log: Vec<u8>,
    /// Markdown, if the hook gave one.
    pub summary: Option<String>,
    /// (name, value, unit), in order of name; of an object gate, sums over objects.
    pub metrics: Vec<(String, f64, String)>,
    /// Objects judged; 0 for a gate.
    pub objects: u64,
    pub read_bytes: u64,
    /// Of the largest instance.
    pub peak_memory_bytes: u64,
    /// Units of work done in the guest: the same on every run with the same inputs.
    pub fuel: u64,
}

/// No verdict, and why. What the user reads is `message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
struct Failure {
    cause: Cause,
    message: String,
}

impl Failure {
    fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
        }
    }
}
