//! The properties of `type: lua`: checked as lakeFS checks them, not run by this version.

use super::suspicious::{warn, warn_unknown_keys};
use super::yaml::{Fault, Node};

const KEYS: [&str; 3] = ["script", "script_path", "args"];

/// What becomes of a gate that this version does not run: it is never skipped.
const NOT_RUN: &str = "Lua hooks are not run by this version: the hook fails whenever its turn comes, which refuses the change if the event is a prepare- or pre- event; use wasm, webhook or airflow";

pub(super) fn check(node: &Node, warnings: &mut Vec<Fault>) -> Result<(), Fault> {
    warn(warnings, Fault::new(node.at, NOT_RUN));
    warn_unknown_keys("properties.", node, &KEYS, warnings);
    let mut is_given = false;
    for name in ["script", "script_path"] {
        let Some(value) = node.entry(name) else {
            continue;
        };
        let Some(text) = value.string() else {
            return Err(Fault::new(value.at, format!("'{name}' must be text")));
        };
        is_given |= !text.is_empty();
    }
    if !is_given {
        return Err(Fault::new(node.at, "'script' or 'script_path' is required"));
    }
    map("args", node).map(|_| ())
}

/// What is given must be a map; `null` is none.
pub(super) fn map<'a>(name: &str, node: &'a Node) -> Result<Option<&'a Node>, Fault> {
    match node.entry(name) {
        Some(value) if value.map().is_none() => {
            Err(Fault::new(value.at, format!("'{name}' must be a map")))
        }
        given => Ok(given),
    }
}
