//! The hooks of an installation: implements [`Hooks`] for the versioning engine, and reads runs back.
//!
//! A change can't edit the gate that judges it: see [`GatesSource::Both`].

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Clock, Page};
use block::ByteStream;
use bytes::Bytes;
use catalog::{Reader, Repository};
use graveler::{Event, EventKind, HookOutcome, Hooks, Rejection};
use tracing::{error, info, warn};

use crate::action_file::HookKind;
use crate::advice::{advise, branch_of_change};
use crate::env::Environment;
use crate::execute::{Executor, Outcome};
use crate::load::{Judge, LoadError, Loader};
use crate::manifest::log_key;
use crate::nesting::{InFlight, MAX_DEPTH, MAX_IN_FLIGHT};
use crate::preflight;
use crate::queue::Queue;
use crate::run::{Filter, Records};
use crate::wasm::{Compiler, Host, HostOptions};
use crate::webhook::{WebhookOptions, Webhooks};
use crate::{HookRun, HookStatus, Run};

/// Hooks read for the manifest of one run.
const MANIFEST_HOOKS: usize = 100_000;
/// Hooks that the hint of one refusal tells of.
const MAX_HOOK_HINTS: usize = 5;

/// Whose action files judge a commit or merge before it lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GatesSource {
    /// Those of the change itself, as lakeFS does: a change may edit or delete its own gate.
    Source,
    /// Those of the change, and beside them those of the tree it lands on that the change
    /// edits, moves or deletes (the file, or a component that it names). The latter read their
    /// components from the tree the change lands on, and are recorded under their own names.
    /// Files there that do not parse judge nothing, so that they can be repaired.
    #[default]
    Both,
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    pub enabled: bool,
    pub env_enabled: bool,
    /// Only variables with this prefix are handed to hooks.
    pub env_prefix: String,
    pub gates_source: GatesSource,
    /// Compiled components are kept here.
    pub cache_dir: PathBuf,
    pub webhook: WebhookOptions,
    /// Who compiles components.
    pub compiler: Compiler,
    /// Components that are compiled at once; one repository has one at once.
    pub compile_at_once: usize,
}

/// The actions of an installation: implements [`Hooks`], reads back runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Actions {
    enabled: bool,
    gates_source: GatesSource,
    executor: Executor,
    queue: Queue,
    /// Changes that wait for webhooks, which may make further changes.
    in_flight: InFlight,
    /// Of what is checked of action files before they land.
    limits: preflight::Limits,
}

impl Actions {
    /// Puts the engine together.
    ///
    /// # Errors
    /// When the Wasm engine or the webhook client can't be set up.
    pub fn new(
        reader: Reader,
        kv: Arc<dyn kv::Store>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, String> {
        let environment = Environment::of_process(options.env_enabled, &options.env_prefix);
        Self::with_environment(reader, kv, clock, options, environment)
    }

    pub(crate) fn with_environment(
        reader: Reader,
        kv: Arc<dyn kv::Store>,
        clock: Arc<dyn Clock>,
        options: Options,
        environment: Environment,
    ) -> Result<Self, String> {
        let executor = Executor {
            records: Records::new(kv),
            loader: Loader::new(reader.clone()),
            webhooks: Webhooks::new(environment, Arc::clone(&clock), options.webhook)?,
            host: Host::new(HostOptions {
                cache_dir: options.cache_dir,
                compiler: options.compiler,
                compile_at_once: options.compile_at_once,
            })?,
            reader,
            clock,
        };
        Ok(Self {
            enabled: options.enabled,
            gates_source: options.gates_source,
            executor,
            queue: Queue::new(),
            in_flight: InFlight::default(),
            limits: preflight::Limits::default(),
        })
    }

    /// Runs newest first, after a run id (exclusive); of one branch or one commit, if named. A commit may be
    /// named by the first digits of its id.
    ///
    /// # Errors
    /// Storage's; [`catalog::Error::InvalidValue`] if the digits are those of several commits.
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

    /// One run, or none.
    ///
    /// # Errors
    /// Storage's.
    pub async fn run(&self, repository: &Repository, run_id: &str) -> catalog::Result<Option<Run>> {
        self.executor
            .records
            .run(repository.id.as_str(), run_id)
            .await
    }

    /// The hooks of a run in the order of their ids; none if there is no such run.
    ///
    /// # Errors
    /// Storage's.
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

    /// The log of one hook: empty for one that was skipped, none if there is no such hook or its log is gone.
    ///
    /// # Errors
    /// Storage's.
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

    /// How deep in hooks a request is nested: 0 for a client's own, and one level deeper than the run whose
    /// webhook it names by the headers that webhooks are sent with.
    #[must_use]
    pub fn depth_of(&self, headers: &reqwest::header::HeaderMap) -> u32 {
        self.executor.webhooks.depth_of(headers)
    }

    /// Waits for post-event work that was accepted (graceful shutdown, tests).
    pub async fn drain(&self) {
        self.queue.drain().await;
    }

    /// Runs what judges an event.
    async fn judge(&self, event: &Arc<Event>) -> Result<Judged, LoadError> {
        let Executor { loader, host, .. } = &self.executor;
        let judges = loader.judges(event, self.gates_source).await?;
        let environment = self.executor.webhooks.environment();
        let preflight = preflight::check(loader, host, environment, event, self.limits).await?;
        if !preflight.errors.is_empty() {
            return Err(LoadError::Invalid(preflight.errors));
        }
        let mut hooks = judges.iter().flat_map(|judge| &judge.action.hooks);
        let calls_out =
            hooks.any(|hook| matches!(hook.kind, HookKind::Webhook(_) | HookKind::Airflow(_)));
        let place = (calls_out && !event.kind.is_post())
            .then(|| self.in_flight.enter(&event.repository.id));
        if let Some(None) = place {
            let busy =
                format!("{MAX_IN_FLIGHT} changes of this repository wait for webhooks already");
            return Err(LoadError::Busy(busy));
        }
        let outcome = match judges.is_empty() {
            true => None,
            false => Some(
                self.executor
                    .run(event, &judges, &preflight.warnings)
                    .await?,
            ),
        };
        Ok(Judged {
            warnings: preflight.texts(),
            judges,
            outcome,
        })
    }

    /// A refusal by hooks, with whose gates they are.
    async fn refuse(&self, event: &Event, judged: Judged, outcome: Outcome) -> Box<Rejection> {
        let refused: Vec<Judge> = outcome
            .failures
            .iter()
            .filter_map(|failure| judged.judges.get(failure.judge).cloned())
            .collect();
        let failures: Vec<&str> = outcome.failures.iter().map(|f| f.text.as_str()).collect();
        let mut rejection = reject(event, &failures);
        rejection.findings = outcome.findings;
        let mut hints: Vec<String> = match advise(&self.executor.loader, event, &refused).await {
            Ok(advice) => advice.iter().map(ToString::to_string).collect(),
            // The refusal stands without it.
            Err(e) => {
                warn!(run.id = %event.run_id, repo.id = %event.repository.id, error = ?e, "failed to tell whose gate refused");
                Vec::new()
            }
        };
        let of_hooks = outcome.failures.into_iter().filter_map(|f| f.hint);
        hints.extend(of_hooks.take(MAX_HOOK_HINTS));
        rejection.hint = (!hints.is_empty()).then(|| hints.join("; "));
        rejection
    }

    /// Tells the run that let a commit through of the commit it became.
    async fn tell_commit(&self, event: &Event, pre_run_id: &str) -> catalog::Result<()> {
        let (repository, Some(commit)) = (&event.repository, &event.commit_id) else {
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

/// What came of an event.
struct Judged {
    judges: Vec<Judge>,
    /// None: nothing judges it.
    outcome: Option<Outcome>,
    /// Probable mistakes in the action files of the change.
    warnings: Vec<String>,
}

#[async_trait]
impl Hooks for Actions {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        if !self.enabled {
            return Ok(HookOutcome::default());
        }
        if event.depth > MAX_DEPTH {
            info!(run.id = %event.run_id, repo.id = %event.repository.id, "{} refused at depth {}", event.kind.as_str(), event.depth);
            let mut rejection = reject(event, &[too_deep(event)]);
            rejection.hint = Some(HINT_TOO_DEEP.to_owned());
            return Err(rejection);
        }
        let event = Arc::new(event.clone());
        match self.judge(&event).await {
            Ok(mut judged) => match judged.outcome.take() {
                Some(outcome) if !outcome.failures.is_empty() => {
                    info!(run.id = %event.run_id, repo.id = %event.repository.id, "{} refused by {} hooks", event.kind.as_str(), outcome.failures.len());
                    Err(self.refuse(&event, judged, outcome).await)
                }
                outcome => Ok(HookOutcome {
                    ran: outcome.is_some(),
                    warnings: judged.warnings,
                }),
            },
            Err(LoadError::Invalid(errors)) => {
                let mut rejection = reject(&event, &errors);
                rejection.invalid_actions = true;
                rejection.hint = hint_of_invalid(&event);
                Err(rejection)
            }
            Err(LoadError::Busy(why)) => {
                let mut rejection = reject(&event, &[why]);
                rejection.hint = Some(HINT_BUSY.to_owned());
                Err(rejection)
            }
            // A gate that can't be read or recorded does not let anything through.
            Err(LoadError::Read(e)) => {
                error!(run.id = %event.run_id, repo.id = %event.repository.id, error = ?e, "failed to run actions of {}", event.kind.as_str());
                Err(reject(&event, &[format!("failed to run actions: {e}")]))
            }
        }
    }

    async fn after(&self, event: Event) {
        if !self.enabled {
            return;
        }
        if event.depth > MAX_DEPTH {
            // Its pre event was refused, if it had one.
            warn!(run.id = %event.run_id, repo.id = %event.repository.id, "{} hooks did not run: {}", event.kind.as_str(), too_deep(&event));
            return;
        }
        // Done before the answer, so that who commits and asks for the commit's runs finds them.
        if let (EventKind::PostCommit, Some(pre_run_id)) = (event.kind, &event.pre_run_id)
            && let Err(e) = self.tell_commit(&event, pre_run_id).await
        {
            error!(run.id = %pre_run_id, repo.id = %event.repository.id, error = ?e, "failed to tell run {pre_run_id} of its commit");
        }
        let (actions, event) = (self.clone(), Arc::new(event));
        let (repository, work) = (event.repository.id.clone(), Arc::clone(&event));
        let submitted = self
            .queue
            .submit(&repository, async move { actions.run_after(&work).await })
            .await;
        if let Err(full) = submitted {
            error!(run.id = %event.run_id, repo.id = %repository, "{} hooks did not run: {full}", event.kind.as_str());
        }
    }
}

impl Actions {
    /// Runs a post event. The change has landed: what fails is recorded and logged.
    async fn run_after(&self, event: &Arc<Event>) {
        let kind = event.kind.as_str();
        match self.judge(event).await {
            Ok(judged) => {
                let failures = judged.outcome.map(|outcome| outcome.failures);
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

/// What helps against [`too_deep`].
const HINT_TOO_DEEP: &str =
    "let the webhook's service change only branches whose action files do not call it";
/// What helps where too many changes wait for webhooks.
const HINT_BUSY: &str =
    "try again later, and check that no webhook makes changes that it judges itself";

fn too_deep(event: &Event) -> String {
    format!(
        "hooks are nested too deep: a webhook made this change, {} levels deep, and at most {MAX_DEPTH} are allowed",
        event.depth
    )
}

/// A refusal in lakeFS's words.
fn reject<E: Display>(event: &Event, errors: &[E]) -> Box<Rejection> {
    Box::new(Rejection {
        run_id: event.run_id.clone(),
        kind: event.kind,
        message: format!(
            "{} hook aborted, run id '{}': {}",
            event.kind.as_str(),
            event.run_id,
            multiple(errors)
        ),
        invalid_actions: false,
        findings: Vec::new(),
        hint: None,
    })
}

/// Where action files that cannot be used are to be corrected.
fn hint_of_invalid(event: &Event) -> Option<String> {
    let branch = branch_of_change(event)?;
    Some(format!(
        "correct the action files on branch {branch}, or delete them there, and try again; no hook ran, so there is no run of this id"
    ))
}

/// Errors one per line, counted.
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
