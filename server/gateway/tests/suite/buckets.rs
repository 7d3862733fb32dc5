//! Tests of the bucket operations.

use super::harness::Lake;

#[tokio::test]
async fn repositories_are_listed_and_found_as_buckets() {
    let lake = Lake::new().await;
    lake.catalog.repository("other").await;
    let response = lake.get("/").await;
    assert_eq!(
        (response.status, response.all("Name").as_str()),
        (200, "lake other")
    );
    assert_eq!(lake.get("/?prefix=ot").await.all("Name"), "other");
    let page = lake.get("/?max-buckets=1").await;
    assert_eq!(page.all("Name"), "lake");
    let token = page.all("ContinuationToken");
    assert_eq!(
        lake.get(&format!("/?continuation-token={token}"))
            .await
            .all("Name"),
        "other"
    );

    assert_eq!(lake.send(lake.call("HEAD", "/lake")).await.outcome(), "200");
    let missing = lake.send(lake.call("HEAD", "/none")).await;
    assert_eq!((missing.status, missing.body.as_str()), (404, ""));
    assert_eq!(lake.get("/lake?location").await.status, 200);
    assert_eq!(
        lake.get("/none?location").await.outcome(),
        "404 NoSuchBucket"
    );
    assert_eq!(lake.get("/lake?versioning").await.status, 200);
    assert_eq!(
        lake.get("/Not_a_Name/main/x").await.outcome(),
        "404 NoSuchBucket"
    );
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
