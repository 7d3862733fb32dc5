//! `on:` of an action file: events and their filters.

use std::collections::BTreeMap;

use graveler::EventKind;

use super::On;
use super::suspicious::{warn_of_branches, warn_of_paths, warn_unknown_keys};
use super::units::nearest;
use super::yaml::{Fault, Node};
use crate::glob;

/// Texts of one list: as many as globs can be compiled together.
const MAX_GLOBS: usize = base::glob::MAX_PATTERNS;
/// Keys of an event.
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

/// The events of a file; at least one.
pub(super) fn read(
    root: &Node,
    warnings: &mut Vec<Fault>,
) -> Result<BTreeMap<EventKind, On>, Fault> {
    let Some(on) = root.get("on") else {
        return Err(Fault::new(root.at, "'on' is required"));
    };
    let Some(events) = on.map() else {
        return Err(Fault::new(
            on.at,
            "'on' must be a map from events to their filters",
        ));
    };
    if events.is_empty() {
        return Err(Fault::new(on.at, "'on' is required"));
    }
    let mut read = BTreeMap::new();
    for (key, filters) in events {
        let kind = read_event(&key.text).map_err(|reason| Fault::new(key.at, reason))?;
        read.insert(kind, read_filters(kind, filters, warnings)?);
    }
    Ok(read)
}

fn read_event(name: &str) -> Result<EventKind, String> {
    if let Some(kind) = EVENTS.into_iter().find(|kind| kind.as_str() == name) {
        return Ok(kind);
    }
    if name == "schedule" {
        return Err("event 'schedule' is not offered by this version".to_owned());
    }
    let hint = nearest(name, &EVENTS.map(EventKind::as_str))
        .map_or(String::new(), |known| format!("; did you mean '{known}'?"));
    Err(format!("event '{name}' is not supported{hint}"))
}

fn is_tag_event(kind: EventKind) -> bool {
    use EventKind::{PostCreateTag, PostDeleteTag, PreCreateTag, PreDeleteTag};
    matches!(
        kind,
        PreCreateTag | PostCreateTag | PreDeleteTag | PostDeleteTag
    )
}

fn read_filters(kind: EventKind, node: &Node, warnings: &mut Vec<Fault>) -> Result<On, Fault> {
    if node.is_null() {
        return Ok(On::default());
    }
    if node.map().is_none() {
        return Err(Fault::new(
            node.at,
            format!("'{}' must be a map or empty", kind.as_str()),
        ));
    }
    warn_unknown_keys(&format!("on.{}.", kind.as_str()), node, &KEYS, warnings);
    let mut on = On::default();
    if let Some(branches) = node.get("branches") {
        on.branches = texts("branches", branches)?;
        if is_tag_event(kind) && !on.branches.is_empty() {
            return Err(Fault::new(
                branches.at,
                "'branches' is not supported in tag event types",
            ));
        }
        glob::check_branch_list(&on.branches)
            .map_err(|reason| Fault::new(branches.at, format!("'branches': {reason}")))?;
        // lakeFS reads a glob when an event is held against it, so a malformed one is an error then.
        warn_of_branches(branches, warnings);
    }
    if let Some(paths) = node.get("paths") {
        on.paths = texts("paths", paths)?;
        glob::path_set(&on.paths)
            .map_err(|reason| Fault::new(paths.at, format!("'paths': {reason}")))?;
        warn_of_paths("paths", paths, warnings);
    }
    Ok(on)
}

/// A list of texts; empty items are left out, as lakeFS does.
pub(super) fn texts(name: &str, node: &Node) -> Result<Vec<String>, Fault> {
    let Some(items) = node.list() else {
        return Err(Fault::new(node.at, format!("'{name}' must be a list")));
    };
    if items.len() > MAX_GLOBS {
        let reason = format!("'{name}' has more than {MAX_GLOBS} items");
        return Err(Fault::new(node.at, reason));
    }
    items
        .iter()
        .filter(|item| !item.is_null())
        .map(|item| {
            item.text()
                .map(str::to_owned)
                .ok_or_else(|| Fault::new(item.at, format!("'{name}' must be a list of texts")))
        })
        .collect()
}
