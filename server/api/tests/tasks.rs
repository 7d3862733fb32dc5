//! Commits, merges, dumps and restores as background tasks.

use std::sync::Arc;

use async_trait::async_trait;
use graveler::{Event, EventKind, Finding, HookOutcome, Hooks, Rejection};
use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, RequestParts, TestApi};

/// Bounds the wait for a task. No test needs as many turns unless it fails.
const MAX_TURNS: usize = 100_000;

/// Waits for the end of a task and returns its status. `done` is the field that is true at the end.
async fn done(api: &TestApi, path: &str, done: &str) -> Value {
    for _ in 0..MAX_TURNS {
        let status = api.get(path).await.expect(200).json();
        if status[done] == json!(true) {
            return status;
        }
        tokio::task::yield_now().await;
    }
    panic!("{path}: the task does not end");
}

/// Starts a task below `/repositories/lake` and returns its final status.
async fn task(api: &TestApi, path: &str, body: Value) -> Value {
    let path = format!("/repositories/lake{path}/async");
    let started = api.post(&path, &body).await.expect(202).json();
    let id = started["id"].as_str().unwrap();
    let status = done(api, &format!("{path}/{id}/status"), "completed").await;
    assert_eq!(status["task_id"], started["id"]);
    status
}

async fn put(api: &TestApi, path: &str, body: Value) -> Answer {
    let parts = RequestParts {
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string().into_bytes(),
        anonymous: false,
    };
    api.request(Method::PUT, path, parts).await
}

/// Rejects commits with the message `bad`.
#[derive(Debug)]
struct Strict;

#[async_trait]
impl Hooks for Strict {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        let message = event.commit().map_or("", |commit| &commit.message);
        if event.kind() != EventKind::PreCommit || message != "bad" {
            return Ok(HookOutcome::default());
        }
        Err(Box::new(Rejection {
            run_id: event.run_id.clone(),
            kind: event.kind(),
            message: "pre-commit hook aborted".to_owned(),
            hint: None,
            invalid_actions: false,
            findings: vec![Finding {
                action: "a".to_owned(),
                hook: "h".to_owned(),
                severity: "error".to_owned(),
                rule: "r".to_owned(),
                message: "m".to_owned(),
                path: None,
                properties: std::collections::BTreeMap::new(),
            }],
        }))
    }

    async fn after(&self, _event: Event) {}
}

/// A server with [`Strict`] and an uncommitted object.
async fn strict() -> TestApi {
    let api = TestApi::with_hooks(|_| Arc::new(Strict)).await;
    api.set_up().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "a", "1").await.expect(201);
    api
}

/// Checks that a commit fails in the same way as a task and synchronously. Returns the error.
async fn refused_commit(api: &TestApi, message: &str, status: u16) -> Value {
    let path = "/branches/main/commits";
    let body = json!({"message": message});
    let task = task(api, path, body.clone()).await;
    let synchronous = api.post(&format!("/repositories/lake{path}"), &body).await;
    let error = synchronous.expect(status).json();
    assert_eq!(
        (&task["status_code"], &task["error"]),
        (&json!(status), &error)
    );
    assert_eq!(task.get("result"), None);
    error
}

#[tokio::test]
async fn commit_task_without_changes_fails() {
    let api = strict().await;
    api.commit("lake", "main", "good").await;
    refused_commit(&api, "again", 400).await;
}

#[tokio::test]
async fn commit_task_that_a_hook_rejects_has_its_findings() {
    let api = strict().await;
    let error = refused_commit(&api, "bad", 412).await;
    assert_eq!(error["findings"][0]["rule"], "r");
}

#[tokio::test]
async fn commit_task_has_the_commit_as_its_result() {
    let api = strict().await;
    let body = json!({"message": "good", "metadata": {"k": "v"}, "date": 1_700_000_000});
    let made = task(&api, "/branches/main/commits", body).await;
    let head = api.get("/repositories/lake/commits/main").await.expect(200);
    assert_eq!(
        (&made["result"], &made["progress"]),
        (&head.json(), &json!(3))
    );
    assert_eq!(
        (
            &made["result"]["creation_date"],
            &made["result"]["metadata"]["k"]
        ),
        (&json!(1_700_000_000), &json!("v"))
    );
    assert_eq!((made.get("error"), made.get("status_code")), (None, None));
}

/// A repository with the branches `dev` and `other`, which conflict with each other.
async fn branches() -> TestApi {
    let api = TestApi::new().await;
    api.repository("lake").await;
    for branch in ["dev", "other"] {
        let new = json!({"name": branch, "source": "main"});
        api.post("/repositories/lake/branches", &new)
            .await
            .expect(201);
        api.put_object("lake", branch, "a", branch)
            .await
            .expect(201);
        api.commit("lake", branch, branch).await;
    }
    api
}

#[tokio::test]
async fn merge_task_has_the_new_head_as_its_result() {
    let api = branches().await;
    let made = task(&api, "/refs/dev/merge/main", json!({"message": "merged"})).await;
    let head = api.get("/repositories/lake/commits/main").await;
    let head = head.expect(200).json();
    assert_eq!(made["result"]["reference"], head["id"]);
    assert_eq!(head["message"], "merged");
}

#[tokio::test]
async fn conflict_of_a_merge_task_is_that_of_the_synchronous_merge() {
    let api = branches().await;
    let task = task(&api, "/refs/other/merge/dev", json!({})).await;
    let path = "/repositories/lake/refs/other/merge/dev";
    let synchronous = api.post(path, &json!({})).await.expect(409);
    assert_eq!(synchronous.message(), "update branch dev: conflict found");
    assert!(synchronous.hint().contains("`strategy`"));
    assert_eq!(
        (&task["status_code"], &task["error"]["message"]),
        (&json!(409), &json!(synchronous.message()))
    );
    assert_eq!(task["error"]["hint"], json!(synchronous.hint()));
}

#[tokio::test]
async fn malformed_merge_is_refused_before_its_task_starts() {
    let api = branches().await;
    let wrong = json!({"strategy": "mine"});
    for (source, body, status) in [("dev", wrong, 400), ("nowhere", json!({}), 404)] {
        let path = format!("/repositories/lake/refs/{source}/merge/main/async");
        api.post(&path, &body).await.expect(status);
    }
}

#[tokio::test]
async fn unknown_task_ids_are_not_found() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.repository("other").await;
    let commits = "/repositories/lake/branches/main/commits/async";
    let started = api
        .post(commits, &json!({"message": "m"}))
        .await
        .expect(202);
    let started = started.json();
    let id = started["id"].as_str().unwrap();
    for path in [
        format!("/repositories/other/branches/main/commits/async/{id}/status"),
        format!("/repositories/lake/refs/a/merge/main/async/{id}/status"),
        format!("/repositories/lake/dump?task_id={id}"),
        format!("/repositories/lake/restore?task_id={id}"),
        format!("/repositories/nowhere/dump?task_id={id}"),
    ] {
        api.get(&path).await.expect(404);
    }
    api.get("/repositories/lake/dump").await.expect(400);
    api.get("/repositories/lake/dump?task_id=")
        .await
        .expect(400);
}

/// A server with a repository, its head, its dump, and the bare repository `restored-lake` over the same namespace.
async fn dumped() -> (TestApi, String, Value) {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "a", "1").await.expect(201);
    let head = api.commit("lake", "main", "one").await;
    let dump = "/repositories/lake/refs/dump";
    let refs = api
        .request(Method::PUT, dump, RequestParts::default())
        .await;
    let refs = refs.expect(201).json();
    let bare = json!({"name": "restored-lake", "storage_namespace": "mem://lake"});
    api.post("/repositories?bare=true", &bare).await.expect(201);
    (api, head, refs)
}

/// Restores `restored-lake` in a task and returns its final status.
async fn restore_task(api: &TestApi, refs: &Value) -> Value {
    let path = "/repositories/restored-lake/restore";
    let started = api.post(path, refs).await.expect(202).json();
    let id = started["id"].as_str().unwrap();
    done(api, &format!("{path}?task_id={id}"), "done").await
}

async fn head_of_the_restored(api: &TestApi) -> Value {
    let head = api.get("/repositories/restored-lake/commits/main").await;
    head.expect(200).json()["id"].clone()
}

#[tokio::test]
async fn dump_task_has_the_dump_as_its_result() {
    let (api, _, refs) = dumped().await;
    let path = "/repositories/lake/dump";
    let started = api
        .request(Method::POST, path, RequestParts::default())
        .await;
    let started = started.expect(202).json();
    let id = started["id"].as_str().unwrap();
    let dumped = done(&api, &format!("{path}?task_id={id}"), "done").await;
    assert_eq!((&dumped["refs"], &dumped["progress"]), (&refs, &json!(3)));
}

#[tokio::test]
async fn repository_is_restored_from_a_dump() {
    let (api, head, refs) = dumped().await;
    let restored = put(&api, "/repositories/restored-lake/refs/restore", refs).await;
    assert_eq!(restored.expect(200).text(), "");
    assert_eq!(head_of_the_restored(&api).await, json!(head));
}

#[tokio::test]
async fn repository_is_restored_by_a_task() {
    let (api, head, refs) = dumped().await;
    assert_eq!(restore_task(&api, &refs).await.get("error"), None);
    assert_eq!(head_of_the_restored(&api).await, json!(head));
}

#[tokio::test]
async fn only_bare_repositories_are_restored() {
    let (api, _, refs) = dumped().await;
    let path = "/repositories/restored-lake/refs/restore";
    put(&api, path, refs.clone()).await.expect(200);
    let again = put(&api, path, refs.clone()).await.expect(400);
    assert_eq!(again.message(), "can only restore into a bare repository");
    assert!(again.hint().contains("query parameter `bare`"));
    let failed = restore_task(&api, &refs).await;
    assert_eq!(
        (&failed["error"], &failed["hint"]),
        (&json!(again.message()), &json!(again.hint()))
    );
}

#[tokio::test]
async fn status_requires_the_original_branches() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let dev = json!({"name": "dev", "source": "main"});
    api.post("/repositories/lake/branches", &dev)
        .await
        .expect(201);
    api.put_object("lake", "dev", "a", "1").await.expect(201);
    let commit = task(&api, "/branches/dev/commits", json!({"message": "m"})).await;
    let commit = commit["task_id"].as_str().unwrap();
    let merge = task(&api, "/refs/dev/merge/main", json!({})).await;
    let merge = merge["task_id"].as_str().unwrap();
    for (path, status) in [
        (format!("branches/dev/commits/async/{commit}"), 200),
        (format!("branches/main/commits/async/{commit}"), 404),
        (format!("refs/dev/merge/main/async/{commit}"), 404),
        (format!("refs/dev/merge/main/async/{merge}"), 200),
        (format!("refs/main/merge/dev/async/{merge}"), 404),
        (format!("refs/v1/merge/main/async/{merge}"), 404),
        (format!("branches/main/commits/async/{merge}"), 404),
    ] {
        let path = format!("/repositories/lake/{path}/status");
        assert_eq!(api.get(&path).await.status, status, "{path}");
    }
}
