//! Tests of the bucket operations.

use super::harness::Lake;

async fn two() -> Lake {
    let lake = Lake::new().await;
    lake.catalog.repository("other").await;
    lake
}

#[tokio::test]
async fn repositories_are_listed_as_buckets() {
    let lake = two().await;
    let response = lake.get("/").await;
    assert_eq!(
        (response.status, response.all("Name").as_str()),
        (200, "lake other")
    );
    assert_eq!(lake.get("/?prefix=ot").await.all("Name"), "other");
}

#[tokio::test]
async fn list_of_buckets_is_paged() {
    let lake = two().await;
    let page = lake.get("/?max-buckets=1").await;
    assert_eq!(page.all("Name"), "lake");
    let token = page.all("ContinuationToken");
    let next = lake.get(&format!("/?continuation-token={token}")).await;
    assert_eq!(next.all("Name"), "other");
}

#[tokio::test]
async fn repository_is_found_as_a_bucket() {
    let lake = Lake::new().await;
    assert_eq!(lake.send(lake.call("HEAD", "/lake")).await.outcome(), "200");
    for question in ["location", "versioning"] {
        let answer = lake.get(&format!("/lake?{question}")).await;
        assert_eq!(answer.status, 200, "{question}");
    }
}

#[tokio::test]
async fn missing_repository_is_not_found_as_a_bucket() {
    let lake = Lake::new().await;
    let missing = lake.send(lake.call("HEAD", "/none")).await;
    assert_eq!((missing.status, missing.body.as_str()), (404, ""));
    for target in ["/none?location", "/Not_a_Name/main/x"] {
        let missing = lake.get(target).await;
        assert_eq!(missing.outcome(), "404 NoSuchBucket", "{target}");
    }
}

/// Some clients add the path of the REST API to the endpoint.
#[tokio::test]
async fn path_of_the_rest_api_has_an_error_of_its_own() {
    let lake = Lake::new().await;
    assert_eq!(
        lake.get("/api/v1").await.outcome(),
        "404 ErrNoSuchBucketPossibleAPIEndpoint"
    );
}

#[tokio::test]
async fn buckets_cannot_be_created_or_deleted() {
    let lake = Lake::new().await;
    assert_eq!(
        lake.put("/lake", "").await.outcome(),
        "409 BucketAlreadyExists"
    );
    let new = lake.put("/new-one", "").await;
    assert_eq!(new.outcome(), "501 NotImplemented");
    let message = new.all("Message");
    assert!(message.contains("POST /api/v1/repositories"), "{message}");
    assert_eq!(
        lake.send(lake.call("DELETE", "/lake")).await.outcome(),
        "405 ERRLakeFSNotSupported"
    );
    assert_eq!(lake.get("/").await.all("Name"), "lake");
}
