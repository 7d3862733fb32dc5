//! The result of a hook: verdict, findings, log and resource usage.

use std::fmt;

use graveler::Finding;

/// Why a hook gave no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The hook returned an error, or its config, globs or description are invalid.
    HookError,
    /// The guest trapped, or the host failed while it ran the hook.
    Trap,
    LimitTime,
    LimitMemory,
    LimitRead,
    LimitLog,
    /// The server had no free capacity in time.
    Busy,
    /// The component's path does not exist in the tree of the action file.
    ComponentMissing,
    /// The component does not have the digest that the action file requires.
    ComponentDigest,
    /// The object is not a valid component, or cannot be compiled within the limits.
    ComponentInvalid,
    /// The component does not match the version of `weir:hooks` on this server.
    ComponentAbi,
    /// The hook failed after it tried to read a path that it may not read.
    Denied,
    /// Reading the component or an object failed.
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
    Error(Failure),
}

/// Everything that a hook produced.
#[derive(Debug, Clone)]
pub struct Report {
    pub verdict: Verdict,
    /// Whether the event has no changed objects that this object gate could judge.
    pub has_no_objects: bool,
    /// Why an object got no verdict. Set even if another object's `Fail` decided the overall
    /// verdict.
    pub undecided: Option<Failure>,
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

impl Report {
    /// Returns the report of a hook that was never called.
    #[must_use]
    pub(crate) fn not_run(failure: Failure) -> Self {
        Self {
            verdict: Verdict::Error(failure.clone()),
            has_no_objects: false,
            undecided: Some(failure),
            findings: Vec::new(),
            findings_dropped: 0,
            log: Vec::new(),
            summary: None,
            metrics: Vec::new(),
            objects: 0,
            read_bytes: 0,
            peak_memory_bytes: 0,
            fuel: 0,
        }
    }
}

/// A missing verdict with its cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub cause: Cause,
    /// What failed and why. Users see it in refusals and in the hook's log.
    pub message: String,
    /// What the user can do. Responses show it next to the message.
    pub hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}
