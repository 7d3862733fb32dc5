//! Hook results in responses.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::Method;
use graveler::{Event, EventKind, Finding, HookOutcome, Hooks, Rejection};
use serde_json::{Value, json};

use crate::harness::{Answer, RequestParts, TestApi};

/// Allows all changes with a warning, except merges with the message `no`.
#[derive(Debug)]
struct Gate;

#[async_trait]
impl Hooks for Gate {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        let message = event.commit().map_or("", |draft| &draft.message);
        if message == "no" {
            return Err(Box::new(refusal(event)));
        }
        let kind = event.kind().as_str();
        Ok(HookOutcome {
            ran: event.kind() != EventKind::PrepareCommit,
            warnings: vec![format!("a warning of {kind}")],
        })
    }

    async fn after(&self, _event: Event) {}
}

fn refusal(event: &Event) -> Rejection {
    let properties = [("row", "8"), ("column", "delay"), ("ratio", "0.5")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let finding = Finding {
        action: "gate".to_owned(),
        hook: "guard".to_owned(),
        severity: "error".to_owned(),
        rule: "null-ratio".to_owned(),
        message: "too many nulls".to_owned(),
        path: None,
        properties: BTreeMap::from(properties),
    };
    Rejection {
        run_id: event.run_id.clone(),
        kind: event.kind(),
        message: "refused".to_owned(),
        invalid_actions: false,
        findings: vec![finding],
        hint: None,
    }
}

/// A server with [`Gate`], the branch `dev` and an uncommitted object on it.
async fn gated() -> TestApi {
    let api = TestApi::with_hooks(|_| Arc::new(Gate)).await;
    api.set_up().await;
    api.repository("lake").await;
    let dev = json!({"name": "dev", "source": "main"});
    api.post("/repositories/lake/branches", &dev)
        .await
        .expect(201);
    api.put_object("lake", "dev", "a", "1").await.expect(201);
    api
}

/// Checks that a change reports one run, also in the header, and warnings.
#[track_caller]
fn assert_reports(change: &Answer, warnings: &[&str]) {
    let body = change.json();
    let ids = body["gate_run_ids"].as_array().unwrap();
    let header = change.header("x-weir-gate-run-ids");
    assert_eq!((ids.len(), header), (1, ids[0].as_str().unwrap()), "{body}");
    assert_eq!(body["warnings"], json!(warnings), "{body}");
}

#[tokio::test]
async fn commit_reports_hook_runs_and_warnings() {
    let api = gated().await;
    let commits = "/repositories/lake/branches/dev/commits";
    let made = api.post(commits, &json!({"message": "work"})).await;
    assert_reports(
        &made.expect(201),
        &["a warning of prepare-commit", "a warning of pre-commit"],
    );
    // Hook results are in the response to the change, and not stored with the commit.
    let logged = api.get("/repositories/lake/refs/dev/commits").await;
    let logged = logged.expect(200).json();
    assert_eq!(logged["results"][0]["gate_run_ids"], Value::Null);
}

#[tokio::test]
async fn merge_reports_hook_runs_and_warnings() {
    let api = gated().await;
    api.commit("lake", "dev", "work").await;
    let merge = "/repositories/lake/refs/dev/merge/main";
    let merged = api.post(merge, &json!({})).await.expect(200);
    assert_reports(&merged, &["a warning of pre-merge"]);
}

#[tokio::test]
async fn merge_of_a_pull_request_reports_hook_runs_and_warnings() {
    let api = gated().await;
    api.commit("lake", "dev", "work").await;
    let pulls = "/repositories/lake/pulls";
    let pull = json!({"title": "dev", "source_branch": "dev", "destination_branch": "main"});
    let pull = api.post(pulls, &pull).await.expect(201).json();
    let merge = format!("{pulls}/{}/merge", pull["id"].as_str().unwrap());
    let merged = api
        .request(Method::PUT, &merge, RequestParts::default())
        .await;
    let merged = merged.expect(200);
    assert_reports(&merged, &["a warning of pre-merge"]);
}

#[tokio::test]
async fn revert_reports_hook_runs() {
    let api = gated().await;
    api.commit("lake", "dev", "work").await;
    let revert = json!({"ref": "dev", "parent_number": 0});
    let reverted = api
        .post("/repositories/lake/branches/dev/revert", &revert)
        .await
        .expect(204);
    assert_ne!(reverted.header("x-weir-gate-run-ids"), "");
}

#[tokio::test]
async fn cherry_pick_reports_hook_runs_and_warnings() {
    let api = gated().await;
    api.commit("lake", "dev", "work").await;
    let picked = api
        .post(
            "/repositories/lake/branches/main/cherry-pick",
            &json!({"ref": "dev"}),
        )
        .await
        .expect(201);
    assert_reports(&picked, &["a warning of pre-cherry-pick"]);
}

#[tokio::test]
async fn findings_have_row_column_and_properties_as_fields() {
    let api = TestApi::with_hooks(|_| Arc::new(Gate)).await;
    api.set_up().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "a", "1").await.expect(201);
    let commits = "/repositories/lake/branches/main/commits";
    let refused = api
        .post(commits, &json!({"message": "no"}))
        .await
        .expect(412)
        .json();
    let finding = &refused["findings"][0];
    assert_eq!(
        (&finding["row"], &finding["column"]),
        (&json!(8), &json!("delay"))
    );
    assert_eq!(finding["properties"], json!({"ratio": "0.5"}));
}

#[tokio::test]
async fn errors_about_runs_have_the_messages_of_lakefs() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let runs = "/repositories/lake/actions/runs";
    let all = api.get(runs).await.expect(200).json();
    assert_eq!(all["results"], json!([]));
    for (path, status, message) in [
        ("/none", 404, "not found: not found"),
        ("/none/hooks/none/output", 404, "not found"),
        (
            "?branch=main&commit=abc",
            400,
            "can't use both branchID and MergedCommitID: parameters conflict",
        ),
    ] {
        let refusal = api
            .get(&format!("{runs}{path}"))
            .await
            .expect(status)
            .json();
        assert_eq!(refusal["message"], message, "{path}");
    }
    let unknown = api.get(&format!("{runs}/none")).await.expect(404).json();
    let hint = unknown["hint"].as_str().unwrap();
    assert!(
        hint.starts_with("the repository has no run with this id"),
        "{hint}"
    );
    // As in lakeFS, an unknown run has no hooks.
    let hooks = api
        .get(&format!("{runs}/none/hooks"))
        .await
        .expect(200)
        .json();
    assert_eq!(hooks["results"], json!([]));
}
