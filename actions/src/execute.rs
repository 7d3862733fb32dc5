//! Runs the actions of one event and stores what they leave.
//!
//! Actions run side by side, the hooks of one action one after the other. A hook that fails does not end its
//! action: those after it run if their condition says so. Logs are stored as hooks end, records when all have.

use std::sync::Arc;

use base::Clock;
use bytes::Bytes;
use catalog::{Reader, Repository};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use graveler::{Event, Finding};

use crate::action_file::{Hook, HookKind};
use crate::load::{Judge, Loader, Origin};
use crate::manifest::{log_key, manifest, manifest_key};
use crate::output::{MAX_LOG_BYTES, Output};
use crate::payload::payload;
use crate::preflight::Warning;
use crate::run::{HookRun, HookStatus, NEVER, Records, Run};
use crate::wasm::Host;
use crate::wasm_hook::{self, Ended, Names};
use crate::webhook::{Failed, Webhooks};

/// Actions of one event that run at once.
const MAX_PARALLEL_ACTIONS: usize = 8;
/// Findings that one refusal carries.
const MAX_FINDINGS: usize = 1_000;
/// What a Wasm hook's log may hold beside the guest's own lines: findings, summary, verdict.
const REPORT_LOG_BYTES: usize = 4 << 20;

/// What all actions of an event came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Hook by hook, why it failed. Empty: the change may land.
    pub(crate) failures: Vec<Failure>,
    pub(crate) findings: Vec<Finding>,
}

/// Why a hook failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// In lakeFS's words.
    pub(crate) text: String,
    /// What the author of the action file can do about it.
    pub(crate) hint: Option<String>,
    /// The number of its judge.
    pub(crate) judge: usize,
}

/// Runs hooks of every type. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    pub(crate) reader: Reader,
    pub(crate) records: Records,
    pub(crate) loader: Loader,
    pub(crate) webhooks: Webhooks,
    pub(crate) host: Host,
    pub(crate) clock: Arc<dyn Clock>,
}

/// One hook that ended, or was passed over.
struct Step {
    run: HookRun,
    failure: Option<Failed>,
    findings: Vec<Finding>,
}

impl Executor {
    /// Runs `judges` on an event and records the run, with what is probably wrong in the action files.
    ///
    /// # Errors
    /// When a log, the manifest or the records can't be stored.
    pub(crate) async fn run(
        &self,
        event: &Arc<Event>,
        judges: &[Judge],
        warnings: &[Warning],
    ) -> catalog::Result<Outcome> {
        let start_time = self.clock.now();
        let actions = stream::iter(judges.iter().cloned().enumerate())
            .map(|(index, judge)| async move {
                let steps = self.run_action(event, index, &judge, warnings).await;
                steps.map(|steps| (index, steps))
            })
            .buffered(MAX_PARALLEL_ACTIONS);
        let mut actions = std::pin::pin!(actions);

        let mut hooks = Vec::new();
        let mut outcome = Outcome::default();
        while let Some((judge, steps)) = actions.try_next().await? {
            for step in steps {
                if let Some(failure) = step.failure {
                    let HookRun {
                        hook_run_id,
                        action_name,
                        hook_id,
                        ..
                    } = &step.run;
                    let text = format!(
                        "hook run id '{hook_run_id}' failed on action '{action_name}' hook '{hook_id}': {}",
                        failure.message
                    );
                    let hint = failure.hint.map(|hint| format!("hook '{hook_id}': {hint}"));
                    outcome.failures.push(Failure { text, hint, judge });
                }
                let room = MAX_FINDINGS - outcome.findings.len();
                outcome
                    .findings
                    .extend(step.findings.into_iter().take(room));
                hooks.push(step.run);
            }
        }
        let run = Run {
            run_id: event.run_id.clone(),
            branch_id: event
                .branch
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            commit_id: event
                .commit_id
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            source_ref: event.source_ref.clone(),
            event_type: event.kind.as_str().to_owned(),
            start_time,
            end_time: self.clock.now(),
            passed: outcome.failures.is_empty(),
            warnings: warnings.iter().map(|w| w.text.clone()).collect(),
        };
        self.save_manifest(&event.repository, &run, &hooks).await?;
        self.records
            .save(event.repository.id.as_str(), &run, &hooks)
            .await?;
        metrics::counter!("hook_runs_total", "event" => event.kind.as_str(), "passed" => if run.passed { "true" } else { "false" }).increment(1);
        Ok(outcome)
    }

    pub(crate) async fn save_manifest(
        &self,
        repository: &Repository,
        run: &Run,
        hooks: &[HookRun],
    ) -> catalog::Result<()> {
        self.reader
            .put_internal(
                repository,
                &manifest_key(&run.run_id),
                manifest(run, hooks).into(),
            )
            .await
    }

    async fn run_action(
        &self,
        event: &Arc<Event>,
        index: usize,
        judge: &Judge,
        warnings: &[Warning],
    ) -> catalog::Result<Vec<Step>> {
        let mut steps: Vec<Step> = Vec::with_capacity(judge.action.hooks.len());
        let mut failed = false;
        let mut found = 0;
        for (hook_index, hook) in judge.action.hooks.iter().enumerate() {
            let hook_run_id = format!("{index:04}_{hook_index:04}");
            let mut step = if hook.condition.holds(failed) {
                self.run_hook(event, judge, hook, hook_run_id, warnings)
                    .await?
            } else {
                Step {
                    run: hook_run(judge, hook, hook_run_id),
                    failure: None,
                    findings: Vec::new(),
                }
            };
            failed |= step.failure.is_some();
            // More would be cut from the answer in any case.
            step.findings.truncate(MAX_FINDINGS - found);
            found += step.findings.len();
            steps.push(step);
        }
        Ok(steps)
    }

    async fn run_hook(
        &self,
        event: &Arc<Event>,
        judge: &Judge,
        hook: &Hook,
        hook_run_id: String,
        warnings: &[Warning],
    ) -> catalog::Result<Step> {
        let mut run = hook_run(judge, hook, hook_run_id);
        run.start_time = self.clock.now();
        let names = Names {
            action: &judge.action.name,
            hook: &hook.id,
        };
        let mut findings = Vec::new();
        let (log, failure) = match &hook.kind {
            HookKind::Webhook(webhook) => {
                let mut log = Output::new(MAX_LOG_BYTES);
                write_warnings(&mut log, names.action, warnings);
                let payload = payload(event, names.action, names.hook);
                let outcome = self.webhooks.run(webhook, event, &payload, &mut log).await;
                (log, outcome.err())
            }
            HookKind::Airflow(airflow) => {
                let mut log = Output::new(MAX_LOG_BYTES);
                write_warnings(&mut log, names.action, warnings);
                let payload = payload(event, names.action, names.hook);
                let dag_run_id = dag_run_id(judge, names.hook, event, &run.hook_run_id);
                let outcome = self
                    .webhooks
                    .run_dag(airflow, &dag_run_id, event, &payload, &mut log)
                    .await;
                (log, outcome.err())
            }
            HookKind::Wasm(wasm) => {
                let mut log = Output::new(wasm.limits.log_bytes + REPORT_LOG_BYTES);
                write_warnings(&mut log, names.action, warnings);
                let ended = wasm_hook::run(
                    &self.host,
                    &self.loader,
                    event,
                    judge,
                    names,
                    wasm,
                    &mut log,
                )
                .await;
                let Ended {
                    failure,
                    findings: found,
                } = ended;
                findings = found;
                (log, failure.map(Failed::from))
            }
            // A gate that cannot be run is never passed.
            HookKind::Lua => {
                let mut log = Output::new(MAX_LOG_BYTES);
                write_warnings(&mut log, names.action, warnings);
                let why =
                    "hook type lua is not offered by this version: use wasm, webhook or airflow";
                (log, Some(Failed::from(why.to_owned())))
            }
        };
        let failure = failure.map(|failure| Failed {
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
        self.reader
            .put_internal(
                &event.repository,
                &log_key(&event.run_id, &run.hook_run_id),
                Bytes::from(log),
            )
            .await?;
        Ok(Step {
            run,
            failure,
            findings,
        })
    }
}

/// What is probably wrong in the hook's action file.
fn write_warnings(log: &mut Output, action: &str, warnings: &[Warning]) {
    for warning in warnings.iter().filter(|w| w.action == action) {
        log.text(&format!("warning: {}\n", warning.text));
    }
}

/// The id that Airflow knows a hook's run by. While a change edits an action file, the file's old and new version
/// judge in one run, and Airflow takes each id once: the version of the destination has an id of its own.
fn dag_run_id(judge: &Judge, hook_id: &str, event: &Event, hook_run_id: &str) -> String {
    let id = format!("lakeFS_hook_{hook_id}_{}", event.run_id);
    match judge.origin {
        Origin::Destination => format!("{id}_{hook_run_id}"),
        Origin::Change => id,
    }
}

/// The record of a hook that has not run.
fn hook_run(judge: &Judge, hook: &Hook, hook_run_id: String) -> HookRun {
    HookRun {
        hook_run_id,
        hook_id: hook.id.clone(),
        action_name: judge.action.name.clone(),
        start_time: NEVER,
        end_time: NEVER,
        status: HookStatus::Skipped,
    }
}
