//! The properties of `type: lua` and `type: airflow`: checked as lakeFS checks them, not run by this version.

use super::suspicious::warn_unknown_keys;
use super::webhook_properties::read_timeout;
use super::yaml::{Fault, Node};

const LUA_KEYS: [&str; 3] = ["script", "script_path", "args"];
const AIRFLOW_KEYS: [&str; 7] = [
    "url",
    "dag_id",
    "username",
    "password",
    "dag_conf",
    "wait_for_dag",
    "timeout",
];

pub(super) fn check_lua(node: &Node, warnings: &mut Vec<Fault>) -> Result<(), Fault> {
    warn_unknown_keys("properties.", node, &LUA_KEYS, warnings);
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
    check_map("args", node)
}

pub(super) fn check_airflow(node: &Node, warnings: &mut Vec<Fault>) -> Result<(), Fault> {
    warn_unknown_keys("properties.", node, &AIRFLOW_KEYS, warnings);
    for name in ["url", "dag_id", "username", "password"] {
        let Some(value) = node.get(name) else {
            return Err(Fault::new(node.at, format!("'{name}' is required")));
        };
        match value.string() {
            None => return Err(Fault::new(value.at, format!("'{name}' must be text"))),
            Some("") => return Err(Fault::new(value.at, format!("'{name}' is empty"))),
            Some(_) => {}
        }
    }
    check_map("dag_conf", node)?;
    read_timeout(node, warnings).map(|_| ())
}

/// What is given must be a map; `null` is none.
fn check_map(name: &str, node: &Node) -> Result<(), Fault> {
    match node.entry(name) {
        Some(value) if value.map().is_none() => {
            Err(Fault::new(value.at, format!("'{name}' must be a map")))
        }
        _ => Ok(()),
    }
}
