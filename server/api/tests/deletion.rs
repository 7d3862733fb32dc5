//! A repository in deletion, for example because a server died while deleting it.

use bytes::Bytes;
use http::Method;
use kv::Store as _;
use serde_json::json;

use crate::harness::{RequestParts, TestApi};

/// Query parameters for all routes.
const QUERY: &str = "path=p&dest_path=p&ref=main&id=x&task_id=x";
/// Bodies of the routes that validate a body before they load the repository.
const BODIES: &[(&str, &str)] = &[
    ("createBranch", r#"{"name": "b", "source": "main"}"#),
    ("createTag", r#"{"id": "t", "ref": "main"}"#),
    ("commit", r#"{"message": "m"}"#),
    ("setRepositoryMetadata", r#"{"metadata": {"k": "v"}}"#),
    ("deleteRepositoryMetadata", r#"{"keys": ["k"]}"#),
    ("deleteObjects", r#"{"paths": ["p"]}"#),
    ("copyObject", r#"{"src_path": "p"}"#),
    ("revertBranch", r#"{"ref": "main", "parent_number": 0}"#),
    ("cherryPick", r#"{"ref": "main"}"#),
    ("resetBranch", r#"{"type": "reset"}"#),
    (
        "setGCRules",
        r#"{"default_retention_days": 1, "branches": []}"#,
    ),
    ("setBranchProtectionRules", r#"[{"pattern": "main"}]"#),
    (
        "createPullRequest",
        r#"{"title": "t", "source_branch": "a", "destination_branch": "b"}"#,
    ),
];

/// Marks the stored record of the repository as in deletion.
async fn mark(api: &TestApi) {
    let uid = "c000000000000000000g";
    let record = format!("\x0a\x04gone\x12\x0amem://gone\x1a\x04main\x28\x01\x32\x14{uid}");
    let set = api
        .lake
        .kv
        .set(b"graveler", b"repos/gone", Bytes::from(record));
    set.await.unwrap();
}

#[tokio::test]
async fn every_route_answers_410_during_the_deletion() {
    let api = TestApi::new().await;
    mark(&api).await;
    let (mut gone, mut preflights) = (Vec::new(), Vec::new());
    for route in api::ROUTES {
        let (method, path, operation) = (route.method, route.path, &route.operation);
        // `deleteRepository` resumes the deletion.
        if *operation == "deleteRepository" || !path.contains("{repository}") {
            continue;
        }
        let path: String = path
            .split('/')
            .map(|part| match part {
                "{repository}" => "gone",
                "{type}" => "range",
                "{partNumber}" => "1",
                part if part.starts_with('{') => "x",
                part => part,
            })
            .collect::<Vec<_>>()
            .join("/");
        let body = BODIES.iter().find(|(id, _)| id == operation);
        let parts = RequestParts {
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.map_or("", |(_, body)| body).as_bytes().to_vec(),
            anonymous: false,
        };
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
        let answer = api.request(method, &format!("{path}?{QUERY}"), parts).await;
        match answer.status {
            410 => gone.push(*operation),
            // A preflight checks permissions and need not load the repository.
            204 if operation.ends_with("Preflight") => preflights.push(*operation),
            // Not implemented, or it requires a body that this test does not send.
            501 => {}
            400 if body.is_none() && answer.message().starts_with("request body") => {}
            other => panic!("{operation}: {other} {:?}", answer.body),
        }
    }
    assert!(gone.len() >= 30, "{gone:?}");
    assert_eq!(preflights, ["uploadObjectPreflight"]);
}

#[tokio::test]
async fn name_is_free_after_the_deletion() {
    let api = TestApi::new().await;
    mark(&api).await;
    let same_name = json!({"name": "gone", "storage_namespace": "mem://anew"});
    let message = api
        .post("/repositories", &same_name)
        .await
        .expect(410)
        .message();
    assert!(message.contains("being deleted"), "{message}");
    let listed = api.get("/repositories").await.expect(200).json();
    assert_eq!(listed["results"], json!([]));
    assert_eq!(api.lake.finish_deletions().await.unwrap(), 1);
    api.get("/repositories/gone").await.expect(404);
    api.post("/repositories", &same_name).await.expect(201);
}

#[tokio::test]
async fn second_delete_request_completes_the_deletion() {
    let api = TestApi::new().await;
    mark(&api).await;
    api.delete("/repositories/gone").await.expect(204);
    api.delete("/repositories/gone").await.expect(404);
}
