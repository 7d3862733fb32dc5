//! Action files, read and checked: line and column of each mistake.
//!
//! Every file that lakeFS accepts is accepted, up to our bounds. What is probably a mistake in such a
//! file is a warning ([`Action::warnings`]). What is ours alone (`type: wasm`) is strict. Reading a file
//! runs nothing and looks at nothing else: whether a component is there and takes its config is for
//! `crate::preflight`.

mod airflow_properties;
mod events;
mod hook;
mod lua_properties;
mod suspicious;
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

pub(crate) use airflow_properties::AirflowProperties;
pub(crate) use hook::{Hook, HookKind};
pub(crate) use units::format_duration;
pub(crate) use wasm_properties::{Reaction, WasmProperties};
pub(crate) use webhook_properties::{Target, WHOLE_URL, WebhookProperties};
pub(crate) use yaml::{Fault, Node, Position};

use hook::read_hook;
use suspicious::warn_unknown_keys;

/// Where action files lie in the tree.
pub(crate) const FOLDER: &str = "_lakefs_actions/";
/// The largest file that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;
/// Files of one tree.
pub(crate) const MAX_FILES: usize = 1_000;
/// Hooks of one action, which run one after the other.
pub(crate) const MAX_HOOKS: usize = 100;

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9A-Za-z_][0-9A-Za-z_\-. ]+$").expect("the pattern is a constant")
});

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileError {
    path: String,
    fault: Fault,
}

impl FileError {
    /// An error at a place of the file.
    pub(crate) fn at(path: &str, fault: Fault) -> Self {
        Self {
            path: path.to_owned(),
            fault,
        }
    }

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
    /// What lakeFS accepts and is probably a mistake: unknown keys, globs that match nothing.
    pub(crate) warnings: Vec<Fault>,
    /// What keeping it takes up: a short file of aliases may become a large action.
    pub(crate) weight_bytes: u64,
    /// Of its patterns of branches and paths together.
    pub(crate) pattern_bytes: u64,
}

/// When an action runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct On {
    /// Globs of branches; empty: all.
    pub(crate) branches: Vec<String>,
    /// Globs of paths of which one must have changed; empty: always.
    pub(crate) paths: Vec<String>,
}

impl Action {
    /// Paths of the components that its hooks name.
    pub(crate) fn components(&self) -> Vec<&str> {
        let mut paths = Vec::new();
        for hook in &self.hooks {
            if let HookKind::Wasm(wasm) = &hook.kind {
                paths.push(wasm.component.as_str());
            }
        }
        paths
    }

    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong first, with its place.
    pub(crate) fn parse(path: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let fault = |fault| FileError::at(path, fault);
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
        let document = yaml::parse(text).map_err(fault)?;
        let mut action = read_action(&document.root).map_err(fault)?;
        if let Some(at) = document.next {
            let why =
                "only the first YAML document is read; put each action into a file of its own";
            action.warnings.insert(0, Fault::new(at, why));
        }
        Ok(action)
    }
}

/// Keys of a file.
const KEYS: [&str; 4] = ["name", "description", "on", "hooks"];

fn read_action(root: &Node) -> Result<Action, Fault> {
    if root.map().is_none() && !root.is_null() {
        return Err(Fault::new(
            root.at,
            "an action file must be a map with 'name', 'on' and 'hooks'",
        ));
    }
    let mut warnings = Vec::new();
    warn_unknown_keys("", root, &KEYS, &mut warnings);
    let Some(name) = root.get("name") else {
        return Err(Fault::new(root.at, "'name' is required"));
    };
    let name = match name.text() {
        Some(text) if NAME.is_match(text) => text.to_owned(),
        Some("") => return Err(Fault::new(name.at, "'name' is required")),
        _ => {
            let why = "'name' is invalid: use at least two characters, letters, digits, '_', '-', '.' and spaces, with a letter, digit or '_' first";
            return Err(Fault::new(name.at, why));
        }
    };
    check_description(root)?;
    let on = events::read(root, &mut warnings)?;
    let hooks = read_hooks(root, &mut warnings)?;
    if hooks.is_empty() {
        warnings.push(Fault::new(
            root.at,
            "the file has no hooks, so it runs nothing",
        ));
    }
    Ok(Action {
        name,
        pattern_bytes: pattern_bytes(&on, &hooks),
        on,
        hooks,
        warnings,
        weight_bytes: root.weight_bytes(),
    })
}

fn pattern_bytes(on: &BTreeMap<EventKind, On>, hooks: &[Hook]) -> u64 {
    let of_events = on
        .values()
        .flat_map(|on| on.branches.iter().chain(&on.paths));
    let of_hooks = hooks.iter().flat_map(|hook| match &hook.kind {
        HookKind::Wasm(wasm) => [&wasm.select.paths[..], &wasm.read[..]].concat(),
        _ => Vec::new(),
    });
    let bytes: usize = of_events.map(String::len).sum::<usize>()
        + of_hooks.map(|pattern| pattern.len()).sum::<usize>();
    bytes as u64
}

fn read_hooks(root: &Node, warnings: &mut Vec<Fault>) -> Result<Vec<Hook>, Fault> {
    let mut read: Vec<Hook> = Vec::new();
    let Some(hooks) = root.get("hooks") else {
        return Ok(read);
    };
    let Some(hooks) = hooks.list() else {
        return Err(Fault::new(hooks.at, "'hooks' must be a list"));
    };
    if hooks.len() > MAX_HOOKS {
        let why = format!("{} hooks; an action may have {MAX_HOOKS}", hooks.len());
        return Err(Fault::new(root.at, why));
    }
    for (index, node) in hooks.iter().enumerate() {
        if node.is_null() {
            warnings.push(Fault::new(
                node.at,
                format!("hook[{index}] is empty and ignored"),
            ));
            continue;
        }
        let hook = read_hook(index, node, warnings)?;
        if read.iter().any(|h| h.id == hook.id) {
            let at = node.get("id").map_or(node.at, |id| id.at);
            return Err(Fault::new(
                at,
                format!("hook[{index}] duplicate ID '{}'", hook.id),
            ));
        }
        read.push(hook);
    }
    Ok(read)
}

/// A description is for people to read, but must be text.
fn check_description(node: &Node) -> Result<(), Fault> {
    match node.get("description") {
        Some(description) if description.text().is_none() => {
            Err(Fault::new(description.at, "'description' must be text"))
        }
        _ => Ok(()),
    }
}
