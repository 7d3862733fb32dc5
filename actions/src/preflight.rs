//! Looks at the action files that a change adds or edits before it lands: what would go wrong, or not
//! happen, once they judge.
//!
//! What lakeFS accepts is a warning. A Wasm hook, which lakeFS knows nothing of, is held against its
//! component: one that is missing, does not compile or does not take the hook's config is an error,
//! unless the hook is only to warn of errors. Runs no hook.

use std::sync::Arc;
use std::time::Duration;

use graveler::{Event, EventKind};

use crate::action_file::{
    Action, Fault, FileError, Hook, HookKind, Node, Position, Reaction, WasmProperties,
};
use crate::env::Environment;
use crate::load::{FileSet, LoadError, LoadedFile, Loader, Tree};
use crate::schema;
use crate::wasm::{Cause, Host};
use crate::wasm_hook::{self, NotReady};

/// Warnings of one change that are told.
const MAX_WARNINGS: usize = 100;

/// What one change may ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Errors that are told; what follows them is not looked at.
    pub(crate) errors: usize,
    /// Hooks that are held against their components. Others are when they run.
    pub(crate) hooks: usize,
    /// How long the change waits: the compilation of many components may take longer.
    pub(crate) time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            errors: 100,
            hooks: 1_000,
            time: Duration::from_secs(120),
        }
    }
}

/// What is wrong with the action files that a change adds or edits.
#[derive(Debug, Default)]
pub(crate) struct Preflight {
    /// The change is refused for these.
    pub(crate) errors: Vec<FileError>,
    /// By path, bounded.
    pub(crate) warnings: Vec<Warning>,
    /// Hooks that were held against their components.
    checked: usize,
}

/// A probable mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    /// The action's name: its hooks' logs tell it too.
    pub(crate) action: String,
    /// `_lakefs_actions/gate.yaml:3:1: unknown key 'hoks' is ignored; did you mean 'hooks'?`
    pub(crate) text: String,
}

/// Whether the event lands a tree that may have other action files than the branch has.
fn lands_a_tree(kind: EventKind) -> bool {
    use EventKind::{PreCherryPick, PreCommit, PreMerge, PreRevert};
    matches!(kind, PreCommit | PreMerge | PreRevert | PreCherryPick)
}

/// Checks what the change makes of the action files.
///
/// # Errors
/// [`LoadError::Read`] when storage fails.
pub(crate) async fn check(
    loader: &Loader,
    host: &Host,
    environment: &Environment,
    event: &Event,
    limits: Limits,
) -> Result<Preflight, LoadError> {
    let (true, Some(base), Some(candidate)) =
        (lands_a_tree(event.kind), &event.base, &event.candidate)
    else {
        return Ok(Preflight::default());
    };
    let before = loader.tree(&event.repository, base);
    let after = loader.tree(&event.repository, candidate);
    let files = files(loader, event, &after).await?;
    if base == candidate || (files.files.is_empty() && files.errors.is_empty()) {
        return Ok(Preflight::default());
    }
    let known = self::files(loader, event, &before).await?;
    let check = Check {
        loader,
        host,
        environment,
        event,
        limits,
        before,
        after,
    };
    let mut found = Preflight::default();
    // What was wrong before is nobody's fault here, and must be open to repair.
    let is_new = |error: &&FileError| !known.errors.contains(error);
    found.errors.extend(
        files
            .errors
            .iter()
            .filter(is_new)
            .take(limits.errors)
            .cloned(),
    );
    let all = async {
        for file in &files.files {
            check.file(file, known.has(file), &mut found).await?;
        }
        Ok::<_, LoadError>(())
    };
    match tokio::time::timeout(limits.time, all).await {
        Ok(checked) => checked?,
        // Each hook is checked again when it runs, and fails closed.
        Err(_) => found.warnings.push(Warning {
            action: String::new(),
            text: format!(
                "not all hooks were checked within {}: mistakes in the others are told when they run",
                humantime::format_duration(limits.time)
            ),
        }),
    }
    // Each hook may have several.
    found.errors.truncate(limits.errors);
    Ok(found)
}

/// The files of a stored tree; a tree with too many to be read has its error in the set.
async fn files(loader: &Loader, event: &Event, tree: &Tree) -> Result<Arc<FileSet>, LoadError> {
    match loader.files(event, tree).await {
        Err(LoadError::Invalid(errors)) => Ok(Arc::new(FileSet::of_errors(errors))),
        read => read,
    }
}

struct Check<'a> {
    loader: &'a Loader,
    host: &'a Host,
    environment: &'a Environment,
    event: &'a Event,
    limits: Limits,
    before: Tree,
    after: Tree,
}

impl Check<'_> {
    async fn file(
        &self,
        file: &LoadedFile,
        is_known: bool,
        found: &mut Preflight,
    ) -> Result<(), LoadError> {
        if !is_known {
            for fault in &file.action.warnings {
                found.warn(file, fault);
            }
            for hook in &file.action.hooks {
                for variable in &hook.variables {
                    if let Some(why) = self.environment.why_empty(&variable.name) {
                        let why = format!("hook '{}': {why}", hook.id);
                        found.warn(file, &Fault::new(variable.at, why));
                    }
                }
            }
        }
        for hook in &file.action.hooks {
            let HookKind::Wasm(wasm) = &hook.kind else {
                continue;
            };
            if found.errors.len() >= self.limits.errors || found.checked >= self.limits.hooks {
                return Ok(());
            }
            let component = &wasm.component;
            if is_known
                && !self
                    .loader
                    .differs(&self.before, &self.after, component)
                    .await?
            {
                continue;
            }
            found.checked += 1;
            for problem in self.component(hook, wasm).await? {
                match (problem.is_certain, wasm.on_error) {
                    (true, Reaction::Block) => {
                        found.errors.push(FileError::at(&file.path, problem.fault));
                    }
                    _ => found.warn(file, &problem.fault),
                }
            }
        }
        Ok(())
    }

    /// What keeps a hook from running as its file asks.
    async fn component(
        &self,
        hook: &Hook,
        wasm: &WasmProperties,
    ) -> Result<Vec<Problem>, LoadError> {
        let id = &hook.id;
        let at = wasm.component_at;
        let told = |why: &str| Fault::new(at, format!("hook '{id}': {why}"));
        let bytes = match wasm_hook::component(self.host, self.loader, &self.after, wasm).await {
            Ok(bytes) => bytes,
            Err(NotReady {
                cause: Cause::Storage,
                message,
            }) => {
                return Ok(vec![Problem::unchecked(told(&message))]);
            }
            Err(NotReady {
                cause: Cause::ComponentMissing,
                ..
            }) => {
                let path = &wasm.component;
                let place = self.event.branch.as_ref().map_or_else(
                    || "in the tree".to_owned(),
                    |branch| format!("on branch {branch}"),
                );
                let why = format!(
                    "component {path} not found {place}; upload it and commit it with this file, or fix 'component'"
                );
                return Ok(vec![Problem::certain(told(&why))]);
            }
            Err(NotReady { cause, message }) => {
                return Ok(vec![Problem::certain(told(&format!("{cause}: {message}")))]);
            }
        };
        match self
            .host
            .describe(&self.event.repository.partition(), &bytes)
            .await
        {
            Ok(description) => {
                // A schema is as large as its component likes: it is held against the config beside the requests.
                let (hook, wasm) = (id.clone(), wasm.clone());
                let checked = self
                    .host
                    .compute(move || config_faults(&hook, &wasm, &description));
                Ok(match checked.await {
                    Ok(faults) => faults,
                    Err(why) => {
                        let why = format!("config could not be checked: {why}");
                        vec![Problem::unchecked(told(&why))]
                    }
                })
            }
            Err((cause @ (Cause::ComponentInvalid | Cause::ComponentAbi), why)) => {
                let path = &wasm.component;
                let why = format!("component {path} cannot be used: {cause}: {why}");
                Ok(vec![Problem::certain(told(&why))])
            }
            // A server that is busy, or a component that runs but does not describe itself.
            Err((cause, why)) => {
                let path = &wasm.component;
                let why = format!("component {path} could not be checked: {cause}: {why}");
                Ok(vec![Problem::unchecked(told(&why))])
            }
        }
    }
}

/// What the component's schema refuses in the hook's config.
fn config_faults(id: &str, wasm: &WasmProperties, description: &serde_json::Value) -> Vec<Problem> {
    let Some(schema) = description.get(CONFIG_SCHEMA) else {
        return Vec::new();
    };
    let fault = |mistake: schema::Mistake| {
        let at: Position = wasm
            .config_node
            .as_ref()
            .map_or(wasm.component_at, |node: &Node| {
                node.place_of(&mistake.path)
            });
        Problem::certain(Fault::new(at, format!("hook '{id}': {}", mistake.reason)))
    };
    schema::mistakes(schema, &wasm.config)
        .into_iter()
        .map(fault)
        .collect()
}

/// Where a description has the schema of the config.
pub(crate) const CONFIG_SCHEMA: &str = "config_schema";

struct Problem {
    /// Not if only a try would tell.
    is_certain: bool,
    fault: Fault,
}

impl Problem {
    fn certain(fault: Fault) -> Self {
        Self {
            is_certain: true,
            fault,
        }
    }

    fn unchecked(fault: Fault) -> Self {
        Self {
            is_certain: false,
            fault,
        }
    }
}

impl Preflight {
    fn warn(&mut self, file: &LoadedFile, fault: &Fault) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings
                .push(Warning::new(&file.action, &file.path, fault));
        }
    }

    /// The warnings, to be read one by one.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.warnings.iter().map(|w| w.text.clone()).collect()
    }
}

impl Warning {
    fn new(action: &Action, path: &str, fault: &Fault) -> Self {
        let place = fault
            .at
            .map_or_else(String::new, |at| format!("{}:{}:", at.line, at.column));
        Self {
            action: action.name.clone(),
            text: format!("{path}:{place} {}", fault.reason),
        }
    }
}
