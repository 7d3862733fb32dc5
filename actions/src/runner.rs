//! Runs hooks. Each hook type has one [`HookRunner`], which is registered by the type's name.
//!
//! The executor does not depend on hook types: it looks up the runner, calls it, and records the
//! result. To add a type, add its properties to `action_file`, implement [`HookRunner`] in a
//! submodule of this module, and register the runner in `Actions::with_environment`.

pub(crate) mod airflow;
pub(crate) mod lua;
pub(crate) mod registry;
pub(crate) mod wasm;
pub(crate) mod webhook;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use graveler::{Event, Finding};

use crate::action_file::{Action, Diagnostic, Hook};
use crate::env::MissingVariable;
use crate::load::{MatchedAction, Tree};
use crate::output::{MAX_LOG_BYTES, Output};
use crate::payload::payload;
use crate::wasm::{CompileWait, Failure};

/// Runs the hooks of one type.
#[async_trait]
pub(crate) trait HookRunner: fmt::Debug + Send + Sync {
    /// Returns the type's name in action files.
    fn type_name(&self) -> &'static str;

    /// Reports whether hooks of this type call other services, which may change the repository
    /// while they are called.
    fn calls_services(&self) -> bool {
        false
    }

    /// Returns the maximum size of the hook's log.
    fn log_bytes(&self, _hook: &Hook) -> usize {
        MAX_LOG_BYTES
    }

    /// Returns the problems that the parser of the action file cannot find, in the order of the
    /// file. Does not run the hook.
    async fn validate(&self, spec: HookSpec<'_>) -> Vec<Problem>;

    /// Runs a hook. A hook that cannot be run counts as failed, so that no gate is bypassed.
    async fn run(&self, invocation: Invocation<'_>) -> HookResult;
}

/// A hook of an action file that a change adds or edits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HookSpec<'a> {
    pub(crate) action: &'a Action,
    pub(crate) hook: &'a Hook,
    pub(crate) event: &'a Event,
    /// The tree after the change.
    pub(crate) tree: &'a Tree,
    /// How long the hook waits for the compilation of its component.
    pub(crate) compile_wait: &'a CompileWait,
}

/// A hook that runs for an event.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    pub(crate) event: &'a Arc<Event>,
    pub(crate) matched: &'a MatchedAction,
    pub(crate) hook: &'a Hook,
    pub(crate) hook_run_id: &'a str,
    /// How long the hook waits for the compilation of its component.
    pub(crate) compile_wait: &'a CompileWait,
    /// The hook's log so far. The runner appends to it and returns it.
    pub(crate) log: Output,
}

impl Invocation<'_> {
    /// Returns the description of the event that a hook sends to a service.
    pub(crate) fn payload(&self) -> String {
        payload(self.event, &self.matched.action.name, &self.hook.id)
    }

    /// Returns the path at which the REST API serves the hook's log.
    pub(crate) fn log_at(&self) -> String {
        format!(
            "/api/v1/repositories/{}/actions/runs/{}/hooks/{}/output",
            self.event.repository.id, self.event.run_id, self.hook_run_id
        )
    }
}

/// What a hook produced.
#[derive(Debug)]
pub(crate) struct HookResult {
    pub(crate) log: Output,
    /// `None` if the hook passed, or if its action file only asks for a warning.
    pub(crate) failure: Option<HookFailure>,
    pub(crate) findings: Vec<Finding>,
    /// A probable mistake that only running the hook shows. The runner has written it to the log.
    pub(crate) warning: Option<String>,
}

impl HookResult {
    /// Returns the result of a hook without findings.
    pub(crate) fn new(log: Output, outcome: Result<(), HookFailure>) -> Self {
        Self {
            log,
            failure: outcome.err(),
            findings: Vec::new(),
            warning: None,
        }
    }
}

/// Why a hook failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct HookFailure {
    /// Uses lakeFS's text where lakeFS has one.
    pub(crate) message: String,
    /// What the author of the action file can do about the failure.
    pub(crate) hint: Option<String>,
}

impl HookFailure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// Adds a hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Adds another hint.
    pub(crate) fn and_hint(self, hint: String) -> Self {
        let hint = match &self.hint {
            Some(first) => format!("{first}; {hint}"),
            None => hint,
        };
        self.hint(hint)
    }

    /// The failure of a hook that was handed to the runner of another type.
    fn of_other_type(hook: &Hook, runner: &dyn HookRunner) -> Self {
        let (is, runs) = (hook.kind.type_name(), runner.type_name());
        Self::new(format!("hook type {is} cannot be run as {runs}"))
    }
}

impl From<MissingVariable> for HookFailure {
    fn from(missing: MissingVariable) -> Self {
        Self::new(missing.to_string())
    }
}

impl From<Failure> for HookFailure {
    fn from(failure: Failure) -> Self {
        Self {
            message: failure.message,
            hint: failure.hint,
        }
    }
}

/// A problem that a runner found in a hook before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Whether the change is refused. Otherwise the problem is a warning: either only running the
    /// hook can show whether it fails, or the hook's failures are warnings as well.
    pub(crate) refuses: bool,
    pub(crate) diagnostic: Diagnostic,
}

#[cfg(test)]
mod tests;
