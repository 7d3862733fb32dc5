//! Logs over merges, and pages of diffs that are read while other clients write.

use std::collections::BTreeMap;

use catalog::testing::{TestCatalog, merge_params};
use catalog::{Commit, DiffQuery, Difference, Error, LogQuery, Repository, WriteOptions};

/// `one`, then `dev 1` and `dev 2` on dev and `two` on main, a merge of both, then `three`.
async fn merged_history() -> (TestCatalog, Repository) {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let commit = async |branch: &str, path: &str, message: &str| {
        lake.clock.advance(std::time::Duration::from_secs(1));
        lake.put(&repository, branch, path, path).await;
        lake.commit(&repository, branch, message).await;
    };
    commit("main", "a", "one").await;
    lake.create_branch(&repository, "dev", "main", false, false, "tester")
        .await
        .unwrap();
    commit("dev", "d/1", "dev 1").await;
    commit("dev", "d/2", "dev 2").await;
    commit("main", "b", "two").await;
    lake.clock.advance(std::time::Duration::from_secs(1));
    let mut params = merge_params();
    params.message = "merged".to_owned();
    lake.merge(&repository, "dev", "main", params)
        .await
        .unwrap();
    commit("main", "c", "three").await;
    (lake, repository)
}

/// All messages of a log, read in pages of `amount`.
async fn log(
    lake: &TestCatalog,
    repository: &Repository,
    amount: usize,
    query: &LogQuery,
) -> String {
    let mut messages: Vec<String> = Vec::new();
    let mut query = LogQuery {
        amount,
        ..query.clone()
    };
    loop {
        let page = lake.reader().log(repository, "main", &query).await.unwrap();
        assert!(page.results.len() <= amount);
        messages.extend(page.results.into_iter().map(|c: Commit| c.message));
        if !page.has_more {
            return messages.join(", ");
        }
        query.after = page.next_offset;
    }
}

#[tokio::test]
async fn logs_follow_both_parents_of_a_merge() {
    let (lake, repository) = merged_history().await;
    let all = LogQuery::default();
    let first_parent = LogQuery {
        first_parent: true,
        ..all.clone()
    };
    let stop_at = |reference: &str| LogQuery {
        stop_at: Some(reference.to_owned()),
        ..all.clone()
    };
    let two = lake
        .catalog
        .reader()
        .commit(&repository, "main~2")
        .await
        .unwrap();
    let since = LogQuery {
        since: Some(two.creation_date),
        ..all.clone()
    };
    let after = LogQuery {
        after: "main~1".to_owned(),
        ..all.clone()
    };
    let objects = LogQuery {
        objects: vec!["d/2".to_owned()],
        ..all.clone()
    };
    let prefixes = LogQuery {
        prefixes: vec!["d/".to_owned()],
        ..all.clone()
    };
    let of_main = LogQuery {
        first_parent: true,
        ..prefixes.clone()
    };
    for (query, expected) in [
        (
            &all,
            "three, merged, two, dev 2, dev 1, one, Repository created",
        ),
        (&first_parent, "three, merged, two, one, Repository created"),
        // The last commit of the log is the one at which it stops, whichever reference names it.
        (&stop_at("main~2"), "three, merged, two"),
        (&stop_at("dev"), "three, merged, two, dev 2"),
        (&stop_at("main"), "three"),
        (&since, "three, merged, two"),
        (&after, "two, dev 2, dev 1, one, Repository created"),
        (&objects, "dev 2"),
        (&prefixes, "dev 2, dev 1"),
        (&of_main, "merged"),
    ] {
        for amount in [1, 2, 100] {
            let found = log(&lake, &repository, amount, query).await;
            assert_eq!(found, expected, "{query:?} by {amount}");
        }
    }
    for unknown in [
        stop_at("none"),
        LogQuery {
            after: "none".to_owned(),
            ..all
        },
    ] {
        let query = LogQuery {
            amount: 1,
            ..unknown
        };
        let refused = lake.reader().log(&repository, "main", &query).await;
        assert!(matches!(refused, Err(Error::NotFound { .. })));
    }
}

#[tokio::test]
async fn commit_is_found_by_every_kind_of_reference() {
    let (lake, repository) = merged_history().await;
    lake.create_tag(&repository, "v1", "main~1^2", false, "tester")
        .await
        .unwrap();
    let id = lake
        .catalog
        .reader()
        .commit(&repository, "v1")
        .await
        .unwrap()
        .id;
    for (reference, message) in [
        ("main", "three"),
        ("main@", "three"),
        ("main~1", "merged"),
        ("main^", "merged"),
        ("main~1^2~1", "dev 1"),
        ("v1", "dev 2"),
        (id.as_str(), "dev 2"),
        (&id.as_str()[..16], "dev 2"),
        (&format!("{}~2", &id.as_str()[..16]), "one"),
    ] {
        let commit = lake
            .catalog
            .reader()
            .commit(&repository, reference)
            .await
            .unwrap();
        assert_eq!(commit.message, message, "{reference}");
    }
}

fn diffs(delimiter: &str) -> DiffQuery {
    DiffQuery {
        prefix: String::new(),
        after: String::new(),
        delimiter: delimiter.to_owned(),
        limit: 4,
    }
}

/// How often each path was listed, while other clients write between the pages.
async fn pages(
    lake: &TestCatalog,
    repository: &Repository,
    mut query: DiffQuery,
    against: Option<&str>,
) -> BTreeMap<String, usize> {
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    for page_number in 0_i32.. {
        let page = match against {
            None => {
                lake.reader()
                    .diff_uncommitted(repository, "main", &query)
                    .await
            }
            Some(left) => {
                lake.reader()
                    .diff_refs(repository, left, "main$", true, &query)
                    .await
            }
        };
        let page = page.unwrap();
        for Difference { path, .. } in page.results {
            *shown.entry(path).or_default() += 1;
        }
        if !page.has_more {
            return shown;
        }
        query.after = page.next_offset;
        // Write before and after the start of the next page, and delete a path of the previous round.
        for path in [format!("a{page_number}"), format!("z{page_number}/x")] {
            lake.put(repository, "main", &path, "new").await;
        }
        let last = format!("z{}/x", page_number - 1);
        lake.delete_objects(repository, "main", &[last], WriteOptions::default())
            .await
            .unwrap();
        if against.is_some() && page_number == 2 {
            lake.commit(repository, "main", "meanwhile").await;
        }
    }
    unreachable!("the last page has no successor")
}

#[tokio::test]
async fn unchanged_paths_are_listed_exactly_once_despite_concurrent_writes() {
    for against in [None, Some("base")] {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        lake.create_branch(&repository, "base", "main", false, false, "tester")
            .await
            .unwrap();
        for i in 0..20 {
            for leaf in ["1", "2"] {
                let path = format!("k{i:02}/{leaf}");
                lake.put(&repository, "main", &path, "x").await;
            }
        }
        let stays: Vec<String> = (0..20)
            .flat_map(|i| ["1", "2"].map(|leaf| format!("k{i:02}/{leaf}")))
            .collect();
        let shown = pages(&lake, &repository, diffs(""), against).await;
        for path in &stays {
            assert_eq!(shown.get(path), Some(&1), "{path} of {shown:?}");
        }
        let shown = pages(&lake, &repository, diffs("/"), against).await;
        for i in 0..20 {
            let folder = format!("k{i:02}/");
            assert_eq!(shown.get(&folder), Some(&1), "{folder} of {shown:?}");
        }
        assert!(shown.values().all(|&times| times == 1), "{shown:?}");
    }
}

#[tokio::test]
async fn staged_changes_are_valid_only_on_the_right_of_a_diff() {
    let (lake, repository) = merged_history().await;
    for (left, right, two_dot) in [
        ("main$", "main", true),
        ("main$", "main$", true),
        ("main$", "main", false),
        ("main", "main$", false),
    ] {
        let refused = lake
            .reader()
            .diff_refs(&repository, left, right, two_dot, &diffs(""))
            .await;
        match refused {
            Err(Error::InvalidReference { reference, .. }) => {
                assert_eq!(reference, "main$");
            }
            other => panic!("{left} {right}: {other:?}"),
        }
    }
}
