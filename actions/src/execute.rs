//! Runs the actions of one event and stores their logs and records.
//!
//! Actions run concurrently; the hooks of one action run in sequence. After a hook fails, the
//! remaining hooks of the action run only if their conditions allow it. Each log is stored when its
//! hook ends; records are stored after all hooks have ended.

use std::sync::Arc;

use base::{Clock, OffsetDateTime};
use bytes::Bytes;
use catalog::{InternalFiles, Reader, Repository};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use graveler::{Event, Finding};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::action_file::Hook;
use crate::load::{Loader, MatchedAction};
use crate::manifest::{log_key, manifest, manifest_key};
use crate::output::{MAX_LOG_BYTES, Output};
use crate::preflight::Warning;
use crate::run::{HookRun, HookStatus, NEVER, Records, Run};
use crate::runner::registry::Runners;
use crate::runner::{HookFailure, HookResult, HookRunner, Invocation};
use crate::wasm::CompileWait;

/// Maximum number of actions of one event that run concurrently.
const MAX_PARALLEL_ACTIONS: usize = 8;
/// Maximum number of warnings of hooks that are added to one run. Each is in the log of its hook too.
const MAX_HOOK_WARNINGS: usize = 20;
/// Maximum number of findings in one refusal.
const MAX_FINDINGS: usize = 1_000;

/// Combined result of all actions of an event.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// One entry per failed hook. If empty, the change may land.
    pub(crate) failures: Vec<FailedHook>,
    pub(crate) findings: Vec<Finding>,
    /// Probable mistakes that the hooks found while they ran.
    pub(crate) warnings: Vec<String>,
}

/// A hook that failed, and why.
#[derive(Debug)]
pub(crate) struct FailedHook {
    /// Error text in lakeFS's format.
    pub(crate) text: String,
    /// What the author of the action file can do about the failure.
    pub(crate) hint: Option<String>,
    /// Index of the failed action in the list of matched actions.
    pub(crate) action: usize,
}

/// Runs the actions of events. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    pub(crate) reader: Reader,
    /// Stores the logs and manifests of runs.
    pub(crate) files: InternalFiles,
    pub(crate) records: Records,
    pub(crate) loader: Loader,
    pub(crate) runners: Runners,
    pub(crate) clock: Arc<dyn Clock>,
    /// Cancelled when the server stops and no longer waits for the hooks of post-events.
    pub(crate) stopped: CancellationToken,
}

/// What all hooks of an event share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventContext<'a> {
    pub(crate) event: &'a Arc<Event>,
    /// Probable mistakes in the action files.
    pub(crate) warnings: &'a [Warning],
    /// How long the hooks wait for compilations.
    pub(crate) compile_wait: &'a CompileWait,
}

/// Result of one hook that ended or was skipped.
struct EndedHook {
    run: HookRun,
    failure: Option<HookFailure>,
    findings: Vec<Finding>,
    warning: Option<String>,
}

impl Executor {
    /// Runs the matched actions of an event and records the run, with the warnings.
    ///
    /// # Errors
    /// If a log, the manifest or the records cannot be stored.
    pub(crate) async fn run(
        &self,
        context: EventContext<'_>,
        matched_actions: &[MatchedAction],
    ) -> catalog::Result<Outcome> {
        let EventContext {
            event, warnings, ..
        } = context;
        let start_time = self.clock.now();
        let actions = stream::iter(matched_actions.iter().cloned().enumerate())
            .map(|(index, matched)| async move {
                let results = self.run_action(context, index, &matched).await;
                results.map(|results| (index, results))
            })
            .buffered(MAX_PARALLEL_ACTIONS);
        let mut actions = std::pin::pin!(actions);

        let mut hooks = Vec::new();
        let mut outcome = Outcome::default();
        while let Some((action, results)) = actions.try_next().await? {
            for result in results {
                if let Some(failure) = result.failure {
                    let HookRun {
                        hook_run_id,
                        action_name,
                        hook_id,
                        ..
                    } = &result.run;
                    let text = format!(
                        "hook run id '{hook_run_id}' failed on action '{action_name}' hook '{hook_id}': {}",
                        failure.message
                    );
                    let hint = failure.hint.map(|hint| format!("hook '{hook_id}': {hint}"));
                    outcome.failures.push(FailedHook { text, hint, action });
                }
                if let Some(warning) = result.warning
                    && outcome.warnings.len() < MAX_HOOK_WARNINGS
                {
                    let HookRun {
                        action_name,
                        hook_id,
                        ..
                    } = &result.run;
                    let text = format!("action '{action_name}' hook '{hook_id}': {warning}");
                    outcome.warnings.push(text);
                }
                let room = MAX_FINDINGS - outcome.findings.len();
                outcome
                    .findings
                    .extend(result.findings.into_iter().take(room));
                hooks.push(result.run);
            }
        }
        let texts = warnings.iter().map(|w| w.text.clone());
        let run = Run {
            end_time: self.clock.now(),
            passed: outcome.failures.is_empty(),
            warnings: texts.chain(outcome.warnings.iter().cloned()).collect(),
            ..new_run(event, start_time)
        };
        self.save(event, &run, &hooks).await?;
        Ok(outcome)
    }

    /// Records a failed run whose hooks were all skipped, with the reason `why` as its warning.
    ///
    /// # Errors
    /// If the manifest or the records cannot be stored.
    pub(crate) async fn record_not_run(
        &self,
        event: &Event,
        matched_actions: &[MatchedAction],
        why: String,
    ) -> catalog::Result<()> {
        let mut hooks = Vec::new();
        for (index, matched) in matched_actions.iter().enumerate() {
            for (hook_index, hook) in matched.action.hooks.iter().enumerate() {
                hooks.push(hook_run(matched, hook, hook_run_id(index, hook_index)));
            }
        }
        let run = Run {
            warnings: vec![why],
            ..new_run(event, self.clock.now())
        };
        self.save(event, &run, &hooks).await
    }

    async fn save(&self, event: &Event, run: &Run, hooks: &[HookRun]) -> catalog::Result<()> {
        self.save_manifest(&event.repository, run, hooks).await?;
        self.records
            .save(event.repository.id.as_str(), run, hooks)
            .await?;
        metrics::counter!("hook_runs_total", "event" => event.kind().as_str(), "passed" => if run.passed { "true" } else { "false" }).increment(1);
        Ok(())
    }

    /// Runs a hook. A hook of a post-event fails when the server stops waiting for it, so that its
    /// run is recorded.
    async fn run_unless_stopped(
        &self,
        runner: &dyn HookRunner,
        invocation: Invocation<'_>,
        warnings: &[Warning],
    ) -> HookResult {
        let Invocation {
            event,
            matched,
            hook,
            ..
        } = invocation;
        if !event.kind().is_post() {
            return runner.run(invocation).await;
        }
        tokio::select! {
            biased;
            () = self.stopped.cancelled() => {
                warn!(run.id = %event.run_id, repo.id = %event.repository.id, "{} hook '{}' of action '{}' was cut off: {CUT_OFF}", event.kind().as_str(), hook.id, matched.action.name);
                let mut log = Output::new(MAX_LOG_BYTES);
                write_warnings(&mut log, &matched.action.name, warnings);
                HookResult::new(log, Err(HookFailure::new(CUT_OFF)))
            }
            result = runner.run(invocation) => result,
        }
    }

    pub(crate) async fn save_manifest(
        &self,
        repository: &Repository,
        run: &Run,
        hooks: &[HookRun],
    ) -> catalog::Result<()> {
        self.files
            .put(
                repository,
                &manifest_key(&run.run_id),
                manifest(run, hooks).into(),
            )
            .await
    }

    async fn run_action(
        &self,
        context: EventContext<'_>,
        index: usize,
        matched: &MatchedAction,
    ) -> catalog::Result<Vec<EndedHook>> {
        let mut results: Vec<EndedHook> = Vec::with_capacity(matched.action.hooks.len());
        let mut failed = false;
        let mut found = 0;
        for (hook_index, hook) in matched.action.hooks.iter().enumerate() {
            let hook_run_id = hook_run_id(index, hook_index);
            let mut result = if hook.condition.holds(failed) {
                self.run_hook(context, matched, hook, hook_run_id).await?
            } else {
                EndedHook {
                    run: hook_run(matched, hook, hook_run_id),
                    failure: None,
                    findings: Vec::new(),
                    warning: None,
                }
            };
            failed |= result.failure.is_some();
            // A refusal carries at most `MAX_FINDINGS`, so further findings need no memory.
            result.findings.truncate(MAX_FINDINGS - found);
            found += result.findings.len();
            results.push(result);
        }
        Ok(results)
    }

    async fn run_hook(
        &self,
        context: EventContext<'_>,
        matched: &MatchedAction,
        hook: &Hook,
        hook_run_id: String,
    ) -> catalog::Result<EndedHook> {
        let EventContext {
            event,
            warnings,
            compile_wait,
        } = context;
        let mut run = hook_run(matched, hook, hook_run_id);
        run.start_time = self.clock.now();
        let runner = self.runners.of(hook);
        let mut log = Output::new(runner.log_bytes(hook));
        write_warnings(&mut log, &matched.action.name, warnings);
        let invocation = Invocation {
            event,
            matched,
            hook,
            hook_run_id: &run.hook_run_id,
            compile_wait,
            log,
        };
        let HookResult {
            log,
            failure,
            findings,
            warning,
        } = self.run_unless_stopped(runner, invocation, warnings).await;
        let failure = failure.map(|failure| HookFailure {
            message: format!("action failed: {}", failure.message),
            ..failure
        });
        run.status = if failure.is_some() {
            HookStatus::Failed
        } else {
            HookStatus::Completed
        };
        run.end_time = self.clock.now();
        let last = failure.as_ref().map(|f| format!("Error: {}\n", f.message));
        let log = log.finish(last.as_deref());
        self.files
            .put(
                &event.repository,
                &log_key(&event.run_id, &run.hook_run_id),
                Bytes::from(log),
            )
            .await?;
        Ok(EndedHook {
            run,
            failure,
            findings,
            warning,
        })
    }
}

/// Reason for the failure of a post hook that was cancelled at shutdown.
const CUT_OFF: &str = "the server stopped before the hook ended";

/// Writes the warnings about a hook's action file to the hook's log.
fn write_warnings(log: &mut Output, action: &str, warnings: &[Warning]) {
    for warning in warnings.iter().filter(|w| w.action == action) {
        log.text(&format!("warning: {}\n", warning.text));
    }
}

/// Returns the id of a hook's run from the indexes of the action and the hook.
fn hook_run_id(action: usize, hook: usize) -> String {
    format!("{action:04}_{hook:04}")
}

/// Returns the record of a run that has not passed yet.
fn new_run(event: &Event, start_time: OffsetDateTime) -> Run {
    let commit_id = event.commit_id().map(ToString::to_string);
    Run {
        run_id: event.run_id.clone(),
        branch_id: event.branch().map(ToString::to_string).unwrap_or_default(),
        commit_id: commit_id.unwrap_or_default(),
        source_ref: event.source_ref().to_owned(),
        event_type: event.kind().as_str().to_owned(),
        start_time,
        end_time: start_time,
        passed: false,
        warnings: Vec::new(),
    }
}

/// Returns the record of a hook that was skipped or has not run yet.
fn hook_run(matched: &MatchedAction, hook: &Hook, hook_run_id: String) -> HookRun {
    HookRun {
        hook_run_id,
        hook_id: hook.id.clone(),
        action_name: matched.action.name.clone(),
        start_time: NEVER,
        end_time: NEVER,
        status: HookStatus::Skipped,
    }
}
