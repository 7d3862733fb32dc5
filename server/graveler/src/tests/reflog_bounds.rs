//! Bounds of the reflog: age and number of entries.

use std::time::Duration;

use super::undo::{lake_with_dev, on, undo};
use crate::reflog::{MaxEntries, PAGE};
use crate::testing::Lake;
use crate::{Error, Options, ReflogEntry};

async fn all(lake: &Lake) -> Vec<ReflogEntry> {
    let page = lake.graveler.reflog(&lake.repo, None, "", 1_000).await;
    let page = page.unwrap();
    assert!(!page.has_more);
    page.results
}

async fn prune(lake: &Lake, per_reference: usize, per_repository: usize) -> usize {
    let max = MaxEntries {
        per_reference,
        per_repository,
    };
    lake.graveler.prune_reflog_to(max).await.unwrap()
}

/// The number of rows in each folder of the reflog.
async fn rows(lake: &Lake) -> [usize; 4] {
    let partition = format!("weir-reflog-{}", lake.repo.partition());
    let rows = kv::first_entries(lake.kv.as_ref(), partition.as_bytes(), b"", usize::MAX);
    let rows = rows.await.unwrap();
    ["branches/", "tags/", "log/", "kept/"].map(|folder| {
        let below = rows
            .iter()
            .filter(|row| row.key.starts_with(folder.as_bytes()));
        below.count()
    })
}

async fn commits(lake: &Lake, count: usize) {
    for n in 0..count {
        lake.put("main", &format!("n={n}")).await;
        lake.commit("main", &n.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn old_entries_are_removed_and_their_tokens_retired() {
    let lake = lake_with_dev().await;
    lake.put("dev", "c=3").await;
    lake.delete_branch("dev").await.unwrap();
    assert_eq!(rows(&lake).await, [5, 0, 5, 1]);
    lake.clock
        .advance(Options::default().keep_reflog - Duration::from_secs(1));
    let retired = lake.retired_tokens().await;
    // Two entries are one second too young.
    assert_eq!(lake.graveler.prune_reflog().await.unwrap(), 3);
    assert_eq!(rows(&lake).await, [2, 0, 2, 1]);
    lake.clock.advance(Duration::from_secs(1));
    commits(&lake, 8).await;
    assert_eq!(lake.graveler.prune_reflog().await.unwrap(), 2);
    assert_eq!(rows(&lake).await, [8, 0, 8, 0]);
    assert!(
        lake.retired_tokens().await > retired,
        "the kept token must be retired"
    );
    let gone = undo(&lake, &on("dev"), None).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    assert_eq!(lake.graveler.prune_reflog().await.unwrap(), 0);
}

#[tokio::test]
async fn newest_entries_of_a_reference_are_kept() {
    let lake = lake_with_dev().await;
    commits(&lake, 8).await;
    assert_eq!(rows(&lake).await, [12, 0, 12, 0]);
    assert_eq!(prune(&lake, 12, 100).await, 0);
    // `main` has ten entries, `dev` two.
    assert_eq!(prune(&lake, 3, 100).await, 7);
    let reasons: Vec<_> = all(&lake).await.into_iter().map(|e| e.reason).collect();
    assert_eq!(reasons, ["7", "6", "5", "change", "main"]);
    assert_eq!(rows(&lake).await, [5, 0, 5, 0]);
}

/// Each build creates and deletes its own branch, so no reference has many entries.
#[tokio::test]
async fn newest_entries_of_a_repository_are_kept_over_many_references() {
    let lake = Lake::new().await;
    for build in 0..20 {
        let name = format!("build-{build}");
        lake.branch_from(&name, "main").await;
        lake.put(&name, "a=1").await;
        lake.delete_branch(&name).await.unwrap();
        lake.clock.advance(Duration::from_secs(1));
    }
    let retired = lake.retired_tokens().await;
    assert_eq!(rows(&lake).await, [41, 0, 41, 20]);
    assert_eq!(prune(&lake, 100, 10).await, 31);
    assert_eq!(rows(&lake).await, [10, 0, 10, 5]);
    assert_eq!(lake.retired_tokens().await, retired + 15);
    let left: Vec<_> = all(&lake).await.into_iter().map(|e| e.reference).collect();
    assert_eq!((&left[0], &left[9]), (&on("build-19"), &on("build-15")));
    assert_eq!(prune(&lake, 100, 10).await, 0);
}

/// The last page of the timeline must be recognized although further keys follow it.
#[tokio::test]
async fn pruning_with_many_tags_terminates() {
    let lake = lake_with_dev().await;
    let tags = PAGE + 1;
    for n in 0..tags {
        let (name, hooks) = (crate::TagId::trusted(format!("t{n}")), &crate::NoHooks);
        let tagged = lake
            .graveler
            .create_tag(&lake.repo, &name, "main", false, "tester", hooks);
        tagged.await.unwrap();
    }
    let all = rows(&lake).await[2];
    assert_eq!(prune(&lake, all, all).await, 0);
    assert_eq!(prune(&lake, all, tags).await, all - tags);
    assert_eq!(rows(&lake).await, [0, tags, tags, 0]);
}
