//! Limits on the size of records and bodies.

use catalog::{
    MAX_COMMIT_METADATA_BYTES, MAX_MESSAGE_BYTES, MAX_REPOSITORY_METADATA_BYTES,
    MAX_USER_METADATA_BYTES,
};
use http::Method;
use serde_json::json;

use crate::harness::{Answer, RequestParts, TestApi};

#[track_caller]
fn is_refused(answer: Answer, what: &str) {
    let message = answer.expect(400).message();
    assert!(
        message.contains(what) && message.contains("at most"),
        "{message}"
    );
}

#[tokio::test]
async fn commit_and_merge_texts_are_limited() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.post(
        "/repositories/lake/branches",
        &json!({"name": "dev", "source": "main"}),
    )
    .await
    .expect(201);
    api.put_object("lake", "dev", "a", "1").await.expect(201);
    let commits = "/repositories/lake/branches/dev/commits";
    let merge = "/repositories/lake/refs/dev/merge/main";
    // At the limit, and one byte above.
    let message = "m".repeat(MAX_MESSAGE_BYTES);
    let value = "v".repeat(MAX_COMMIT_METADATA_BYTES - 1);
    for path in [commits, merge] {
        let body = json!({"message": format!("{message}+")});
        is_refused(api.post(path, &body).await, "message");
        let body = json!({"message": "m", "metadata": {"k": format!("{value}+")}});
        is_refused(api.post(path, &body).await, "commit metadata");
        let body = json!({"message": message, "metadata": {"k": value}});
        let made = api.post(path, &body).await;
        assert!(matches!(made.status, 200 | 201), "{:?}", made.body);
    }
}

#[tokio::test]
async fn user_metadata_is_limited() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let upload = async |bytes: usize| {
        let parts = RequestParts {
            headers: vec![
                ("content-type", "text/plain".to_owned()),
                ("x-lakefs-meta-k", "v".repeat(bytes - 1)),
            ],
            ..RequestParts::default()
        };
        let path = "/repositories/lake/branches/main/objects?path=a";
        api.request(Method::POST, path, parts).await
    };
    is_refused(upload(MAX_USER_METADATA_BYTES + 1).await, "user metadata");
    upload(MAX_USER_METADATA_BYTES).await.expect(201);
}

#[tokio::test]
async fn repository_metadata_is_limited() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let set = async |key: &str, bytes: usize| {
        let body = json!({"metadata": {key: "v".repeat(bytes - 1)}});
        api.post("/repositories/lake/metadata", &body).await
    };
    set("a", MAX_REPOSITORY_METADATA_BYTES).await.expect(204);
    is_refused(set("b", 1).await, "repository metadata");
    set("a", 1).await.expect(204);
    set("b", 1).await.expect(204);
}

#[tokio::test]
async fn anonymous_bodies_are_limited() {
    let api = TestApi::new().await;
    let send = async |path: &str, bytes: usize| {
        let parts = RequestParts {
            headers: vec![("content-type", "application/json".to_owned())],
            body: json!({"username": "u".repeat(bytes)})
                .to_string()
                .into_bytes(),
            anonymous: true,
        };
        api.request(Method::POST, path, parts).await
    };
    // Every operation that has a body and needs no credentials.
    for path in [
        "/setup_lakefs",
        "/setup_comm_prefs",
        "/auth/login",
        "/auth/external/principal/login",
        "/sts/login",
    ] {
        let message = send(path, 8 << 10).await.expect(413).message();
        assert!(message.contains("8192 bytes"), "{path}: {message}");
        let fits = send(path, 8000).await.status;
        assert_ne!(fits, 413, "{path}");
    }
    // All other operations refuse an anonymous request before they read the body.
    send("/repositories", 8 << 10).await.expect(401);
}

#[tokio::test]
async fn number_of_values_in_a_body_is_limited() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let paths = vec![""; 120_000];
    let path = "/repositories/lake/branches/main/objects/delete";
    let message = api
        .post(path, &json!({"paths": paths}))
        .await
        .expect(413)
        .message();
    assert!(message.contains("100000 values"), "{message}");
}

/// Guards against a bug: the answer to a name of 9 MB contained the whole name.
#[tokio::test]
async fn long_values_are_not_repeated_in_errors() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let long = "x".repeat(1 << 20);
    let (tags, pulls) = ("/repositories/lake/tags", "/repositories/lake/pulls");
    for (path, body) in [
        (
            "/repositories",
            json!({"name": "l", "storage_namespace": "mem://l", "default_branch": &long}),
        ),
        (
            "/repositories",
            json!({"name": "l", "storage_namespace": format!("other://{long}")}),
        ),
        (
            "/repositories",
            json!({"name": "l", "storage_namespace": format!("mem://../{long}")}),
        ),
        (
            "/repositories",
            json!({"name": &long, "storage_namespace": "mem://l"}),
        ),
        (tags, json!({"id": &long, "ref": "main"})),
        (tags, json!({"id": format!("~{long}"), "ref": "main"})),
        (tags, json!({"id": "t", "ref": &long})),
        (
            pulls,
            json!({"title": "t", "source_branch": &long, "destination_branch": "main"}),
        ),
        (
            "/repositories/lake/branches",
            json!({"name": &long, "source": "main"}),
        ),
        (
            "/repositories/lake/branches",
            json!({"name": "b", "source": &long}),
        ),
        (
            "/repositories/lake/branches/main/commits",
            json!({"message": {"x": &long}}),
        ),
        (
            "/repositories/lake/branches/main/objects/copy?dest_path=b",
            json!({"src_path": &long}),
        ),
        (
            "/repositories/lake/branches/main/objects/copy?dest_path=b",
            json!({"src_path": "a", "src_ref": &long}),
        ),
        (
            "/repositories/lake/branches/main/revert",
            json!({"ref": &long, "parent_number": 0}),
        ),
        (
            "/repositories/lake/branches/main/cherry-pick",
            json!({"ref": &long}),
        ),
        (
            "/repositories/lake/refs/main/merge/main",
            json!({"strategy": &long}),
        ),
    ] {
        let refused = api.post(path, &body).await;
        assert!(
            (400..500).contains(&refused.status),
            "{path}: {}",
            refused.status
        );
        assert!(
            refused.body.len() < 20 << 10,
            "{path}: {} bytes",
            refused.body.len()
        );
        // Guards against a bug: the text was shortened twice, and the number was that of the second time.
        let body = String::from_utf8_lossy(&refused.body).into_owned();
        if let Some((_, after)) = body.split_once("[... ") {
            let left_out: usize = after.split(' ').next().unwrap().parse().unwrap();
            assert!(left_out > 1_000_000, "{path}: {body}");
        }
    }
}
