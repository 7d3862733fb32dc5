//! Implements [`Hooks`] for the versioning engine and reads run records.
//!
//! A change cannot edit the gate that checks it: see [`GatesSource::Both`].

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Clock, Page};
use block::ByteStream;
use bytes::Bytes;
use catalog::{InternalFiles, Reader, Repository};
use graveler::{Event, EventKind, HookOutcome, Hooks, Rejection};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::action_file::FileError;
use crate::advice::{advise, advise_on_invalid};
use crate::computations::Computations;
use crate::env::Environment;
use crate::error::SetupError;
use crate::execute::{EventContext, Executor, Outcome};
use crate::gates_source::GatesSource;
use crate::load::{LoadError, Loader, MatchedAction};
use crate::manifest::log_key;
use crate::nesting::{InFlight, MAX_DEPTH, MAX_IN_FLIGHT};
use crate::preflight;
use crate::queue::{Queue, QueueFull};
use crate::run::{Filter, Records};
use crate::runner::HookRunner;
use crate::runner::airflow::AirflowRunner;
use crate::runner::lua::LuaRunner;
use crate::runner::registry::Runners;
use crate::runner::wasm::WasmRunner;
use crate::runner::webhook::WebhookRunner;
use crate::selection::matching_actions;
use crate::wasm::{CodeKey, CompileWait, Compiler, Host, HostOptions};
use crate::webhook::{WebhookOptions, Webhooks};
use crate::{HookRun, HookStatus, Run};

/// Maximum number of hooks written to the manifest of one run.
const MANIFEST_HOOKS: usize = 100_000;
/// Maximum number of hook hints in one refusal.
const MAX_HOOK_HINTS: usize = 5;
/// Maximum number of warnings in the hint of one refusal. The run record has all of them.
const MAX_HINT_WARNINGS: usize = 5;

/// Maximum time that a change waits for the record that its post hooks did not run. The change has landed, so its
/// client must get a response.
const RECORD_WAIT: Duration = Duration::from_secs(10);

/// Options of [`Actions::new`].
#[derive(Debug, Clone)]
pub struct Options {
    pub enabled: bool,
    pub env_enabled: bool,
    /// Hooks can read only environment variables whose names start with this prefix.
    pub env_prefix: String,
    pub gates_source: GatesSource,
    /// Directory of the cache of compiled components.
    pub cache_dir: PathBuf,
    /// Authenticates the files in `cache_dir`.
    pub code_key: CodeKey,
    pub webhook: WebhookOptions,
    /// Compiles components outside the server's process.
    pub compiler: Compiler,
    /// Maximum number of concurrent compilations. Each repository has at most one.
    pub compile_at_once: usize,
}

/// Runs the hooks of all repositories of an installation. Implements [`Hooks`] and reads run
/// records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Actions {
    enabled: bool,
    gates_source: GatesSource,
    executor: Executor,
    webhooks: Webhooks,
    queue: Queue,
    /// Changes that are waiting for webhooks. A webhook may make further changes.
    in_flight: InFlight,
    /// Limits of the checks on action files that a change adds or edits.
    limits: preflight::Limits,
}

impl Actions {
    /// Creates the hook engine.
    ///
    /// # Errors
    /// If the Wasm engine or the webhook client cannot be created.
    pub fn new(
        reader: Reader,
        files: InternalFiles,
        kv: Arc<dyn kv::Store>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, SetupError> {
        let environment = Environment::of_process(options.env_enabled, &options.env_prefix);
        Self::with_environment(reader, files, kv, clock, options, environment)
    }

    pub(crate) fn with_environment(
        reader: Reader,
        files: InternalFiles,
        kv: Arc<dyn kv::Store>,
        clock: Arc<dyn Clock>,
        options: Options,
        environment: Environment,
    ) -> Result<Self, SetupError> {
        let computations = Computations::new()?;
        let loader = Loader::new(reader.clone(), computations.clone());
        let webhooks = Webhooks::new(
            environment,
            Arc::clone(&clock),
            options.webhook,
            computations.clone(),
        )?;
        let host = HostOptions {
            cache_dir: options.cache_dir,
            code_key: options.code_key,
            compiler: options.compiler,
            compile_at_once: options.compile_at_once,
        };
        let host = Host::with_computations(host, computations)?;
        let runners: [Arc<dyn HookRunner>; 4] = [
            Arc::new(WasmRunner::new(host, loader.clone())),
            Arc::new(WebhookRunner::new(webhooks.clone())),
            Arc::new(AirflowRunner::new(webhooks.clone())),
            Arc::new(LuaRunner),
        ];
        let executor = Executor {
            records: Records::new(kv),
            loader,
            runners: Runners::new(runners),
            reader,
            files,
            clock,
            stopped: CancellationToken::new(),
        };
        Ok(Self {
            enabled: options.enabled,
            gates_source: options.gates_source,
            executor,
            webhooks,
            queue: Queue::new(),
            in_flight: InFlight::default(),
            limits: preflight::Limits::default(),
        })
    }

    /// Lists runs, newest first, starting after the run id `after`. `branch` or `commit` restricts
    /// the list to one branch or one commit. `commit` may be a prefix of a commit id.
    ///
    /// # Errors
    /// Storage errors. [`catalog::Error::InvalidValue`] if several commits match the prefix.
    pub async fn list_runs(
        &self,
        repository: &Repository,
        branch: Option<&str>,
        commit: Option<&str>,
        after: &str,
        limit: usize,
    ) -> catalog::Result<Page<Run>> {
        let (records, repository) = (&self.executor.records, repository.id.as_str());
        let full;
        let filter = match (branch, commit) {
            (Some(branch), _) => Filter::Branch(branch),
            (None, Some(commit)) => {
                full = records.commit_with_runs(repository, commit).await?;
                match &full {
                    Some(commit) => Filter::Commit(commit),
                    None => return Ok(Page::empty()),
                }
            }
            (None, None) => Filter::All,
        };
        records.list(repository, filter, after, limit).await
    }

    /// Returns a run, or `None` if it does not exist.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn run(&self, repository: &Repository, run_id: &str) -> catalog::Result<Option<Run>> {
        self.executor
            .records
            .run(repository.id.as_str(), run_id)
            .await
    }

    /// Lists the hooks of a run in the order of their ids. Returns `None` if the run does not
    /// exist.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn list_hooks(
        &self,
        repository: &Repository,
        run_id: &str,
        after: &str,
        limit: usize,
    ) -> catalog::Result<Option<Page<HookRun>>> {
        let page = self
            .executor
            .records
            .hooks(repository.id.as_str(), run_id, after, limit)
            .await?;
        if page.results.is_empty() && self.run(repository, run_id).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(page))
    }

    /// Returns the log of a hook. The log of a skipped hook is empty. Returns `None` if the hook
    /// does not exist or its log was deleted.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn hook_output(
        &self,
        repository: &Repository,
        run_id: &str,
        hook_run_id: &str,
    ) -> catalog::Result<Option<ByteStream>> {
        let Some(hook) = self
            .executor
            .records
            .hook(repository.id.as_str(), run_id, hook_run_id)
            .await?
        else {
            return Ok(None);
        };
        if hook.status == HookStatus::Skipped {
            return Ok(Some(block::from_bytes(Bytes::new())));
        }
        self.executor
            .reader
            .get_internal(repository, &log_key(run_id, hook_run_id))
            .await
    }

    /// Returns the nesting depth of a request. A request from an ordinary client has depth 0. A
    /// request that carries the headers of a webhook call is one level deeper than the run that
    /// made that call.
    #[must_use]
    pub fn depth_of(&self, headers: &reqwest::header::HeaderMap) -> u32 {
        self.webhooks.depth_of(headers)
    }

    /// Waits until all accepted post-event work is finished. Used by graceful shutdown and by
    /// tests.
    pub async fn drain(&self) {
        self.queue.drain().await;
    }

    /// Cancels the post hooks that are still running. The server calls this at shutdown, when it
    /// stops waiting for them. Each cancelled hook is logged, and its run is recorded as failed;
    /// [`Self::drain`] waits until the records are written.
    pub fn cut_off(&self) {
        self.executor.stopped.cancel();
    }

    /// Finds and runs the hooks that match an event.
    async fn run_matching(&self, event: &Arc<Event>) -> Result<EventResult, LoadError> {
        let Executor {
            loader, runners, ..
        } = &self.executor;
        let compile_wait = CompileWait::new(self.limits.compile_wait);
        let matched_actions = matching_actions(loader, event, self.gates_source).await?;
        let preflight =
            preflight::check(loader, runners, event, self.limits, &compile_wait).await?;
        if !preflight.errors.is_empty() {
            return Err(LoadError::Invalid(preflight.errors));
        }
        let mut hooks = matched_actions
            .iter()
            .flat_map(|matched| &matched.action.hooks);
        let calls_services = hooks.any(|hook| runners.of(hook).calls_services());
        let slot = (calls_services && !event.kind().is_post())
            .then(|| self.in_flight.enter(&event.repository.id));
        if let Some(None) = slot {
            return Err(LoadError::Busy {
                message: format!(
                    "{MAX_IN_FLIGHT} changes of this repository are waiting for webhooks"
                ),
                hint: HINT_BUSY,
            });
        }
        let context = EventContext {
            event,
            warnings: &preflight.warnings,
            compile_wait: &compile_wait,
        };
        let outcome = match matched_actions.is_empty() {
            true => None,
            false => Some(self.executor.run(context, &matched_actions).await?),
        };
        let mut warnings = preflight.texts();
        if let Some(outcome) = &outcome {
            warnings.extend(outcome.warnings.iter().cloned());
        }
        Ok(EventResult {
            warnings,
            matched_actions,
            outcome,
        })
    }

    /// Records that the hooks of a post-event did not run.
    async fn record_not_run(&self, event: &Event, full: QueueFull) {
        let why = format!("the hooks did not run: {full}");
        let mut loader = self.executor.loader.clone();
        // Leaves time to record all actions if matching paths takes too long.
        loader.match_time = RECORD_WAIT / 2;
        let recorded = async {
            let matched_actions = matching_actions(&loader, event, self.gates_source).await?;
            if !matched_actions.is_empty() {
                self.executor
                    .record_not_run(event, &matched_actions, why)
                    .await?;
            }
            Ok::<_, LoadError>(())
        };
        match tokio::time::timeout(RECORD_WAIT, recorded).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => {
                error!(run.id = %event.run_id, repo.id = %event.repository.id, error = ?e, "failed to record a run whose hooks did not run");
            }
            Err(_) => {
                error!(run.id = %event.run_id, repo.id = %event.repository.id, "failed to record a run whose hooks did not run within {} s", RECORD_WAIT.as_secs());
            }
        }
    }

    /// Builds the rejection of a change whose hooks failed, with hints about their gates.
    async fn refuse(&self, event: &Event, result: EventResult, outcome: Outcome) -> Box<Rejection> {
        let refused: Vec<MatchedAction> = outcome
            .failures
            .iter()
            .filter_map(|failure| result.matched_actions.get(failure.action).cloned())
            .collect();
        let failures: Vec<&str> = outcome.failures.iter().map(|f| f.text.as_str()).collect();
        let mut rejection = reject(event, &failures);
        rejection.findings = outcome.findings;
        let mut hints: Vec<String> = match advise(&self.executor.loader, event, &refused).await {
            Ok(advice) => advice.iter().map(ToString::to_string).collect(),
            // The refusal stands even if the hints cannot be computed.
            Err(e) => {
                warn!(run.id = %event.run_id, repo.id = %event.repository.id, error = ?e, "failed to compute hints for a refusal");
                Vec::new()
            }
        };
        let of_hooks = outcome.failures.into_iter().filter_map(|f| f.hint);
        hints.extend(of_hooks.take(MAX_HOOK_HINTS));
        hints.extend(hints_of_warnings(&result.warnings));
        rejection.hint = (!hints.is_empty()).then(|| hints.join("; "));
        rejection
    }

    /// Returns the hint for a change whose action files are invalid. The refusal stands even if the
    /// hint cannot be computed.
    async fn hint_of_invalid(&self, event: &Event, errors: &[FileError]) -> Option<String> {
        let hint = advise_on_invalid(&self.executor.loader, event, errors).await;
        hint.unwrap_or_else(|e| {
            warn!(run.id = %event.run_id, repo.id = %event.repository.id, error = ?e, "failed to compute the hint for invalid action files");
            None
        })
    }

    /// Records the new commit's id in the pre-commit run that accepted it.
    async fn record_commit(&self, event: &Event, pre_run_id: &str) -> catalog::Result<()> {
        let (repository, Some(commit)) = (&event.repository, event.commit_id()) else {
            return Ok(());
        };
        let records = &self.executor.records;
        if let Some(run) = records
            .set_commit(repository.id.as_str(), pre_run_id, commit.as_str())
            .await?
        {
            let hooks = records
                .hooks(repository.id.as_str(), pre_run_id, "", MANIFEST_HOOKS)
                .await?;
            self.executor
                .save_manifest(repository, &run, &hooks.results)
                .await?;
        }
        Ok(())
    }
}

/// Result of running the hooks of an event.
struct EventResult {
    matched_actions: Vec<MatchedAction>,
    /// `None` if no hook matches the event.
    outcome: Option<Outcome>,
    /// Probable mistakes in the action files of the change, and those that the hooks found.
    warnings: Vec<String>,
}

#[async_trait]
impl Hooks for Actions {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        if !self.enabled {
            return Ok(HookOutcome::default());
        }
        if event.depth > MAX_DEPTH {
            info!(run.id = %event.run_id, repo.id = %event.repository.id, "{} refused at depth {}", event.kind().as_str(), event.depth);
            let mut rejection = reject(event, &[too_deep(event)]);
            rejection.hint = Some(HINT_TOO_DEEP.to_owned());
            return Err(rejection);
        }
        let event = Arc::new(event.clone());
        match self.run_matching(&event).await {
            Ok(mut result) => match result.outcome.take() {
                Some(outcome) if !outcome.failures.is_empty() => {
                    info!(run.id = %event.run_id, repo.id = %event.repository.id, "{} refused by {} hooks", event.kind().as_str(), outcome.failures.len());
                    Err(self.refuse(&event, result, outcome).await)
                }
                outcome => Ok(HookOutcome {
                    ran: outcome.is_some(),
                    warnings: result.warnings,
                }),
            },
            Err(LoadError::Invalid(errors)) => {
                let mut rejection = reject(&event, &errors);
                rejection.invalid_actions = true;
                rejection.hint = self.hint_of_invalid(&event, &errors).await;
                Err(rejection)
            }
            Err(LoadError::Busy { message, hint }) => {
                let mut rejection = reject(&event, &[message]);
                rejection.hint = Some(hint.to_owned());
                Err(rejection)
            }
            // If a gate cannot be loaded or its run cannot be recorded, the change is refused.
            Err(LoadError::Read(e)) => {
                error!(run.id = %event.run_id, repo.id = %event.repository.id, error = ?e, "failed to run actions of {}", event.kind().as_str());
                Err(reject(&event, &[format!("failed to run actions: {e}")]))
            }
        }
    }

    async fn after(&self, event: Event) {
        if !self.enabled {
            return;
        }
        if event.depth > MAX_DEPTH {
            // The pre-event, if there was one, was refused for the same reason.
            warn!(run.id = %event.run_id, repo.id = %event.repository.id, "{} hooks did not run: {}", event.kind().as_str(), too_deep(&event));
            return;
        }
        // Awaited before the response is sent, so that a client can look up the runs of its new
        // commit immediately.
        if let (EventKind::PostCommit, Some(pre_run_id)) = (event.kind(), event.pre_run_id())
            && let Err(e) = self.record_commit(&event, pre_run_id).await
        {
            error!(run.id = %pre_run_id, repo.id = %event.repository.id, error = ?e, "failed to record the commit of run {pre_run_id}");
        }
        let (actions, event) = (self.clone(), Arc::new(event));
        let (repository, work) = (event.repository.id.clone(), Arc::clone(&event));
        let submitted = self
            .queue
            .submit(&repository, async move { actions.run_after(&work).await })
            .await;
        if let Err(full) = submitted {
            error!(run.id = %event.run_id, repo.id = %repository, "{} hooks did not run: {full}", event.kind().as_str());
            self.record_not_run(&event, full).await;
        }
    }
}

impl Actions {
    /// Runs the hooks of a post-event. The change has already landed, so failures are only recorded
    /// and logged.
    async fn run_after(&self, event: &Arc<Event>) {
        let kind = event.kind().as_str();
        match self.run_matching(event).await {
            Ok(result) => {
                let failures = result.outcome.map(|outcome| outcome.failures);
                let failures = failures.unwrap_or_default();
                if !failures.is_empty() {
                    let texts: Vec<&str> = failures.iter().map(|f| f.text.as_str()).collect();
                    warn!(run.id = %event.run_id, repo.id = %event.repository.id, "{kind} hooks failed: {}", multiple(&texts));
                }
            }
            Err(LoadError::Invalid(errors)) => {
                warn!(run.id = %event.run_id, repo.id = %event.repository.id, "{kind} actions did not run: {}", multiple(&errors));
            }
            Err(e) => {
                error!(run.id = %event.run_id, repo.id = %event.repository.id, error = ?e, "failed to run actions of {kind}");
            }
        }
    }
}

/// Hint for [`too_deep`].
const HINT_TOO_DEEP: &str =
    "let the webhook's service change only branches whose action files do not call it";
/// Hint for a change that is refused because too many changes wait for webhooks.
const HINT_BUSY: &str =
    "try again later, and check that no webhook makes changes that trigger the same webhook";

fn too_deep(event: &Event) -> String {
    format!(
        "hooks are nested too deep: a webhook made this change, {} levels deep, and at most {MAX_DEPTH} are allowed",
        event.depth
    )
}

/// Builds a rejection with lakeFS's error text.
fn reject<E: Display>(event: &Event, errors: &[E]) -> Box<Rejection> {
    Box::new(Rejection {
        run_id: event.run_id.clone(),
        kind: event.kind(),
        message: format!(
            "{} hook aborted, run id '{}': {}",
            event.kind().as_str(),
            event.run_id,
            multiple(errors)
        ),
        invalid_actions: false,
        findings: Vec::new(),
        hint: None,
    })
}

/// Returns the warnings of a refused change as hints, because the response to a refused change has
/// no field for warnings.
fn hints_of_warnings(warnings: &[String]) -> impl Iterator<Item = String> {
    let more = warnings.len().saturating_sub(MAX_HINT_WARNINGS);
    let shown = warnings.iter().take(MAX_HINT_WARNINGS);
    let rest = (more > 0).then(|| format!("{more} more warnings are in the run"));
    shown
        .map(|warning| format!("warning: {warning}"))
        .chain(rest)
}

/// Formats errors the way lakeFS does: a count, then one error per line.
fn multiple<E: Display>(errors: &[E]) -> String {
    let head = if errors.len() == 1 {
        "1 error occurred:".to_owned()
    } else {
        format!("{} errors occurred:", errors.len())
    };
    let lines: Vec<String> = errors.iter().map(|e| format!("* {e}")).collect();
    format!("{head}\n\t{}\n\n", lines.join("\n\t"))
}

#[cfg(test)]
mod tests;
