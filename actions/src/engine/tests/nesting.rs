//! Hooks whose webhooks trigger further hooks: nesting depth and concurrency limits.

use graveler::nesting;

use super::*;
use crate::nesting::{MAX_DEPTH, MAX_IN_FLIGHT};

/// Regression test: a webhook that changed its own branch triggered itself without end.
#[tokio::test]
async fn changes_nested_too_deep_are_refused_before_hooks_run() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    for depth in 0..=MAX_DEPTH {
        lake.put("main", &format!("file-{depth}")).await;
        nesting::run_at_depth(depth, lake.commit("main"))
            .await
            .unwrap();
        lake.actions.drain().await;
        // Prepare, pre and post hooks receive their depth.
        let deliveries: Vec<_> = lake.seen.lock().unwrap().drain(..).collect();
        assert_eq!(deliveries.len(), 3);
        for (_, headers, _) in deliveries {
            assert_eq!(lake.actions.depth_of(&headers), depth + 1);
        }
    }
    lake.put("main", "one more").await;
    let refused = nesting::run_at_depth(MAX_DEPTH + 1, lake.commit("main"))
        .await
        .unwrap_err();
    assert!(
        refused.message.contains("nested too deep")
            && refused.message.contains("4 levels deep, and at most 3"),
        "{}",
        refused.message
    );
    let hint = refused.hint.unwrap();
    assert!(hint.contains("webhook's service"), "{hint}");
    assert_eq!(lake.calls().await, Vec::<String>::new());
    // The depth belongs to the request, not to the branch.
    lake.commit("main").await.unwrap();
    assert_eq!(lake.calls().await.len(), 3);
}

#[tokio::test]
async fn depth_limit_applies_to_every_kind_of_change() {
    let lake = Lake::new().await;
    lake.put("main", "a").await;
    lake.commit("main").await.unwrap();
    lake.branch("dev").await;
    lake.put("dev", "b").await;
    lake.commit("dev").await.unwrap();
    let refused = |outcome: Result<(), Error>| {
        let message = rejection(outcome.unwrap_err()).message;
        assert!(message.contains("nested too deep"), "{message}");
    };
    nesting::run_at_depth(MAX_DEPTH + 1, async {
        let (catalog, repository) = (&lake.catalog, &lake.repository);
        refused(
            catalog
                .merge(repository, "dev", "main", merge_params())
                .await
                .map(drop),
        );
        refused(
            catalog
                .create_branch(repository, "new", "main", false, false, "tester")
                .await
                .map(drop),
        );
        refused(
            catalog
                .delete_branch(repository, "dev", false, "tester")
                .await
                .map(drop),
        );
        refused(
            catalog
                .create_tag(repository, "v1", "main", false, "tester")
                .await
                .map(drop),
        );
    })
    .await;
}

/// The concurrency limit also stops clients that drop the headers. A slot is released when its
/// change ends.
#[tokio::test]
async fn changes_waiting_for_webhooks_are_limited_per_repository() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    let places: Vec<_> = (0..MAX_IN_FLIGHT)
        .map(|_| lake.actions.in_flight.enter(&lake.repository.id).unwrap())
        .collect();
    let refused = lake.commit("main").await.unwrap_err();
    assert!(
        refused
            .message
            .contains("256 changes of this repository are waiting for webhooks"),
        "{}",
        refused.message
    );
    let hint = refused.hint.unwrap();
    assert!(hint.contains("try again later"), "{hint}");
    assert_eq!(lake.calls().await, Vec::<String>::new());
    // Changes without webhooks do not count.
    lake.delete("main", "_lakefs_actions/tell.yaml").await;
    lake.put("main", "a").await;
    lake.commit("main").await.unwrap();
    drop(places);
    lake.gate("main", "tell.yaml", TELL).await;
    lake.commit("main").await.unwrap();
}

/// A commit task runs outside its request, after the response is sent.
#[tokio::test]
async fn commit_task_keeps_the_depth_of_its_request() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    nesting::run_at_depth(2, async {
        let params = commit_params("as a task");
        let submitted = lake.catalog.submit_commit(&lake.repository, "main", params);
        submitted.await.unwrap();
    })
    .await;
    lake.catalog.drain().await;
    lake.actions.drain().await;
    let deliveries: Vec<_> = lake.seen.lock().unwrap().drain(..).collect();
    assert_eq!(deliveries.len(), 3);
    for (_, headers, _) in deliveries {
        assert_eq!(lake.actions.depth_of(&headers), 3);
    }
}
