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

/// A change that runs hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Commit,
    Merge,
    MergePullRequest,
    Revert,
    CherryPick,
    CreateBranch,
    DeleteBranch,
    CreateTag,
    DeleteTag,
    CommitTask,
    MergeTask,
}

impl Change {
    const ALL: [Self; 11] = [
        Self::Commit,
        Self::Merge,
        Self::MergePullRequest,
        Self::Revert,
        Self::CherryPick,
        Self::CreateBranch,
        Self::DeleteBranch,
        Self::CreateTag,
        Self::DeleteTag,
        Self::CommitTask,
        Self::MergeTask,
    ];

    /// The events of the change.
    fn events(self) -> &'static [&'static str] {
        match self {
            Self::Commit | Self::CommitTask => &["prepare-commit", "pre-commit", "post-commit"],
            Self::Merge | Self::MergePullRequest | Self::MergeTask => &["pre-merge", "post-merge"],
            Self::Revert => &["pre-revert", "post-revert"],
            Self::CherryPick => &["pre-cherry-pick", "post-cherry-pick"],
            Self::CreateBranch => &["pre-create-branch", "post-create-branch"],
            Self::DeleteBranch => &["pre-delete-branch", "post-delete-branch"],
            Self::CreateTag => &["pre-create-tag", "post-create-tag"],
            Self::DeleteTag => &["pre-delete-tag", "post-delete-tag"],
        }
    }

    /// Makes the change in a lake of [`lake_to_change`]. A task is only submitted.
    async fn make(self, lake: &Lake, pull: &str) -> Result<(), Error> {
        let (catalog, repository) = (&lake.catalog, &lake.repository);
        match self {
            Self::Commit => {
                let params = commit_params("c");
                catalog.commit_branch(repository, "dev", params).await?;
            }
            Self::Merge => {
                let params = merge_params();
                catalog.merge(repository, "dev", "main", params).await?;
            }
            Self::MergePullRequest => {
                catalog
                    .merge_pull_request(repository, pull, "tester")
                    .await?;
            }
            Self::Revert => {
                let params = graveler::RevertParams {
                    committer: "tester".to_owned(),
                    parent_number: 0,
                    message: String::new(),
                    metadata: std::collections::BTreeMap::new(),
                    allow_empty: false,
                    force: false,
                };
                catalog.revert(repository, "old", "old", params).await?;
            }
            Self::CherryPick => {
                let params = graveler::CherryPickParams {
                    committer: "tester".to_owned(),
                    parent_number: 0,
                    message: None,
                    metadata: None,
                    force: false,
                };
                catalog
                    .cherry_pick(repository, "main", "dev", params)
                    .await?;
            }
            Self::CreateBranch => {
                catalog
                    .create_branch(repository, "new", "main", false, false, "tester")
                    .await?;
            }
            Self::DeleteBranch => {
                catalog
                    .delete_branch(repository, "old", false, "tester")
                    .await?;
            }
            Self::CreateTag => {
                catalog
                    .create_tag(repository, "v2", "main", false, "tester")
                    .await?;
            }
            Self::DeleteTag => {
                catalog
                    .delete_tag(repository, "v1", false, "tester")
                    .await?;
            }
            Self::CommitTask => {
                let params = commit_params("as a task");
                catalog.submit_commit(repository, "dev", params).await?;
                catalog.drain().await;
            }
            Self::MergeTask => {
                let params = merge_params();
                catalog
                    .submit_merge(repository, "dev", "main", params)
                    .await?;
                catalog.drain().await;
            }
        }
        Ok(())
    }
}

/// Returns a lake in which every change can be made, and the id of its pull request: a webhook for all
/// events on `main`, a branch `dev` with a commit and a staged object, a branch `old` and a tag `v1`.
async fn lake_to_change() -> (Lake, String) {
    let lake = Lake::new().await;
    let events: Vec<_> = Change::ALL
        .into_iter()
        .flat_map(Change::events)
        .map(|event| format!("  {event}:\n"))
        .collect();
    let events: std::collections::BTreeSet<_> = events.into_iter().collect();
    let events: String = events.into_iter().collect();
    let tell = format!(
        "name: tell\non:\n{events}hooks: [{{id: tell, type: webhook, properties: {{url: HOOK/tell}}}}]\n"
    );
    lake.gate("main", "tell.yaml", &tell).await;
    lake.commit("main").await.unwrap();
    lake.put("main", "a").await;
    lake.commit("main").await.unwrap();
    for branch in ["dev", "old"] {
        lake.branch(branch).await;
    }
    lake.put("dev", "b").await;
    lake.commit("dev").await.unwrap();
    lake.put("dev", "staged").await;
    lake.tag("v1", "main").await;
    let new = catalog::NewPullRequest {
        title: "dev".to_owned(),
        description: String::new(),
        author: "tester".to_owned(),
        source_branch: "dev".to_owned(),
        destination_branch: "main".to_owned(),
    };
    let pull = lake.catalog.create_pull_request(&lake.repository, new);
    let pull = pull.await.unwrap();
    lake.calls().await;
    (lake, pull.id)
}

/// Hooks of every change receive the change's depth, even if a task makes the change after the response.
#[tokio::test]
async fn hooks_of_every_change_receive_its_depth() {
    let mut seen_events = std::collections::BTreeSet::new();
    for change in Change::ALL {
        let (lake, pull) = lake_to_change().await;
        nesting::run_at_depth(2, change.make(&lake, &pull))
            .await
            .unwrap();
        lake.actions.drain().await;
        let deliveries: Vec<_> = lake.seen.lock().unwrap().drain(..).collect();
        let events = deliveries.iter().map(|(_, headers, body)| {
            assert_eq!(lake.actions.depth_of(headers), 3, "{change:?}");
            let body: serde_json::Value = serde_json::from_slice(body).unwrap();
            body["event_type"].as_str().unwrap().to_owned()
        });
        let events: Vec<_> = events.collect();
        assert_eq!(events, change.events(), "{change:?}");
        seen_events.extend(events);
    }
    // A new event needs a change in the table.
    assert_eq!(seen_events.len(), 17);
}

#[tokio::test]
async fn depth_limit_applies_to_every_kind_of_change() {
    for change in Change::ALL {
        let (lake, pull) = lake_to_change().await;
        let heads = [lake.head("main").await, lake.head("dev").await];
        let made = nesting::run_at_depth(MAX_DEPTH + 1, change.make(&lake, &pull)).await;
        // A task is accepted, and refused when it runs.
        if ![Change::CommitTask, Change::MergeTask].contains(&change) {
            let message = rejection(made.unwrap_err()).message;
            assert!(message.contains("nested too deep"), "{change:?}: {message}");
        }
        assert_eq!(lake.calls().await, Vec::<String>::new(), "{change:?}");
        let now = [lake.head("main").await, lake.head("dev").await];
        assert_eq!(now, heads, "{change:?}");
    }
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
