//! End-to-end tests of commits and merges with hooks, on an in-memory catalog.

mod busy;
mod checks;
mod components;
mod files;
mod gates;
mod hook_types;
mod listing;
mod nesting;
mod runs;
mod warnings;

use std::fmt::Write as _;

use base::ManualClock;
use catalog::testing::{TestCatalog, commit_params, merge_params, text};
use catalog::{Error, ObjectTarget, UploadOptions};

use super::*;
use crate::testing::{Seen, event, server};

struct Lake {
    catalog: TestCatalog,
    actions: Actions,
    repository: Repository,
    url: String,
    seen: Seen,
    _cache: tempfile::TempDir,
}

impl Lake {
    async fn new() -> Self {
        Self::with(GatesSource::Both).await
    }

    async fn with(gates_source: GatesSource) -> Self {
        Self::limited(
            gates_source,
            preflight::Limits::default(),
            Compiler::InProcess,
        )
        .await
    }

    async fn limited(
        gates_source: GatesSource,
        limits: preflight::Limits,
        compiler: Compiler,
    ) -> Self {
        let (url, seen) = server().await;
        let cache = tempfile::tempdir().unwrap();
        let options = Options {
            webhook: WebhookOptions {
                dag_poll_interval: Duration::from_millis(1),
                ..WebhookOptions::default()
            },
            enabled: true,
            env_enabled: true,
            env_prefix: "LAKEFSACTION_".to_owned(),
            gates_source,
            cache_dir: cache.path().to_owned(),
            code_key: CodeKey::new([7; 32]),
            compiler,
            compile_at_once: 2,
        };
        let environment = Environment::new(true, "LAKEFSACTION_", |_| Some("s3cret".to_owned()));
        let mut actions = None;
        let catalog = TestCatalog::with_recording_hooks(|reader, files| {
            let kv = Arc::new(kv::MemoryStore::new());
            let mut made = Actions::with_environment(
                reader.clone(),
                files.clone(),
                kv,
                Arc::new(ManualClock::new(
                    time::macros::datetime!(2026-03-04 05:06:07 UTC),
                )),
                options,
                environment,
            )
            .unwrap();
            made.limits = limits;
            actions = Some(made.clone());
            Arc::new(made)
        });
        let repository = catalog.repository("lake").await;
        Self {
            actions: actions.unwrap(),
            catalog,
            repository,
            url,
            seen,
            _cache: cache,
        }
    }

    /// Stages an action file. `HOOK` in the file is replaced by the URL of the test server.
    async fn gate(&self, branch: &str, name: &str, yaml: &str) {
        let yaml = yaml.replace("HOOK", &self.url);
        self.catalog
            .put(
                &self.repository,
                branch,
                &format!("_lakefs_actions/{name}"),
                &yaml,
            )
            .await;
    }

    async fn put(&self, branch: &str, path: &str) {
        self.catalog.put(&self.repository, branch, path, path).await;
    }

    async fn tag(&self, name: &str, reference: &str) {
        self.catalog
            .create_tag(&self.repository, name, reference, false, "tester")
            .await
            .unwrap();
    }

    async fn branch(&self, name: &str) {
        self.catalog
            .create_branch(&self.repository, name, "main", false, false, "tester")
            .await
            .unwrap();
    }

    async fn commit(&self, branch: &str) -> Result<String, Box<Rejection>> {
        let outcome = self
            .catalog
            .commit_branch(&self.repository, branch, commit_params("c"))
            .await;
        outcome
            .map(|commit| commit.id.to_string())
            .map_err(rejection)
    }

    /// Commits and returns the outcome of the hooks.
    async fn commit_with_gates(&self, branch: &str) -> catalog::Gates {
        let gates = catalog::GateLog::default();
        let catalog = self.catalog.with_gate_log(&gates);
        let commit = catalog.commit_branch(&self.repository, branch, commit_params("c"));
        commit.await.unwrap();
        gates.gates()
    }

    async fn merge(&self, source: &str, destination: &str) -> Result<String, Box<Rejection>> {
        let outcome = self
            .catalog
            .merge(&self.repository, source, destination, merge_params())
            .await;
        outcome
            .map(|merged| merged.commit_id.to_string())
            .map_err(rejection)
    }

    async fn delete(&self, branch: &str, path: &str) {
        let options = catalog::WriteOptions::default();
        self.catalog
            .delete_objects(&self.repository, branch, &[path.to_owned()], options)
            .await
            .unwrap();
    }

    /// Returns the paths of the requests received so far, in order of arrival.
    async fn calls(&self) -> Vec<String> {
        self.actions.drain().await;
        self.seen
            .lock()
            .unwrap()
            .drain(..)
            .map(|(target, _, _)| target)
            .collect()
    }

    /// Formats the runs of a branch, newest first: event, status, and hooks with their statuses.
    async fn runs(&self, branch: &str) -> String {
        self.actions.drain().await;
        let runs = self
            .actions
            .list_runs(&self.repository, Some(branch), None, "", 100)
            .await
            .unwrap();
        let mut out = String::new();
        for run in runs.results {
            let hooks = self
                .actions
                .list_hooks(&self.repository, &run.run_id, "", 100)
                .await
                .unwrap()
                .unwrap();
            let hooks: Vec<_> = hooks
                .results
                .iter()
                .map(|h| {
                    format!(
                        "{} {}/{} {:?}",
                        h.hook_run_id, h.action_name, h.hook_id, h.status
                    )
                })
                .collect();
            let commit = if run.commit_id.is_empty() {
                "no commit"
            } else {
                "commit"
            };
            let _ = writeln!(
                out,
                "{} {} {commit}: {}",
                run.event_type,
                if run.passed { "passed" } else { "failed" },
                hooks.join(", ")
            );
        }
        out
    }

    /// Returns the id of a branch's head commit.
    async fn head(&self, branch: &str) -> graveler::CommitId {
        let branch = self.catalog.reader().branch(&self.repository, branch).await;
        branch.unwrap().record.commit_id
    }

    /// Returns the runs of a commit.
    async fn runs_of(&self, commit: &str) -> Vec<Run> {
        let runs = self
            .actions
            .list_runs(&self.repository, None, Some(commit), "", 10)
            .await;
        runs.unwrap().results
    }

    /// Returns the newest run of a commit.
    async fn run_of(&self, commit: &str) -> Run {
        let runs = self
            .actions
            .list_runs(&self.repository, None, Some(commit), "", 1)
            .await
            .unwrap();
        runs.results.into_iter().next().unwrap()
    }

    async fn output(&self, run_id: &str, hook_run_id: &str) -> Option<String> {
        let log = self
            .actions
            .hook_output(&self.repository, run_id, hook_run_id)
            .await
            .unwrap();
        match log {
            Some(log) => Some(text(log).await),
            None => None,
        }
    }
}

fn rejection(error: Error) -> Box<Rejection> {
    match error {
        Error::Rejected(rejection) => rejection,
        other => panic!("not refused by a hook: {other}"),
    }
}

const TELL: &str = "name: tell\non:\n  prepare-commit:\n  pre-commit:\n  post-commit:\n  pre-merge:\n  post-merge:\nhooks:\n  - id: tell\n    type: webhook\n    properties: {url: HOOK/tell}\n";

/// An action whose pre-commit hook fails.
const REFUSE: &str = "name: gate\non: {pre-commit: }\nhooks:\n  - id: no\n    type: webhook\n    properties: {url: HOOK/fail}\n";
