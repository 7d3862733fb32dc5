//! Branch protection, garbage collection rules and pull requests, as clients of lakeFS use them.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Ask, TestApi};

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
    let ask = Ask {
        headers,
        body: body.to_string().into_bytes(),
        anonymous: false,
    };
    api.ask(method, path, ask).await
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

#[tokio::test]
async fn pull_request_is_opened_changed_and_merged() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let dev = json!({"name": "dev", "source": "main"});
    api.post("/repositories/lake/branches", &dev)
        .await
        .expect(201);
    api.put_object("lake", "dev", "a", "x").await.expect(201);
    api.commit("lake", "dev", "a").await;

    let pulls = "/repositories/lake/pulls";
    let new = json!({"title": "one", "description": "text", "source_branch": "dev", "destination_branch": "main"});
    let made = api.post(pulls, &new).await.expect(201).json();
    let one = format!("{pulls}/{}", made["id"].as_str().unwrap());
    let itself = json!({"title": "t", "source_branch": "main", "destination_branch": "main"});
    api.post(pulls, &itself).await.expect(400);
    let unknown = json!({"title": "t", "source_branch": "none", "destination_branch": "main"});
    api.post(pulls, &unknown).await.expect(404);

    let opened = api.get(&one).await.expect(200).json();
    assert_eq!(
        opened,
        json!({
            "id": made["id"], "status": "open", "title": "one", "description": "text", "author": "admin",
            "creation_date": opened["creation_date"], "source_branch": "dev", "destination_branch": "main",
        })
    );
    api.get(&format!("{pulls}/none")).await.expect(400);
    api.get(&format!("{pulls}?status=x")).await.expect(400);
    let open = api.get(&format!("{pulls}?status=open")).await.json();
    assert_eq!(open["results"], json!([opened]));

    send(&api, Method::PATCH, &one, &json!({"title": "renamed"}))
        .await
        .expect(204);
    let merge = format!("{one}/merge");
    let merged = send(&api, Method::PUT, &merge, &json!({})).await;
    let merged = merged.expect(200).json();
    send(&api, Method::PUT, &merge, &json!({}))
        .await
        .expect(400);
    send(&api, Method::PATCH, &one, &json!({"status": "open"}))
        .await
        .expect(400);
    let after = api.get(&one).await.expect(200).json();
    assert_eq!(
        (
            &after["status"],
            &after["title"],
            &after["merged_commit_id"]
        ),
        (&json!("merged"), &json!("renamed"), &merged["reference"])
    );
    assert!(after["closed_date"].is_string());
    let closed = api.get(&format!("{pulls}?status=closed")).await.json();
    assert_eq!(closed["results"], json!([after]));
    let open = api.get(&format!("{pulls}?status=open")).await.json();
    assert_eq!(open["pagination"]["results"], 0);
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
