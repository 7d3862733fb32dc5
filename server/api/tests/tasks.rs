//! Commits, merges, dumps and restores as background tasks.

use std::sync::Arc;

use async_trait::async_trait;
use graveler::{Event, EventKind, Finding, HookOutcome, Hooks, Rejection};
use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Ask, TestApi};

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
    let ask = Ask {
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string().into_bytes(),
        anonymous: false,
    };
    api.ask(Method::PUT, path, ask).await
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

#[tokio::test]
async fn commit_task_ends_like_the_synchronous_commit() {
    let api = TestApi::with_hooks(|_| Arc::new(Strict)).await;
    api.set_up().await;
    api.repository("lake").await;
    let path = "/branches/main/commits";
    let nothing = task(&api, path, json!({"message": "m"})).await;
    let synchronous = api
        .post(
            &format!("/repositories/lake{path}"),
            &json!({"message": "m"}),
        )
        .await
        .expect(400);
    assert_eq!(
        (&nothing["status_code"], &nothing["error"]),
        (&json!(400), &synchronous.json())
    );
    assert_eq!(nothing.get("result"), None);

    api.put_object("lake", "main", "a", "1").await.expect(201);
    let refused = task(&api, path, json!({"message": "bad"})).await;
    let synchronous = api
        .post(
            &format!("/repositories/lake{path}"),
            &json!({"message": "bad"}),
        )
        .await
        .expect(412);
    assert_eq!(
        (&refused["status_code"], &refused["error"]),
        (&json!(412), &synchronous.json())
    );
    assert_eq!(refused["error"]["findings"][0]["rule"], "r");

    let made = task(
        &api,
        path,
        json!({"message": "good", "metadata": {"k": "v"}, "date": 1_700_000_000}),
    )
    .await;
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

#[tokio::test]
async fn merge_task_ends_like_the_synchronous_merge() {
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
    let made = task(&api, "/refs/dev/merge/main", json!({"message": "merged"})).await;
    let head = api
        .get("/repositories/lake/commits/main")
        .await
        .expect(200)
        .json();
    assert_eq!(made["result"]["reference"], head["id"]);
    assert_eq!(head["message"], "merged");

    let conflict = task(&api, "/refs/other/merge/main", json!({})).await;
    let path = "/repositories/lake/refs/other/merge/main";
    let synchronous = api.post(path, &json!({})).await.expect(409);
    assert_eq!(synchronous.message(), "update branch main: conflict found");
    assert!(synchronous.hint().contains("`strategy`"));
    assert_eq!(
        (&conflict["status_code"], &conflict["error"]["message"]),
        (&json!(409), &json!(synchronous.message()))
    );
    assert_eq!(conflict["error"]["hint"], json!(synchronous.hint()));
    let async_path = "/repositories/lake/refs/dev/merge/main/async";
    let wrong = json!({"strategy": "mine"});
    api.post(async_path, &wrong).await.expect(400);
    let path = "/repositories/lake/refs/nowhere/merge/main/async";
    api.post(path, &json!({})).await.expect(404);
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

#[tokio::test]
async fn repository_is_restored_from_a_dump() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "a", "1").await.expect(201);
    let head = api.commit("lake", "main", "one").await;
    let ask = || Ask::default();
    let refs = api.ask(Method::PUT, "/repositories/lake/refs/dump", ask());
    let refs = refs.await.expect(201).json();
    let started = api
        .ask(Method::POST, "/repositories/lake/dump", ask())
        .await;
    let started = started.expect(202).json();
    let id = started["id"].as_str().unwrap();
    let dumped = done(
        &api,
        &format!("/repositories/lake/dump?task_id={id}"),
        "done",
    )
    .await;
    assert_eq!((&dumped["refs"], &dumped["progress"]), (&refs, &json!(3)));

    for name in ["one", "two"] {
        let name = json!({"name": format!("anew-{name}"), "storage_namespace": "mem://lake"});
        api.post("/repositories?bare=true", &name).await.expect(201);
    }
    let restore = "/repositories/anew-one/refs/restore";
    let answer = put(&api, restore, refs.clone()).await.expect(200);
    assert_eq!(answer.text(), "");
    let again = put(&api, restore, refs.clone()).await.expect(400);
    assert_eq!(again.message(), "can only restore into a bare repository");
    assert!(again.hint().contains("query parameter `bare`"));

    let started = api.post("/repositories/anew-two/restore", &refs).await;
    let started = started.expect(202).json();
    let id = started["id"].as_str().unwrap();
    let path = format!("/repositories/anew-two/restore?task_id={id}");
    assert_eq!(done(&api, &path, "done").await.get("error"), None);
    for name in ["one", "two"] {
        let path = format!("/repositories/anew-{name}/commits/main");
        let restored = api.get(&path).await.expect(200).json();
        assert_eq!(restored["id"], json!(head));
    }
    let started = api.post("/repositories/anew-two/restore", &refs).await;
    let started = started.expect(202).json();
    let id = started["id"].as_str().unwrap();
    let path = format!("/repositories/anew-two/restore?task_id={id}");
    let failed = done(&api, &path, "done").await;
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
