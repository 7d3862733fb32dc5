//! Tests of deleting objects.

use super::harness::{Call, Lake};

#[tokio::test]
async fn deleting_missing_objects_succeeds() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "a").await;
    for target in [
        "/lake/main/a",
        "/lake/main/a",
        "/lake/none/x",
        "/lake/main/",
        "/lake/main",
    ] {
        assert_eq!(
            lake.send(lake.call("DELETE", target)).await.outcome(),
            "204",
            "{target}"
        );
    }
    assert_eq!(lake.paths().await, "");
    assert!(
        lake.catalog
            .reader()
            .branch(&lake.repository, "main")
            .await
            .is_ok()
    );
    assert_eq!(
        lake.send(lake.call("DELETE", "/none/main/a"))
            .await
            .outcome(),
        "404 NoSuchBucket"
    );
}

fn delete(lake: &Lake, keys: &[&str], quiet: bool) -> Call {
    let objects: String = keys
        .iter()
        .map(|key| format!("<Object><Key>{key}</Key></Object>"))
        .collect();
    lake.call("POST", "/lake?delete")
        .body(format!("<Delete><Quiet>{quiet}</Quiet>{objects}</Delete>"))
}

#[tokio::test]
async fn batch_delete_reports_the_outcome_of_each_key() {
    let lake = Lake::new().await;
    for path in ["a", "b"] {
        lake.put(&format!("/lake/main/{path}"), "x").await;
    }
    let keys = ["main/b", "none/x", "main/a", "main/none", "main/"];
    let response = lake.send(delete(&lake, &keys, false)).await;
    assert_eq!(
        (response.status, response.all("Key").as_str()),
        (200, "main/b none/x main/a main/none main/")
    );
    assert_eq!(response.all("Error"), "");
    assert_eq!(lake.paths().await, "");
}

#[tokio::test]
async fn quiet_batch_delete_reports_only_errors() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "x").await;
    let response = lake.send(delete(&lake, &["main/a"], true)).await;
    assert_eq!((response.status, response.all("Key").as_str()), (200, ""));
    assert_eq!(lake.paths().await, "");
}

#[tokio::test]
async fn version_of_an_object_cannot_be_deleted() {
    let lake = Lake::new().await;
    lake.put("/lake/main/kept", "x").await;
    let versioned =
        "<Delete><Object><Key>main/kept</Key><VersionId>1</VersionId></Object></Delete>";
    let response = lake
        .send(lake.call("POST", "/lake?delete").body(versioned))
        .await;
    assert_eq!(
        (response.status, response.all("Code").as_str()),
        (200, "NotImplemented")
    );
    assert_eq!(lake.paths().await, "kept");
}

#[tokio::test]
async fn malformed_and_too_long_batches_are_refused() {
    let lake = Lake::new().await;
    lake.put("/lake/main/kept", "x").await;
    let malformed = lake.call("POST", "/lake?delete").body("<Del");
    let too_long = delete(&lake, &["main/kept"; 1001], false);
    for call in [malformed, too_long] {
        assert_eq!(lake.send(call).await.outcome(), "400 MalformedXML");
    }
    assert_eq!(lake.paths().await, "kept");
}

#[tokio::test]
async fn documents_with_too_many_elements_are_rejected() {
    let lake = Lake::new().await;
    let delete = |body: String| {
        let call = lake.call("POST", "/lake?delete").body(body);
        lake.send(call)
    };
    let many = format!("<Delete>{}</Delete>", "<Object/>".repeat(250_000));
    assert_eq!(delete(many).await.outcome(), "400 MalformedXML");
    // Within the limit of tags, but more than the memory budget of this test server.
    let many = format!("<Delete>{}</Delete>", "<Object/>".repeat(190_000));
    assert_eq!(delete(many).await.outcome(), "503 SlowDown");
    let one = "<Delete><Object><Key>main/a</Key></Object></Delete>";
    assert_eq!(delete(one.to_owned()).await.outcome(), "200");
}

#[tokio::test]
async fn oversized_document_is_an_error_of_the_client() {
    let lake = Lake::new().await;
    for target in ["/lake?delete", "/lake/main/a?uploadId=none"] {
        let document = format!("<Delete>{}</Delete>", " ".repeat(8 << 20));
        let call = lake.call("POST", target).body(document);
        assert_eq!(
            lake.send(call).await.outcome(),
            "400 MaxMessageLengthExceeded",
            "{target}"
        );
    }
}

/// Guards against a bug: the deletion of a key that no object can have seemed to succeed.
#[tokio::test]
async fn keys_that_are_too_long_are_not_deleted() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "x").await;
    let longest = format!("main/{}", "k".repeat(1024));
    let long = format!("{longest}k");
    let response = lake
        .send(delete(&lake, &[&long, &longest, "main/a"], false))
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(response.all("Code"), "KeyTooLongError");
    assert_eq!(response.all("Key").split(' ').count(), 3);
    assert_eq!(lake.paths().await, "");
    let single = lake
        .send(lake.call("DELETE", &format!("/lake/{long}")))
        .await;
    assert_eq!(single.outcome(), "400 KeyTooLongError");
}
