//! Runs of commits and merges: what is called, refused and recorded.

use super::*;

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
async fn refusal_has_a_hint_for_the_failed_hook() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-commit: }\nhooks: [{id: tell, type: webhook, properties: {url: HOOK/away}}]\n").await;
    let hint = lake.commit("main").await.unwrap_err().hint.unwrap();
    assert!(
        hint.starts_with("gate 'gate' of branch main; hook 'tell': the response redirects to another server (http://127.0.0.2:9); "),
        "{hint}"
    );
}
