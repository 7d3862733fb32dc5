//! Hook results in responses.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use graveler::{Event, EventKind, Finding, HookOutcome, Hooks, Rejection};
use serde_json::{Value, json};

use crate::harness::TestApi;

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

#[tokio::test]
async fn successful_change_reports_hook_runs_and_warnings() {
    let api = TestApi::with_hooks(|_| Arc::new(Gate)).await;
    api.set_up().await;
    api.repository("lake").await;
    let dev = json!({"name": "dev", "source": "main"});
    api.post("/repositories/lake/branches", &dev)
        .await
        .expect(201);
    api.put_object("lake", "dev", "a", "1").await.expect(201);

    let commits = "/repositories/lake/branches/dev/commits";
    let made = api
        .post(commits, &json!({"message": "work"}))
        .await
        .expect(201);
    let told = |body: &Value, header: &str, warnings: Value| {
        let ids = body["gate_run_ids"].as_array().unwrap();
        assert_eq!((ids.len(), header), (1, ids[0].as_str().unwrap()), "{body}");
        assert_eq!(body["warnings"], warnings, "{body}");
    };
    let header = made.header("x-weir-gate-run-ids");
    let warnings = json!(["a warning of prepare-commit", "a warning of pre-commit"]);
    told(&made.json(), header, warnings);

    let merged = api
        .post("/repositories/lake/refs/dev/merge/main", &json!({}))
        .await;
    let merged = merged.expect(200);
    let header = merged.header("x-weir-gate-run-ids");
    told(&merged.json(), header, json!(["a warning of pre-merge"]));

    let reverted = api
        .post(
            "/repositories/lake/branches/dev/revert",
            &json!({"ref": "dev", "parent_number": 0}),
        )
        .await
        .expect(204);
    assert_ne!(reverted.header("x-weir-gate-run-ids"), "");

    let picked = api
        .post(
            "/repositories/lake/branches/dev/cherry-pick",
            &json!({"ref": "dev~1"}),
        )
        .await
        .expect(201);
    let header = picked.header("x-weir-gate-run-ids");
    told(
        &picked.json(),
        header,
        json!(["a warning of pre-cherry-pick"]),
    );

    // Hook results are in the response to the change, and not stored with the commit.
    let logged = api
        .get("/repositories/lake/refs/dev/commits")
        .await
        .expect(200)
        .json();
    assert_eq!(logged["results"][0]["gate_run_ids"], Value::Null);
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
        let said = api
            .get(&format!("{runs}{path}"))
            .await
            .expect(status)
            .json();
        assert_eq!(said["message"], message, "{path}");
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
