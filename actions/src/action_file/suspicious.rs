//! What lakeFS accepts in an action file, and what is yet hardly ever meant. Warnings, never errors.

use super::units::nearest;
use super::yaml::{Fault, Node};
use crate::glob;

/// Warnings of one file that are kept.
const MAX_WARNINGS: usize = 50;

/// Keys that begin so are meant to be ignored: they hold anchors.
const EXTENSION_PREFIX: &str = "x-";

/// Warns of keys that nothing reads, with the key that was probably meant.
pub(super) fn warn_unknown_keys(of: &str, node: &Node, known: &[&str], warnings: &mut Vec<Fault>) {
    for (key, _) in node.map().unwrap_or_default() {
        if known.contains(&key.text.as_str()) || key.text.starts_with(EXTENSION_PREFIX) {
            continue;
        }
        let hint = nearest(&key.text, known).map_or_else(
            || format!("known keys are {}", known.join(", ")),
            |meant| format!("did you mean '{meant}'?"),
        );
        let reason = format!("unknown key '{of}{}' is ignored; {hint}", key.text);
        warn(warnings, Fault::new(key.at, reason));
    }
}

/// Warns of globs of branches that are malformed or can match no branch.
pub(super) fn warn_of_branches(node: &Node, warnings: &mut Vec<Fault>) {
    for item in node.list().unwrap_or_default() {
        let Some(pattern) = item.text() else {
            continue;
        };
        let quoted = base::glob::quoted(pattern);
        let reason = if !glob::is_branch_pattern(pattern) {
            format!(
                "'branches': '{quoted}' is no glob; an event that is held against it is refused"
            )
        } else if let Some(name) = pattern.strip_prefix("refs/heads/") {
            format!(
                "'branches': '{quoted}' can match no branch; name the branch only: '{}'",
                base::glob::quoted(name)
            )
        } else if !glob::can_match_branch(pattern) {
            format!(
                "'branches': '{quoted}' can match no branch; branch names have letters, digits, '_' and '-'"
            )
        } else {
            continue;
        };
        warn(warnings, Fault::new(item.at, reason));
    }
}

/// Warns of globs of object paths that are hardly ever meant as they are written.
pub(super) fn warn_of_paths(name: &str, node: &Node, warnings: &mut Vec<Fault>) {
    for item in node.list().unwrap_or_default() {
        let Some(pattern) = item.text() else {
            continue;
        };
        let only = |what: &str, instead: &str| {
            format!("'{name}': '{pattern}' matches only paths that {what}; write '{instead}'")
        };
        let reason = if let Some((scheme, _)) = pattern.split_once("://") {
            format!(
                "'{name}': '{pattern}' matches only paths that begin with '{scheme}:'; write the path within the repository, without repository and branch"
            )
        } else if let Some(rest) = pattern.strip_prefix("./") {
            only("begin with './'", rest)
        } else if let Some(rest) = pattern.strip_prefix('/') {
            only("begin with '/'", rest.trim_start_matches('/'))
        } else if pattern.ends_with('/') {
            only("end in '/'", &format!("{pattern}**"))
        } else {
            continue;
        };
        warn(warnings, Fault::new(item.at, reason));
    }
}

pub(super) fn warn(warnings: &mut Vec<Fault>, fault: Fault) {
    if warnings.len() < MAX_WARNINGS {
        warnings.push(fault);
    }
}
