//! Fields of requests reach the catalog, and its results reach the right fields of responses.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{RequestParts, TestApi};

/// `main` with `changed` and `removed`, and `dev`, which changes, adds and removes an object.
async fn two_branches() -> TestApi {
    let api = TestApi::new().await;
    api.repository("lake").await;
    for path in ["changed", "removed"] {
        api.put_object("lake", "main", path, "1").await.expect(201);
    }
    api.commit("lake", "main", "base").await;
    let dev = json!({"name": "dev", "source": "main"});
    api.post("/repositories/lake/branches", &dev)
        .await
        .expect(201);
    let path = "/repositories/lake/branches/dev/objects?path=changed";
    let parts = RequestParts {
        headers: vec![
            ("content-type", "text/csv".to_owned()),
            ("x-lakefs-meta-from", "vendor".to_owned()),
        ],
        body: b"other".to_vec(),
        anonymous: false,
    };
    api.request(Method::POST, path, parts).await.expect(201);
    api.put_object("lake", "dev", "added", "1")
        .await
        .expect(201);
    api.delete("/repositories/lake/branches/dev/objects?path=removed")
        .await
        .expect(204);
    api.commit("lake", "dev", "work").await;
    api
}

#[tokio::test]
async fn diff_includes_the_right_side_on_request() {
    let api = two_branches().await;
    let stat = api
        .get("/repositories/lake/refs/dev/objects/stat?path=changed")
        .await
        .expect(200)
        .json();
    for kind in ["two_dot", "three_dot"] {
        let path = format!("/repositories/lake/refs/main/diff/dev?type={kind}");
        let plain = api.get(&path).await.expect(200).json();
        let with = format!("{path}&include_right_stats=true");
        let with = api.get(&with).await.expect(200).json();
        let rows = |diff: &Value| diff["results"].as_array().unwrap().clone();
        let paths: Vec<_> = rows(&plain).iter().map(|row| row["path"].clone()).collect();
        assert_eq!(paths, ["added", "changed", "removed"], "{kind}");
        for row in rows(&plain) {
            assert!(row.get("right").is_none(), "{kind}: {row}");
        }
        let right = &rows(&with)[1]["right"];
        for field in ["checksum", "mtime", "content_type", "metadata"] {
            assert_eq!(right[field], stat[field], "{kind}: {field} of {right}");
        }
        assert_eq!(right["metadata"], json!({"from": "vendor"}), "{kind}");
        assert!(
            rows(&with)[0]["right"].is_object(),
            "{kind}: the added object"
        );
        let gone = &rows(&with)[2];
        assert!(gone.get("right").is_none(), "{kind}: {gone}");
    }
}

async fn commit(api: &TestApi, reference: &str) -> Value {
    let path = format!("/repositories/lake/commits/{reference}");
    api.get(&path).await.expect(200).json()
}

/// The path that commits a tree to `main`.
fn commits_of(tree: &Value) -> String {
    let tree = tree.as_str().unwrap();
    format!("/repositories/lake/branches/main/commits?source_metarange={tree}")
}

#[tokio::test]
async fn source_metarange_is_committed() {
    let api = two_branches().await;
    let tree = commit(&api, "dev").await["meta_range_id"].clone();
    let body = json!({"message": "as on dev"});
    let made = api.post(&commits_of(&tree), &body).await.expect(201).json();
    assert_eq!(made["meta_range_id"], tree);
    assert_eq!(commit(&api, "main").await["id"], made["id"]);
}

#[tokio::test]
async fn source_metarange_must_change_the_branch() {
    let api = two_branches().await;
    let tree = commit(&api, "main").await["meta_range_id"].clone();
    let again = api.post(&commits_of(&tree), &json!({"message": "m"})).await;
    let message = again.expect(400).message();
    assert!(message.contains("no changes"), "{message}");
}

#[tokio::test]
async fn source_metarange_needs_a_branch_without_changes() {
    let api = two_branches().await;
    let tree = commit(&api, "dev").await["meta_range_id"].clone();
    api.put_object("lake", "main", "b", "1").await.expect(201);
    let dirty = api.post(&commits_of(&tree), &json!({"message": "m"})).await;
    let message = dirty.expect(400).message();
    assert!(message.contains("uncommitted changes"), "{message}");
}

#[tokio::test]
async fn malformed_source_metarange_is_refused() {
    let api = two_branches().await;
    let path = commits_of(&json!("main"));
    let bad = api.post(&path, &json!({"message": "m"})).await;
    let message = bad.expect(400).message();
    assert!(message.contains("metarange id"), "{message}");
}

/// The request that records an existing commit.
fn record_of(commit: &Value) -> Value {
    let mut record = commit.clone();
    let fields = record.as_object_mut().unwrap();
    for (from, to) in [("id", "commit_id"), ("meta_range_id", "metarange_id")] {
        let value = fields.remove(from).unwrap();
        fields.insert(to.to_owned(), value);
    }
    record
}

#[tokio::test]
async fn recorded_commit_is_read_back_unchanged() {
    let api = two_branches().await;
    let commits = "/repositories/lake/commits";
    let (main, dev) = (commit(&api, "main").await, commit(&api, "dev").await);
    let mut elsewhere = json!({
        "parents": [main["id"], dev["id"]],
        "committer": "someone else",
        "message": "made elsewhere",
        "creation_date": 1_600_000_000,
        "meta_range_id": dev["meta_range_id"],
        "metadata": {"k": "v", "": "none"},
        "generation": 5_000,
        "version": 0,
        "id": "0".repeat(64),
    });
    // The error for a wrong id contains the right one.
    let refused = api.post(commits, &record_of(&elsewhere)).await.expect(400);
    let hint = refused.hint();
    let id = hint.split("commit id ").nth(1).unwrap();
    elsewhere["id"] = json!(id[..64]);
    // A second record of the same commit is refused and leaves the first unchanged.
    for status in [204, 409] {
        api.post(commits, &record_of(&elsewhere))
            .await
            .expect(status);
        assert_eq!(commit(&api, &id[..64]).await, elsewhere);
    }
    assert_eq!(commit(&api, "main").await, main, "no branch moved");

    for (field, value, status) in [
        ("generation", json!(1), 400),
        // The id does not cover these fields. The commit is therefore the existing one.
        ("generation", json!(5_001), 409),
        ("version", json!(1), 409),
        ("metadata", json!({"k": "w"}), 400),
        ("parents", json!([dev["id"], main["id"]]), 400),
        ("parents", json!(["0".repeat(64)]), 400),
        ("meta_range_id", json!("0".repeat(64)), 400),
    ] {
        let mut wrong = elsewhere.clone();
        wrong[field] = value;
        let refused = api.post(commits, &record_of(&wrong)).await;
        assert_eq!(commit(&api, &id[..64]).await, elsewhere, "{field}");
        assert_eq!(refused.status, status, "{field}: {}", refused.text());
    }
}
