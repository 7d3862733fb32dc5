//! `type: wasm`: selects the component and the trees, runs the component on the Wasm host, and
//! interprets its report.
//!
//! `components` finds components, `report` writes reports. The host does not depend on action files
//! or run records.

mod components;
mod no_effect;
mod report;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{HookFailure, HookResult, HookRunner, HookSpec, Invocation, Problem};
use crate::action_file::{Diagnostic, Hook, HookKind, Reaction, WasmProperties};
use crate::load::Loader;
use crate::output::MAX_LOG_BYTES;
use crate::schema;
use crate::wasm::{Cause, Failure, Host, Report, Request, SnapshotTrees};
use components::Components;

/// Size reserved in a hook's log for findings, summary and verdict, in addition to the guest's own
/// lines.
const REPORT_LOG_BYTES: usize = 4 << 20;
/// Key of the config's schema in a description.
const CONFIG_SCHEMA: &str = "config_schema";

/// Runs components.
#[derive(Debug)]
pub(crate) struct WasmRunner {
    host: Host,
    loader: Loader,
    components: Components,
}

impl WasmRunner {
    pub(crate) fn new(host: Host, loader: Loader) -> Self {
        Self {
            components: Components::new(host.clone(), loader.clone()),
            host,
            loader,
        }
    }

    /// Finds the component, checks the hook's config against the component's schema, and runs the
    /// component. Skips the check if the component's `describe` traps or returns no valid JSON.
    async fn call(
        &self,
        invocation: &Invocation<'_>,
        properties: &WasmProperties,
    ) -> Result<Report, Failure> {
        let Invocation {
            event,
            matched,
            hook,
            compile_wait,
            ..
        } = *invocation;
        let repository = event.repository.partition();
        let component = self.components.of(&repository, &matched.tree, properties);
        let component = component.await?;
        let described = self
            .host
            .describe_within(&repository, &component, compile_wait);
        match described.await {
            Ok(description) => {
                self.check_config(&repository, properties, description)
                    .await?;
            }
            Err(failure) if has_no_description(&failure) => {}
            Err(failure) => return Err(failure),
        }
        let request = Request {
            component,
            action: matched.action.name.clone(),
            hook: hook.id.clone(),
            event: Arc::clone(event),
            trees: Arc::new(SnapshotTrees::new(self.loader.reader().clone(), event)),
            config: properties.config.clone(),
            select: properties.select.clone(),
            read: properties.read.clone(),
            limits: properties.limits.clone(),
            parallelism: properties.parallelism,
            // With `on_error: warn`, an error on one object must not hide verdicts on the others.
            keep_going: properties.on_error == Reaction::Warn,
            compile_wait: compile_wait.clone(),
        };
        Ok(self.host.run(request).await)
    }

    async fn check_config(
        &self,
        repository: &str,
        properties: &WasmProperties,
        description: Value,
    ) -> Result<(), Failure> {
        let config = properties.config.clone();
        let mistakes = self.host.compute(repository, move || {
            let schema = description.get(CONFIG_SCHEMA);
            schema
                .map(|schema| schema::mistakes(schema, &config))
                .unwrap_or_default()
        });
        let mistakes = mistakes.await.map_err(|failure| match failure.cause {
            Cause::Busy => failure,
            _ => Failure {
                cause: Cause::HookError,
                ..failure
            },
        })?;
        if mistakes.is_empty() {
            return Ok(());
        }
        let reasons: Vec<String> = mistakes.into_iter().map(|m| m.reason).collect();
        Err(Failure::new(Cause::HookError, reasons.join("; ")))
    }

    /// Returns the violations of the component's schema in the hook's config.
    async fn validate_config(
        &self,
        spec: HookSpec<'_>,
        properties: &WasmProperties,
        description: Value,
    ) -> Vec<Problem> {
        // The component chooses the size of its schema, so validation runs off the serving threads.
        let (id, wasm) = (spec.hook.id.clone(), properties.clone());
        let repository = spec.event.repository.partition();
        let check = move || config_problems(&id, &wasm, &description);
        let checked = self.host.compute(&repository, check);
        checked.await.unwrap_or_else(|failure| {
            let why = format!("config could not be checked: {failure}");
            vec![at_component(spec.hook, properties, false, &why)]
        })
    }
}

#[async_trait]
impl HookRunner for WasmRunner {
    fn type_name(&self) -> &'static str {
        "wasm"
    }

    fn log_bytes(&self, hook: &Hook) -> usize {
        match &hook.kind {
            HookKind::Wasm(wasm) => wasm.limits.log_bytes + REPORT_LOG_BYTES,
            _ => MAX_LOG_BYTES,
        }
    }

    /// Checks that the component exists, can be used by this server, and accepts the hook's config.
    async fn validate(&self, spec: HookSpec<'_>) -> Vec<Problem> {
        let HookKind::Wasm(wasm) = &spec.hook.kind else {
            return Vec::new();
        };
        let problem = |is_certain, why: &str| vec![at_component(spec.hook, wasm, is_certain, why)];
        let path = &wasm.component;
        let repository = spec.event.repository.partition();
        let component = self.components.of(&repository, spec.tree, wasm);
        let component = match component.await {
            Ok(component) => component,
            Err(failure) if matches!(failure.cause, Cause::Storage | Cause::Busy) => {
                return problem(false, &failure.message);
            }
            Err(failure) if failure.cause == Cause::ComponentMissing => {
                let place = spec.event.branch().map_or_else(
                    || "in the tree".to_owned(),
                    |branch| format!("on branch {branch}"),
                );
                let why = format!(
                    "component {path} not found {place}; upload it and commit it with this file, or fix 'component'"
                );
                return problem(true, &why);
            }
            Err(failure) => {
                return problem(true, &format!("{}: {failure}", failure.cause));
            }
        };
        let host = &self.host;
        let mut problems = Vec::new();
        let world = host.world_within(&repository, &component, spec.compile_wait);
        let described = match world.await {
            Ok(world) => {
                let events: Vec<_> = spec.action.on.keys().copied().collect();
                let reasons = no_effect::reasons(world, wasm, &events);
                problems.extend(
                    reasons
                        .iter()
                        .map(|why| at_component(spec.hook, wasm, false, why)),
                );
                let described = host.describe_within(&repository, &component, spec.compile_wait);
                described.await
            }
            Err(failure) => Err(failure),
        };
        let failure = match described {
            Ok(description) => {
                problems.extend(self.validate_config(spec, wasm, description).await);
                return problems;
            }
            Err(failure) => failure,
        };
        let cause = failure.cause;
        if matches!(cause, Cause::ComponentInvalid | Cause::ComponentAbi) {
            let why = format!("component {path} cannot be used: {cause}: {failure}");
            problems.extend(problem(true, &why));
            return problems;
        }
        // The server is busy, or the component's `describe` fails. A warning has no field for a
        // hint, so the hint becomes part of its text.
        let hint = failure.hint.as_ref().map(|hint| format!("; {hint}"));
        let hint = hint.unwrap_or_default();
        let why = format!("component {path} could not be checked: {cause}: {failure}{hint}");
        problems.extend(problem(false, &why));
        problems
    }

    async fn run(&self, invocation: Invocation<'_>) -> HookResult {
        let HookKind::Wasm(wasm) = &invocation.hook.kind else {
            let failure = HookFailure::of_other_type(invocation.hook, self);
            return HookResult::new(invocation.log, Err(failure));
        };
        let report = match self.call(&invocation, wasm).await {
            Ok(report) => report,
            Err(failure) => Report::not_run(failure),
        };
        let repository = invocation.event.repository.partition();
        report::finish(&self.host, &repository, report, wasm, invocation.log).await
    }
}

/// Reports whether `describe` ran within its limits but returned no valid description.
fn has_no_description(failure: &Failure) -> bool {
    matches!(failure.cause, Cause::HookError | Cause::Trap)
}

/// Returns a problem at the component's path. `is_certain` is false if only running the hook would
/// show whether it fails.
fn at_component(hook: &Hook, wasm: &WasmProperties, is_certain: bool, why: &str) -> Problem {
    Problem {
        refuses: is_certain && wasm.on_error == Reaction::Block,
        diagnostic: Diagnostic::new(wasm.component_at, format!("hook '{}': {why}", hook.id)),
    }
}

fn config_problems(id: &str, wasm: &WasmProperties, description: &Value) -> Vec<Problem> {
    let Some(schema) = description.get(CONFIG_SCHEMA) else {
        return Vec::new();
    };
    let problem = |mistake: schema::Mistake| {
        let config = wasm.config_node.as_ref();
        let at = config.map_or(wasm.component_at, |node| node.place_of(&mistake.path));
        Problem {
            refuses: wasm.on_error == Reaction::Block,
            diagnostic: Diagnostic::new(at, format!("hook '{id}': {}", mistake.reason)),
        }
    };
    let mistakes = schema::mistakes(schema, &wasm.config);
    mistakes.into_iter().map(problem).collect()
}
