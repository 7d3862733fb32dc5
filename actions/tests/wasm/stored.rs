//! The host with stored trees, as in a merge into `main`.

use std::sync::Arc;

use actions::wasm::{Request, SnapshotTrees, Verdict};
use catalog::testing::TestCatalog;
use graveler::{Event, EventDetails, MetaRangeId};
use serde_json::json;

use super::{Memory, event, findings, gate, host, object_gate, request};

/// Creates a repository whose `main` has a new commit, and the event for that commit.
async fn lake() -> (TestCatalog, Arc<Event>) {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    for (path, body) in [("data/a", "old"), ("data/b", "same"), ("data/c", "gone")] {
        lake.put(&repository, "main", path, body).await;
    }
    let base = lake.commit(&repository, "main", "before").await;
    for (path, body) in [("data/a", "compare\n12"), ("data/d", "new")] {
        lake.put(&repository, "main", path, body).await;
    }
    let candidate = lake.commit(&repository, "main", "after").await;
    let mut event = event();
    event.repository = repository;
    if let EventDetails::PreMerge(merge) = &mut event.details {
        merge.commit.base = base.meta_range_id;
        merge.commit.draft.meta_range_id = candidate.meta_range_id;
    }
    (lake, Arc::new(event))
}

fn over(lake: &TestCatalog, event: &Arc<Event>, request: Request) -> Request {
    let trees = Arc::new(SnapshotTrees::new(lake.catalog.reader().clone(), event));
    Request {
        event: event.clone(),
        trees,
        ..request
    }
}

#[tokio::test]
async fn changed_objects_are_compared_with_their_base() {
    let (lake, event) = lake().await;
    let request = over(
        &lake,
        &event,
        request(object_gate(), Memory::default(), json!(null)),
    );
    let report = host().run(request).await;
    assert_eq!(report.verdict, Verdict::Pass);
    assert_eq!(
        findings(&report),
        [
            "data/a saw: ChangeKind::Changed compare\n12",
            "data/a before: old",
            "data/d saw: ChangeKind::Added new",
        ]
    );
}

#[tokio::test]
async fn gate_reads_and_lists_the_candidate() {
    let (lake, event) = lake().await;
    let look = over(
        &lake,
        &event,
        request(gate(), Memory::default(), json!({ "mode": "look" })),
    );
    let walked = findings(&host().run(look).await);
    assert_eq!(
        walked[1..4],
        [
            "walk: data/a data/b",
            "walk: data/c data/d",
            "diff: ChangeKind::Changed data/a 3 10"
        ]
    );

    let config = json!({ "mode": "read", "path": "data/a" });
    let read = over(&lake, &event, request(gate(), Memory::default(), config));
    let reads = findings(&host().run(read).await);
    assert!(
        reads.contains(&"many: e\n|c|".to_owned()) && reads.contains(&"tail: e\n12".to_owned()),
        "{reads:?}"
    );
}

/// The base of a repository's first commit is empty.
#[tokio::test]
async fn with_an_empty_base_all_objects_are_added() {
    let (lake, event) = lake().await;
    let mut event = (*event).clone();
    if let EventDetails::PreMerge(merge) = &mut event.details {
        merge.commit.base = MetaRangeId::trusted("");
    }
    let event = Arc::new(event);
    let report = host()
        .run(over(
            &lake,
            &event,
            request(gate(), Memory::default(), json!({ "mode": "look" })),
        ))
        .await;
    let added = findings(&report)
        .iter()
        .filter(|f| f.starts_with("diff: ChangeKind::Added"))
        .count();
    assert_eq!(added, 4);
}
