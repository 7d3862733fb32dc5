//! How much of the reflog is kept.

use std::time::Duration;

use super::undo::{delete_branch, lake_with_dev, on, undo};
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
    lake.graveler.engine.prune_reflog(max).await.unwrap()
}

/// The number of rows in each folder of the repository's reflog.
async fn rows(lake: &Lake) -> [usize; 4] {
    let partition = format!("weir-reflog-{}", lake.repo.partition());
    let rows = lake.kv.scan(partition.as_bytes(), b"", 10_000).await;
    let rows = rows.unwrap();
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
async fn old_entries_are_forgotten_and_what_they_kept_is_retired() {
    let lake = lake_with_dev().await;
    lake.put("dev", "c=3").await;
    delete_branch(&lake, "dev").await;
    assert_eq!(rows(&lake).await, [5, 0, 5, 1]);
    lake.clock
        .advance(Options::default().keep_reflog - Duration::from_secs(1));
    let retired = lake.retired_tokens().await;
    // Two are a second too young.
    assert_eq!(lake.graveler.prune_reflog().await.unwrap(), 3);
    assert_eq!(rows(&lake).await, [2, 0, 2, 1]);
    lake.clock.advance(Duration::from_secs(1));
    commits(&lake, 8).await;
    assert_eq!(lake.graveler.prune_reflog().await.unwrap(), 2);
    assert_eq!(rows(&lake).await, [8, 0, 8, 0]);
    assert!(lake.retired_tokens().await > retired, "and not left over");
    let gone = undo(&lake, &on("dev"), None).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    assert_eq!(lake.graveler.prune_reflog().await.unwrap(), 0);
}

#[tokio::test]
async fn of_one_reference_the_newest_are_kept() {
    let lake = lake_with_dev().await;
    commits(&lake, 8).await;
    assert_eq!(rows(&lake).await, [12, 0, 12, 0]);
    assert_eq!(prune(&lake, 12, 100).await, 0);
    // `main` has ten, `dev` two.
    assert_eq!(prune(&lake, 3, 100).await, 7);
    let reasons: Vec<_> = all(&lake).await.into_iter().map(|e| e.reason).collect();
    assert_eq!(reasons, ["7", "6", "5", "change", "main"]);
    assert_eq!(rows(&lake).await, [5, 0, 5, 0]);
}

/// A branch for each build, each deleted again: no name has many entries.
#[tokio::test]
async fn of_one_repository_the_newest_are_kept_however_many_names_there_are() {
    let lake = Lake::new().await;
    for build in 0..20 {
        let name = format!("build-{build}");
        lake.branch_from(&name, "main").await;
        lake.put(&name, "a=1").await;
        delete_branch(&lake, &name).await;
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

/// The pages of the timeline are told from those of what lies behind it.
#[tokio::test]
async fn many_tags_keep_nobody_from_coming_to_an_end() {
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
