//! Repositories, branches, commits, diffs, merges, tags and the reflog, and a hook that rejects merges.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use graveler::{Event, EventKind, Finding, HookOutcome, Hooks, Rejection};
use http::Method;
use serde_json::json;

use crate::harness::{RequestParts, TestApi};

#[tokio::test]
async fn repository_is_created_read_and_deleted() {
    let api = TestApi::new().await;
    let body = json!({"name": "lake", "storage_namespace": "mem://lake", "default_branch": "trunk", "read_only": true});
    let made = api.post("/repositories", &body).await.expect(201).json();
    assert_eq!(
        (&made["default_branch"], &made["read_only"]),
        (&json!("trunk"), &json!(true))
    );
    api.post("/repositories", &body).await.expect(409);
    let bad = json!({"name": "other", "storage_namespace": "mem://other", "default_branch": "a b"});
    api.post("/repositories", &bad).await.expect(400);
    assert_eq!(api.get("/repositories/lake").await.expect(200).json(), made);
    api.put_object("lake", "trunk", "a", "x").await.expect(403);
    api.delete("/repositories/lake").await.expect(403);
    api.delete("/repositories/lake?force=true")
        .await
        .expect(204);
    assert_eq!(
        api.get("/repositories/lake").await.expect(404).message(),
        "repository not found"
    );
}

/// A server whose repository `lake` has an empty `main`, and `dev` with the uncommitted object `a`.
async fn lake_with_dev() -> TestApi {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let dev = json!({"name": "dev", "source": "main"});
    api.post("/repositories/lake/branches", &dev)
        .await
        .expect(201);
    api.put_object("lake", "dev", "a", "1").await.expect(201);
    api
}

#[tokio::test]
async fn branch_creation_returns_the_commit_id_as_text() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let dev = json!({"name": "dev", "source": "main"});
    let made = api.post("/repositories/lake/branches", &dev).await;
    let made = made.expect(201);
    assert_eq!(
        (made.text().len(), made.header("content-type")),
        (64, "text/plain; charset=utf-8")
    );
}

#[tokio::test]
async fn uncommitted_object_is_listed_in_the_difference() {
    let api = lake_with_dev().await;
    let diff = api.get("/repositories/lake/branches/dev/diff").await;
    assert_eq!(
        diff.expect(200).json()["results"],
        json!([{"type": "added", "path": "a", "path_type": "object", "size_bytes": 1}])
    );
}

#[tokio::test]
async fn merge_without_a_commit_is_refused() {
    let api = lake_with_dev().await;
    let merge = "/repositories/lake/refs/dev/merge/main";
    let refused = api.post(merge, &json!({})).await.expect(400);
    assert!(refused.message().contains("no changes"));
}

#[tokio::test]
async fn merge_commit_is_logged_with_both_parents() {
    let api = lake_with_dev().await;
    let work = api.commit("lake", "dev", "work").await;
    let merge = "/repositories/lake/refs/dev/merge/main";
    let merged = api.post(merge, &json!({"message": "m"})).await.expect(200);
    let log = api.get("/repositories/lake/refs/main/commits?amount=1");
    let log = log.await.expect(200).json();
    assert_eq!(log["results"][0]["id"], merged.json()["reference"]);
    assert_eq!(log["results"][0]["parents"][1], work);
    assert_eq!(log["pagination"]["has_more"], true);
}

#[tokio::test]
async fn commit_is_found_by_the_beginning_of_its_id() {
    let api = lake_with_dev().await;
    let work = api.commit("lake", "dev", "work").await;
    let path = format!("/repositories/lake/commits/{}", &work[..12]);
    let found = api.get(&path).await.expect(200);
    assert_eq!(found.json()["message"], "work");
}

#[tokio::test]
async fn branch_is_deleted_unless_it_is_the_default() {
    let api = lake_with_dev().await;
    let branches = "/repositories/lake/branches";
    api.delete(&format!("{branches}/main")).await.expect(403);
    let dev = format!("{branches}/dev");
    api.delete(&dev).await.expect(204);
    assert_eq!(
        api.get(&dev).await.expect(404).message(),
        "branch not found"
    );
}

#[tokio::test]
async fn conflict_returns_a_merge_result() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.post(
        "/repositories/lake/branches",
        &json!({"name": "dev", "source": "main"}),
    )
    .await
    .expect(201);
    for branch in ["main", "dev"] {
        api.put_object("lake", branch, "a", branch)
            .await
            .expect(201);
        api.commit("lake", branch, branch).await;
    }
    let merge = "/repositories/lake/refs/dev/merge/main";
    assert_eq!(
        api.post(merge, &json!({})).await.expect(409).json(),
        json!({
            "reference": "",
            "message": "update branch main: conflict found",
            "hint": "1 path changed on both sides, the first is 'a': resolve them on the source branch, or give `strategy` (lakectl: --strategy) dest-wins or source-wins",
            "conflicts": ["a"],
            "conflict_count": 1
        })
    );
    api.post(merge, &json!({"strategy": "best"}))
        .await
        .expect(400);
    api.post(merge, &json!({"strategy": "source-wins"}))
        .await
        .expect(200);
    assert_eq!(
        api.get("/repositories/lake/refs/main/objects?path=a")
            .await
            .text(),
        "dev"
    );
}

#[tokio::test]
async fn tags_are_created_and_deleted() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let tag = json!({"id": "v1", "ref": "main"});
    let made = api
        .post("/repositories/lake/tags", &tag)
        .await
        .expect(201)
        .json();
    api.post("/repositories/lake/tags", &tag).await.expect(409);
    assert_eq!(
        api.get("/repositories/lake/tags/v1")
            .await
            .expect(200)
            .json(),
        made
    );
    assert_eq!(
        api.get("/repositories/lake/tags").await.json()["results"],
        json!([made])
    );
    api.delete("/repositories/lake/tags/v1").await.expect(204);
    api.delete("/repositories/lake/tags/v1").await.expect(404);
}

#[tokio::test]
async fn undo_and_reflog_require_authentication() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let head = async || {
        let branch = api
            .get("/repositories/lake/branches/main")
            .await
            .expect(200);
        branch.json()["commit_id"].clone()
    };
    let before = head().await;
    api.put_object("lake", "main", "a", "x").await.expect(201);
    let commit = api.commit("lake", "main", "change").await;
    let (undo, log) = (
        "/repositories/lake/branches/main/undo",
        "/repositories/lake/reflog",
    );
    let nobody = RequestParts {
        anonymous: true,
        ..RequestParts::default()
    };
    api.request(Method::POST, undo, nobody).await.expect(401);
    api.get_anonymous(log).await.expect(401);
    assert_eq!(head().await, json!(commit));

    let undone = api.post(undo, &json!({})).await.expect(200).json();
    assert_eq!(undone["undone"]["to_commit"], json!(commit));
    assert_eq!(head().await, before);
    let entries = api.get(log).await.expect(200).json();
    let entries = entries["results"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 3, "{entries:?}");
    for entry in entries {
        assert_eq!(entry["actor"], "admin", "{entry}");
    }
}

#[derive(Debug)]
struct RejectingHooks;

#[async_trait]
impl Hooks for RejectingHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind() != EventKind::PreMerge {
            return Ok(HookOutcome::default());
        }
        let finding = Finding {
            action: "gate".to_owned(),
            hook: "schema".to_owned(),
            severity: "error".to_owned(),
            rule: "column-lost".to_owned(),
            message: "dep_delay is gone".to_owned(),
            path: Some("flights/01.parquet".to_owned()),
            properties: BTreeMap::new(),
        };
        Err(Box::new(Rejection {
            run_id: event.run_id.clone(),
            kind: event.kind(),
            message: "pre-merge hook aborted".to_owned(),
            hint: None,
            invalid_actions: false,
            findings: vec![finding],
        }))
    }

    async fn after(&self, _event: Event) {}
}

#[tokio::test]
async fn rejection_returns_the_findings() {
    let api = TestApi::with_hooks(|_| Arc::new(RejectingHooks)).await;
    api.set_up().await;
    api.repository("lake").await;
    api.post(
        "/repositories/lake/branches",
        &json!({"name": "dev", "source": "main"}),
    )
    .await
    .expect(201);
    api.put_object("lake", "dev", "a", "1").await.expect(201);
    api.commit("lake", "dev", "work").await;
    let before = api.get("/repositories/lake/branches/main").await.json();
    let refused = api
        .post("/repositories/lake/refs/dev/merge/main", &json!({}))
        .await
        .expect(412)
        .json();
    assert_eq!(refused["message"], "pre-merge hook aborted");
    let finding = &refused["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["path"]),
        (&json!("column-lost"), &json!("flights/01.parquet"))
    );
    assert_eq!(
        api.get("/repositories/lake/branches/main").await.json(),
        before,
        "nothing moved"
    );
}
