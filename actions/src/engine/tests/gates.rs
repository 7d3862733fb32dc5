//! Changes that edit or delete their own gate.

use super::*;

async fn merge_that_edits_its_gate(
    gates_source: GatesSource,
    edit: Option<&str>,
) -> (Lake, Result<String, Box<Rejection>>) {
    let lake = Lake::with(gates_source).await;
    lake.gate(
        "main",
        "gate.yaml",
        &REFUSE.replace("pre-commit", "pre-merge"),
    )
    .await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    match edit {
        Some(yaml) => lake.gate("dev", "gate.yaml", yaml).await,
        None => lake.delete("dev", "_lakefs_actions/gate.yaml").await,
    }
    lake.commit("dev").await.unwrap();
    let merged = lake.merge("dev", "main").await;
    (lake, merged)
}

#[tokio::test]
async fn change_cannot_edit_its_own_gate() {
    let harmless = TELL.replace("name: tell", "name: gate");
    for edit in [Some(harmless.as_str()), None] {
        let (lake, merged) = merge_that_edits_its_gate(GatesSource::Both, edit).await;
        let message = merged.unwrap_err().message;
        assert!(
            message.contains("failed on action 'gate' hook 'no'"),
            "{message}"
        );
        assert!(lake.runs("main").await.starts_with("pre-merge failed"));
        // In lakeFS's mode, only the change's own version of the gate runs.
        merge_that_edits_its_gate(GatesSource::Source, edit)
            .await
            .1
            .unwrap();
    }
}

/// Regression test: the change that deleted a dead gate was told to commit the deletion by itself,
/// which it did already.
#[tokio::test]
async fn hint_says_how_to_remove_a_gate_that_always_refuses() {
    let lake = Lake::new().await;
    lake.gate(
        "main",
        "gate.yaml",
        &REFUSE.replace("pre-commit", "pre-merge"),
    )
    .await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    lake.delete("dev", "_lakefs_actions/gate.yaml").await;
    lake.commit("dev").await.unwrap();
    let hint = async || lake.merge("dev", "main").await.unwrap_err().hint.unwrap();
    let starts = "gate 'gate' of branch main before this change; the change edits or removes _lakefs_actions/gate.yaml or its component, so the version before it checks the change too: ";
    let way_out = "let the gate pass (start its service if that is down), or let the operator set actions.gates_source: source until the gate is repaired; hook 'no': ";
    let alone = hint().await;
    assert!(alone.starts_with(&format!("{starts}{way_out}")), "{alone}");
    lake.put("dev", "a").await;
    lake.commit("dev").await.unwrap();
    let with_others = hint().await;
    let expected = format!(
        "{starts}commit that edit to main by itself first; if the gate refuses that too, {way_out}"
    );
    assert!(with_others.starts_with(&expected), "{with_others}");
}

#[tokio::test]
async fn unchanged_gate_runs_once() {
    let lake = Lake::new().await;
    lake.gate(
        "main",
        "tell.yaml",
        &TELL
            .replace("  prepare-commit:\n", "")
            .replace("  post-commit:\n", ""),
    )
    .await;
    lake.commit("main").await.unwrap();
    lake.calls().await;
    lake.put("main", "x").await;
    lake.commit("main").await.unwrap();
    assert_eq!(lake.calls().await, ["/tell"]);
}

/// Commits a gate for `event`, then its deletion. Returns the calls of the gate for the deletion and
/// for a later change.
async fn calls_after_deletion(event: &str) -> [Vec<String>; 2] {
    let lake = Lake::new().await;
    let gate = format!(
        "name: tell\non: {{{event}: }}\nhooks:\n  - id: tell\n    type: webhook\n    properties: {{url: HOOK/tell}}\n"
    );
    lake.gate("main", "tell.yaml", &gate).await;
    lake.commit("main").await.unwrap();
    lake.calls().await;
    lake.delete("main", "_lakefs_actions/tell.yaml").await;
    lake.commit("main").await.unwrap();
    let deleted = lake.calls().await;
    lake.put("main", "x").await;
    lake.commit("main").await.unwrap();
    [deleted, lake.calls().await]
}

#[tokio::test]
async fn pre_commit_gate_judges_its_own_deletion() {
    let [deleted, later] = calls_after_deletion("pre-commit").await;
    assert_eq!(deleted, ["/tell"]);
    assert!(later.is_empty(), "{later:?}");
}

#[tokio::test]
async fn prepare_commit_gate_judges_its_own_deletion() {
    let [deleted, later] = calls_after_deletion("prepare-commit").await;
    assert_eq!(deleted, ["/tell"]);
    assert!(later.is_empty(), "{later:?}");
}
