//! Parses and validates action files. Every error has a line and a column.
//!
//! Every file that lakeFS accepts is accepted, within Weir's size limits. Probable mistakes in such
//! a file are warnings ([`Action::warnings`]). The properties of `type: wasm`, which lakeFS does
//! not have, are validated strictly. Parsing runs nothing and reads no other object;
//! `crate::preflight` checks whether a component exists and accepts its config.

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
pub(crate) use events::EventFilter;
pub(crate) use hook::{Hook, HookKind};
pub(crate) use units::{edit_distance, format_duration};
pub(crate) use wasm_properties::{Reaction, WasmProperties};
pub(crate) use webhook_properties::{
    MAX_TIMEOUT, Target, WHOLE_URL, WebhookProperties, is_own_header,
};
pub(crate) use yaml::{Diagnostic, Node, Position};

use hook::{check_description, read_hook};
use suspicious::{warn_of_condition, warn_unknown_keys};

/// Folder of the action files in a tree.
pub(crate) const FOLDER: &str = "_lakefs_actions/";
/// Maximum size of an action file in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;
/// Maximum number of action files in one tree.
pub(crate) const MAX_FILES: usize = 1_000;
/// Maximum number of hooks in one action. They run in sequence.
pub(crate) const MAX_HOOKS: usize = 100;

/// Maximum length of an action's name in bytes. It is stored with every hook run.
const MAX_NAME_BYTES: usize = 1_024;

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9A-Za-z_][0-9A-Za-z_\-. ]+$").expect("the pattern is a constant")
});

/// An error of an action file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileError {
    path: String,
    diagnostic: Diagnostic,
}

impl FileError {
    /// Reports whether the file may be in the folder by mistake: it does not name an action, or its
    /// file name does not end in `.yaml` or `.yml`.
    pub(crate) fn may_be_misplaced(&self) -> bool {
        let is_yaml = [".yaml", ".yml"].iter().any(|end| self.path.ends_with(end));
        !is_yaml || [NO_NAME, NO_MAP].contains(&self.diagnostic.reason.as_str())
    }

    /// Returns the estimated memory use.
    pub(crate) fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.path.len() + self.diagnostic.reason.len()
    }

    /// An error at a position in the file.
    pub(crate) fn at(path: &str, diagnostic: Diagnostic) -> Self {
        Self {
            path: path.to_owned(),
            diagnostic,
        }
    }

    /// An error that concerns the whole file.
    pub(crate) fn without_position(path: &str, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            diagnostic: Diagnostic {
                at: None,
                reason: reason.into(),
            },
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.diagnostic.at {
            Some(Position { line, column }) => write!(
                f,
                "parsing file {}:{line}:{column}: {}",
                self.path, self.diagnostic.reason
            ),
            None => write!(f, "parsing file {}: {}", self.path, self.diagnostic.reason),
        }
    }
}

impl std::error::Error for FileError {}

/// A parsed action file.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) name: String,
    pub(crate) on: BTreeMap<EventKind, EventFilter>,
    pub(crate) hooks: Vec<Hook>,
    /// Probable mistakes that lakeFS accepts, such as unknown keys and globs that can match nothing.
    pub(crate) warnings: Vec<Diagnostic>,
    /// Estimated memory use. A short file with aliases can expand to a large action.
    pub(crate) weight_bytes: u64,
    /// Total size of the action's branch and path patterns.
    pub(crate) pattern_bytes: u64,
}

impl Action {
    /// Returns the paths of the components that the action's hooks use.
    pub(crate) fn components(&self) -> Vec<&str> {
        let components = self.hooks.iter().filter_map(|hook| hook.kind.component());
        components.collect()
    }

    /// Parses an action file.
    ///
    /// # Errors
    /// The first error, with its position.
    pub(crate) fn parse(path: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let diagnostic = |diagnostic| FileError::at(path, diagnostic);
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(FileError::without_position(
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
            diagnostic(Diagnostic::new(
                Position { line, column: 1 },
                "not UTF-8 text",
            ))
        })?;
        let document = yaml::parse(text).map_err(diagnostic)?;
        let mut action = read_action(&document.root).map_err(diagnostic)?;
        if let Some(at) = document.next {
            let why = "only the first YAML document is read; put each action into a separate file";
            action.warnings.insert(0, Diagnostic::new(at, why));
        }
        Ok(action)
    }
}

/// Error for a file without a name.
const NO_NAME: &str = "'name' is required";
/// Error for a file that is not a map.
const NO_MAP: &str = "an action file must be a map with 'name', 'on' and 'hooks'";

/// Top-level keys of an action file.
const KEYS: [&str; 4] = ["name", "description", "on", "hooks"];

fn read_action(root: &Node) -> Result<Action, Diagnostic> {
    if root.map().is_none() && !root.is_null() {
        return Err(Diagnostic::new(root.at, NO_MAP));
    }
    let mut warnings = Vec::new();
    warn_unknown_keys("", root, &KEYS, &mut warnings);
    let Some(name) = root.get("name") else {
        return Err(Diagnostic::new(root.at, NO_NAME));
    };
    let name = match name.text() {
        Some(text) if text.len() > MAX_NAME_BYTES => {
            let why = format!(
                "'name' has {} bytes; it may have at most {MAX_NAME_BYTES}",
                text.len()
            );
            return Err(Diagnostic::new(name.at, why));
        }
        Some(text) if NAME.is_match(text) => text.to_owned(),
        Some("") => return Err(Diagnostic::new(name.at, NO_NAME)),
        _ => {
            let why = "'name' is invalid: use at least two characters, letters, digits, '_', '-', '.' and spaces, with a letter, digit or '_' first";
            return Err(Diagnostic::new(name.at, why));
        }
    };
    check_description(root)?;
    let on = events::read(root, &mut warnings)?;
    let hooks = read_hooks(root, &mut warnings)?;
    if hooks.is_empty() {
        warnings.push(Diagnostic::new(
            root.at,
            "the file has no hooks, so it does nothing",
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

fn pattern_bytes(on: &BTreeMap<EventKind, EventFilter>, hooks: &[Hook]) -> u64 {
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

fn read_hooks(root: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Vec<Hook>, Diagnostic> {
    let mut read: Vec<Hook> = Vec::new();
    let Some(hooks) = root.get("hooks") else {
        return Ok(read);
    };
    let Some(hooks) = hooks.list() else {
        return Err(Diagnostic::new(hooks.at, "'hooks' must be a list"));
    };
    if hooks.len() > MAX_HOOKS {
        let why = format!(
            "{} hooks; an action may have at most {MAX_HOOKS}",
            hooks.len()
        );
        return Err(Diagnostic::new(root.at, why));
    }
    for (index, node) in hooks.iter().enumerate() {
        if node.is_null() {
            warnings.push(Diagnostic::new(
                node.at,
                format!("hook[{index}] is empty and ignored"),
            ));
            continue;
        }
        let hook = read_hook(index, node, warnings)?;
        if read.iter().any(|h| h.id == hook.id) {
            let at = node.get("id").map_or(node.at, |id| id.at);
            return Err(Diagnostic::new(
                at,
                format!("hook[{index}] duplicate ID '{}'", hook.id),
            ));
        }
        let can_follow_a_failure = read.iter().any(|before| before.condition.holds(false));
        warn_of_condition(
            index,
            node,
            &hook.condition,
            !can_follow_a_failure,
            warnings,
        );
        read.push(hook);
    }
    Ok(read)
}
