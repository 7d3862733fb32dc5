//! Components that judge.

use super::*;

const GUEST: &[u8] = include_bytes!("../../../tests/fixtures/test_gate.wasm");

fn wasm(properties: &str) -> String {
    format!(
        "name: gate\non: {{pre-commit: , pre-merge: }}\nhooks:\n  - id: guard\n    type: wasm\n    properties:\n      component: hooks/gate.wasm\n{properties}"
    )
}

async fn put_component(lake: &Lake, branch: &str, bytes: &'static [u8]) {
    let to = Upload {
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

#[tokio::test]
async fn a_component_that_is_missing_or_another_is_said_to_be() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", &wasm("")).await;
    let message = lake.commit("main").await.unwrap_err().message;
    assert!(
        message.contains("action failed: component_missing: there is no object hooks/gate.wasm"),
        "{message}"
    );

    put_component(&lake, "main", GUEST).await;
    lake.gate(
        "main",
        "gate.yaml",
        &wasm(&format!("      sha256: {}\n", "0".repeat(64))),
    )
    .await;
    let message = lake.commit("main").await.unwrap_err().message;
    assert!(
        message.contains("action failed: component_digest: component hooks/gate.wasm has sha256 "),
        "{message}"
    );

    // An error that is only to warn lets the change through, and is in the log.
    lake.gate(
        "main",
        "gate.yaml",
        &wasm(&format!(
            "      on_error: warn\n      sha256: {}\n",
            "0".repeat(64)
        )),
    )
    .await;
    let commit = lake.commit("main").await.unwrap();
    let run = lake
        .actions
        .list_runs(&lake.repository, None, Some(&commit), "", 1)
        .await
        .unwrap()
        .results
        .remove(0);
    let log = lake.output(&run.run_id, "0000_0000").await.unwrap();
    assert!(
        log.contains("warning, as the action asks for: component_digest"),
        "{log}"
    );
}

#[tokio::test]
async fn a_component_judges_with_findings_in_the_refusal_and_the_log() {
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
async fn a_change_cannot_swap_the_component_of_the_gate_that_judges_it() {
    let lake = Lake::new().await;
    put_component(&lake, "main", GUEST).await;
    // The gate fails on merges only once `main` has it: it is committed where it does not yet judge.
    lake.gate(
        "main",
        "gate.yaml",
        &wasm("      config: {mode: fail}\n").replace("pre-commit: , ", ""),
    )
    .await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    // The change keeps the file and swaps what it runs for something that is no component.
    put_component(&lake, "dev", b"not wasm").await;
    lake.commit("dev").await.unwrap();
    let message = lake.merge("dev", "main").await.unwrap_err().message;
    assert!(message.contains("2 errors occurred"), "{message}");
    assert!(
        message.contains("hook run id '0000_0000'") && message.contains("component_invalid"),
        "{message}"
    );
    assert!(
        message.contains("hook run id '0001_0000'") && message.contains("null-ratio"),
        "{message}"
    );
}

/// One object made to trap let all objects after it through a gate with `on_error: warn`.
#[tokio::test]
async fn a_gate_that_only_warns_of_errors_still_refuses_what_it_fails() {
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
