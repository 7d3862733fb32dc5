//! Changes that edit or delete their own gate.

use super::*;

/// A gate that refuses every merge.
pub(super) fn merge_gate() -> String {
    REFUSE.replace("pre-commit", "pre-merge")
}

async fn merge_that_edits_its_gate(
    gates_source: GatesSource,
    edit: Option<&str>,
) -> (Lake, Result<String, Box<Rejection>>) {
    let lake = Lake::with(gates_source).await;
    lake.gate("main", "gate.yaml", &merge_gate()).await;
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

/// Regression test: if a change only deleted a gate, the hint said to commit the deletion by itself.
#[tokio::test]
async fn hint_says_how_to_remove_a_gate_that_always_refuses() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", &merge_gate()).await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    lake.delete("dev", "_lakefs_actions/gate.yaml").await;
    lake.commit("dev").await.unwrap();
    let hint = async || lake.merge("dev", "main").await.unwrap_err().hint.unwrap();
    let starts = "gate 'gate' of branch main before this change; the change edits or removes _lakefs_actions/gate.yaml or its component, so the previous version checks the change too: ";
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

/// Regression test: for a source branch that is older than the gate, the hint said that the change edits the gate.
#[tokio::test]
async fn hint_for_a_branch_older_than_the_gate_mentions_no_edit() {
    let lake = Lake::new().await;
    lake.put("main", "x").await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    lake.gate("main", "gate.yaml", &merge_gate()).await;
    lake.commit("main").await.unwrap();
    lake.put("dev", "a").await;
    lake.commit("dev").await.unwrap();
    let refused = lake.merge("dev", "main").await.unwrap_err();
    let hint = refused.hint.unwrap();
    assert!(hint.starts_with("gate 'gate' of branch main;"), "{hint}");
    assert!(!hint.contains("edit"), "{hint}");
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

/// Regression test: the failed hooks of one gate used up the limit on hints, so hints about other
/// gates were missing.
#[tokio::test]
async fn hint_names_every_gate_however_many_hooks_refuse() {
    let lake = Lake::new().await;
    let mut many = "name: many\non: {pre-commit: }\nhooks:\n".to_owned();
    for n in 0..6 {
        let _ = writeln!(
            many,
            "  - {{id: no{n}, type: webhook, if: success() || failure(), properties: {{url: HOOK/fail}}}}"
        );
    }
    lake.gate("main", "a.yaml", &many).await;
    lake.gate("main", "b.yaml", REFUSE).await;
    let hint = lake.commit("main").await.unwrap_err().hint.unwrap();
    let starts = "gate 'many' of branch main; gate 'gate' of branch main; hook 'no0': ";
    assert!(hint.starts_with(starts), "{hint}");
}

/// A lake whose branches `main` and `dev` have [`merge_gate`], and whose `dev` has an uncommitted object.
async fn with_a_merge_gate_on_both_branches() -> Lake {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", &merge_gate()).await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    lake.put("dev", "a").await;
    lake
}

/// Regression test: after the gate was deleted on `main`, merges from `dev` were still refused without an
/// explanation.
#[tokio::test]
async fn hint_names_the_branch_that_deleted_the_gate() {
    let lake = with_a_merge_gate_on_both_branches().await;
    lake.commit("dev").await.unwrap();
    lake.delete("main", "_lakefs_actions/gate.yaml").await;
    lake.commit("main").await.unwrap();
    let refused = lake.merge("dev", "main").await.unwrap_err();
    let starts =
        "gate 'gate' of branch dev; main no longer has it: merge main into dev to remove it; ";
    let hint = refused.hint.unwrap();
    assert!(hint.starts_with(starts), "{hint}");
    // A gate that `main` never had does not count as deleted there.
    lake.gate("dev", "new.yaml", &REFUSE.replace("gate", "new"))
        .await;
    let refused = lake.commit("dev").await.unwrap_err();
    let hint = refused.hint.unwrap();
    assert!(
        hint.starts_with("gate 'new' of branch dev; hook "),
        "{hint}"
    );
}

/// Regression test: the hint called a tag a branch and said to merge into it.
#[tokio::test]
async fn hint_for_a_merge_of_a_tag_names_the_tag() {
    let lake = with_a_merge_gate_on_both_branches().await;
    let commit = lake.commit("dev").await.unwrap();
    lake.tag("v1", "dev").await;
    lake.gate("main", "gate.yaml", &merge_gate().replace("/fail", "/ok"))
        .await;
    lake.commit("main").await.unwrap();
    let hint = async |source: &str| {
        let rejection = lake.merge(source, "main").await.unwrap_err();
        rejection.hint.unwrap()
    };
    for source in ["v1", commit.as_str(), "dev~0"] {
        let hint = hint(source).await;
        let starts = format!(
            "gate 'gate' of {source}; main has another version: create a branch at {source}, merge main into it, and merge that branch; "
        );
        assert!(hint.starts_with(&starts), "{hint}");
    }
    let of_branch = hint("dev").await;
    let starts = "gate 'gate' of branch dev; main has another version: merge main into dev to ";
    assert!(of_branch.starts_with(starts), "{of_branch}");
}

/// Regression test: for the merge of a tag, the hint said to correct the action files on a branch.
#[tokio::test]
async fn hint_for_invalid_action_files_tells_branches_from_tags() {
    let lake = Lake::new().await;
    let loader = &lake.actions.executor.loader;
    let hint = async |source: &str| {
        let mut merge = event(EventKind::PreMerge);
        merge.repository = lake.repository.clone();
        let graveler::EventDetails::PreMerge(proposal) = &mut merge.details else {
            panic!("{merge:?}")
        };
        proposal.source.name = source.to_owned();
        let hint = advise_on_invalid(loader, &merge, &[]).await;
        hint.unwrap().unwrap()
    };
    lake.tag("v1", "main").await;
    assert_eq!(
        hint("v1").await,
        "create a branch at v1, correct or delete the action files there, and merge that branch; no hook ran, so this run id has no record"
    );
    lake.branch("dev").await;
    assert_eq!(
        hint("dev").await,
        "correct the action files on branch dev, or delete them there, and try again; no hook ran, so this run id has no record"
    );
}
