//! What the host runs: a component with its event, trees, config and limits.

use std::sync::Arc;
use std::time::Duration;

use graveler::Event;

use super::compile_wait::CompileWait;
use super::component::Component;
use super::tree::Trees;

/// Resource limits of one hook. The parser of action files has already reduced them to the server's
/// limits.
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
    /// Larger objects are not checked.
    pub max_size_bytes: Option<u64>,
}

/// One hook to run.
#[derive(Debug, Clone)]
pub struct Request {
    pub component: Component,
    /// Names for logs, findings and the `event` interface.
    pub action: String,
    pub hook: String,
    pub event: Arc<Event>,
    /// The trees of the event. [`super::SnapshotTrees`] except in tests.
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
    /// How long to wait if the component must be compiled. The compilation continues if the wait ends
    /// first.
    pub compile_wait: CompileWait,
}
