//! Wasm hooks as gates.

#[path = "../../../tests/wasm/components.rs"]
#[expect(dead_code, reason = "the integration tests use all of it")]
mod wat_components;

use super::*;
use crate::wasm::Trees as _;

pub(super) const GUEST: &[u8] = include_bytes!("../../../tests/fixtures/test_gate.wasm");

pub(super) fn wasm(properties: &str) -> String {
    format!(
        "name: gate\non: {{pre-commit: , pre-merge: }}\nhooks:\n  - id: guard\n    type: wasm\n    properties:\n      component: hooks/gate.wasm\n{properties}"
    )
}

pub(super) async fn put_component(lake: &Lake, branch: &str, bytes: &'static [u8]) {
    let to = ObjectTarget {
        repository: &lake.repository,
        branch,
        path: "hooks/gate.wasm",
    };
    lake.catalog
        .upload(
            to,
            block::from_bytes(Bytes::from_static(bytes)),
            UploadOptions::default(),
        )
        .await
        .unwrap();
}

/// Returns an action file whose event is not that of a commit.
fn merge_gate(properties: &str) -> String {
    wasm(properties).replace("pre-commit: , ", "")
}

/// Commits an action file with a component, and returns why the commit is refused.
async fn refusal_of(component: Option<&'static [u8]>, properties: &str) -> String {
    let lake = Lake::new().await;
    if let Some(bytes) = component {
        put_component(&lake, "main", bytes).await;
    }
    lake.gate("main", "gate.yaml", &merge_gate(properties))
        .await;
    let rejection = lake.commit("main").await.unwrap_err();
    assert!(rejection.invalid_actions);
    rejection.message
}

/// Regression test: the action file was accepted, and its gate then refused every change.
#[tokio::test]
async fn missing_component_is_reported_on_commit() {
    let message = refusal_of(None, "").await;
    assert!(
        message.contains("* parsing file _lakefs_actions/gate.yaml:7:18: hook 'guard': component hooks/gate.wasm not found on branch main; upload it and commit it with this file, or fix 'component'"),
        "{message}"
    );
}

#[tokio::test]
async fn wrong_digest_is_reported_on_commit() {
    let sha = format!("      sha256: {}\n", "0".repeat(64));
    let message = refusal_of(Some(GUEST), &sha).await;
    assert!(
        message.contains("hook 'guard': component_digest: component hooks/gate.wasm has sha256 "),
        "{message}"
    );
}

#[tokio::test]
async fn object_that_is_no_component_is_reported_on_commit() {
    let message = refusal_of(Some(b"not wasm"), "").await;
    assert!(
        message.contains("component hooks/gate.wasm cannot be used: component_invalid: this is not a WebAssembly component"),
        "{message}"
    );
}

/// The action file is unchanged, but its component is gone.
#[tokio::test]
async fn removed_component_is_reported_on_commit() {
    let lake = Lake::new().await;
    put_component(&lake, "main", GUEST).await;
    lake.gate("main", "gate.yaml", &merge_gate("")).await;
    lake.commit("main").await.unwrap();
    lake.delete("main", "hooks/gate.wasm").await;
    let message = lake.commit("main").await.unwrap_err().message;
    assert!(
        message.contains("component hooks/gate.wasm not found"),
        "{message}"
    );
    lake.delete("main", "_lakefs_actions/gate.yaml").await;
    lake.commit("main").await.unwrap();
}

/// With `on_error: warn`, an error lets the change through. It is reported in the response, the run
/// and the log.
#[tokio::test]
async fn errors_of_a_warn_only_hook_are_warnings() {
    let lake = Lake::new().await;
    put_component(&lake, "main", GUEST).await;
    let sha = format!("      on_error: warn\n      sha256: {}\n", "0".repeat(64));
    lake.gate("main", "gate.yaml", &wasm(&sha)).await;
    let gates = catalog::GateLog::default();
    let commit = lake
        .catalog
        .with_gate_log(&gates)
        .commit_branch(&lake.repository, "main", commit_params("c"))
        .await
        .unwrap();
    let gates = gates.gates();
    let [warning] = &gates.warnings[..] else {
        panic!("{gates:?}")
    };
    assert!(
        warning.starts_with("_lakefs_actions/gate.yaml:7:18: hook 'guard': component_digest: "),
        "{warning}"
    );
    let run = lake.run_of(commit.id.as_str()).await;
    assert_eq!(
        (&run.warnings, &vec![run.run_id.clone()]),
        (&gates.warnings, &gates.run_ids)
    );
    let log = lake.output(&run.run_id, "0000_0000").await.unwrap();
    assert!(
        log.starts_with(&format!("warning: {warning}\n"))
            && log.contains("warning (as set in the action file): component_digest"),
        "{log}"
    );
}

/// Regression test: a config that the hook does not accept was reported only by the first change to
/// a selected object.
#[tokio::test]
async fn config_that_violates_the_schema_is_reported_on_commit() {
    let lake = Lake::new().await;
    let guest = include_bytes!("../../../tests/fixtures/test_object_gate.wasm");
    put_component(&lake, "main", guest).await;
    lake.gate(
        "main",
        "gate.yaml",
        &wasm("      config:\n        forbid: word\n"),
    )
    .await;
    let message = lake.commit("main").await.unwrap_err().message;
    assert!(
        message.contains(
            "gate.yaml:9:17: hook 'guard': config.forbid: expected a list of strings, got a string"
        ),
        "{message}"
    );
    lake.gate(
        "main",
        "gate.yaml",
        &wasm("      config:\n        forbid: [word]\n"),
    )
    .await;
    lake.commit("main").await.unwrap();
}

#[tokio::test]
async fn findings_are_in_refusal_and_log() {
    let lake = Lake::new().await;
    put_component(&lake, "main", GUEST).await;
    lake.gate("main", "gate.yaml", &wasm("      config: {mode: fail}\n"))
        .await;
    let rejection = lake.commit("main").await.unwrap_err();
    assert!(
        rejection
            .message
            .contains("action failed: verdict_fail: error tables/a.csv null-ratio: too many nulls"),
        "{}",
        rejection.message
    );
    let [finding] = rejection.findings.as_slice() else {
        panic!("{:?}", rejection.findings)
    };
    assert_eq!(
        (
            finding.action.as_str(),
            finding.hook.as_str(),
            finding.rule.as_str()
        ),
        ("gate", "guard", "null-ratio")
    );
    let log = lake.output(&rejection.run_id, "0000_0000").await.unwrap();
    assert!(
        log.contains("error tables/a.csv null-ratio: too many nulls")
            && log.contains("verdict: fail (verdict_fail)\nusage: "),
        "{log}"
    );

    lake.gate("main", "gate.yaml", &wasm("      config: {mode: pass}\n"))
        .await;
    lake.commit("main").await.unwrap();
}

#[tokio::test]
async fn change_cannot_replace_the_component_of_its_gate() {
    let lake = Lake::new().await;
    put_component(&lake, "main", GUEST).await;
    // The gate applies to merges only, so that committing it does not run it.
    lake.gate(
        "main",
        "gate.yaml",
        &wasm("      config: {mode: fail}\n").replace("pre-commit: , ", ""),
    )
    .await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    // The change keeps the action file and replaces the component by the same code with an extra
    // custom section.
    let mut other = GUEST.to_vec();
    other.extend(b"\x00\x02\x01x");
    put_component(&lake, "dev", other.leak()).await;
    lake.commit("dev").await.unwrap();
    let rejection = lake.merge("dev", "main").await.unwrap_err();
    let message = rejection.message;
    assert!(message.contains("2 errors occurred"), "{message}");
    for hook_run in ["hook run id '0000_0000'", "hook run id '0001_0000'"] {
        assert!(message.contains(hook_run), "{message}");
    }
    assert_eq!(
        rejection.hint.unwrap(),
        "gate 'gate' of branch dev; main has another version: merge main into dev to update it; gate 'gate' of branch main before this change; the change edits or removes _lakefs_actions/gate.yaml or its component, so the previous version checks the change too: let the gate pass (start its service if that is down), or let the operator set actions.gates_source: source until the gate is repaired"
    );
}

/// Regression test: after the gate was fixed on `main`, merges from `dev` were still refused
/// without an explanation.
#[tokio::test]
async fn refusal_names_the_gates_branch_and_how_to_update_it() {
    let lake = Lake::new().await;
    let file = |mode: &str| {
        let file = wasm(&format!("      config: {{mode: {mode}}}\n"));
        file.replace("pre-commit: , pre-merge: ", "pre-merge: {branches: [main]}")
    };
    put_component(&lake, "main", GUEST).await;
    lake.gate("main", "gate.yaml", &file("fail")).await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    lake.put("dev", "data").await;
    lake.commit("dev").await.unwrap();
    let hint = |rejection: Box<Rejection>| rejection.hint.unwrap();
    assert_eq!(
        hint(lake.merge("dev", "main").await.unwrap_err()),
        "gate 'gate' of branch dev"
    );

    lake.gate("main", "gate.yaml", &file("pass")).await;
    lake.commit("main").await.unwrap();
    assert_eq!(
        hint(lake.merge("dev", "main").await.unwrap_err()),
        "gate 'gate' of branch dev; main has another version: merge main into dev to update it"
    );
    lake.merge("main", "dev").await.unwrap();
    lake.merge("dev", "main").await.unwrap();
}

/// Regression test: with `on_error: warn`, one object that made the hook trap let all later objects
/// through.
#[tokio::test]
async fn warn_on_error_still_refuses_failing_objects() {
    let lake = Lake::new().await;
    let guest = include_bytes!("../../../tests/fixtures/test_object_gate.wasm");
    put_component(&lake, "main", guest).await;
    lake.gate("main", "gate.yaml", &wasm("      on_error: warn\n"))
        .await;
    for (path, content) in [("data/a", "panic"), ("data/b", "fail")] {
        lake.catalog
            .put(&lake.repository, "main", path, content)
            .await;
    }
    let rejection = lake.commit("main").await.unwrap_err();
    assert!(
        rejection
            .message
            .contains("action failed: verdict_fail: error data/a trap: hook panicked"),
        "{}",
        rejection.message
    );
    assert!(
        rejection.message.contains("error data/b bad: says fail"),
        "{}",
        rejection.message
    );
}

/// Returns the guest with a custom section of one letter, so that only one test uses this content.
fn unique_guest(letter: u8) -> &'static [u8] {
    let mut bytes = GUEST.to_vec();
    bytes.extend([0, 2, 1, letter]);
    bytes.leak()
}

/// Regression test: each run hashed its component, and a pinned component twice.
#[tokio::test]
async fn component_is_hashed_once_per_content() {
    let lake = Lake::new().await;
    let guest = unique_guest(b'h');
    put_component(&lake, "main", guest).await;
    let sha256 = crate::wasm::Component::new(Bytes::from_static(guest)).sha256();
    assert_eq!(
        crate::wasm::component_count::of(guest),
        1,
        "this test's own"
    );
    let gate = wasm(&format!(
        "      sha256: {sha256}\n      config: {{mode: pass}}\n"
    ));
    // Actions run at the same time.
    for n in 0..4 {
        let gate = gate.replace("name: gate", &format!("name: gate {n}"));
        lake.gate("main", &format!("{n}.yaml"), &gate).await;
    }
    for path in ["a", "b", "c"] {
        lake.put("main", path).await;
        lake.commit("main").await.unwrap();
    }
    assert_eq!(
        lake.runs("main").await.matches("Completed").count(),
        12,
        "every hook ran"
    );
    assert_eq!(crate::wasm::component_count::of(guest), 1);
}

/// Regression test: only the log said what to do; the response had no hint.
#[tokio::test]
async fn advice_is_in_the_hint_and_not_in_the_message() {
    let no_compiler = Compiler::Child {
        program: "/nowhere/compiler".into(),
        arguments: Vec::new(),
        limits: crate::wasm::CompileLimits::default(),
    };
    let lake = Lake::limited(GatesSource::Both, preflight::Limits::default(), no_compiler).await;
    put_component(&lake, "main", GUEST).await;
    lake.gate("main", "gate.yaml", &wasm("")).await;
    let rejection = lake.commit("main").await.unwrap_err();
    let why = "action failed: busy: the server could not start the compiler for this component";
    assert!(
        rejection
            .message
            .ends_with(&format!("hook 'guard': {why}\n\n")),
        "{}",
        rejection.message
    );
    let hint = rejection.hint.unwrap();
    assert!(
        hint.starts_with(
            "gate 'gate' of branch main; hook 'guard': see the server's log; try again; warning: "
        ),
        "{hint}"
    );
    let log = lake.output(&rejection.run_id, "0000_0000").await.unwrap();
    assert!(log.ends_with(&format!("\nError: {why}\n")), "{log}");
    let verdict =
        "verdict: none (busy): the server could not start the compiler for this component\n";
    assert!(log.contains(verdict), "{log}");
}

/// A core module of a gate that passes every change, and whose description never ends.
const NEVER_DESCRIBED: &str = r#"
    (memory (export "memory") 1)
    (func (export "check") (result i32)
        (i32.store8 (i32.const 64) (i32.const 0))
        (i32.store8 (i32.const 68) (i32.const 0))
        (i32.const 64))
    (func (export "describe") (result i32) (loop (br 0)) (unreachable))"#;

/// Regression test: if `describe` exceeded a limit or the server was busy, the hook ran with a
/// config that nothing had checked.
#[tokio::test]
async fn hook_with_an_unchecked_config_does_not_run() {
    let lake = Lake::new().await;
    let component = wat_components::module(NEVER_DESCRIBED).to_vec();
    put_component(&lake, "main", component.leak()).await;
    let select = "      select: {paths: ['**'], kinds: [added]}\n";
    lake.gate("main", "gate.yaml", &wasm(select)).await;
    let message = lake.commit("main").await.unwrap_err().message;
    let why = "action failed: limit_time: component does not describe itself: hook was stopped after 1s of describe";
    assert!(message.contains(why), "{message}");
}

/// Regression test: an object gate on prepare-commit passed every change without a warning, or with
/// `kinds: [removed]` judged every object of the branch as removed.
#[tokio::test]
async fn object_gate_without_changed_objects_is_a_warning() {
    let lake = Lake::new().await;
    let guest = include_bytes!("../../../tests/fixtures/test_object_gate.wasm");
    put_component(&lake, "main", guest).await;
    lake.put("main", "data/a.csv").await;
    let gate = wasm("      select: {paths: ['data/**'], kinds: [removed]}\n")
        .replace("pre-commit: , pre-merge: ", "prepare-commit: ");
    lake.gate("main", "gate.yaml", &gate).await;
    let judged_nothing = "action 'gate' hook 'guard': the object gate judged nothing, because the event has no changed objects; use pre-commit, pre-merge, pre-revert and pre-cherry-pick";
    let gates = lake.commit_with_gates("main").await;
    assert_eq!(
        gates.warnings,
        [
            judged_nothing,
            "_lakefs_actions/gate.yaml:7:18: hook 'guard': component hooks/gate.wasm judges changed objects, so it judges nothing in prepare-commit; use pre-commit, pre-merge, pre-revert and pre-cherry-pick",
        ]
    );
    lake.put("main", "data/b.csv").await;
    let gates = lake.commit_with_gates("main").await;
    assert_eq!(gates.warnings, [judged_nothing]);
    let [run_id] = &gates.run_ids[..] else {
        panic!("{gates:?}")
    };
    let run = lake.actions.run(&lake.repository, run_id).await;
    assert_eq!(run.unwrap().unwrap().warnings, [judged_nothing]);
    let log = lake.output(run_id, "0000_0000").await.unwrap();
    assert!(
        log.starts_with("warning: the object gate judged nothing")
            && log.contains("\nusage: 0 objects"),
        "{log}"
    );
}

/// The differences of a change without a candidate are unknown. Regression test: every object of the
/// branch was reported as removed.
#[tokio::test]
async fn change_without_a_candidate_has_no_differences() {
    let lake = Lake::new().await;
    lake.put("main", "data/a.csv").await;
    lake.commit("main").await.unwrap();
    let reader = lake.catalog.reader().clone();
    let head = reader.commit(&lake.repository, "main").await.unwrap();
    let mut event = event(EventKind::PrepareCommit);
    event.repository = lake.repository.clone();
    let graveler::EventDetails::PrepareCommit(preparation) = &mut event.details else {
        panic!("{event:?}")
    };
    preparation.draft.meta_range_id = head.meta_range_id;
    let trees = crate::wasm::SnapshotTrees::new(reader, &event);
    let base = trees.stat(crate::wasm::Side::Base, "data/a.csv").await;
    assert!(base.unwrap().is_some());
    let differences = trees.diff("", "", 10).await.unwrap();
    assert!(differences.results.is_empty(), "{differences:?}");
}
