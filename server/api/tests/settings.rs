//! Branch protection, garbage collection rules and pull requests, as clients of lakeFS use them.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, RequestParts, TestApi};

async fn send(api: &TestApi, method: Method, path: &str, body: &Value) -> Answer {
    send_if(api, method, path, body, None).await
}

async fn send_if(
    api: &TestApi,
    method: Method,
    path: &str,
    body: &Value,
    if_match: Option<&str>,
) -> Answer {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(if_match.map(|tag| ("if-match", tag.to_owned())));
    let parts = RequestParts {
        headers,
        body: body.to_string().into_bytes(),
        anonymous: false,
    };
    api.request(method, path, parts).await
}

const PROTECTION: &str = "/repositories/lake/settings/branch_protection";

/// A repository whose branch `main` is protected.
async fn protected() -> TestApi {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let rules = json!([{"pattern": "ma*"}]);
    send(&api, Method::PUT, PROTECTION, &rules)
        .await
        .expect(204);
    api
}

#[tokio::test]
async fn branch_protection_rules_have_an_etag() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let none = api.get(PROTECTION).await.expect(200);
    assert!(none.headers.contains_key("etag"));
    assert_eq!((none.header("etag"), none.json()), ("", json!([])));
    let rules = json!([{"pattern": "ma*"}]);
    send_if(&api, Method::PUT, PROTECTION, &rules, Some(""))
        .await
        .expect(204);
    let set = api.get(PROTECTION).await.expect(200);
    assert_eq!((set.header("etag").len(), set.json()), (64, rules));
}

#[tokio::test]
async fn branch_protection_rules_are_set_only_with_the_current_etag() {
    let api = protected().await;
    let set = api.get(PROTECTION).await.expect(200);
    let stale = send_if(&api, Method::PUT, PROTECTION, &json!([]), Some("stale")).await;
    assert_eq!(stale.expect(412).message(), "Precondition failed");
    let current = format!("\"{}\"", set.header("etag"));
    let both = json!([{"pattern": "main"}, {"pattern": "a*"}]);
    send_if(&api, Method::PUT, PROTECTION, &both, Some(&current))
        .await
        .expect(204);
    assert_eq!(api.get(PROTECTION).await.json(), both);
}

#[tokio::test]
async fn protected_branch_takes_no_writes_and_commits() {
    let api = protected().await;
    let refused = api.put_object("lake", "main", "p", "x").await.expect(403);
    assert_eq!(refused.message(), "cannot write to protected branch");
    let hint = refused.hint();
    assert!(
        hint.contains("branch main takes no direct writes and commits"),
        "{hint}"
    );
    let commits = "/repositories/lake/branches/main/commits";
    let refused = api.post(commits, &json!({"message": "m"})).await;
    assert_eq!(
        refused.expect(403).message(),
        "cannot commit to protected branch"
    );
}

#[tokio::test]
async fn malformed_branch_protection_rule_is_refused() {
    let api = protected().await;
    let malformed = json!([{"pattern": "[a"}]);
    send(&api, Method::PUT, PROTECTION, &malformed)
        .await
        .expect(400);
    assert_eq!(
        api.get(PROTECTION).await.json(),
        json!([{"pattern": "ma*"}])
    );
}

#[tokio::test]
async fn former_paths_of_branch_protection_work() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let path = "/repositories/lake/branch_protection";
    api.get(&format!("{path}/set_allowed")).await.expect(204);
    api.get("/repositories/none/branch_protection/set_allowed")
        .await
        .expect(404);
    let rule = json!({"pattern": "main"});
    api.post(path, &rule).await.expect(204);
    api.post(path, &rule).await.expect(409);
    api.post(path, &json!({"pattern": "dev"})).await.expect(204);
    assert_eq!(
        api.get(path).await.expect(200).json(),
        json!([{"pattern": "main"}, {"pattern": "dev"}])
    );
    api.put_object("lake", "main", "p", "x").await.expect(403);
    send(&api, Method::DELETE, path, &rule).await.expect(204);
    send(&api, Method::DELETE, path, &rule).await.expect(404);
    api.put_object("lake", "main", "p", "x").await.expect(201);
}

#[tokio::test]
async fn garbage_collection_rules_are_set_and_deleted() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let (path, former) = (
        "/repositories/lake/settings/gc_rules",
        "/repositories/lake/gc/rules",
    );
    api.get(&format!("{former}/set_allowed")).await.expect(204);
    api.get("/repositories/none/gc/rules/set_allowed")
        .await
        .expect(404);
    for (put, path) in [(Method::PUT, path), (Method::POST, former)] {
        api.get(path).await.expect(404);
        let rules = json!({"default_retention_days": 21, "branches": [{"branch_id": "main", "retention_days": 7}]});
        send(&api, put.clone(), path, &rules).await.expect(204);
        assert_eq!(api.get(path).await.expect(200).json(), rules);
        let bad = json!({"default_retention_days": -1, "branches": []});
        send(&api, put, path, &bad).await.expect(400);
        assert_eq!(api.get(path).await.expect(200).json(), rules);
        api.delete(path).await.expect(204);
        api.delete(path).await.expect(204);
    }
}

const PULLS: &str = "/repositories/lake/pulls";

/// A server whose repository `lake` has a commit on `dev` that `main` does not have.
async fn lake_to_merge() -> TestApi {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let dev = json!({"name": "dev", "source": "main"});
    api.post("/repositories/lake/branches", &dev)
        .await
        .expect(201);
    api.put_object("lake", "dev", "a", "x").await.expect(201);
    api.commit("lake", "dev", "a").await;
    api
}

/// Opens a pull request of `dev` into `main`, and returns its path.
async fn open_pull(api: &TestApi) -> String {
    let new = json!({"title": "one", "description": "text", "source_branch": "dev", "destination_branch": "main"});
    let made = api.post(PULLS, &new).await.expect(201).json();
    format!("{PULLS}/{}", made["id"].as_str().unwrap())
}

#[tokio::test]
async fn pull_request_needs_two_existing_branches() {
    let api = lake_to_merge().await;
    let itself = json!({"title": "t", "source_branch": "main", "destination_branch": "main"});
    api.post(PULLS, &itself).await.expect(400);
    let unknown = json!({"title": "t", "source_branch": "none", "destination_branch": "main"});
    api.post(PULLS, &unknown).await.expect(404);
}

#[tokio::test]
async fn open_pull_request_is_read_and_listed() {
    let api = lake_to_merge().await;
    let one = open_pull(&api).await;
    let id = one.rsplit('/').next().unwrap();
    let opened = api.get(&one).await.expect(200).json();
    assert_eq!(
        opened,
        json!({
            "id": id, "status": "open", "title": "one", "description": "text", "author": "admin",
            "creation_date": opened["creation_date"], "source_branch": "dev", "destination_branch": "main",
        })
    );
    let open = api.get(&format!("{PULLS}?status=open")).await.json();
    assert_eq!(open["results"], json!([opened]));
}

#[tokio::test]
async fn malformed_id_and_status_of_a_pull_request_are_refused() {
    let api = lake_to_merge().await;
    api.get(&format!("{PULLS}/none")).await.expect(400);
    api.get(&format!("{PULLS}?status=x")).await.expect(400);
}

#[tokio::test]
async fn pull_request_is_renamed() {
    let api = lake_to_merge().await;
    let one = open_pull(&api).await;
    let title = json!({"title": "renamed"});
    send(&api, Method::PATCH, &one, &title).await.expect(204);
    assert_eq!(api.get(&one).await.expect(200).json()["title"], "renamed");
}

#[tokio::test]
async fn merged_pull_request_is_closed_with_its_commit() {
    let api = lake_to_merge().await;
    let one = open_pull(&api).await;
    let merge = format!("{one}/merge");
    let merged = send(&api, Method::PUT, &merge, &json!({})).await;
    let merged = merged.expect(200).json();
    let after = api.get(&one).await.expect(200).json();
    assert_eq!(
        (&after["status"], &after["merged_commit_id"]),
        (&json!("merged"), &merged["reference"])
    );
    assert!(after["closed_date"].is_string());
    let closed = api.get(&format!("{PULLS}?status=closed")).await.json();
    assert_eq!(closed["results"], json!([after]));
    let open = api.get(&format!("{PULLS}?status=open")).await.json();
    assert_eq!(open["pagination"]["results"], 0);
}

#[tokio::test]
async fn merged_pull_request_is_final() {
    let api = lake_to_merge().await;
    let one = open_pull(&api).await;
    let merge = format!("{one}/merge");
    send(&api, Method::PUT, &merge, &json!({}))
        .await
        .expect(200);
    send(&api, Method::PUT, &merge, &json!({}))
        .await
        .expect(400);
    let reopened = json!({"status": "open"});
    send(&api, Method::PATCH, &one, &reopened).await.expect(400);
}

#[tokio::test]
async fn conflict_of_a_pull_request_returns_a_merge_result() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let dev = json!({"name": "dev", "source": "main"});
    api.post("/repositories/lake/branches", &dev)
        .await
        .expect(201);
    for branch in ["dev", "main"] {
        api.put_object("lake", branch, "a", branch)
            .await
            .expect(201);
        api.commit("lake", branch, "a").await;
    }
    let new = json!({"title": "", "source_branch": "dev", "destination_branch": "main"});
    let made = api.post("/repositories/lake/pulls", &new).await.expect(201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let merge = format!("/repositories/lake/pulls/{id}/merge");
    let conflict = send(&api, Method::PUT, &merge, &json!({})).await;
    let conflict = conflict.expect(409).json();
    assert_eq!(
        (&conflict["reference"], &conflict["conflicts"]),
        (&json!(""), &json!(["a"]))
    );
}
