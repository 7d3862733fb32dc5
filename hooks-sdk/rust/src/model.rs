//! Plain facts: entries, changes, the event, findings. The same on Wasm and natively.

use std::collections::BTreeMap;

/// An object in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    pub size_bytes: u64,
    /// Equal ids mean equal bytes. Unequal ids mean nothing.
    pub content_id: String,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Changed,
    Removed,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub path: String,
    /// None if added.
    pub before: Option<Entry>,
    /// None if removed.
    pub after: Option<Entry>,
}

/// A run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub offset: u64,
    pub length: u32,
}

/// What happened. The same on every retry of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `pre-commit`, `pre-merge`, ...
    pub kind: String,
    pub run_id: String,
    pub action: String,
    pub hook: String,
    pub repository: String,
    /// The branch that would change: of a merge, its destination.
    pub branch: Option<String>,
    pub merge_source: Option<String>,
    pub actor: String,
    /// Milliseconds since 1970 UTC.
    pub time_ms: u64,
    pub commit_message: Option<String>,
    pub commit_metadata: BTreeMap<String, String>,
    /// Commit ids, the first parent first.
    pub parents: Vec<String>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// The change must not land.
    Fail,
    /// Nothing here for this hook to judge.
    Skip,
}

/// How much a finding weighs. One error makes a hook fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// How much a log line weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// A short stable name: `forbidden-column`.
    pub rule: String,
    pub message: String,
    /// None in an object gate: the object that is judged.
    pub path: Option<String>,
    pub column: Option<String>,
    /// From 0.
    pub row: Option<u64>,
    pub properties: BTreeMap<String, String>,
}

impl Finding {
    /// A finding about the object that is judged.
    pub fn new(severity: Severity, rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity,
            rule: rule.into(),
            message: message.into(),
            path: None,
            column: None,
            row: None,
            properties: BTreeMap::new(),
        }
    }

    /// About another object.
    #[must_use]
    pub fn at_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// About a column.
    #[must_use]
    pub fn at_column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }

    /// About a row, counted from 0.
    #[must_use]
    pub fn at_row(mut self, row: u64) -> Self {
        self.row = Some(row);
        self
    }

    /// A further fact.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }
}
