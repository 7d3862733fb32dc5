//! Compares paged listings, diffs and logs with a model that reads everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::Page;
use catalog::testing::{TestCatalog, commit_params, merge_params, path_of};
use catalog::{
    Commit, DiffQuery, DifferenceKind, ListRequest, LogQuery, Repository, UploadOptions,
    WriteOptions,
};
use graveler::{NoHooks, Options};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// Contents by path; none deletes the path.
type Edits = BTreeMap<String, Option<String>>;
type Tree = BTreeMap<String, String>;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: base::testing::cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn run(test: impl Future<Output = TestCaseResult>) -> TestCaseResult {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(test)
}

fn path() -> impl Strategy<Value = String> {
    "[ab/]{1,5}"
}

fn edits(most: usize) -> impl Strategy<Value = Edits> {
    // Few different contents, so that many paths have equal content.
    btree_map(path(), proptest::option::weighted(0.7, "[xy]"), 0..most)
}

/// An empty repository whose trees have about three entries per range.
async fn lake() -> (TestCatalog, Repository) {
    let options = Options {
        range_raggedness_entries: 3.0,
        ..Options::default()
    };
    let lake = TestCatalog::with_options(options, |_, _| Arc::new(NoHooks));
    let repository = lake.repository("lake").await;
    lake.clock.advance(Duration::from_secs(1));
    (lake, repository)
}

async fn apply(lake: &TestCatalog, repository: &Repository, on: &str, edits: &Edits) {
    let mut deleted = Vec::new();
    for (path, content) in edits {
        match content {
            Some(content) => {
                lake.put_with(repository, on, path, content, UploadOptions::default())
                    .await
                    .unwrap();
            }
            None => deleted.push(path.clone()),
        }
    }
    lake.delete_objects(repository, on, &deleted, WriteOptions::default())
        .await
        .unwrap();
}

async fn commit(lake: &TestCatalog, repository: &Repository, on: &str) -> Commit {
    let mut params = commit_params(on);
    params.allow_empty = true;
    let commit = lake.commit_branch(repository, on, params).await.unwrap();
    lake.clock.advance(Duration::from_secs(1));
    commit
}

fn edited(tree: &Tree, edits: &Edits) -> Tree {
    let mut tree = tree.clone();
    for (path, content) in edits {
        match content {
            Some(content) => tree.insert(path.clone(), content.clone()),
            None => tree.remove(path),
        };
    }
    tree
}

/// Which rows to fold, and the page size.
#[derive(Debug, Clone)]
struct Query {
    prefix: String,
    after: String,
    delimiter: &'static str,
    amount: usize,
}

fn query() -> impl Strategy<Value = Query> {
    let delimiter = prop_oneof![1 => Just(""), 2 => Just("/"), 1 => Just("//")];
    ("[ab/]{0,2}", "[ab/]{0,4}", delimiter, 1..5_usize).prop_map(
        |(prefix, after, delimiter, amount)| Query {
            prefix,
            after,
            delimiter,
            amount,
        },
    )
}

/// The expected rows for sorted paths: each is a path or a common prefix.
fn rows<'a>(paths: impl IntoIterator<Item = &'a String>, query: &Query) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for path in paths {
        if !path.starts_with(&query.prefix) || *path <= query.after {
            continue;
        }
        let rest = &path[query.prefix.len()..];
        let row = match rest.find(query.delimiter) {
            Some(at) if !query.delimiter.is_empty() => {
                &path[..query.prefix.len() + at + query.delimiter.len()]
            }
            _ => path,
        };
        if row != query.after && rows.last().is_none_or(|last| last != row) {
            rows.push(row.to_owned());
        }
    }
    rows
}

/// Reads all pages after `after` and returns the rows of all of them.
async fn all_pages<T>(
    after: &str,
    amount: usize,
    offset: impl Fn(&T) -> String,
    read: impl AsyncFn(String) -> Page<T>,
) -> Vec<T> {
    let (mut all, mut after) = (Vec::new(), after.to_owned());
    loop {
        let page = read(after).await;
        assert!(page.results.len() <= amount);
        if !page.has_more {
            assert_eq!(page.next_offset, "");
            all.extend(page.results);
            return all;
        }
        assert_eq!(page.results.len(), amount, "a page with successors is full");
        assert_eq!(page.next_offset, page.results.last().map(&offset).unwrap());
        after = page.next_offset;
        all.extend(page.results);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn listings_overlay_staged_on_committed_entries(
        base in edits(25), staged in edits(12), query in query(),
    ) {
        run(async {
            let (lake, repository) = lake().await;
            apply(&lake, &repository, "main", &base).await;
            let head = commit(&lake, &repository, "main").await;
            apply(&lake, &repository, "main", &staged).await;
            let committed = edited(&Tree::new(), &base);
            let shown = edited(&committed, &staged);
            for (reference, tree) in [("main", &shown), ("main@", &committed), (head.id.as_str(), &committed)] {
                let listed = all_pages(&query.after, query.amount, path_of, async |after| {
                    let request = ListRequest {
                        prefix: query.prefix.clone(),
                        after,
                        delimiter: query.delimiter.to_owned(),
                        limit: query.amount,
                    };
                    lake.reader().list_objects(&repository, reference, &request).await.unwrap()
                });
                let listed: Vec<_> = listed.await.iter().map(path_of).collect();
                prop_assert_eq!(listed, rows(tree.keys(), &query), "{}", reference);
                for (path, content) in tree {
                    prop_assert_eq!(&lake.read(&repository, reference, path).await, content);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn diffs_fold_like_listings(
        base in edits(20), ours in edits(10), theirs in edits(10), staged in edits(8), query in query(),
    ) {
        run(async {
            let (lake, repository) = lake().await;
            apply(&lake, &repository, "main", &base).await;
            commit(&lake, &repository, "main").await;
            let trunk = edited(&Tree::new(), &base);
            for (name, edits) in [("ours", &ours), ("theirs", &theirs)] {
                lake.create_branch(&repository, name, "main", false, false, "tester").await.unwrap();
                apply(&lake, &repository, name, edits).await;
                commit(&lake, &repository, name).await;
            }
            apply(&lake, &repository, "theirs", &staged).await;
            let (ours, theirs) = (edited(&trunk, &ours), edited(&trunk, &theirs));
            let shown = edited(&theirs, &staged);
            let between = |left: &Tree, right: &Tree| -> BTreeSet<String> {
                let paths = left.keys().chain(right.keys());
                paths.filter(|path| left.get(*path) != right.get(*path)).cloned().collect()
            };
            let both = between(&trunk, &theirs);
            let since: BTreeSet<String> = both.intersection(&between(&ours, &theirs)).cloned().collect();
            for (what, expected) in [
                ("uncommitted", between(&theirs, &shown)),
                ("two-dot", between(&ours, &theirs)),
                ("with staged", between(&ours, &shown)),
                ("three-dot", since),
            ] {
                let read = async |after: String| {
                    let query = DiffQuery {
                        prefix: query.prefix.clone(),
                        after,
                        delimiter: query.delimiter.to_owned(),
                        limit: query.amount,
                    };
                    match what {
                        "uncommitted" => lake.reader().diff_uncommitted(&repository, "theirs", &query).await,
                        "two-dot" => lake.reader().diff_refs(&repository, "ours", "theirs", true, &query).await,
                        "with staged" => lake.reader().diff_refs(&repository, "ours", "theirs$", true, &query).await,
                        _ => lake.reader().diff_refs(&repository, "ours", "theirs", false, &query).await,
                    }
                    .unwrap()
                };
                let found = all_pages(&query.after, query.amount, |row| row.path.clone(), read).await;
                for row in &found {
                    prop_assert_eq!(row.is_prefix, row.kind == DifferenceKind::PrefixChanged);
                    prop_assert_eq!(row.is_prefix, is_folded(&row.path, &query));
                }
                let found: Vec<_> = found.into_iter().map(|row| row.path).collect();
                prop_assert_eq!(found, rows(&expected, &query), "{}", what);
            }
            Ok(())
        })?;
    }

    #[test]
    fn logs_list_the_commits_that_changed_the_paths(
        history in vec((any::<bool>(), edits(4)), 1..10),
        objects in vec(path(), 0..2),
        prefixes in vec("[ab/]{1,2}", 0..2),
        amount in 1..4_usize,
        limit in any::<bool>(),
        first_parent in any::<bool>(),
    ) {
        run(async {
            let (lake, repository) = lake().await;
            lake.create_branch(&repository, "dev", "main", false, false, "tester").await.unwrap();
            // Commits on either branch, and finally a merge.
            let mut trees = BTreeMap::from([("main", Tree::new()), ("dev", Tree::new())]);
            let root = lake.catalog.reader().commit(&repository, "main").await.unwrap();
            let mut log = vec![(root, false, Tree::new(), Tree::new())];
            for (on_dev, edits) in &history {
                let on = if *on_dev { "dev" } else { "main" };
                apply(&lake, &repository, on, edits).await;
                let made = commit(&lake, &repository, on).await;
                let before = trees[on].clone();
                let after = edited(&before, edits);
                trees.insert(on, after.clone());
                log.push((made, *on_dev, before, after));
            }
            let mut params = merge_params();
            (params.allow_empty, params.strategy) = (true, catalog::MergeStrategy::SourceWins);
            let merged = lake.merge(&repository, "dev", "main", params).await.unwrap();
            let merged = lake.catalog.reader().commit(&repository, merged.commit_id.as_str()).await.unwrap();
            let mut tree = Tree::new();
            for path in lake.paths(&repository, merged.id.as_str()).await.split_whitespace() {
                tree.insert(path.to_owned(), lake.read(&repository, merged.id.as_str(), path).await);
            }
            log.push((merged, false, trees["main"].clone(), tree));

            let touches = |before: &Tree, after: &Tree| {
                let changed = |path: &String| before.get(path) != after.get(path);
                (objects.is_empty() && prefixes.is_empty())
                    || objects.iter().any(changed)
                    || before.keys().chain(after.keys()).any(|path| {
                        changed(path) && prefixes.iter().any(|prefix| path.starts_with(prefix))
                    })
            };
            let in_sight = log.iter().rev().filter(|(_, on_dev, ..)| !(first_parent && *on_dev));
            // A filtered log lists the merged commits instead of the merge, except in first-parent logs.
            let is_filtered = !objects.is_empty() || !prefixes.is_empty();
            let is_skipped_merge = |commit: &Commit| is_filtered && !first_parent && commit.parents.len() > 1;
            let is_wanted = |(commit, _, before, after): &&(Commit, bool, Tree, Tree)| {
                !is_skipped_merge(commit) && touches(before, after)
            };
            let id = |(commit, ..): &(Commit, bool, Tree, Tree)| commit.id.to_string();
            let query = |after: String| LogQuery {
                after,
                amount,
                objects: objects.clone(),
                prefixes: prefixes.clone(),
                limit,
                first_parent,
                ..LogQuery::default()
            };
            if limit {
                let page = lake.reader().log(&repository, "main", &query(String::new())).await.unwrap();
                let found: Vec<_> = page.results.iter().map(|commit| commit.id.to_string()).collect();
                let wanted = in_sight.filter(is_wanted).take(amount);
                prop_assert_eq!(&found, &wanted.map(id).collect::<Vec<_>>());
                prop_assert!(!page.has_more);
            } else {
                let found = all_pages("", amount, |commit: &Commit| commit.id.to_string(), async |after| {
                    lake.reader().log(&repository, "main", &query(after)).await.unwrap()
                });
                let found: Vec<_> = found.await.iter().map(|commit| commit.id.to_string()).collect();
                prop_assert_eq!(found, in_sight.filter(is_wanted).map(id).collect::<Vec<_>>());
            }
            Ok(())
        })?;
    }
}

/// Whether a row is a common prefix. A path that ends in the delimiter is one too.
fn is_folded(row: &str, query: &Query) -> bool {
    let rest = row.strip_prefix(query.prefix.as_str());
    !query.delimiter.is_empty() && rest.is_some_and(|rest| rest.ends_with(query.delimiter))
}
