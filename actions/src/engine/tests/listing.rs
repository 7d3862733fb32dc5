//! Tests how the folder of action files is listed, and what happens if it has too many rows.

use graveler::{EventDetails, MetaRangeId};

use super::gates::merge_gate;
use super::*;
use crate::matching::EVALUATIONS_ON_THREAD;

/// Number of subfolders that take more than one listing request.
const MANY: usize = 1_001;

pub(super) async fn tree(lake: &Lake, branch: &str) -> MetaRangeId {
    let commit = lake.catalog.reader().commit(&lake.repository, branch).await;
    commit.unwrap().meta_range_id
}

/// Returns an event of a commit on `main` that makes the tree `candidate` from `base`.
pub(super) fn commit_of(lake: &Lake, base: MetaRangeId, candidate: MetaRangeId) -> Event {
    let mut event = event(EventKind::PreCommit);
    event.repository = lake.repository.clone();
    let EventDetails::PreCommit(proposal) = &mut event.details else {
        panic!("{event:?}")
    };
    proposal.base = base;
    proposal.draft.meta_range_id = candidate;
    event
}

/// Returns the names of the actions that match, and the error if there is one.
async fn matching(lake: &Lake, max_pages: usize, event: &Event) -> Result<Vec<String>, String> {
    let computations = lake.actions.executor.loader.computations.clone();
    let mut loader = Loader::new(lake.catalog.reader().clone(), computations);
    loader.max_pages = max_pages;
    match matching_actions(&loader, event, GatesSource::Both).await {
        Ok(matched) => Ok(matched.iter().map(|m| m.action.name.clone()).collect()),
        Err(LoadError::Invalid(errors)) => Err(multiple(&errors)),
        Err(e) => panic!("{e}"),
    }
}

/// Regression test: each subfolder took a separate listing request of 1,000 rows.
#[tokio::test]
async fn subfolders_share_a_listing_request() {
    let lake = Lake::new().await;
    for name in ["a/1", "b/1", "b/2", "c/1"] {
        lake.gate("main", name, "no action").await;
    }
    lake.gate("main", "gate.yaml", &merge_gate()).await;
    lake.commit("main").await.unwrap();
    let now = tree(&lake, "main").await;
    let mut event = commit_of(&lake, now.clone(), now);
    assert_eq!(matching(&lake, 1, &event).await, Ok(vec![]));
    lake.gate("main", "gate.yaml", REFUSE).await;
    lake.commit("main").await.unwrap_err();
    lake.gate("main", "gate.yaml", &REFUSE.replace("/fail", "/ok"))
        .await;
    lake.commit("main").await.unwrap();
    let now = tree(&lake, "main").await;
    event = commit_of(&lake, now.clone(), now);
    assert_eq!(
        matching(&lake, 1, &event).await,
        Ok(vec!["gate".to_owned()])
    );
}

/// Regression test: once a branch had too many subfolders to list, every change was refused, even the
/// change that deleted them.
#[tokio::test]
async fn base_with_too_many_subfolders_can_be_repaired() {
    let lake = Lake::new().await;
    let empty = tree(&lake, "main").await;
    for n in 0..MANY {
        lake.put("main", &format!("_lakefs_actions/{n}/x")).await;
    }
    lake.commit("main").await.unwrap();
    let full = tree(&lake, "main").await;

    let repair = commit_of(&lake, full.clone(), empty.clone());
    assert_eq!(matching(&lake, 1, &repair).await, Ok(vec![]));
    let breaks = commit_of(&lake, empty, full);
    let error = matching(&lake, 1, &breaks).await.unwrap_err();
    assert!(
        error.contains("_lakefs_actions/: too many objects and folders"),
        "{error}"
    );
    assert_eq!(matching(&lake, 2, &breaks).await, Ok(vec![]));
}

/// Regression test: the checks listed the tree even if base and candidate were equal.
#[tokio::test]
async fn change_without_differences_is_not_checked() {
    let lake = Lake::new().await;
    let nowhere = MetaRangeId::trusted("nowhere");
    let event = commit_of(&lake, nowhere.clone(), nowhere);
    let executor = &lake.actions.executor;
    let (limits, wait) = (preflight::Limits::default(), CompileWait::default());
    let checked = preflight::check(&executor.loader, &executor.runners, &event, limits, &wait);
    let found = checked.await.unwrap();
    assert!(
        found.errors.is_empty() && found.warnings.is_empty(),
        "{found:?}"
    );
}

/// Regression test: globs of action files were compiled and matched on the serving threads.
#[tokio::test]
async fn long_globs_are_matched_off_the_serving_threads() {
    let lake = Lake::new().await;
    let branches = format!("{}'*'", "b123456789, ".repeat(100));
    for (name, paths) in [("a", "**/x"), ("b", "**/x"), ("c", "t/*"), ("d", "**/none")] {
        let on = format!("{{pre-commit: {{branches: [{branches}], paths: ['{paths}']}}}}");
        let action = REFUSE
            .replace("name: gate", &format!("name: gate {name}"))
            .replace("{pre-commit: }", &on)
            .replace("/fail", &format!("/{name}"));
        lake.gate("main", name, &action).await;
    }
    lake.put("main", "t/x").await;
    EVALUATIONS_ON_THREAD.set(0);
    lake.commit("main").await.unwrap();
    assert_eq!(EVALUATIONS_ON_THREAD.get(), 0);
    let mut calls = lake.calls().await;
    calls.sort();
    assert_eq!(calls, ["/a", "/b", "/c"]);
}
