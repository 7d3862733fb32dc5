//! One entry of `hooks:` in an action file.

use std::sync::LazyLock;

use regex::Regex;

use super::suspicious::{MOVE_BELOW, warn_unknown_keys_above};
use super::yaml::{Diagnostic, Node, Position, Value};
use super::{
    AirflowProperties, WasmProperties, WebhookProperties, airflow_properties, lua_properties,
    wasm_properties, webhook_properties,
};
use crate::condition::Condition;
use crate::env;

const KEYS: [&str; 5] = ["id", "type", "description", "if", "properties"];

/// Maximum number of variables recorded per hook.
const MAX_VARIABLES: usize = 50;

static HOOK_ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[_a-zA-Z][\-_a-zA-Z0-9]{1,255}$").expect("the pattern is a constant")
});

/// One hook of an action.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) condition: Condition,
    pub(crate) kind: HookKind,
    /// Environment variables that the hook's properties refer to, without duplicates. At most
    /// [`MAX_VARIABLES`]: they are needed only for warnings.
    pub(crate) variables: Vec<Variable>,
}

/// A reference to `{{ ENV.NAME }}` in a hook's properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) at: Position,
    pub(crate) name: String,
}

/// The hook type with its properties.
#[derive(Debug, Clone)]
pub(crate) enum HookKind {
    Webhook(WebhookProperties),
    Wasm(Box<WasmProperties>),
    Airflow(Box<AirflowProperties>),
    /// Parsed and validated, but not run by this version.
    Lua,
}

impl HookKind {
    /// Returns the type's name in action files.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Wasm(_) => "wasm",
            Self::Airflow(_) => "airflow",
            Self::Lua => "lua",
        }
    }

    /// Returns the path of the component that the hook runs.
    pub(crate) fn component(&self) -> Option<&str> {
        match self {
            Self::Wasm(wasm) => Some(&wasm.component),
            Self::Webhook(_) | Self::Airflow(_) | Self::Lua => None,
        }
    }
}

pub(super) fn read_hook(
    index: usize,
    node: &Node,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Hook, Diagnostic> {
    if node.map().is_none() {
        return Err(Diagnostic::new(
            node.at,
            format!("hook[{index}] must be a map with 'id', 'type' and 'properties'"),
        ));
    }
    let type_name = node.get("type").and_then(Node::text).unwrap_or_default();
    let of = format!("hook[{index}].");
    warn_unknown_keys_above(&of, node, &KEYS, property_keys(type_name), warnings);
    let Some(id) = node.get("id") else {
        return Err(Diagnostic::new(
            node.at,
            format!("hook[{index}] missing ID"),
        ));
    };
    let Some(text) = id.text().filter(|text| HOOK_ID.is_match(text)) else {
        let why = "is invalid: use a letter or '_', then one to 255 letters, digits, '-' or '_'";
        return Err(Diagnostic::new(
            id.at,
            format!("hook[{index}] ID '{}' {why}", id.text().unwrap_or_default()),
        ));
    };
    check_description(node)?;
    let condition = match node.get("if") {
        None => Condition::default(),
        Some(expression) => {
            let text = expression.text().ok_or_else(|| {
                Diagnostic::new(
                    expression.at,
                    format!("hook[{index}] 'if' must be an expression"),
                )
            })?;
            Condition::parse(text).map_err(|reason| {
                let quoted = base::glob::quoted(text);
                Diagnostic::new(
                    expression.at,
                    format!("hook[{index}] 'if' '{quoted}': {reason}"),
                )
            })?
        }
    };
    let Some(kind) = node.get("type") else {
        return Err(Diagnostic::new(
            node.at,
            format!("hook[{index}] missing type"),
        ));
    };
    let kind = read_kind(index, kind, node, warnings)?;
    let with_variables: &[&str] = match kind {
        HookKind::Webhook(_) => &["query_params", "headers"],
        HookKind::Airflow(_) => &["password"],
        HookKind::Wasm(_) | HookKind::Lua => &[],
    };
    let mut variables = Vec::new();
    for name in with_variables {
        if let Some(property) = node.get("properties").and_then(|p| p.get(name)) {
            find_variables(property, &mut variables);
        }
    }
    Ok(Hook {
        id: text.to_owned(),
        condition,
        kind,
        variables,
    })
}

fn find_variables(node: &Node, found: &mut Vec<Variable>) {
    match &node.value {
        Value::Scalar { text, .. } => {
            for name in env::variables(text) {
                if found.len() < MAX_VARIABLES && found.iter().all(|known| known.name != name) {
                    found.push(Variable {
                        at: node.at,
                        name: name.to_owned(),
                    });
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| find_variables(item, found)),
        Value::Map(pairs) => pairs
            .iter()
            .for_each(|(_, value)| find_variables(value, found)),
    }
}

fn read_kind(
    index: usize,
    kind: &Node,
    hook: &Node,
    warnings: &mut Vec<Diagnostic>,
) -> Result<HookKind, Diagnostic> {
    let name = kind.text().unwrap_or_default();
    if !["webhook", "wasm", "lua", "airflow"].contains(&name) {
        return Err(Diagnostic::new(
            kind.at,
            format!("hook[{index}] type '{name}' unknown; use wasm, webhook or airflow"),
        ));
    }
    let misplaced = misplaced(hook, name);
    let Some(properties) = hook.get("properties") else {
        let reason = format!("hook[{index}] type '{name}': missing hook properties{misplaced}");
        return Err(Diagnostic::new(hook.at, reason));
    };
    if properties.map().is_none() {
        return Err(Diagnostic::new(
            properties.at,
            format!("hook[{index}] type '{name}': 'properties' must be a map"),
        ));
    }
    let mut found = Vec::new();
    let read = match name {
        "webhook" => WebhookProperties::read(properties, &mut found).map(HookKind::Webhook),
        "wasm" => WasmProperties::read(properties, &mut found).map(|p| HookKind::Wasm(Box::new(p))),
        "lua" => lua_properties::check(properties, &mut found).map(|()| HookKind::Lua),
        _ => {
            AirflowProperties::read(properties, &mut found).map(|p| HookKind::Airflow(Box::new(p)))
        }
    };
    let named = |diagnostic: Diagnostic| Diagnostic {
        reason: format!("hook[{index}] type '{name}': {}", diagnostic.reason),
        ..diagnostic
    };
    warnings.extend(found.into_iter().map(named));
    read.map_err(|diagnostic| {
        let mut diagnostic = named(diagnostic);
        diagnostic.reason.push_str(&misplaced);
        diagnostic
    })
}

/// Returns the keys below `properties` of a hook type.
fn property_keys(type_name: &str) -> &'static [&'static str] {
    match type_name {
        "webhook" => &webhook_properties::KEYS,
        "wasm" => &wasm_properties::KEYS,
        "airflow" => &airflow_properties::KEYS,
        "lua" => &lua_properties::KEYS,
        _ => &[],
    }
}

/// Returns advice to append to an error if a property is next to `properties` instead of below it.
/// Names the first such property; empty if there is none.
fn misplaced(hook: &Node, type_name: &str) -> String {
    let properties = property_keys(type_name);
    let mut keys = hook.map().unwrap_or_default().iter();
    let found = keys.find(|(key, _)| properties.contains(&key.text.as_str()));
    found.map_or_else(String::new, |(key, _)| {
        format!("; '{}' stands directly in the hook: {MOVE_BELOW}", key.text)
    })
}

/// Validates the optional description, which must be a string. It has no effect.
pub(super) fn check_description(node: &Node) -> Result<(), Diagnostic> {
    match node.get("description") {
        Some(description) if description.text().is_none() => Err(Diagnostic::new(
            description.at,
            "'description' must be a string",
        )),
        _ => Ok(()),
    }
}
