//! Checks action files that a change adds or edits, before the change lands, and reports what would
//! go wrong when they run.
//!
//! Problems in files that lakeFS accepts are warnings. A Wasm hook, which lakeFS does not have, is
//! checked against its component. A component that is missing, does not compile or rejects the
//! hook's config is an error, unless the hook has `on_error: warn`. Preflight runs no hook.

use std::sync::Arc;
use std::time::Duration;

use graveler::{Event, EventKind};

use crate::action_file::{
    Action, Diagnostic, FileError, Hook, HookKind, Node, Position, Reaction, WasmProperties,
};
use crate::env::Environment;
use crate::load::{FileSet, LoadError, LoadedFile, Loader, Tree};
use crate::schema;
use crate::wasm::{Cause, Host};
use crate::wasm_hook::{self, NotReady};

/// Maximum number of warnings per change.
const MAX_WARNINGS: usize = 100;

/// Limits of the checks for one change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum number of reported errors. Checking stops there.
    pub(crate) errors: usize,
    /// Maximum number of hooks that are checked against their components. The remaining hooks are
    /// checked when they run.
    pub(crate) hooks: usize,
    /// Maximum time that the change waits for checks. Compiling many components may take longer.
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

/// Problems in the action files that a change adds or edits.
#[derive(Debug, Default)]
pub(crate) struct Preflight {
    /// The change is refused because of these errors.
    pub(crate) errors: Vec<FileError>,
    /// Sorted by path; limited in number.
    pub(crate) warnings: Vec<Warning>,
    /// Number of hooks that were checked against their components.
    checked: usize,
}

/// A probable mistake in an action file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    /// Name of the action. The warning is also written to the logs of its hooks.
    pub(crate) action: String,
    /// Example: `_lakefs_actions/gate.yaml:3:1: unknown key 'hoks' is ignored; did you mean
    /// 'hooks'?`
    pub(crate) text: String,
}

/// Reports whether the event lands a tree whose action files may differ from those of the branch.
fn lands_a_tree(kind: EventKind) -> bool {
    use EventKind::{PreCherryPick, PreCommit, PreMerge, PreRevert};
    matches!(kind, PreCommit | PreMerge | PreRevert | PreCherryPick)
}

/// Checks the action files that the event adds or edits.
///
/// # Errors
/// [`LoadError::Read`] if storage fails.
pub(crate) async fn check(
    loader: &Loader,
    host: &Host,
    environment: &Environment,
    event: &Event,
    limits: Limits,
) -> Result<Preflight, LoadError> {
    let (true, Some(base), Some(candidate)) =
        (lands_a_tree(event.kind()), event.base(), event.candidate())
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
    // Errors that already existed must not block this change, which may be the one that repairs
    // them.
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
        // Skipped hooks are checked again when they run, and then they refuse the change.
        Err(_) => found.warnings.push(Warning {
            action: String::new(),
            text: format!(
                "not all hooks were checked within {}: mistakes in the other hooks will be reported when they run",
                humantime::format_duration(limits.time)
            ),
        }),
    }
    // One hook may have several errors.
    found.errors.truncate(limits.errors);
    Ok(found)
}

/// Returns the action files of a stored tree. If there are too many to read, the set contains that
/// error.
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
            for diagnostic in &file.action.warnings {
                found.warn(file, diagnostic);
            }
            for hook in &file.action.hooks {
                for variable in &hook.variables {
                    if let Some(why) = self.environment.why_empty(&variable.name) {
                        let why = format!("hook '{}': {why}", hook.id);
                        found.warn(file, &Diagnostic::new(variable.at, why));
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
                        found
                            .errors
                            .push(FileError::at(&file.path, problem.diagnostic));
                    }
                    _ => found.warn(file, &problem.diagnostic),
                }
            }
        }
        Ok(())
    }

    /// Checks a Wasm hook against its component.
    async fn component(
        &self,
        hook: &Hook,
        wasm: &WasmProperties,
    ) -> Result<Vec<Problem>, LoadError> {
        let id = &hook.id;
        let at = wasm.component_at;
        let at_component = |why: &str| Diagnostic::new(at, format!("hook '{id}': {why}"));
        let bytes = match wasm_hook::component(self.host, self.loader, &self.after, wasm).await {
            Ok(bytes) => bytes,
            Err(NotReady {
                cause: Cause::Storage,
                message,
            }) => {
                return Ok(vec![Problem::unchecked(at_component(&message))]);
            }
            Err(NotReady {
                cause: Cause::ComponentMissing,
                ..
            }) => {
                let path = &wasm.component;
                let place = self.event.branch().map_or_else(
                    || "in the tree".to_owned(),
                    |branch| format!("on branch {branch}"),
                );
                let why = format!(
                    "component {path} not found {place}; upload it and commit it with this file, or fix 'component'"
                );
                return Ok(vec![Problem::certain(at_component(&why))]);
            }
            Err(NotReady { cause, message }) => {
                return Ok(vec![Problem::certain(at_component(&format!(
                    "{cause}: {message}"
                )))]);
            }
        };
        match self
            .host
            .describe(&self.event.repository.partition(), &bytes)
            .await
        {
            Ok(description) => {
                // The component chooses the size of its schema, so validation runs off the serving
                // threads.
                let (hook, wasm) = (id.clone(), wasm.clone());
                let checked = self
                    .host
                    .compute(move || config_diagnostics(&hook, &wasm, &description));
                Ok(match checked.await {
                    Ok(diagnostics) => diagnostics,
                    Err(why) => {
                        let why = format!("config could not be checked: {why}");
                        vec![Problem::unchecked(at_component(&why))]
                    }
                })
            }
            Err((cause @ (Cause::ComponentInvalid | Cause::ComponentAbi), why)) => {
                let path = &wasm.component;
                let why = format!("component {path} cannot be used: {cause}: {why}");
                Ok(vec![Problem::certain(at_component(&why))])
            }
            // The server is busy, or the component runs but does not describe itself.
            Err((cause, why)) => {
                let path = &wasm.component;
                let why = format!("component {path} could not be checked: {cause}: {why}");
                Ok(vec![Problem::unchecked(at_component(&why))])
            }
        }
    }
}

/// Returns the violations of the component's schema in the hook's config.
fn config_diagnostics(
    id: &str,
    wasm: &WasmProperties,
    description: &serde_json::Value,
) -> Vec<Problem> {
    let Some(schema) = description.get(CONFIG_SCHEMA) else {
        return Vec::new();
    };
    let diagnostic = |mistake: schema::Mistake| {
        let at: Position = wasm
            .config_node
            .as_ref()
            .map_or(wasm.component_at, |node: &Node| {
                node.place_of(&mistake.path)
            });
        Problem::certain(Diagnostic::new(
            at,
            format!("hook '{id}': {}", mistake.reason),
        ))
    };
    schema::mistakes(schema, &wasm.config)
        .into_iter()
        .map(diagnostic)
        .collect()
}

/// JSON pointer of the config's schema in a description.
pub(crate) const CONFIG_SCHEMA: &str = "config_schema";

struct Problem {
    /// False if only running the hook would show whether it fails.
    is_certain: bool,
    diagnostic: Diagnostic,
}

impl Problem {
    fn certain(diagnostic: Diagnostic) -> Self {
        Self {
            is_certain: true,
            diagnostic,
        }
    }

    fn unchecked(diagnostic: Diagnostic) -> Self {
        Self {
            is_certain: false,
            diagnostic,
        }
    }
}

impl Preflight {
    fn warn(&mut self, file: &LoadedFile, diagnostic: &Diagnostic) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings
                .push(Warning::new(&file.action, &file.path, diagnostic));
        }
    }

    /// Returns the texts of the warnings.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.warnings.iter().map(|w| w.text.clone()).collect()
    }
}

impl Warning {
    fn new(action: &Action, path: &str, diagnostic: &Diagnostic) -> Self {
        let place = diagnostic
            .at
            .map_or_else(String::new, |at| format!("{}:{}:", at.line, at.column));
        Self {
            action: action.name.clone(),
            text: format!("{path}:{place} {}", diagnostic.reason),
        }
    }
}
