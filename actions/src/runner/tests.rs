//! Tests of the registry of runners, and of runners that get a hook of another type.

use base::ManualClock;
use catalog::testing::TestCatalog;
use graveler::EventKind;

use super::airflow::AirflowRunner;
use super::registry::Runners;
use super::wasm::WasmRunner;
use super::webhook::WebhookRunner;
use super::*;
use crate::computations::Computations;
use crate::env::Environment;
use crate::load::{self, Loader, Origin};
use crate::testing::{event, repository};
use crate::wasm::{CodeKey, Compiler, Host, HostOptions};
use crate::webhook::{WebhookOptions, Webhooks};

/// Returns an action with one hook of each type: webhook, lua, wasm, airflow.
fn matched() -> MatchedAction {
    let yaml = b"name: gate\non: {pre-commit: }\nhooks:
  - {id: web, type: webhook, properties: {url: 'http://127.0.0.1:9/'}}
  - {id: lua, type: lua, properties: {script: print(1)}}
  - {id: wasm, type: wasm, properties: {component: hooks/gate.wasm}}
  - {id: air, type: airflow, properties: {url: 'http://127.0.0.1:9/', dag_id: d, username: u, password: p}}
";
    let file = load::parse("a.yaml".to_owned(), yaml).unwrap();
    MatchedAction {
        action: Arc::clone(&file.action),
        file,
        origin: Origin::Change,
        tree: Tree::Branch {
            repository: repository(),
            branch: "main".to_owned(),
        },
    }
}

/// Runs a hook of the action and returns why it failed.
async fn failure(runner: &dyn HookRunner, matched: &MatchedAction, hook: usize) -> String {
    let event = Arc::new(event(EventKind::PreCommit));
    let invocation = Invocation {
        event: &event,
        matched,
        hook: &matched.action.hooks[hook],
        hook_run_id: "0000_0000",
        compile_wait: &CompileWait::default(),
        log: Output::new(MAX_LOG_BYTES),
    };
    runner.run(invocation).await.failure.unwrap().message
}

fn webhooks() -> Webhooks {
    let clock = Arc::new(ManualClock::new(
        time::macros::datetime!(2026-03-04 05:06:07 UTC),
    ));
    let environment = Environment::new(false, "", |_| None);
    Webhooks::new(
        environment,
        clock,
        WebhookOptions::default(),
        Computations::new().unwrap(),
    )
    .unwrap()
}

#[tokio::test]
async fn hook_without_a_registered_runner_fails() {
    let matched = matched();
    let runners = Runners::new([]);
    for (index, hook) in matched.action.hooks.iter().enumerate() {
        let kind = hook.kind.type_name();
        let why = failure(runners.of(hook), &matched, index).await;
        let expected = format!("hook type {kind} is not supported by this version");
        assert!(why.starts_with(&expected), "{why}");
    }
}

#[test]
fn runners_are_found_by_type_name() {
    let matched = matched();
    let runners = Runners::new([
        Arc::new(WebhookRunner::new(webhooks())) as Arc<dyn HookRunner>,
        Arc::new(AirflowRunner::new(webhooks())),
    ]);
    let found = matched.action.hooks.iter().map(|hook| {
        let runner = runners.of(hook);
        (runner.type_name(), runner.calls_services())
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            ("webhook", true),
            ("lua", false),
            ("lua", false),
            ("airflow", true)
        ]
    );
}

#[tokio::test]
async fn webhook_runner_fails_a_hook_of_another_type() {
    let why = failure(&WebhookRunner::new(webhooks()), &matched(), 1).await;
    assert_eq!(why, "hook type lua cannot be run as webhook");
}

#[tokio::test]
async fn airflow_runner_fails_a_hook_of_another_type() {
    let why = failure(&AirflowRunner::new(webhooks()), &matched(), 0).await;
    assert_eq!(why, "hook type webhook cannot be run as airflow");
}

#[tokio::test]
async fn wasm_runner_fails_a_hook_of_another_type() {
    let dir = tempfile::tempdir().unwrap();
    let options = HostOptions::new(
        dir.path().to_owned(),
        CodeKey::new([1; 32]),
        Compiler::InProcess,
    );
    let lake = TestCatalog::new();
    let loader = Loader::new(lake.catalog.reader().clone(), Computations::new().unwrap());
    let runner = WasmRunner::new(Host::new(options).unwrap(), loader);
    let why = failure(&runner, &matched(), 3).await;
    assert_eq!(why, "hook type airflow cannot be run as wasm");
}
