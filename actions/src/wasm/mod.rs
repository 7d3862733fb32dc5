//! Runs WebAssembly components as hooks, sandboxed and with resource limits.
//!
//! The interface to the rest of the crate is in this file: [`Host::run`] takes a [`Request`] and
//! returns a [`Report`]. [`Host`] owns the engines. A component is validated and compiled in a
//! separate process (`compile`), once per digest (`cache`). Each call waits for admission
//! (`admission`) and runs in a fresh instance (`instance`) on its own thread (`guests`). Guests
//! access trees through `session` and its WIT adapter `v0_1`. `fanout` runs an object gate on every
//! changed object.
//!
//! This module does not depend on action files or run records. Invariant: whatever a component
//! does, [`Host::run`] returns a verdict or a cause within its limits.

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
#[cfg(any(test, feature = "testing"))]
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

/// Resource limits of one hook. The effective limit is the lower of the server's and the action
/// file's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Linear memory and tables of one instance.
    pub memory_bytes: u64,
    /// For one object (object gate) or for the whole call (gate).
    pub time_per_object: Duration,
    /// For the whole hook.
    pub timeout: Duration,
    /// Bytes fetched from storage by the whole hook.
    pub read_bytes: u64,
    /// Maximum number of findings kept. Further findings are only counted.
    pub findings: usize,
    /// An instance that writes more is stopped. The kept log of a whole hook is truncated to this
    /// size.
    pub log_bytes: usize,
}

/// Selects the changes that an object gate checks.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// Globs that match whole paths. If empty, the component's default applies, or all paths.
    pub paths: Vec<String>,
    /// `added`, `changed`, `removed`. If empty, the component's default applies, or added and
    /// changed.
    pub kinds: Vec<String>,
    /// Larger objects are skipped.
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
    /// The trees of the event. [`SnapshotTrees`] except in tests.
    pub trees: Arc<dyn Trees>,
    pub config: serde_json::Value,
    pub select: Select,
    /// Globs of readable paths, in addition to the selected ones.
    pub read: Vec<String>,
    pub limits: Limits,
    /// Number of objects checked concurrently.
    pub parallelism: usize,
    /// Whether an object gate continues with the remaining objects after it broke on one (trap or
    /// limit).
    pub keep_going: bool,
}

/// Why a hook gave no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The hook returned an error or called the host with invalid arguments.
    HookError,
    Trap,
    LimitTime,
    LimitMemory,
    LimitRead,
    LimitLog,
    /// The server had no free capacity in time.
    Busy,
    ComponentMissing,
    ComponentDigest,
    ComponentInvalid,
    ComponentAbi,
    Denied,
    Storage,
}

impl Cause {
    /// Returns the code that users see, for example `limit_time`.
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

/// Result of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    Skip,
    /// No verdict. Findings and log up to the error are kept.
    Error {
        cause: Cause,
        message: String,
    },
}

/// Everything that a hook produced.
#[derive(Debug, Clone)]
pub struct Report {
    pub verdict: Verdict,
    /// Why an object got no verdict. Set even if another object's `Fail` decided the overall
    /// verdict.
    pub undecided: Option<(Cause, String)>,
    /// Sorted by path, limited in number. An object without a verdict has a finding whose rule is
    /// the cause.
    pub findings: Vec<Finding>,
    /// Number of findings dropped because of the limit.
    pub findings_dropped: u64,
    /// UTF-8 lines of limited size. Ends with a note if it was truncated.
    pub log: Vec<u8>,
    /// Markdown, if the hook set a summary.
    pub summary: Option<String>,
    /// (name, value, unit), sorted by name. Values of an object gate are summed over objects.
    pub metrics: Vec<(String, f64, String)>,
    /// Number of checked objects; 0 for a gate.
    pub objects: u64,
    pub read_bytes: u64,
    /// Peak memory of the largest instance.
    pub peak_memory_bytes: u64,
    /// Fuel consumed by the guest. Deterministic for the same inputs.
    pub fuel: u64,
}

/// A missing verdict with its cause. Users see `message`.
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
