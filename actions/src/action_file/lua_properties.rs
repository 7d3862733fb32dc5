//! The properties of `type: lua`. They are validated as in lakeFS, but this version does not run
//! Lua hooks.

use super::suspicious::{warn, warn_unknown_keys};
use super::yaml::{Diagnostic, Node};

pub(super) const KEYS: [&str; 3] = ["script", "script_path", "args"];

/// Warning for a Lua hook. The hook is never skipped silently, because it may be a gate.
const NOT_RUN: &str = "Lua hooks are not run by this version: the hook always fails, and a failing prepare- or pre- hook refuses the change; use wasm, webhook or airflow";

pub(super) fn check(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    warn(warnings, Diagnostic::new(node.at, NOT_RUN));
    warn_unknown_keys("properties.", node, &KEYS, warnings);
    let mut is_given = false;
    for name in ["script", "script_path"] {
        let Some(value) = node.entry(name) else {
            continue;
        };
        let Some(text) = value.string() else {
            return Err(Diagnostic::new(
                value.at,
                format!("'{name}' must be a string"),
            ));
        };
        is_given |= !text.is_empty();
    }
    if !is_given {
        return Err(Diagnostic::new(
            node.at,
            "'script' or 'script_path' is required",
        ));
    }
    map("args", node).map(|_| ())
}

/// Reads an optional map. `null` counts as absent.
pub(super) fn map<'a>(name: &str, node: &'a Node) -> Result<Option<&'a Node>, Diagnostic> {
    match node.entry(name) {
        Some(value) if value.map().is_none() => {
            Err(Diagnostic::new(value.at, format!("'{name}' must be a map")))
        }
        given => Ok(given),
    }
}
