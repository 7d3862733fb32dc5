//! The `on:` section of an action file: events and their filters.

use std::collections::BTreeMap;

use graveler::EventKind;

use super::suspicious::{warn, warn_of_branches, warn_of_paths, warn_unknown_keys};
use super::units::nearest;
use super::yaml::{Diagnostic, Node};
use crate::error::Malformed;
use crate::glob;

/// The filters of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    /// Branch globs. If empty, every branch matches.
    pub(crate) branches: Vec<String>,
    /// Path globs. At least one must match a changed object. If empty, the filter does not apply.
    pub(crate) paths: Vec<String>,
}

/// Maximum number of items in a list: the number of globs that can be compiled together.
const MAX_GLOBS: usize = base::glob::MAX_PATTERNS;
/// Keys of an event's filter.
const KEYS: [&str; 2] = ["branches", "paths"];

const EVENTS: [EventKind; 17] = [
    EventKind::PrepareCommit,
    EventKind::PreCommit,
    EventKind::PostCommit,
    EventKind::PreMerge,
    EventKind::PostMerge,
    EventKind::PreCreateBranch,
    EventKind::PostCreateBranch,
    EventKind::PreDeleteBranch,
    EventKind::PostDeleteBranch,
    EventKind::PreCreateTag,
    EventKind::PostCreateTag,
    EventKind::PreDeleteTag,
    EventKind::PostDeleteTag,
    EventKind::PreRevert,
    EventKind::PostRevert,
    EventKind::PreCherryPick,
    EventKind::PostCherryPick,
];

/// Reads the events of an action file. There must be at least one.
pub(super) fn read(
    root: &Node,
    warnings: &mut Vec<Diagnostic>,
) -> Result<BTreeMap<EventKind, EventFilter>, Diagnostic> {
    let Some(on) = root.get("on") else {
        return Err(Diagnostic::new(root.at, "'on' is required"));
    };
    let Some(events) = on.map() else {
        return Err(Diagnostic::new(
            on.at,
            "'on' must be a map from events to their filters",
        ));
    };
    if events.is_empty() {
        return Err(Diagnostic::new(on.at, "'on' is required"));
    }
    let mut read = BTreeMap::new();
    for (key, filters) in events {
        let kind = read_event(&key.text).map_err(|e| Diagnostic::new(key.at, e.to_string()))?;
        read.insert(kind, read_filters(kind, filters, warnings)?);
    }
    Ok(read)
}

fn read_event(name: &str) -> Result<EventKind, Malformed> {
    if let Some(kind) = EVENTS.into_iter().find(|kind| kind.as_str() == name) {
        return Ok(kind);
    }
    if name == "schedule" {
        return Err(Malformed::new(
            "event 'schedule' is not supported by this version",
        ));
    }
    let known = EVENTS.map(EventKind::as_str);
    let hint = nearest(name, &known).map_or_else(
        || format!("the events are {}", known.join(", ")),
        |meant| format!("did you mean '{meant}'?"),
    );
    Err(Malformed::new(format!(
        "event '{}' is not supported; {hint}",
        base::glob::quoted(name)
    )))
}

fn is_tag_event(kind: EventKind) -> bool {
    use EventKind::{PostCreateTag, PostDeleteTag, PreCreateTag, PreDeleteTag};
    matches!(
        kind,
        PreCreateTag | PostCreateTag | PreDeleteTag | PostDeleteTag
    )
}

fn read_filters(
    kind: EventKind,
    node: &Node,
    warnings: &mut Vec<Diagnostic>,
) -> Result<EventFilter, Diagnostic> {
    if node.is_null() {
        return Ok(EventFilter::default());
    }
    if node.map().is_none() {
        return Err(Diagnostic::new(
            node.at,
            format!("'{}' must be a map or empty", kind.as_str()),
        ));
    }
    warn_unknown_keys(&format!("on.{}.", kind.as_str()), node, &KEYS, warnings);
    let mut on = EventFilter::default();
    if let Some(branches) = node.get("branches") {
        on.branches = texts("branches", branches)?;
        if is_tag_event(kind) && !on.branches.is_empty() {
            return Err(Diagnostic::new(
                branches.at,
                "'branches' is not supported in tag event types",
            ));
        }
        glob::check_branch_list(&on.branches)
            .map_err(|reason| Diagnostic::new(branches.at, format!("'branches': {reason}")))?;
        for item in branches.list().unwrap_or_default() {
            let pattern = item.text().unwrap_or_default();
            if pattern.len() > base::glob::MAX_PATTERN_BYTES {
                let reason = format!(
                    "'branches': '{}' has more than {} bytes",
                    base::glob::quoted(pattern),
                    base::glob::MAX_PATTERN_BYTES
                );
                return Err(Diagnostic::new(item.at, reason));
            }
        }
        // lakeFS parses a branch glob only when an event is matched against it, so a malformed glob
        // is only a warning here.
        warn_of_branches(branches, warnings);
    }
    if let Some(paths) = node.get("paths") {
        on.paths = texts("paths", paths)?;
        glob::path_set(&on.paths)
            .map_err(|reason| Diagnostic::new(paths.at, format!("'paths': {reason}")))?;
        warn_of_paths("paths", paths, warnings);
        if !on.paths.is_empty() && !kind.has_changed_objects() {
            let reason = format!(
                "'paths' has no effect in {0}, which has no changed objects: the hooks run for every {0}",
                kind.as_str()
            );
            warn(warnings, Diagnostic::new(paths.at, reason));
        }
    }
    Ok(on)
}

/// Reads a list of strings. Skips empty items, as lakeFS does.
pub(super) fn texts(name: &str, node: &Node) -> Result<Vec<String>, Diagnostic> {
    let Some(items) = node.list() else {
        return Err(Diagnostic::new(node.at, format!("'{name}' must be a list")));
    };
    if items.len() > MAX_GLOBS {
        let reason = format!("'{name}' has more than {MAX_GLOBS} items");
        return Err(Diagnostic::new(node.at, reason));
    }
    items
        .iter()
        .filter(|item| !item.is_null())
        .map(|item| {
            item.text().map(str::to_owned).ok_or_else(|| {
                Diagnostic::new(item.at, format!("'{name}' must be a list of strings"))
            })
        })
        .collect()
}
