//! One entry of `hooks:` in an action file.

use std::sync::LazyLock;

use regex::Regex;

use super::suspicious::warn_unknown_keys;
use super::yaml::{Fault, Node};
use super::{WasmProperties, WebhookProperties, check_description, external_properties};
use crate::condition::Condition;

const KEYS: [&str; 5] = ["id", "type", "description", "if", "properties"];

static HOOK_ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[_a-zA-Z][\-_a-zA-Z0-9]{1,255}$").expect("the pattern is a constant")
});

/// One step of an action.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) condition: Condition,
    pub(crate) kind: HookKind,
}

/// What a hook does.
#[derive(Debug, Clone)]
pub(crate) enum HookKind {
    Webhook(WebhookProperties),
    Wasm(Box<WasmProperties>),
    /// Known, checked, not run by this version.
    Lua,
    /// Known, checked, not run by this version.
    Airflow,
}

pub(super) fn read_hook(
    index: usize,
    node: &Node,
    warnings: &mut Vec<Fault>,
) -> Result<Hook, Fault> {
    if node.map().is_none() {
        return Err(Fault::new(
            node.at,
            format!("hook[{index}] must be a map with 'id', 'type' and 'properties'"),
        ));
    }
    warn_unknown_keys(&format!("hook[{index}]."), node, &KEYS, warnings);
    let Some(id) = node.get("id") else {
        return Err(Fault::new(node.at, format!("hook[{index}] missing ID")));
    };
    let Some(text) = id.text().filter(|text| HOOK_ID.is_match(text)) else {
        let why = "is invalid: use a letter or '_', then one to 255 letters, digits, '-' or '_'";
        return Err(Fault::new(
            id.at,
            format!("hook[{index}] ID '{}' {why}", id.text().unwrap_or_default()),
        ));
    };
    check_description(node)?;
    let condition = match node.get("if") {
        None => Condition::default(),
        Some(expression) => {
            let text = expression.text().ok_or_else(|| {
                Fault::new(
                    expression.at,
                    format!("hook[{index}] 'if' must be an expression"),
                )
            })?;
            Condition::parse(text).map_err(|reason| {
                let quoted = base::glob::quoted(text);
                Fault::new(
                    expression.at,
                    format!("hook[{index}] 'if' '{quoted}': {reason}"),
                )
            })?
        }
    };
    let Some(kind) = node.get("type") else {
        return Err(Fault::new(node.at, format!("hook[{index}] missing type")));
    };
    let kind = read_kind(index, kind, node, warnings)?;
    Ok(Hook {
        id: text.to_owned(),
        condition,
        kind,
    })
}

fn read_kind(
    index: usize,
    kind: &Node,
    hook: &Node,
    warnings: &mut Vec<Fault>,
) -> Result<HookKind, Fault> {
    let name = kind.text().unwrap_or_default();
    if !["webhook", "wasm", "lua", "airflow"].contains(&name) {
        return Err(Fault::new(
            kind.at,
            format!("hook[{index}] type '{name}' unknown; use wasm or webhook"),
        ));
    }
    let Some(properties) = hook.get("properties") else {
        return Err(Fault::new(
            hook.at,
            format!("hook[{index}] type '{name}': missing hook properties"),
        ));
    };
    if properties.map().is_none() {
        return Err(Fault::new(
            properties.at,
            format!("hook[{index}] type '{name}': 'properties' must be a map"),
        ));
    }
    let mut found = Vec::new();
    let read = match name {
        "webhook" => WebhookProperties::read(properties, &mut found).map(HookKind::Webhook),
        "wasm" => WasmProperties::read(properties, &mut found).map(|p| HookKind::Wasm(Box::new(p))),
        "lua" => external_properties::check_lua(properties, &mut found).map(|()| HookKind::Lua),
        _ => external_properties::check_airflow(properties, &mut found).map(|()| HookKind::Airflow),
    };
    let named = |fault: Fault| Fault {
        reason: format!("hook[{index}] type '{name}': {}", fault.reason),
        ..fault
    };
    warnings.extend(found.into_iter().map(named));
    read.map_err(named)
}
