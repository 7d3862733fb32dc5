//! Plain data: entries, changes, the event, findings. The same for Wasm and for native tests.

use std::collections::BTreeMap;

/// An object in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root of the repository, without a leading slash.
    pub path: String,
    /// The size of the object in bytes.
    pub size_bytes: u64,
    /// Objects with equal ids have equal bytes. Objects with different ids may have equal bytes too.
    pub content_id: String,
}

/// How an object changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The path is new.
    Added,
    /// The path existed before with other content.
    Changed,
    /// The path no longer exists.
    Removed,
}

/// The change of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How it changed.
    pub kind: ChangeKind,
    /// The path before and after the change.
    pub path: String,
    /// None if the object was added.
    pub before: Option<Entry>,
    /// None if the object was removed.
    pub after: Option<Entry>,
}

/// A range of bytes in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte, counted from 0.
    pub offset: u64,
    /// The number of bytes.
    pub length: u32,
}

/// The event that the hook judges. It is the same for all objects of a run.
///
/// Later versions add fields. Construct it with `..Event::default()`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The name of the event in action files: `pre-commit`, `pre-merge`, ...
    pub kind: String,
    /// The id of the run. All hooks that judge this event share it.
    pub run_id: String,
    /// The name of the action that contains this hook.
    pub action: String,
    /// The id of this hook within the action.
    pub hook: String,
    /// The name of the repository.
    pub repository: String,
    /// The branch that changes. In a merge, the destination. None in events about tags.
    pub branch: Option<String>,
    /// The tag that is created or deleted. None in all other events.
    pub tag: Option<String>,
    /// The source of a merge, as the user named it. None in all other events.
    pub merge_source: Option<String>,
    /// The user who requested the change.
    pub actor: String,
    /// The time of the request, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// The new commit in `pre-merge`, `post-merge`, `post-commit`, `post-revert` and `post-cherry-pick`. In events that
    /// create a branch and in events about tags, the commit that the branch or tag points to. None in all other
    /// events.
    pub commit_id: Option<String>,
    /// None in events that create no commit.
    pub commit_message: Option<String>,
    /// Empty in events that create no commit.
    pub commit_metadata: BTreeMap<String, String>,
    /// The ids of the commit's parents, first parent first.
    pub parents: Vec<String>,
}

/// The decision of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The change may land.
    Pass,
    /// The change must not land.
    Fail,
    /// The change contains nothing for this hook to judge.
    Skip,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Information. The change may land.
    Info,
    /// A possible problem. The change may land.
    Warning,
    /// A violation. The hook fails, whatever verdict its function returns.
    Error,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A problem or a fact that the hook found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// An error makes the hook fail.
    pub severity: Severity,
    /// A short, stable name such as `forbidden-column`.
    pub rule: String,
    /// The text that the user reads.
    pub message: String,
    /// The path of the object that the finding is about. In an object gate, None means the judged object.
    pub path: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The row, counted from 0.
    pub row: Option<u64>,
    /// Additional facts by name.
    pub properties: BTreeMap<String, String>,
}

impl Finding {
    /// Creates a finding. In an object gate it is about the judged object.
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

    /// Sets the object that the finding is about.
    #[must_use]
    pub fn at_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets the column.
    #[must_use]
    pub fn at_column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }

    /// Sets the row, counted from 0. Responses and logs show it counted from 1.
    #[must_use]
    pub fn at_row(mut self, row: u64) -> Self {
        self.row = Some(row);
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }
}
