//! End-to-end tests of commits and merges with hooks, on an in-memory catalog.

mod checks;
mod components;
mod gates;
mod nesting;

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
                dag_poll_interval: std::time::Duration::from_millis(1),
                ..WebhookOptions::default()
            },
            enabled: true,
            env_enabled: true,
            env_prefix: "LAKEFSACTION_".to_owned(),
            gates_source,
            cache_dir: cache.path().to_owned(),
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

#[test]
fn rejection_message_matches_lakefs() {
    let failure = "hook run id '0000_0000' failed on action 'gate' hook 'first': action failed: webhook request failed (status code: 400)";
    assert_eq!(
        reject(&event(EventKind::PreCommit), &[failure]).message,
        format!("pre-commit hook aborted, run id 'run1': 1 error occurred:\n\t* {failure}\n\n")
    );
    assert_eq!(
        multiple(&["a", "b"]),
        "2 errors occurred:\n\t* a\n\t* b\n\n"
    );
}

#[tokio::test]
async fn commit_and_merge_call_webhooks_and_record_runs() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    let commit = lake.commit("main").await.unwrap();
    assert_eq!(lake.calls().await.len(), 3);
    let runs = lake
        .actions
        .list_runs(&lake.repository, None, Some(&commit), "", 10)
        .await
        .unwrap();
    // The pre-commit run has the id of the new commit.
    let kinds: Vec<_> = runs
        .results
        .iter()
        .map(|run| run.event_type.as_str())
        .collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert!(kinds.contains(&"pre-commit") && kinds.contains(&"post-commit"));

    lake.branch("dev").await;
    lake.put("dev", "x").await;
    lake.commit("dev").await.unwrap();
    lake.calls().await;
    lake.merge("dev", "main").await.unwrap();
    assert_eq!(lake.calls().await.len(), 2);
    let mut runs: Vec<_> = lake.runs("main").await.lines().map(str::to_owned).collect();
    runs.sort();
    assert_eq!(
        runs,
        [
            "post-commit passed commit: 0000_0000 tell/tell Completed",
            "post-merge passed commit: 0000_0000 tell/tell Completed",
            "pre-commit passed commit: 0000_0000 tell/tell Completed",
            "pre-merge passed commit: 0000_0000 tell/tell Completed",
            "prepare-commit passed no commit: 0000_0000 tell/tell Completed",
        ]
    );
    // The manifest of the pre-commit run has the commit id too.
    let run = lake
        .actions
        .list_runs(&lake.repository, None, Some(&commit), "", 10)
        .await
        .unwrap()
        .results;
    let pre = run
        .iter()
        .find(|run| run.event_type == "pre-commit")
        .unwrap();
    let manifest = lake
        .catalog
        .reader()
        .get_internal(
            &lake.repository,
            &format!("actions/log/{}/run.manifest", pre.run_id),
        )
        .await
        .unwrap()
        .unwrap();
    assert!(text(manifest).await.contains(&commit));
}

#[tokio::test]
async fn refused_commit_leaves_branch_unchanged() {
    let lake = Lake::new().await;
    lake.gate(
        "main",
        "gate.yaml",
        "name: gate\non:\n  pre-commit:\n    branches: ['ma*']\nhooks:\n  - id: bad_one\n    type: webhook\n    properties: {url: HOOK/fail}\n  - id: on_failure\n    type: webhook\n    if: failure()\n    properties: {url: HOOK/cleanup}\n  - id: on_success\n    type: webhook\n    properties: {url: HOOK/never}\n",
    )
    .await;
    let head = lake
        .catalog
        .reader()
        .branch(&lake.repository, "main")
        .await
        .unwrap()
        .record
        .commit_id;
    let rejection = lake.commit("main").await.unwrap_err();
    let run = &rejection.run_id;
    assert!(!rejection.invalid_actions);
    assert_eq!(
        rejection.message,
        format!(
            "pre-commit hook aborted, run id '{run}': 1 error occurred:\n\t* hook run id '0000_0000' failed on action 'gate' hook 'bad_one': action failed: webhook request failed (status code: 400)\n\n"
        )
    );
    assert_eq!(
        lake.catalog
            .reader()
            .branch(&lake.repository, "main")
            .await
            .unwrap()
            .record
            .commit_id,
        head
    );
    assert_eq!(lake.calls().await, ["/fail", "/cleanup"]);
    assert_eq!(
        lake.runs("main").await,
        "pre-commit failed no commit: 0000_0000 gate/bad_one Failed, 0000_0001 gate/on_failure Completed, 0000_0002 gate/on_success Skipped\n"
    );
    let log = lake.output(run, "0000_0000").await.unwrap();
    assert!(
        log.ends_with("checkedError: action failed: webhook request failed (status code: 400)\n"),
        "{log}"
    );
    assert_eq!(lake.output(run, "0000_0002").await.as_deref(), Some(""));
    assert_eq!(lake.output(run, "0000_0009").await, None);
    assert_eq!(lake.output("../../x", "../y").await, None);
    assert!(
        lake.actions
            .list_hooks(&lake.repository, "none", "", 10)
            .await
            .unwrap()
            .is_none()
    );

    // A gate does not run for other branches.
    lake.branch("other").await;
    lake.gate(
        "other",
        "gate.yaml",
        &REFUSE.replace("{pre-commit: }", "{pre-commit: {branches: [main]}}"),
    )
    .await;
    lake.commit("other").await.unwrap();
    assert_eq!(lake.runs("other").await, "");
}

#[tokio::test]
async fn failed_post_commit_hook_is_only_recorded() {
    let lake = Lake::new().await;
    lake.gate(
        "main",
        "gate.yaml",
        &REFUSE.replace("pre-commit", "post-commit"),
    )
    .await;
    lake.commit("main").await.unwrap();
    assert_eq!(
        lake.runs("main").await,
        "post-commit failed commit: 0000_0000 gate/no Failed\n"
    );
}

#[tokio::test]
async fn invalid_action_file_blocks_only_its_branch() {
    let lake = Lake::new().await;
    lake.branch("other").await;
    lake.gate("main", "gate.yaml", "name: gate\non:\n  pre-dance:\n")
        .await;
    lake.gate("main", "two.yaml", "on:\n").await;
    lake.gate("main", "notes", "just: a note").await;
    lake.gate("main", "below/nested.yaml", "not: [yaml").await;
    let rejection = lake.commit("main").await.unwrap_err();
    assert!(rejection.invalid_actions);
    assert_eq!(
        rejection.message,
        format!(
            "prepare-commit hook aborted, run id '{}': 3 errors occurred:\n\t* parsing file _lakefs_actions/gate.yaml:3:3: event 'pre-dance' is not supported\n\t* parsing file _lakefs_actions/notes:1:1: 'name' is required\n\t* parsing file _lakefs_actions/two.yaml:1:1: 'name' is required\n\n",
            rejection.run_id
        )
    );
    assert_eq!(
        rejection.hint.as_deref(),
        Some(
            "correct the action files on branch main, or delete them there, and try again; no hook ran, so this run id has no record"
        )
    );
    lake.put("other", "x").await;
    lake.commit("other").await.unwrap();
}

/// Regression test: only files with the extension `.yaml` were read, so gates with other names were
/// skipped.
#[tokio::test]
async fn every_object_in_the_folder_is_an_action_file() {
    for name in [
        "gate",
        "gate.yml",
        ".gate",
        "gate.yaml.bak",
        "my gate.YAML",
        "tör",
        "",
    ] {
        let lake = Lake::new().await;
        lake.gate("main", name, REFUSE).await;
        let message = lake.commit("main").await.unwrap_err().message;
        assert!(message.contains("status code: 400"), "{name}: {message}");
    }
    let lake = Lake::new().await;
    lake.gate("main", "", "").await;
    lake.gate("main", "below/gate.yaml", REFUSE).await;
    lake.gate("main", "/gate.yaml", REFUSE).await;
    lake.commit("main").await.unwrap();
}

#[tokio::test]
async fn duplicate_action_names_are_rejected() {
    let lake = Lake::new().await;
    lake.gate("main", "a.yaml", TELL).await;
    lake.gate("main", "b.yaml", TELL).await;
    let message = lake.commit("main").await.unwrap_err().message;
    assert!(message.contains("parsing file _lakefs_actions/b.yaml: name 'tell' is already used by _lakefs_actions/a.yaml"), "{message}");
}

/// A tree with many small files could make every change wait for hours.
#[tokio::test]
async fn number_of_hooks_per_event_is_limited() {
    let lake = Lake::new().await;
    let hooks: String = (0..100).fold(String::new(), |mut text, n| {
        let _ = writeln!(
            text,
            "  - {{id: hook{n}, type: webhook, properties: {{url: HOOK/x}}}}"
        );
        text
    });
    for n in 0..11 {
        let yaml = format!("name: many {n}\non: {{pre-commit: }}\nhooks:\n{hooks}");
        lake.gate("main", &format!("{n:02}.yaml"), &yaml).await;
    }
    let refused = lake.commit("main").await.unwrap_err();
    assert!(refused.invalid_actions);
    let expected = "parsing file _lakefs_actions/10.yaml: with this file there are 1100 hooks to run for one event; up to 1000 are run";
    assert!(refused.message.contains(expected), "{}", refused.message);
    assert!(lake.calls().await.is_empty());
}

#[tokio::test]
async fn path_filter_requires_a_matching_change() {
    let lake = Lake::new().await;
    lake.gate(
        "main",
        "gate.yaml",
        &REFUSE.replace(
            "{pre-commit: }",
            "{pre-commit: {paths: ['tables/**/*.csv']}}",
        ),
    )
    .await;
    lake.put("main", "tables/readme.md").await;
    lake.put("main", "x.csv").await;
    lake.commit("main").await.unwrap();
    lake.put("main", "tables/a/b.csv").await;
    lake.commit("main").await.unwrap_err();
}

#[tokio::test]
async fn lua_hook_fails_with_a_clear_message() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-commit: }\nhooks:\n  - id: lua\n    type: lua\n    properties: {script: print(1)}\n").await;
    let rejection = lake.commit("main").await.unwrap_err();
    assert!(
        rejection.message.contains(
            "action failed: hook type lua is not supported by this version: use wasm, webhook or airflow"
        ),
        "{}",
        rejection.message
    );
    let log = lake.output(&rejection.run_id, "0000_0000").await.unwrap();
    assert!(
        log.starts_with("warning: _lakefs_actions/gate.yaml:6:17: hook[0] type 'lua': Lua hooks are not run by this version: ")
            && log.ends_with("\nError: action failed: hook type lua is not supported by this version: use wasm, webhook or airflow\n"),
        "{log}"
    );
}

/// The warning appears when a merge gate is committed, not at the first merge. The merge is
/// refused.
#[tokio::test]
async fn lua_gate_warns_on_commit_and_refuses_merge() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-merge: }\nhooks:\n  - id: lua\n    type: lua\n    properties: {script: print(1)}\n").await;
    let gates = lake.commit_with_gates("main").await;
    let [warning] = &gates.warnings[..] else {
        panic!("{gates:?}")
    };
    assert!(
        warning.contains("Lua hooks are not run by this version"),
        "{warning}"
    );
    assert!(gates.run_ids.is_empty());
    lake.branch("dev").await;
    lake.put("dev", "a").await;
    lake.commit("dev").await.unwrap();
    let refused = lake.merge("dev", "main").await.unwrap_err();
    assert!(refused.message.contains("hook type lua is not supported"));
}

/// Regression test: the response mentioned a run that had no hooks.
#[tokio::test]
async fn action_without_hooks_creates_no_run() {
    for hooks in ["", "hooks:\n", "hooks: []\n", "hooks: [null]\n"] {
        let lake = Lake::new().await;
        lake.gate(
            "main",
            "gate.yaml",
            &format!("name: gate\non: {{pre-commit: , post-commit: }}\n{hooks}"),
        )
        .await;
        let gates = lake.commit_with_gates("main").await;
        assert!(gates.run_ids.is_empty(), "{gates:?}");
        assert!(!gates.warnings.is_empty());
        assert_eq!(lake.runs("main").await, "");
    }
    // Another action with hooks does create a run that can be looked up.
    let lake = Lake::new().await;
    lake.gate("main", "none.yaml", "name: none\non: {pre-commit: }\n")
        .await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-commit: }\nhooks: [{id: tell, type: webhook, properties: {url: HOOK/tell}}]\n").await;
    let gates = lake.commit_with_gates("main").await;
    let [run_id] = &gates.run_ids[..] else {
        panic!("{gates:?}")
    };
    assert!(
        lake.actions
            .run(&lake.repository, run_id)
            .await
            .unwrap()
            .is_some()
    );
    let hooks = lake
        .actions
        .list_hooks(&lake.repository, run_id, "", 10)
        .await;
    assert_eq!(hooks.unwrap().unwrap().results.len(), 1);
}

/// Regression test: the variable was sent as an empty string without a warning.
#[tokio::test]
async fn unreadable_variable_is_a_warning_without_its_value() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-commit: }\nhooks:\n  - id: tell\n    type: webhook\n    properties:\n      url: HOOK/tell\n      headers: {X-Token: '{{ ENV.OTHER_TOKEN }}', X-Good: '{{ ENV.LAKEFSACTION_TOKEN }}'}\n").await;
    let gates = lake.commit_with_gates("main").await;
    let warning = "_lakefs_actions/gate.yaml:8:26: hook 'tell': variable 'OTHER_TOKEN' is sent as an empty string: hooks may use variables whose names start with LAKEFSACTION_ (actions.env.prefix)";
    assert_eq!(gates.warnings, [warning]);
    let run = lake.actions.run(&lake.repository, &gates.run_ids[0]).await;
    assert_eq!(run.unwrap().unwrap().warnings, [warning]);
    let log = lake.output(&gates.run_ids[0], "0000_0000").await.unwrap();
    assert!(
        log.starts_with(&format!("warning: {warning}\n")) && !log.contains("s3cret"),
        "{log}"
    );
}

/// Regression test: the second action never ran, and there was no warning.
#[tokio::test]
async fn second_document_warning_is_in_response_and_run() {
    let lake = Lake::new().await;
    let one = "name: gate\non: {pre-commit: }\nhooks: [{id: tell, type: webhook, properties: {url: HOOK/one}}]\n";
    let two = one.replace("gate", "other").replace("one", "two");
    lake.gate("main", "gate.yaml", &format!("{one}---\n{two}"))
        .await;
    let gates = lake.commit_with_gates("main").await;
    assert_eq!(
        gates.warnings,
        [
            "_lakefs_actions/gate.yaml:4:1: only the first YAML document is read; put each action into a separate file"
        ]
    );
    let run = lake.actions.run(&lake.repository, &gates.run_ids[0]).await;
    assert_eq!(run.unwrap().unwrap().warnings, gates.warnings);
    assert_eq!(lake.calls().await, ["/one"]);
}

#[tokio::test]
async fn refusal_has_a_hint_for_the_failed_hook() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-commit: }\nhooks: [{id: tell, type: webhook, properties: {url: HOOK/away}}]\n").await;
    let hint = lake.commit("main").await.unwrap_err().hint.unwrap();
    assert!(
        hint.starts_with("gate 'gate' of branch main; hook 'tell': the response redirects to another server (http://127.0.0.2:9); "),
        "{hint}"
    );
}

/// An Airflow hook gates a change like a webhook does.
#[tokio::test]
async fn failed_dag_refuses_the_change() {
    let lake = Lake::new().await;
    let gate = |dag: &str| {
        format!(
            "name: gate\non: {{pre-commit: }}\nhooks:\n  - id: air\n    type: airflow\n    properties: {{url: HOOK, dag_id: {dag}, username: u, password: '{{{{ ENV.LAKEFSACTION_P }}}}', wait_for_dag: true}}\n"
        )
    };
    lake.gate("main", "gate.yaml", &gate("fails")).await;
    let refused = lake.commit("main").await.unwrap_err();
    assert!(
        refused.message.ends_with("1 error occurred:\n\t* hook run id '0000_0000' failed on action 'gate' hook 'air': action failed: airflow hook DAG failed\n\n"),
        "{}",
        refused.message
    );
    let log = lake.output(&refused.run_id, "0000_0000").await.unwrap();
    assert!(
        log.ends_with(
            "\nDAG completed with state: failed\nError: action failed: airflow hook DAG failed\n"
        ) && !log.contains("s3cret"),
        "{log}"
    );
    lake.gate("main", "gate.yaml", &gate("succeeds")).await;
    lake.commit("main").await.unwrap();
}

/// Airflow refuses a run id that it already has. Both versions of an edited action file judge the edit.
#[tokio::test]
async fn old_and_new_version_of_an_action_file_start_dag_runs_with_different_ids() {
    let lake = Lake::new().await;
    let gate = |description: &str| {
        format!(
            "name: gate\ndescription: {description}\non: {{pre-commit: }}\nhooks:\n  - id: air\n    type: airflow\n    properties: {{url: HOOK, dag_id: checks, username: u, password: p4ssword}}\n"
        )
    };
    for description in ["old", "new"] {
        lake.gate("main", "gate.yaml", &gate(description)).await;
        lake.commit("main").await.unwrap();
    }
    let bodies: Vec<String> = {
        let seen = lake.seen.lock().unwrap();
        seen.iter()
            .map(|(_, _, body)| String::from_utf8_lossy(body).into_owned())
            .collect()
    };
    let id = |body: &String| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["dag_run_id"].as_str().unwrap().to_owned()
    };
    let ids: std::collections::BTreeSet<String> = bodies.iter().map(id).collect();
    assert_eq!((bodies.len(), ids.len()), (3, 3), "{ids:?}");
    assert!(
        ids.iter().all(|id| id.starts_with("lakeFS_hook_air_")),
        "{ids:?}"
    );
}

/// A tree of short files with aliases could expand to gigabytes.
#[tokio::test]
async fn total_size_of_action_files_is_limited() {
    let lake = Lake::new().await;
    let text = "x".repeat(650_000);
    for n in 0..6 {
        let yaml =
            format!("name: many {n}\non: {{pre-merge: }}\nx-0: &a {text}\nx-1: [*a, *a, *a, *a]\n");
        lake.gate("main", &format!("{n}.yaml"), &yaml).await;
    }
    let refused = lake.commit("main").await.unwrap_err();
    assert!(refused.invalid_actions);
    let expected = "* parsing file _lakefs_actions/5.yaml: the action files have more than 16777216 bytes in all, aliases written out\n";
    assert!(refused.message.contains(expected), "{}", refused.message);
    lake.delete("main", "_lakefs_actions/5.yaml").await;
    lake.commit("main").await.unwrap();
}

/// One event may have to be matched against the patterns of all files.
#[tokio::test]
async fn total_size_of_patterns_is_limited() {
    let lake = Lake::new().await;
    let many = |n: usize| vec!["a".repeat(1000); n].join(", ");
    let (branches, paths) = (many(60), many(60));
    for n in 0..9 {
        let yaml = format!(
            "name: many {n}\non: {{pre-merge: {{branches: [{branches}], paths: [{paths}]}}}}\n"
        );
        lake.gate("main", &format!("{n}.yaml"), &yaml).await;
    }
    let refused = lake.commit("main").await.unwrap_err();
    assert!(refused.invalid_actions);
    let expected = "* parsing file _lakefs_actions/8.yaml: the patterns of branches and paths in the action files have more than 1048576 bytes in all\n";
    assert!(refused.message.contains(expected), "{}", refused.message);
    lake.delete("main", "_lakefs_actions/8.yaml").await;
    lake.commit("main").await.unwrap();
}
