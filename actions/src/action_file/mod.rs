//! Action files: `_lakefs_actions/*.yaml` read and checked, with line and column of what is wrong.
//!
//! Every file that lakeFS accepts is accepted, unknown keys included and up to our bounds; what is ours
//! alone (`type: wasm`) is strict. Reading a file runs nothing and looks at nothing else.

mod units;
mod wasm_properties;
mod webhook_properties;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use graveler::EventKind;
use regex::Regex;

pub(crate) use units::format_duration;
pub(crate) use wasm_properties::{Reaction, WasmProperties};
pub(crate) use webhook_properties::WebhookProperties;

use crate::condition::Condition;
use crate::glob;
use units::nearest;
use yaml::{Fault, Node, Position};

/// Where action files lie in the tree.
pub(crate) const FOLDER: &str = "_lakefs_actions/";
/// The largest file that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;
/// Files of one tree.
pub(crate) const MAX_FILES: usize = 1_000;
/// Texts of one list: as many as globs can be compiled together.
const MAX_GLOBS: usize = base::glob::MAX_PATTERNS;
/// Hooks of one action, which run one after the other.
pub(crate) const MAX_HOOKS: usize = 100;

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9A-Za-z_][0-9A-Za-z_\-. ]+$").expect("the pattern is a constant")
});
static HOOK_ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[_a-zA-Z][\-_a-zA-Z0-9]{1,255}$").expect("the pattern is a constant")
});

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

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileError {
    path: String,
    fault: Fault,
}

impl FileError {
    /// An error of the file as a whole.
    pub(crate) fn whole(path: &str, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            fault: Fault {
                at: None,
                reason: reason.into(),
            },
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault.at {
            Some(Position { line, column }) => write!(
                f,
                "parsing file {}:{line}:{column}: {}",
                self.path, self.fault.reason
            ),
            None => write!(f, "parsing file {}: {}", self.path, self.fault.reason),
        }
    }
}

impl std::error::Error for FileError {}

/// One action file.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) name: String,
    pub(crate) on: BTreeMap<EventKind, On>,
    pub(crate) hooks: Vec<Hook>,
}

/// When an action runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct On {
    /// Globs of branches; empty: all.
    pub(crate) branches: Vec<String>,
    /// Globs of paths of which one must have changed; empty: always.
    pub(crate) paths: Vec<String>,
}

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

impl Action {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong first, with its place.
    pub(crate) fn parse(path: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let fault = |fault| FileError {
            path: path.to_owned(),
            fault,
        };
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(FileError::whole(
                path,
                format!("larger than {MAX_FILE_BYTES} bytes"),
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let line = bytes[..e.valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            fault(Fault::new(Position { line, column: 1 }, "not UTF-8 text"))
        })?;
        let root = yaml::parse(text).map_err(fault)?;
        read_action(&root).map_err(fault)
    }
}

fn read_action(root: &Node) -> Result<Action, Fault> {
    if root.map().is_none() && !root.is_null() {
        return Err(Fault::new(
            root.at,
            "an action file must be a map with 'name', 'on' and 'hooks'",
        ));
    }
    let Some(name) = root.get("name") else {
        return Err(Fault::new(root.at, "'name' is required"));
    };
    let name = match name.text() {
        Some(text) if NAME.is_match(text) => text.to_owned(),
        _ => {
            let why = "'name' is invalid: use at least two characters, letters, digits, '_', '-', '.' and spaces, with a letter, digit or '_' first";
            return Err(Fault::new(name.at, why));
        }
    };
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
    let mut action = Action {
        name,
        on: BTreeMap::new(),
        hooks: Vec::new(),
    };
    for (key, filters) in events {
        let kind = read_event(&key.text).map_err(|reason| Fault::new(key.at, reason))?;
        action.on.insert(kind, read_filters(kind, filters)?);
    }
    if let Some(hooks) = root.get("hooks") {
        let Some(hooks) = hooks.list() else {
            return Err(Fault::new(hooks.at, "'hooks' must be a list"));
        };
        if hooks.len() > MAX_HOOKS {
            let why = format!("{} hooks; an action may have {MAX_HOOKS}", hooks.len());
            return Err(Fault::new(root.at, why));
        }
        for (index, node) in hooks.iter().enumerate() {
            let hook = read_hook(index, node)?;
            if action.hooks.iter().any(|h| h.id == hook.id) {
                let at = node.get("id").map_or(node.at, |id| id.at);
                return Err(Fault::new(
                    at,
                    format!("hook[{index}] duplicate ID '{}'", hook.id),
                ));
            }
            action.hooks.push(hook);
        }
    }
    Ok(action)
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

fn read_filters(kind: EventKind, node: &Node) -> Result<On, Fault> {
    if node.is_null() {
        return Ok(On::default());
    }
    if node.map().is_none() {
        return Err(Fault::new(
            node.at,
            format!("'{}' must be a map or empty", kind.as_str()),
        ));
    }
    let mut on = On::default();
    if let Some(branches) = node.get("branches") {
        if is_tag_event(kind) {
            return Err(Fault::new(
                branches.at,
                "'branches' is not supported in tag event types",
            ));
        }
        on.branches = texts("branches", branches)?;
        glob::check_branch_list(&on.branches)
            .map_err(|reason| Fault::new(branches.at, format!("'branches': {reason}")))?;
        if let Some(bad) = on
            .branches
            .iter()
            .find(|glob| !glob::is_branch_pattern(glob))
        {
            return Err(Fault::new(
                branches.at,
                format!("'branches': '{bad}' is no glob"),
            ));
        }
    }
    if let Some(paths) = node.get("paths") {
        on.paths = texts("paths", paths)?;
        glob::path_set(&on.paths)
            .map_err(|reason| Fault::new(paths.at, format!("'paths': {reason}")))?;
    }
    Ok(on)
}

/// A list of texts.
fn texts(name: &str, node: &Node) -> Result<Vec<String>, Fault> {
    let Some(items) = node.list() else {
        return Err(Fault::new(node.at, format!("'{name}' must be a list")));
    };
    if items.len() > MAX_GLOBS {
        let reason = format!("'{name}' has more than {MAX_GLOBS} items");
        return Err(Fault::new(node.at, reason));
    }
    items
        .iter()
        .map(|item| {
            item.text()
                .map(str::to_owned)
                .ok_or_else(|| Fault::new(item.at, format!("'{name}' must be a list of texts")))
        })
        .collect()
}

fn read_hook(index: usize, node: &Node) -> Result<Hook, Fault> {
    if node.map().is_none() {
        return Err(Fault::new(
            node.at,
            format!("hook[{index}] must be a map with 'id', 'type' and 'properties'"),
        ));
    }
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
                Fault::new(
                    expression.at,
                    format!("hook[{index}] 'if' '{text}': {reason}"),
                )
            })?
        }
    };
    let Some(kind) = node.get("type") else {
        return Err(Fault::new(node.at, format!("hook[{index}] missing type")));
    };
    let kind = read_kind(index, kind, node)?;
    Ok(Hook {
        id: text.to_owned(),
        condition,
        kind,
    })
}

fn read_kind(index: usize, kind: &Node, hook: &Node) -> Result<HookKind, Fault> {
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
    let required = |name_of: &str| match properties.get(name_of) {
        Some(value) if value.text().is_some() => Ok(()),
        Some(value) => Err(Fault::new(value.at, format!("'{name_of}' must be text"))),
        None => Err(Fault::new(
            properties.at,
            format!("'{name_of}' is required"),
        )),
    };
    let kind = match name {
        "webhook" => WebhookProperties::read(properties).map(HookKind::Webhook),
        "wasm" => WasmProperties::read(properties).map(|p| HookKind::Wasm(Box::new(p))),
        "lua" if properties.get("script").is_none() && properties.get("script_path").is_none() => {
            Err(Fault::new(
                properties.at,
                "'script' or 'script_path' is required",
            ))
        }
        "lua" => Ok(HookKind::Lua),
        _ => ["url", "dag_id", "username", "password"]
            .into_iter()
            .try_for_each(required)
            .map(|()| HookKind::Airflow),
    };
    kind.map_err(|fault| Fault {
        reason: format!("hook[{index}] type '{name}': {}", fault.reason),
        ..fault
    })
}
