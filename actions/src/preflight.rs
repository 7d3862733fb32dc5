//! Checks action files that a change adds or edits, before the change lands, and reports mistakes
//! that would otherwise appear only when their hooks run.
//!
//! Problems in files that lakeFS accepts are warnings. A Wasm hook, which lakeFS does not have, is
//! checked against its component. A component that is missing, does not compile or whose schema
//! rejects the hook's config is an error, unless the hook has `on_error: warn`. Preflight runs no
//! hook.

use std::time::Duration;

use graveler::{Event, EventKind};

use crate::action_file::{Action, Diagnostic, FileError, Hook};
use crate::load::{LoadError, LoadedFile, Loader, Tree};
use crate::misplaced;
use crate::runner::HookSpec;
use crate::runner::registry::Runners;
use crate::wasm::{COMPILE_WAIT, CompileWait};

/// Maximum number of warnings per event. Warnings beyond this limit or the next one are only counted.
const MAX_WARNINGS: usize = 100;
/// Maximum total size of the warnings of one event in bytes. They are stored with its run.
const MAX_WARNING_BYTES: usize = 32 << 10;

/// Limits of the checks for one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum number of reported errors. Checking stops there.
    pub(crate) errors: usize,
    /// Maximum number of hooks that are checked against their components. The remaining hooks are
    /// checked when they run.
    pub(crate) hooks: usize,
    /// Maximum time that the event waits for checks. Compiling many components may take longer.
    pub(crate) time: Duration,
    /// How long the event waits for compilations, in the checks and in its hooks together.
    pub(crate) compile_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            errors: 100,
            hooks: 1_000,
            time: Duration::from_secs(120),
            compile_wait: COMPILE_WAIT,
        }
    }
}

/// Problems in the action files that a change adds or edits.
#[derive(Debug, Default)]
pub(crate) struct Preflight {
    /// The change is refused because of these errors.
    pub(crate) errors: Vec<FileError>,
    /// Limited in number and size. Warnings about misplaced files come first, then those about actions,
    /// sorted by path, then the number of further warnings, and last the warning that the checks ran out
    /// of time.
    pub(crate) warnings: Vec<Warning>,
    warning_bytes: usize,
    /// Number of warnings beyond the limits.
    dropped_warnings: usize,
    /// Number of hooks that were checked against their components.
    checked: usize,
}

/// A probable mistake in an action file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    /// Name of the action, or empty. The warning is also written to the logs of the action's hooks.
    pub(crate) action: String,
    /// Example: `_lakefs_actions/gate.yaml:3:1: unknown key 'hoks' is ignored; did you mean
    /// 'hooks'?`
    pub(crate) text: String,
}

/// Reports whether the event is a change that may add or edit action files.
fn may_change_action_files(kind: EventKind) -> bool {
    use EventKind::{PreCherryPick, PreCommit, PreMerge, PreRevert};
    matches!(kind, PreCommit | PreMerge | PreRevert | PreCherryPick)
}

/// Checks the action files that the event adds or edits.
///
/// # Errors
/// [`LoadError::Read`] if storage fails.
pub(crate) async fn check(
    loader: &Loader,
    runners: &Runners,
    event: &Event,
    limits: Limits,
    compile_wait: &CompileWait,
) -> Result<Preflight, LoadError> {
    let (true, Some(base), Some(candidate)) = (
        may_change_action_files(event.kind()),
        event.base(),
        event.candidate(),
    ) else {
        return Ok(Preflight::default());
    };
    if base == candidate {
        return Ok(Preflight::default());
    }
    let before = loader.tree(&event.repository, base);
    let after = loader.tree(&event.repository, candidate);
    let files = loader.files(event, &after).await?;
    let mut found = Preflight::default();
    let (old, new) = (
        loader.reader().snapshot(&event.repository, base),
        loader.reader().snapshot(&event.repository, candidate),
    );
    for text in misplaced::warnings(&old, &new).await? {
        found.warn(Warning::without_action(text));
    }
    if files.files.is_empty() && files.errors.is_empty() {
        return Ok(found);
    }
    let known = loader.files(event, &before).await?;
    let check = Check {
        loader,
        runners,
        event,
        limits,
        compile_wait,
        before,
        after,
    };
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
    let checked = tokio::time::timeout(limits.time, all).await;
    if found.dropped_warnings > 0 {
        let text = format!(
            "{} more warnings about action files are not shown",
            found.dropped_warnings
        );
        found.warnings.push(Warning::without_action(text));
    }
    match checked {
        Ok(checked) => checked?,
        // A hook that was not checked here is checked when it runs, and can refuse a change then.
        Err(_) => found.warnings.push(Warning::without_action(format!(
            "not all hooks were checked within {}: mistakes in the other hooks will be reported when they run",
            humantime::format_duration(limits.time)
        ))),
    }
    // One hook may have several errors.
    found.errors.truncate(limits.errors);
    Ok(found)
}

struct Check<'a> {
    loader: &'a Loader,
    runners: &'a Runners,
    event: &'a Event,
    limits: Limits,
    compile_wait: &'a CompileWait,
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
                found.warn(Warning::new(&file.action, &file.path, diagnostic));
            }
        }
        // Hooks without a component come first, because checking them costs little.
        for hook in &file.action.hooks {
            if hook.kind.component().is_none() && !is_known {
                self.hook(file, hook, found).await;
            }
        }
        for hook in &file.action.hooks {
            let Some(component) = hook.kind.component() else {
                continue;
            };
            if found.errors.len() >= self.limits.errors || found.checked >= self.limits.hooks {
                return Ok(());
            }
            if is_known
                && !self
                    .loader
                    .differs(&self.before, &self.after, component)
                    .await?
            {
                continue;
            }
            found.checked += 1;
            self.hook(file, hook, found).await;
        }
        Ok(())
    }

    async fn hook(&self, file: &LoadedFile, hook: &Hook, found: &mut Preflight) {
        let spec = HookSpec {
            action: &file.action,
            hook,
            event: self.event,
            tree: &self.after,
            compile_wait: self.compile_wait,
        };
        for problem in self.runners.of(hook).validate(spec).await {
            if problem.refuses {
                let error = FileError::at(&file.path, problem.diagnostic);
                found.errors.push(error);
            } else {
                found.warn(Warning::new(&file.action, &file.path, &problem.diagnostic));
            }
        }
    }
}

impl Preflight {
    fn warn(&mut self, warning: Warning) {
        let bytes = self.warning_bytes + warning.text.len();
        if self.warnings.len() >= MAX_WARNINGS || bytes > MAX_WARNING_BYTES {
            self.dropped_warnings += 1;
            return;
        }
        self.warning_bytes = bytes;
        self.warnings.push(warning);
    }

    /// Returns the texts of the warnings.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.warnings.iter().map(|w| w.text.clone()).collect()
    }
}

impl Warning {
    /// A warning that belongs to no action.
    fn without_action(text: String) -> Self {
        Self {
            action: String::new(),
            text,
        }
    }

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
