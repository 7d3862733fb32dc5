//! Data for external jobs: files of trees, symlink files, garbage collection lists.

use http::Method;
use serde_json::json;

use crate::harness::{Ask, TestApi};

#[tokio::test]
async fn trees_are_found_and_read_by_id() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "a", "1").await.expect(201);
    let commit = api.commit("lake", "main", "first").await;
    let commit = api
        .get(&format!("/repositories/lake/commits/{commit}"))
        .await
        .json();
    let tree = commit["meta_range_id"].as_str().unwrap();
    let metadata = "/repositories/lake/metadata";
    for kind in ["meta_range", "range"] {
        let answer = api
            .get(&format!("{metadata}/{kind}/{tree}"))
            .await
            .expect(200);
        let location = format!("_lakefs/{tree}");
        assert_eq!(answer.json(), json!({"location": location}));
        assert_eq!(answer.header("location"), location);
        api.get(&format!("{metadata}/{kind}/..%2Fdata"))
            .await
            .expect(400);
    }
    let object = format!("{metadata}/object/meta_range");
    let answer = api.get(&format!("{object}/{tree}")).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(
        answer.header("content-length"),
        answer.body.len().to_string()
    );
    let unknown = "0".repeat(64);
    let gone = api.get(&format!("{object}/{unknown}")).await.expect(410);
    for answer in [answer, gone] {
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'"
        );
        assert_eq!(answer.header("x-frame-options"), "SAMEORIGIN");
    }
    for (path, words) in [
        (
            format!("{object}/{tree}?presign=true"),
            "presigned URL: operation not supported",
        ),
        (format!("{object}/..%2Fdata"), "64 lower-case hex digits"),
        (
            format!("{metadata}/object/commit/{tree}"),
            "range, meta_range",
        ),
    ] {
        let message = api.get(&path).await.expect(400).message();
        assert!(message.contains(words), "{path}: {message}");
    }
}

#[tokio::test]
async fn symlinks_and_garbage_collection_lists_are_written() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "t/a", "1").await.expect(201);
    let post = async |path: &str| {
        let path = format!("/repositories/lake/{path}");
        api.ask(Method::POST, &path, Ask::default()).await
    };
    let symlinks = post("refs/main/symlink?location=t/").await.expect(201);
    assert_eq!(symlinks.json(), json!({"location": "mem://lake/symlinks"}));
    post("refs/none/symlink").await.expect(404);

    post("gc/prepare_commits").await.expect(404);
    post("gc/prepare_commits/async").await.expect(404);
    let rules = catalog::GcRules {
        default_retention_days: 7,
        ..catalog::GcRules::default()
    };
    let repository = api.lake.catalog.reader().repository("lake").await.unwrap();
    api.lake.set_gc_rules(&repository, &rules).await.unwrap();
    let prepared = post("gc/prepare_commits").await.expect(201).json();
    let run = prepared["run_id"].as_str().unwrap();
    let folder = "mem://lake/_lakefs/retention/gc";
    let expected = json!({
        "run_id": run,
        "gc_commits_location": format!("{folder}/commits/run_id={run}/commits.csv"),
        "gc_addresses_location": format!("{folder}/addresses"),
    });
    assert_eq!(prepared, expected);

    let task = post("gc/prepare_commits/async").await.expect(202).json();
    let task = task["id"].as_str().unwrap();
    let path = format!("/repositories/lake/gc/prepare_commits/status?id={task}");
    api.lake.drain().await;
    let status = api.get(&path).await.expect(200).json();
    assert_eq!(
        (&status["task_id"], &status["completed"]),
        (&json!(task), &json!(true))
    );
    assert_eq!(
        status["result"]["gc_addresses_location"],
        prepared["gc_addresses_location"]
    );
    assert_ne!(status["result"]["run_id"], prepared["run_id"]);
    let unknown = "/repositories/lake/gc/prepare_commits/status?id=GCPCnone";
    api.get(unknown).await.expect(404);

    for body in [json!({}), json!({"continuation_token": ""})] {
        let path = "/repositories/lake/gc/prepare_uncommited";
        let prepared = api.post(path, &body).await.expect(201).json();
        let run = prepared["run_id"].as_str().unwrap();
        let expected = json!({
            "run_id": run,
            "gc_uncommitted_location": format!("{folder}/uncommitted/{run}/uncommitted"),
        });
        assert_eq!(prepared, expected);
        let forged = json!({"continuation_token": "forged"});
        let message = api.post(path, &forged).await.expect(400).message();
        assert!(message.contains("continuation token"), "{message}");
    }
    post("gc/prepare_uncommited").await.expect(201);
}
