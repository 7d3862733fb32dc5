//! The answer of hooks that refuse a change.

use std::collections::BTreeMap;
use std::fmt;

use crate::EventKind;

/// A finding of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub action: String,
    pub hook: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    pub rule: String,
    pub message: String,
    pub path: Option<String>,
    pub properties: BTreeMap<String, String>,
}

/// A refusal of a change by hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub run_id: String,
    pub kind: EventKind,
    /// The message for the user: the failed hooks, each with its cause.
    pub message: String,
    /// Whether the action files themselves are invalid (HTTP 400 instead of 412).
    pub invalid_actions: bool,
    /// The hooks' findings; their number is bounded.
    pub findings: Vec<Finding>,
    /// Which gate refused and how to fix it, for people; `None` if there is nothing to add.
    pub hint: Option<String>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
