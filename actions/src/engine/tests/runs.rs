//! Runs of commits and merges: what is called, refused and recorded.

use super::*;
use crate::computations::Blocked;

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
async fn commit_calls_webhooks_and_its_runs_have_the_commit() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    let commit = lake.commit("main").await.unwrap();
    assert_eq!(lake.calls().await.len(), 3);
    let runs = lake.runs_of(&commit).await;
    let mut kinds: Vec<_> = runs.iter().map(|run| run.event_type.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["post-commit", "pre-commit"]);
}

#[tokio::test]
async fn manifest_of_the_pre_commit_run_has_the_commit() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    let commit = lake.commit("main").await.unwrap();
    let runs = lake.runs_of(&commit).await;
    let pre = runs
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
async fn merge_calls_webhooks_and_records_runs_on_the_destination() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    lake.commit("main").await.unwrap();
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
}

/// An action whose first hook fails, followed by a hook for failures and a hook for successes.
const CONDITIONS: &str = "name: gate\non:\n  pre-commit:\n    branches: ['ma*']\nhooks:\n  - id: bad_one\n    type: webhook\n    properties: {url: HOOK/fail}\n  - id: on_failure\n    type: webhook\n    if: failure()\n    properties: {url: HOOK/cleanup}\n  - id: on_success\n    type: webhook\n    properties: {url: HOOK/never}\n";

/// Returns a lake whose commit to `main` was refused.
async fn refused_commit() -> (Lake, Box<Rejection>) {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", CONDITIONS).await;
    let rejection = lake.commit("main").await.unwrap_err();
    (lake, rejection)
}

#[tokio::test]
async fn refused_commit_leaves_branch_unchanged() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", CONDITIONS).await;
    let head = lake.head("main").await;
    lake.commit("main").await.unwrap_err();
    assert_eq!(lake.head("main").await, head);
}

#[tokio::test]
async fn refusal_names_run_hook_and_reason() {
    let (_lake, rejection) = refused_commit().await;
    let run = &rejection.run_id;
    assert!(!rejection.invalid_actions);
    assert_eq!(
        rejection.message,
        format!(
            "pre-commit hook aborted, run id '{run}': 1 error occurred:\n\t* hook run id '0000_0000' failed on action 'gate' hook 'bad_one': action failed: webhook request failed (status code: 400)\n\n"
        )
    );
}

#[tokio::test]
async fn hooks_after_a_failure_run_by_their_conditions() {
    let (lake, _) = refused_commit().await;
    assert_eq!(lake.calls().await, ["/fail", "/cleanup"]);
    assert_eq!(
        lake.runs("main").await,
        "pre-commit failed no commit: 0000_0000 gate/bad_one Failed, 0000_0001 gate/on_failure Completed, 0000_0002 gate/on_success Skipped\n"
    );
}

#[tokio::test]
async fn log_of_a_failed_hook_ends_with_the_reason() {
    let (lake, rejection) = refused_commit().await;
    let log = lake.output(&rejection.run_id, "0000_0000").await.unwrap();
    assert!(
        log.ends_with("checkedError: action failed: webhook request failed (status code: 400)\n"),
        "{log}"
    );
}

#[tokio::test]
async fn log_of_a_skipped_hook_is_empty() {
    let (lake, rejection) = refused_commit().await;
    let log = lake.output(&rejection.run_id, "0000_0002").await;
    assert_eq!(log.as_deref(), Some(""));
}

#[tokio::test]
async fn unknown_runs_and_hooks_have_no_logs() {
    let (lake, rejection) = refused_commit().await;
    assert_eq!(lake.output(&rejection.run_id, "0000_0009").await, None);
    assert_eq!(lake.output("../../x", "../y").await, None);
    let hooks = lake
        .actions
        .list_hooks(&lake.repository, "none", "", 10)
        .await;
    assert!(hooks.unwrap().is_none());
}

#[tokio::test]
async fn gate_does_not_run_for_other_branches() {
    let lake = Lake::new().await;
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
}

#[tokio::test]
async fn action_without_hooks_does_not_hide_the_run_of_another_action() {
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

/// Regression test: a refusal did not say where the service's answer can be read, and the warnings
/// about action files were only in the run.
#[tokio::test]
async fn hint_of_a_refusal_has_the_log_and_the_warnings() {
    let lake = Lake::new().await;
    lake.gate(
        "main",
        "gate.yaml",
        &format!("{REFUSE}x-note: 1\nhoks: []\n"),
    )
    .await;
    let refused = lake.commit("main").await.unwrap_err();
    let run = refused.run_id;
    assert_eq!(
        refused.hint.unwrap(),
        format!(
            "gate 'gate' of branch main; hook 'no': the service's answer is in the hook's log: GET /api/v1/repositories/lake/actions/runs/{run}/hooks/0000_0000/output; warning: _lakefs_actions/gate.yaml:8:1: unknown key 'hoks' is ignored; did you mean 'hooks'?"
        )
    );
    assert!(
        lake.output(&run, "0000_0000")
            .await
            .unwrap()
            .contains("checked")
    );
}

/// Regression test: at shutdown, running post hooks were dropped without a run record and without a
/// log line.
#[tokio::test]
async fn post_hook_that_is_cut_off_is_recorded_as_failed() {
    let lake = Lake::new().await;
    let gate = "name: tell\non: {post-commit: }\nhooks:\n  - {id: slow, type: webhook, properties: {url: HOOK/slow}}\n  - {id: next, type: webhook, properties: {url: HOOK/next}}\n  - {id: after, if: failure(), type: webhook, properties: {url: HOOK/after}}\n";
    lake.gate("main", "tell.yaml", gate).await;
    let commit = lake.commit("main").await.unwrap();
    while lake.seen.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    lake.actions.cut_off();
    assert_eq!(
        lake.runs("main").await,
        "post-commit failed commit: 0000_0000 tell/slow Failed, 0000_0001 tell/next Skipped, 0000_0002 tell/after Failed\n"
    );
    let run = lake.run_of(&commit).await;
    assert_eq!(
        lake.output(&run.run_id, "0000_0000").await.unwrap(),
        "Error: action failed: the server stopped before the hook ended\n"
    );
    assert_eq!(lake.calls().await, ["/slow"]);
    // Hooks that run before a change are not cut off, because they are part of its request.
    lake.delete("main", "_lakefs_actions/tell.yaml").await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-commit: }\nhooks: [{id: ok, type: webhook, properties: {url: HOOK/ok}}]\n").await;
    lake.commit("main").await.unwrap();
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

/// Regression test: a post-event was not recorded if the queue was full.
#[tokio::test]
async fn post_event_without_room_is_recorded_as_failed() {
    let lake = Lake::new().await;
    let only_post = TELL.replace("  prepare-commit:\n  pre-commit:\n", "");
    lake.gate("main", "tell.yaml", &only_post).await;
    lake.actions.queue.fill(&lake.repository.id).await;
    tokio::time::pause();
    let commit = lake.commit("main").await.unwrap();
    let runs = lake.runs_of(&commit).await;
    let [post] = &runs[..] else {
        panic!("{runs:?}")
    };
    assert_eq!(
        (post.event_type.as_str(), post.passed),
        ("post-commit", false)
    );
    assert_eq!(
        post.warnings,
        [
            "the hooks did not run: 256 events of this repository with post hooks are already waiting, and none ended within 5 s"
        ]
    );
    let hooks = lake
        .actions
        .list_hooks(&lake.repository, &post.run_id, "", 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(hooks.results[0].status, HookStatus::Skipped);
}

/// Regression test: recording that the hooks of a landed change did not run could wait ten minutes for the
/// repository's own computations, and the client waited too.
#[tokio::test]
async fn recording_that_hooks_did_not_run_is_limited_in_time() {
    let lake = Lake::new().await;
    let only_post = "post-commit: {paths: ['none/*']}";
    let gate = REFUSE.replace("{pre-commit: }", &format!("{{{only_post}}}"));
    lake.gate("main", "gate.yaml", &gate).await;
    lake.commit("main").await.unwrap();
    lake.actions.drain().await;
    lake.put("main", "a").await;
    lake.actions.queue.fill(&lake.repository.id).await;
    let computations = &lake.actions.executor.loader.computations;
    let _blocked = Blocked::start(computations, &lake.repository.partition()).await;
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    let commit = lake.commit("main").await.unwrap();
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(20), "{waited:?}");
    let runs = lake.runs_of(&commit).await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert!(!runs[0].passed);
}
