//! The properties of `type: wasm`. lakeFS does not have this type, so unknown keys are errors.

use std::time::Duration;

use super::events::texts;
use super::suspicious::{warn, warn_of_paths};
use super::units::{nearest, parse_size};
use super::webhook_properties::duration;
use super::yaml::{Diagnostic, Node, Position};
use crate::glob;
use crate::wasm::{Limits, Select};

pub(super) const KEYS: [&str; 11] = [
    "component",
    "sha256",
    "config",
    "args",
    "select",
    "parallelism",
    "capabilities",
    "limits",
    "timeout",
    "on_failure",
    "on_error",
];
/// Planned keys. They are rejected by name, so that nobody relies on a key that has no effect.
const UNSUPPORTED_KEYS: [&str; 4] = ["verify", "retry", "cache", "secrets"];
const SELECT_KEYS: [&str; 3] = ["paths", "kinds", "max_size"];
const CAPABILITY_KEYS: [&str; 1] = ["read"];
const UNSUPPORTED_CAPABILITY_KEYS: [&str; 1] = ["http"];
const LIMIT_KEYS: [&str; 5] = ["memory", "time_per_object", "read_bytes", "findings", "log"];

/// Limits of a hook whose action file does not set them.
const DEFAULTS: Limits = Limits {
    memory_bytes: 256 << 20,
    time_per_object: Duration::from_secs(10),
    timeout: Duration::from_secs(10 * 60),
    read_bytes: 50 << 30,
    findings: 1_000,
    log_bytes: 1 << 20,
};
/// Maximum limits. Higher ones in an action file are reduced to these.
const CEILINGS: Limits = Limits {
    memory_bytes: 2 << 30,
    time_per_object: Duration::from_secs(10 * 60),
    timeout: Duration::from_secs(60 * 60),
    read_bytes: 10 << 40,
    findings: 10_000,
    log_bytes: 16 << 20,
};
const DEFAULT_PARALLELISM: usize = 8;
const MAX_PARALLELISM: usize = 64;

/// What to do if a hook does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// The hook counts as failed.
    Block,
    /// The log has a warning, and the hook counts as passed.
    Warn,
}

/// How to run a component.
#[derive(Debug, Clone)]
pub(crate) struct WasmProperties {
    /// Path in the repository. The component is loaded from the same tree as the action file.
    pub(crate) component: String,
    /// Position of the component's path in the action file.
    pub(crate) component_at: Position,
    /// Lowercase hexadecimal digits.
    pub(crate) sha256: Option<String>,
    pub(crate) config: serde_json::Value,
    /// The config as YAML nodes, which have the positions of its values.
    pub(crate) config_node: Option<Node>,
    pub(crate) select: Select,
    pub(crate) read: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) parallelism: usize,
    pub(crate) on_failure: Reaction,
    pub(crate) on_error: Reaction,
}

impl WasmProperties {
    pub(super) fn read(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Self, Diagnostic> {
        check_keys("", node, &KEYS, &UNSUPPORTED_KEYS)?;
        let mut limits = read_limits(node.get("limits"), warnings)?;
        if let Some(timeout) = node.get("timeout") {
            limits.timeout = duration("timeout", timeout, CEILINGS.timeout, warnings)?;
        }
        let parallelism = match node.get("parallelism") {
            None => DEFAULT_PARALLELISM,
            Some(value) => count("parallelism", value, MAX_PARALLELISM)?,
        };
        let (component, component_at) = read_component(node)?;
        let config = read_config(node)?;
        Ok(Self {
            component,
            component_at,
            sha256: read_digest(node.get("sha256"))?,
            config: config.map_or_else(|| serde_json::json!({}), Node::to_json),
            config_node: config.cloned(),
            select: read_select(node.get("select"), warnings)?,
            read: read_capabilities(node.get("capabilities"), warnings)?,
            limits,
            parallelism,
            on_failure: read_reaction("on_failure", node)?,
            on_error: read_reaction("on_error", node)?,
        })
    }
}

/// Rejects unknown keys and suggests the closest known key.
fn check_keys(
    of: &str,
    node: &Node,
    known: &[&str],
    unsupported: &[&str],
) -> Result<(), Diagnostic> {
    let Some(pairs) = node.map() else {
        return Err(Diagnostic::new(
            node.at,
            format!("'{}' must be a map", of.trim_end_matches('.')),
        ));
    };
    for (key, _) in pairs {
        if known.contains(&key.text.as_str()) {
            continue;
        }
        let reason = if unsupported.contains(&key.text.as_str()) {
            format!("'{of}{}' is not supported by this version", key.text)
        } else {
            let hint = nearest(&key.text, known).map_or_else(
                || format!("known properties are {}", known.join(", ")),
                |meant| format!("did you mean '{meant}'?"),
            );
            format!("unknown property '{of}{}'; {hint}", key.text)
        };
        return Err(Diagnostic::new(key.at, reason));
    }
    Ok(())
}

fn read_component(node: &Node) -> Result<(String, Position), Diagnostic> {
    let Some(component) = node.get("component") else {
        return Err(Diagnostic::new(
            node.at,
            "'component' is required: the path of a Wasm component in this repository",
        ));
    };
    let Some(path) = component.text() else {
        return Err(Diagnostic::new(
            component.at,
            "'component' must be the path of a Wasm component in this repository",
        ));
    };
    if path.len() > glob::MAX_PATH_BYTES {
        let (bytes, most) = (path.len(), glob::MAX_PATH_BYTES);
        let reason = format!("'component' has {bytes} bytes; paths have at most {most}");
        return Err(Diagnostic::new(component.at, reason));
    }
    if let Some((scheme, _)) = path.split_once("://") {
        let reason = format!(
            "components from {scheme}:// are not supported by this version; commit the component to this repository and name its path"
        );
        return Err(Diagnostic::new(component.at, reason));
    }
    Ok((path.to_owned(), component.at))
}

fn read_digest(node: Option<&Node>) -> Result<Option<String>, Diagnostic> {
    let Some(node) = node else {
        return Ok(None);
    };
    match node.text() {
        Some(text) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(Some(text.to_ascii_lowercase()))
        }
        _ => Err(Diagnostic::new(node.at, "'sha256' must be 64 hex digits")),
    }
}

fn read_config(node: &Node) -> Result<Option<&Node>, Diagnostic> {
    match (node.get("config"), node.get("args")) {
        (Some(_), Some(args)) => Err(Diagnostic::new(
            args.at,
            "'args' is an alias of 'config'; use only one of them",
        )),
        (Some(config), None) | (None, Some(config)) if config.map().is_none() => {
            Err(Diagnostic::new(config.at, "'config' must be a map"))
        }
        (config, args) => Ok(config.or(args)),
    }
}

fn read_select(node: Option<&Node>, warnings: &mut Vec<Diagnostic>) -> Result<Select, Diagnostic> {
    let Some(node) = node else {
        return Ok(Select::default());
    };
    check_keys("select.", node, &SELECT_KEYS, &[])?;
    let mut select = Select::default();
    if let Some(paths) = node.get("paths") {
        select.paths = globs("select.paths", paths, warnings)?;
    }
    if let Some(kinds) = node.get("kinds") {
        select.kinds = texts("select.kinds", kinds)?;
        if let Some(bad) = select
            .kinds
            .iter()
            .find(|k| !["added", "changed", "removed"].contains(&k.as_str()))
        {
            return Err(Diagnostic::new(
                kinds.at,
                format!("'select.kinds': '{bad}' is not one of added, changed, removed"),
            ));
        }
    }
    if let Some(max) = node.get("max_size") {
        select.max_size_bytes = Some(size("select.max_size", max, u64::MAX)?);
        if !select.kinds.is_empty() && select.kinds.iter().all(|kind| kind == "removed") {
            let reason = "'select.max_size' has no effect on removed objects";
            warn(warnings, Diagnostic::new(max.at, reason));
        }
    }
    Ok(select)
}

fn read_capabilities(
    node: Option<&Node>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Vec<String>, Diagnostic> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    check_keys(
        "capabilities.",
        node,
        &CAPABILITY_KEYS,
        &UNSUPPORTED_CAPABILITY_KEYS,
    )?;
    node.get("read").map_or(Ok(Vec::new()), |read| {
        globs("capabilities.read", read, warnings)
    })
}

fn read_limits(node: Option<&Node>, warnings: &mut Vec<Diagnostic>) -> Result<Limits, Diagnostic> {
    let mut limits = DEFAULTS;
    let Some(node) = node else {
        return Ok(limits);
    };
    check_keys("limits.", node, &LIMIT_KEYS, &[])?;
    if let Some(memory) = node.get("memory") {
        limits.memory_bytes = size("limits.memory", memory, CEILINGS.memory_bytes)?;
    }
    if let Some(time) = node.get("time_per_object") {
        let max = CEILINGS.time_per_object;
        limits.time_per_object = duration("limits.time_per_object", time, max, warnings)?;
    }
    if let Some(read) = node.get("read_bytes") {
        limits.read_bytes = size("limits.read_bytes", read, CEILINGS.read_bytes)?;
    }
    if let Some(findings) = node.get("findings") {
        limits.findings = count("limits.findings", findings, CEILINGS.findings)?;
    }
    if let Some(log) = node.get("log") {
        let bytes = size("limits.log", log, CEILINGS.log_bytes as u64)?;
        limits.log_bytes = usize::try_from(bytes).expect("it is at most the ceiling");
    }
    Ok(limits)
}

fn read_reaction(name: &str, node: &Node) -> Result<Reaction, Diagnostic> {
    match node.get(name) {
        None => Ok(Reaction::Block),
        Some(value) => match value.text() {
            Some("block") => Ok(Reaction::Block),
            Some("warn") => Ok(Reaction::Warn),
            _ => Err(Diagnostic::new(
                value.at,
                format!("'{name}' must be block or warn"),
            )),
        },
    }
}

fn globs(
    name: &str,
    node: &Node,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Vec<String>, Diagnostic> {
    let globs = texts(name, node)?;
    glob::path_set(&globs)
        .map_err(|reason| Diagnostic::new(node.at, format!("'{name}': {reason}")))?;
    if let Some(bad) = globs.iter().find(|glob| !glob::can_match_path(glob)) {
        let reason = format!(
            "'{name}' has a glob that can match nothing because paths have 1 to {} bytes: '{}'",
            glob::MAX_PATH_BYTES,
            base::glob::quoted(bad)
        );
        return Err(Diagnostic::new(node.at, reason));
    }
    warn_of_paths(name, node, warnings);
    Ok(globs)
}

fn size(name: &str, node: &Node, max: u64) -> Result<u64, Diagnostic> {
    let text = node.text().unwrap_or_default();
    match parse_size(text) {
        Some(0) | None => Err(Diagnostic::new(
            node.at,
            format!("'{name}' '{text}' is not a size; write 256MiB, 20GiB or a number of bytes"),
        )),
        Some(bytes) => Ok(bytes.min(max)),
    }
}

fn count(name: &str, node: &Node, max: usize) -> Result<usize, Diagnostic> {
    match node.text().and_then(|text| text.parse::<usize>().ok()) {
        Some(0) | None => Err(Diagnostic::new(
            node.at,
            format!("'{name}' must be a whole number from 1"),
        )),
        Some(number) => Ok(number.min(max)),
    }
}
