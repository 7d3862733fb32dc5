//! Hooks that set off hooks: how deep, and how many at once.

use graveler::nesting;

use super::*;
use crate::nesting::{MAX_DEPTH, MAX_IN_FLIGHT};

/// A webhook that changes what it judges nested without end.
#[tokio::test]
async fn changes_nested_too_deep_are_refused_before_any_hook_runs() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    for depth in 0..=MAX_DEPTH {
        lake.put("main", &format!("file-{depth}")).await;
        nesting::run_at_depth(depth, lake.commit("main"))
            .await
            .unwrap();
        lake.actions.drain().await;
        // Prepare, pre and post hooks are told how deep they are.
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
    // The depth is that of the request, not of the branch.
    lake.commit("main").await.unwrap();
    assert_eq!(lake.calls().await.len(), 3);
}

#[tokio::test]
async fn every_kind_of_change_is_refused_when_nested_too_deep() {
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

/// What strips the headers off still ends: places are given back as the changes that have them end.
#[tokio::test]
async fn changes_that_wait_for_webhooks_are_bounded_by_repository() {
    let lake = Lake::new().await;
    lake.gate("main", "tell.yaml", TELL).await;
    let places: Vec<_> = (0..MAX_IN_FLIGHT)
        .map(|_| lake.actions.in_flight.enter(&lake.repository.id).unwrap())
        .collect();
    let refused = lake.commit("main").await.unwrap_err();
    assert!(
        refused
            .message
            .contains("256 changes of this repository wait for webhooks"),
        "{}",
        refused.message
    );
    let hint = refused.hint.unwrap();
    assert!(hint.contains("try again later"), "{hint}");
    assert_eq!(lake.calls().await, Vec::<String>::new());
    // Changes that no webhook judges do not count.
    lake.delete("main", "_lakefs_actions/tell.yaml").await;
    lake.put("main", "a").await;
    lake.commit("main").await.unwrap();
    drop(places);
    lake.gate("main", "tell.yaml", TELL).await;
    lake.commit("main").await.unwrap();
}

/// A task goes on after its request was answered, in another task of the runtime.
#[tokio::test]
async fn a_commit_as_a_task_is_as_deep_as_the_request_that_began_it() {
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
