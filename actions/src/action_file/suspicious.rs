//! Warnings about input that lakeFS accepts but that is probably a mistake.

use super::units::nearest;
use super::yaml::{Diagnostic, Node};
use crate::condition::Condition;
use crate::glob;

/// Maximum number of warnings per file.
const MAX_WARNINGS: usize = 50;

/// Keys with this prefix get no warning, because authors use them to define YAML anchors.
const EXTENSION_PREFIX: &str = "x-";

/// Advice for a property that is not below `properties`.
pub(super) const MOVE_BELOW: &str = "move it below 'properties:'";

/// Warns of unknown keys and suggests the closest known key.
pub(super) fn warn_unknown_keys(
    of: &str,
    node: &Node,
    known: &[&str],
    warnings: &mut Vec<Diagnostic>,
) {
    warn_unknown_keys_above(of, node, known, &[], warnings);
}

/// Warns of unknown keys of a hook. If a key belongs in the hook's `properties` map, whose keys are
/// `properties`, the warning says so.
pub(super) fn warn_unknown_keys_above(
    of: &str,
    node: &Node,
    known: &[&str],
    properties: &[&str],
    warnings: &mut Vec<Diagnostic>,
) {
    for (key, _) in node.map().unwrap_or_default() {
        if known.contains(&key.text.as_str()) || key.text.starts_with(EXTENSION_PREFIX) {
            continue;
        }
        let hint = if properties.contains(&key.text.as_str()) {
            MOVE_BELOW.to_owned()
        } else {
            nearest(&key.text, known).map_or_else(
                || format!("known keys are {}", known.join(", ")),
                |meant| format!("did you mean '{meant}'?"),
            )
        };
        let reason = format!("unknown key '{of}{}' is ignored; {hint}", key.text);
        warn(warnings, Diagnostic::new(key.at, reason));
    }
}

/// Warns of branch globs that are malformed or can match no branch.
pub(super) fn warn_of_branches(node: &Node, warnings: &mut Vec<Diagnostic>) {
    for item in node.list().unwrap_or_default() {
        let Some(pattern) = item.text() else {
            continue;
        };
        let quoted = base::glob::quoted(pattern);
        let reason = if !glob::is_branch_pattern(pattern) {
            format!(
                "'branches': '{quoted}' is not a valid glob; every event that is matched against it is refused"
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
        warn(warnings, Diagnostic::new(item.at, reason));
    }
}

/// Warns of path globs that can match no path, or are probably not written as intended.
pub(super) fn warn_of_paths(name: &str, node: &Node, warnings: &mut Vec<Diagnostic>) {
    for item in node.list().unwrap_or_default() {
        let Some(pattern) = item.text() else {
            continue;
        };
        let only = |what: &str, instead: &str| {
            format!("'{name}': '{pattern}' matches only paths that {what}; write '{instead}'")
        };
        let reason = if !glob::can_match_path(pattern) {
            let quoted = base::glob::quoted(pattern);
            format!("'{name}': '{quoted}' can match no path; write '**' to match every path")
        } else if let Some((scheme, _)) = pattern.split_once("://") {
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
        warn(warnings, Diagnostic::new(item.at, reason));
    }
}

/// Warns of a hook whose `if` can never be true. `is_first` says that no hook that can run precedes it.
pub(super) fn warn_of_condition(
    index: usize,
    node: &Node,
    condition: &Condition,
    is_first: bool,
    warnings: &mut Vec<Diagnostic>,
) {
    let expression = node.get("if");
    let is_switched_off = expression
        .and_then(Node::text)
        .is_some_and(|text| text.trim().eq_ignore_ascii_case("false"));
    let reason = match (condition.holds(false), condition.holds(true)) {
        // Written on purpose.
        (false, false) if is_switched_off => return,
        (false, false) => "its 'if' is never true",
        (false, true) if is_first => {
            "its 'if' is true only after a hook has failed, and no hook that runs precedes it"
        }
        _ => return,
    };
    let at = expression.map_or(node.at, |expression| expression.at);
    let reason = format!("hook[{index}] never runs: {reason}");
    warn(warnings, Diagnostic::new(at, reason));
}

pub(super) fn warn(warnings: &mut Vec<Diagnostic>, diagnostic: Diagnostic) {
    if warnings.len() < MAX_WARNINGS {
        warnings.push(diagnostic);
    }
}
