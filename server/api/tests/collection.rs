//! Data for external jobs: files of trees, symlink files, garbage collection lists.

use http::Method;
use serde_json::json;

use crate::harness::{Answer, RequestParts, TestApi};

const METADATA: &str = "/repositories/lake/metadata";

/// A repository with a commit, and the id of its tree.
async fn tree() -> (TestApi, String) {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "a", "1").await.expect(201);
    let commit = api.commit("lake", "main", "first").await;
    let path = format!("/repositories/lake/commits/{commit}");
    let tree = api.get(&path).await.expect(200).json()["meta_range_id"].clone();
    (api, tree.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn trees_are_found_by_id() {
    let (api, tree) = tree().await;
    for kind in ["meta_range", "range"] {
        let found = api.get(&format!("{METADATA}/{kind}/{tree}")).await;
        let found = found.expect(200);
        let location = format!("_lakefs/{tree}");
        assert_eq!(found.json(), json!({"location": location}));
        assert_eq!(found.header("location"), location);
        api.get(&format!("{METADATA}/{kind}/..%2Fdata"))
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn trees_are_read_by_id() {
    let (api, tree) = tree().await;
    let path = format!("{METADATA}/object/meta_range");
    let file = api.get(&format!("{path}/{tree}")).await.expect(200);
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert_eq!(file.header("content-length"), file.body.len().to_string());
    let unknown = "0".repeat(64);
    let gone = api.get(&format!("{path}/{unknown}")).await.expect(410);
    for answer in [file, gone] {
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'"
        );
        assert_eq!(answer.header("x-frame-options"), "SAMEORIGIN");
    }
}

#[tokio::test]
async fn malformed_requests_for_trees_are_refused() {
    let (api, tree) = tree().await;
    for (path, words) in [
        (
            format!("meta_range/{tree}?presign=true"),
            "presigned URL: operation not supported",
        ),
        (
            "meta_range/..%2Fdata".to_owned(),
            "64 lower-case hex digits",
        ),
        (format!("commit/{tree}"), "range, meta_range"),
    ] {
        let refused = api.get(&format!("{METADATA}/object/{path}")).await;
        let message = refused.expect(400).message();
        assert!(message.contains(words), "{path}: {message}");
    }
}

/// A repository with an uncommitted object.
async fn lake() -> TestApi {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "t/a", "1").await.expect(201);
    api
}

/// The same with rules for garbage collection.
async fn with_rules() -> TestApi {
    let api = lake().await;
    let rules = catalog::GcRules {
        default_retention_days: 7,
        ..catalog::GcRules::default()
    };
    let repository = api.lake.catalog.reader().repository("lake").await.unwrap();
    api.lake.set_gc_rules(&repository, &rules).await.unwrap();
    api
}

/// Sends a request without a body.
async fn post(api: &TestApi, path: &str) -> Answer {
    let path = format!("/repositories/lake/{path}");
    api.request(Method::POST, &path, RequestParts::default())
        .await
}

const LISTS: &str = "mem://lake/_lakefs/retention/gc";

#[tokio::test]
async fn symlinks_are_written() {
    let api = lake().await;
    let symlinks = post(&api, "refs/main/symlink?location=t/").await;
    assert_eq!(
        symlinks.expect(201).json(),
        json!({"location": "mem://lake/symlinks"})
    );
    post(&api, "refs/none/symlink").await.expect(404);
}

#[tokio::test]
async fn lists_of_commits_need_rules() {
    let api = lake().await;
    for path in ["gc/prepare_commits", "gc/prepare_commits/async"] {
        post(&api, path).await.expect(404);
    }
}

#[tokio::test]
async fn lists_of_commits_are_written() {
    let api = with_rules().await;
    let prepared = post(&api, "gc/prepare_commits").await.expect(201).json();
    let run = prepared["run_id"].as_str().unwrap();
    let expected = json!({
        "run_id": run,
        "gc_commits_location": format!("{LISTS}/commits/run_id={run}/commits.csv"),
        "gc_addresses_location": format!("{LISTS}/addresses"),
    });
    assert_eq!(prepared, expected);
}

#[tokio::test]
async fn lists_of_commits_are_written_by_a_task() {
    let api = with_rules().await;
    let prepared = post(&api, "gc/prepare_commits").await.expect(201).json();
    let task = post(&api, "gc/prepare_commits/async").await.expect(202);
    let task = task.json()["id"].clone();
    let status = "/repositories/lake/gc/prepare_commits/status";
    api.lake.drain().await;
    let path = format!("{status}?id={}", task.as_str().unwrap());
    let ended = api.get(&path).await.expect(200).json();
    assert_eq!(
        (&ended["task_id"], &ended["completed"]),
        (&task, &json!(true))
    );
    assert_eq!(
        ended["result"]["gc_addresses_location"],
        prepared["gc_addresses_location"]
    );
    assert_ne!(ended["result"]["run_id"], prepared["run_id"]);
    api.get(&format!("{status}?id=GCPCnone")).await.expect(404);
}

#[tokio::test]
async fn lists_of_uncommitted_objects_are_written() {
    let api = lake().await;
    let path = "/repositories/lake/gc/prepare_uncommited";
    for body in [json!({}), json!({"continuation_token": ""})] {
        let prepared = api.post(path, &body).await.expect(201).json();
        let run = prepared["run_id"].as_str().unwrap();
        let expected = json!({
            "run_id": run,
            "gc_uncommitted_location": format!("{LISTS}/uncommitted/{run}/uncommitted"),
        });
        assert_eq!(prepared, expected);
    }
    post(&api, "gc/prepare_uncommited").await.expect(201);
    let forged = json!({"continuation_token": "forged"});
    let message = api.post(path, &forged).await.expect(400).message();
    assert!(message.contains("continuation token"), "{message}");
}
