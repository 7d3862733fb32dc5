//! Commits, their log and diffs, and reading stored trees.

use base::Page;
use catalog::testing::{TestCatalog, commit_params, merge_params, path_of};
use catalog::{
    Commit, DiffQuery, Difference, DifferenceKind, Error, ListRequest, LogQuery, MergeParams,
    MetaRangeId, Object, ReferenceProblem, Repository, Snapshot, WriteOptions,
};

const ALL: usize = 1000;

fn query(amount: usize) -> LogQuery {
    LogQuery {
        amount,
        ..LogQuery::default()
    }
}

/// The messages of a page, followed by `+` if more follow.
fn messages(page: &Page<Commit>) -> String {
    let mut all: Vec<_> = page
        .results
        .iter()
        .map(|commit| commit.message.as_str())
        .collect();
    if page.has_more {
        assert_eq!(page.next_offset, page.results.last().unwrap().id.as_str());
        all.push("+");
    } else {
        assert_eq!(page.next_offset, "");
    }
    all.join(", ")
}

async fn check_log(
    lake: &TestCatalog,
    repository: &Repository,
    query: LogQuery,
    expected: &str,
) -> String {
    let page = lake.reader().log(repository, "main", &query).await.unwrap();
    assert_eq!(messages(&page), expected, "{query:?}");
    page.next_offset
}

/// Three commits after the initial one: `one` writes a/1 and b/1, `two` a/2, `three` c.
async fn three_commits() -> (TestCatalog, Repository) {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    lake.clock.advance(std::time::Duration::from_secs(1));
    for (message, paths) in [
        ("one", &["a/1", "b/1"][..]),
        ("two", &["a/2"]),
        ("three", &["c"]),
    ] {
        for path in paths {
            lake.put(&repository, "main", path, path).await;
        }
        lake.commit(&repository, "main", message).await;
    }
    (lake, repository)
}

fn objects(path: &str) -> LogQuery {
    LogQuery {
        objects: vec![path.to_owned()],
        ..query(ALL)
    }
}

fn prefixes(path: &str, amount: usize) -> LogQuery {
    LogQuery {
        prefixes: vec![path.to_owned()],
        ..query(amount)
    }
}

#[tokio::test]
async fn log_is_paged() {
    let (lake, repository) = three_commits().await;
    let check = async |query, expected| check_log(&lake, &repository, query, expected).await;
    check(query(ALL), "three, two, one, Repository created").await;
    let after = check(query(1), "three, +").await;
    let after = check(LogQuery { after, ..query(2) }, "two, one, +").await;
    check(LogQuery { after, ..query(2) }, "Repository created").await;
    check(query(0), "").await;
    check(query(4), "three, two, one, Repository created").await;
}

#[tokio::test]
async fn log_continues_after_a_reference() {
    let (lake, repository) = three_commits().await;
    let after_two = LogQuery {
        after: "main~1".to_owned(),
        ..query(1)
    };
    check_log(&lake, &repository, after_two, "one, +").await;
}

#[tokio::test]
async fn log_is_filtered_by_paths() {
    let (lake, repository) = three_commits().await;
    let check = async |query, expected| check_log(&lake, &repository, query, expected).await;
    check(objects("a/2"), "two").await;
    check(objects("a"), "").await;
    let after = check(prefixes("a/", 1), "two, +").await;
    let next = LogQuery {
        after,
        ..prefixes("a/", 1)
    };
    check(next, "one").await;
    let either = LogQuery {
        objects: vec!["c".to_owned()],
        ..prefixes("b/", ALL)
    };
    check(either, "three, one").await;
}

/// With `limit`, the walk ends at the last requested match, however old it is.
#[tokio::test]
async fn limited_log_ends_at_the_last_requested_match() {
    let (lake, repository) = three_commits().await;
    let check = async |query, expected| {
        let limited = LogQuery {
            limit: true,
            ..query
        };
        check_log(&lake, &repository, limited, expected).await
    };
    check(query(1), "three").await;
    check(query(9), "three, two, one, Repository created").await;
    check(prefixes("a/", 1), "two").await;
    check(prefixes("a/", 2), "two, one").await;
    check(prefixes("b/", 1), "one").await;
    check(objects("none"), "").await;
    let after_two = LogQuery {
        after: "main~1".to_owned(),
        ..prefixes("a/", 1)
    };
    check(after_two, "one").await;
}

#[tokio::test]
async fn log_ends_at_a_commit_or_a_time() {
    let (lake, repository) = three_commits().await;
    let one = lake.reader().commit(&repository, "main~2").await.unwrap();
    let until_one = LogQuery {
        stop_at: Some(one.id.to_string()),
        ..query(ALL)
    };
    check_log(&lake, &repository, until_one, "three, two, one").await;
    let since_one = LogQuery {
        since: Some(one.creation_date),
        ..query(ALL)
    };
    check_log(&lake, &repository, since_one, "three, two, one").await;
}

#[tokio::test]
async fn first_parent_log_of_a_linear_history_is_complete() {
    let (lake, repository) = three_commits().await;
    let first_parents = LogQuery {
        first_parent: true,
        ..query(ALL)
    };
    let all = "three, two, one, Repository created";
    check_log(&lake, &repository, first_parents, all).await;
}

/// `lakectl annotate` requests the newest commit that changed each path. Guards against two bugs: the log examined
/// only one commit, and it listed merges instead of the commits that they merged.
#[tokio::test]
async fn log_of_paths_lists_the_commits_that_changed_them_without_merges() {
    let (lake, repository) = three_commits().await;
    work_on_dev(&lake, &repository).await;
    lake.clock.advance(std::time::Duration::from_secs(1));
    lake.commit(&repository, "dev", "on dev").await;
    lake.clock.advance(std::time::Duration::from_secs(1));
    lake.put(&repository, "main", "e", "e").await;
    lake.commit(&repository, "main", "on main").await;
    lake.clock.advance(std::time::Duration::from_secs(1));
    lake.merge(
        &repository,
        "dev",
        "main",
        MergeParams {
            message: "merge dev".to_owned(),
            ..merge_params()
        },
    )
    .await
    .unwrap();
    let check = async |query, expected| check_log(&lake, &repository, query, expected).await;
    let of = |path: &str, first_parent, limit| LogQuery {
        objects: vec![path.to_owned()],
        first_parent,
        limit,
        ..query(if limit { 1 } else { ALL })
    };
    check(of("d/1", false, false), "on dev").await;
    check(of("d/1", false, true), "on dev").await;
    check(of("a/1", false, false), "on dev, one").await;
    check(of("a/1", false, true), "on dev").await;
    check(of("c", false, false), "on dev, three").await;
    // A first-parent log shows the merge instead of the merged commits.
    check(of("d/1", true, false), "merge dev").await;
    check(of("a/1", true, false), "merge dev, one").await;
    check(of("e", true, true), "on main").await;
    let below = LogQuery {
        prefixes: vec!["d/".to_owned(), "a/".to_owned()],
        ..query(ALL)
    };
    check(below, "on dev, two, one").await;
}

#[tokio::test]
async fn staged_changes_do_not_resolve_to_a_commit() {
    let (lake, repository) = three_commits().await;
    let error = lake
        .catalog
        .reader()
        .commit(&repository, "main$")
        .await
        .unwrap_err();
    let is_refused = |error: &Error| {
        matches!(
            error,
            Error::InvalidReference {
                problem: ReferenceProblem::Staging,
                ..
            }
        )
    };
    assert!(is_refused(&error), "{error}");
    let logged = lake.reader().log(&repository, "main$", &query(1)).await;
    assert!(is_refused(&logged.unwrap_err()));
    let compared = lake
        .reader()
        .diff_refs(&repository, "main", "main$", false, &diffs(""))
        .await;
    assert!(is_refused(&compared.unwrap_err()));
}

fn diffs(delimiter: &str) -> DiffQuery {
    DiffQuery {
        prefix: String::new(),
        after: String::new(),
        delimiter: delimiter.to_owned(),
        limit: ALL,
    }
}

/// Renders a page as `+added -removed ~changed !conflict *prefix/`.
fn signs(page: &Page<Difference>) -> String {
    let sign = |row: &Difference| {
        assert_eq!(row.is_prefix, row.kind == DifferenceKind::PrefixChanged);
        let (sign, sides) = match row.kind {
            DifferenceKind::Added => ('+', (false, true)),
            DifferenceKind::Removed => ('-', (true, false)),
            DifferenceKind::Changed => ('~', (true, true)),
            DifferenceKind::Conflict => ('!', (row.left.is_some(), row.right.is_some())),
            DifferenceKind::PrefixChanged => ('*', (false, false)),
        };
        assert_eq!((row.left.is_some(), row.right.is_some()), sides, "{row:?}");
        format!("{sign}{}", row.path)
    };
    page.results.iter().map(sign).collect::<Vec<_>>().join(" ")
}

async fn work_on_dev(lake: &TestCatalog, repository: &Repository) {
    lake.create_branch(repository, "dev", "main", false, false, "tester")
        .await
        .unwrap();
    lake.put(repository, "dev", "a/1", "changed").await;
    lake.put(repository, "dev", "d/1", "new").await;
    lake.delete_objects(
        repository,
        "dev",
        &["c".to_owned()],
        WriteOptions::default(),
    )
    .await
    .unwrap();
}

async fn uncommitted(lake: &TestCatalog, repository: &Repository, query: DiffQuery) -> String {
    let reader = lake.reader();
    let page = reader.diff_uncommitted(repository, "dev", &query).await;
    signs(&page.unwrap())
}

/// Three commits on `main`, and `dev` with a commit on top.
async fn committed_on_dev() -> (TestCatalog, Repository) {
    let (lake, repository) = three_commits().await;
    work_on_dev(&lake, &repository).await;
    lake.commit(&repository, "dev", "work").await;
    (lake, repository)
}

#[tokio::test]
async fn uncommitted_changes_are_listed_until_the_commit() {
    let (lake, repository) = three_commits().await;
    work_on_dev(&lake, &repository).await;
    let list = async |query| uncommitted(&lake, &repository, query).await;
    assert_eq!(list(diffs("")).await, "~a/1 -c +d/1");
    assert_eq!(list(diffs("/")).await, "*a/ -c *d/");
    let below_a = DiffQuery {
        prefix: "a/".to_owned(),
        ..diffs("/")
    };
    assert_eq!(list(below_a).await, "~a/1");
    lake.commit(&repository, "dev", "work").await;
    assert_eq!(list(diffs("")).await, "");
}

#[tokio::test]
async fn diff_of_refs_starts_at_the_merge_base_unless_it_is_two_dot() {
    let (lake, repository) = committed_on_dev().await;
    let between = async |left, right, two_dot| {
        let reader = lake.reader();
        let query = diffs("");
        let page = reader.diff_refs(&repository, left, right, two_dot, &query);
        signs(&page.await.unwrap())
    };
    assert_eq!(between("main", "dev", false).await, "~a/1 -c +d/1");
    assert_eq!(between("dev", "main", false).await, "");
    assert_eq!(between("dev", "main", true).await, "~a/1 +c -d/1");
}

#[tokio::test]
async fn diff_of_refs_is_paged() {
    let (lake, repository) = committed_on_dev().await;
    let page = async |after: &str| {
        let query = DiffQuery {
            after: after.to_owned(),
            limit: 2,
            ..diffs("/")
        };
        let reader = lake.reader();
        let page = reader.diff_refs(&repository, "main", "dev", false, &query);
        page.await.unwrap()
    };
    let first = page("").await;
    assert_eq!(
        (
            signs(&first).as_str(),
            first.has_more,
            first.next_offset.as_str()
        ),
        ("*a/ -c", true, "c")
    );
    let last = page(&first.next_offset).await;
    assert_eq!((signs(&last).as_str(), last.has_more), ("*d/", false));
}

#[tokio::test]
async fn diff_shows_both_sides_of_a_conflict_and_the_merge_fails() {
    let (lake, repository) = three_commits().await;
    work_on_dev(&lake, &repository).await;
    lake.commit(&repository, "dev", "work").await;
    lake.put(&repository, "main", "a/1", "otherwise").await;
    lake.commit(&repository, "main", "otherwise").await;
    let page = lake
        .reader()
        .diff_refs(&repository, "main", "dev", false, &diffs(""))
        .await
        .unwrap();
    assert_eq!(signs(&page), "!a/1 -c +d/1");
    assert_eq!(page.results[0].right.as_ref().unwrap().size_bytes, 7);
    let error = lake
        .merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Conflict { keys, count: 1 } if keys == &[b"a/1".to_vec()]),
        "{error}"
    );

    lake.delete_objects(
        &repository,
        "dev",
        &["a/1".to_owned()],
        WriteOptions::default(),
    )
    .await
    .unwrap();
    lake.put(&repository, "dev", "a/1", "otherwise").await;
    lake.commit(&repository, "dev", "agree").await;
    lake.merge(&repository, "dev", "main", merge_params())
        .await
        .unwrap();
    assert_eq!(lake.paths(&repository, "main").await, "a/1 a/2 b/1 d/1");
    let base = lake
        .reader()
        .find_merge_base(&repository, "dev", "main")
        .await
        .unwrap();
    assert_eq!(base.base, Some(base.source));
}

/// The snapshot of the tree of a reference.
async fn snapshot(lake: &TestCatalog, repository: &Repository, reference: &str) -> Snapshot {
    let commit = lake.reader().commit(repository, reference).await.unwrap();
    lake.reader().snapshot(repository, &commit.meta_range_id)
}

fn paths(page: &Page<Object>) -> String {
    let paths: Vec<_> = page.results.iter().map(|o| o.path.as_str()).collect();
    paths.join(" ")
}

#[tokio::test]
async fn snapshot_has_the_objects_of_its_tree() {
    let (lake, repository) = three_commits().await;
    let old = snapshot(&lake, &repository, "main~1").await;
    assert!(old.stat("c").await.unwrap().is_none());
    assert!(old.stat("").await.unwrap().is_none());
    let new = snapshot(&lake, &repository, "main").await;
    assert_eq!(
        new.stat("c").await.unwrap().unwrap(),
        lake.reader().stat(&repository, "main", "c").await.unwrap()
    );
}

#[tokio::test]
async fn snapshot_is_walked_in_pages() {
    let (lake, repository) = three_commits().await;
    let new = snapshot(&lake, &repository, "main").await;
    let page = new.walk("a/", "", 1).await.unwrap();
    assert_eq!(
        (
            paths(&page).as_str(),
            page.has_more,
            page.next_offset.as_str()
        ),
        ("a/1", true, "a/1")
    );
    assert_eq!(paths(&new.walk("a/", "a/1", 9).await.unwrap()), "a/2");
    let old = snapshot(&lake, &repository, "main~1").await;
    assert_eq!(paths(&old.walk("", "", 9).await.unwrap()), "a/1 a/2 b/1");
}

#[tokio::test]
async fn snapshots_are_compared() {
    let (lake, repository) = three_commits().await;
    let old = snapshot(&lake, &repository, "main~1").await;
    let new = snapshot(&lake, &repository, "main").await;
    let page = old.diff(&new, "", "", 9).await.unwrap();
    let [(None, Some(added))] = &page.results[..] else {
        panic!("{page:?}")
    };
    assert_eq!(added.path, "c");
}

#[tokio::test]
async fn snapshot_of_the_empty_tree_is_empty() {
    let (lake, repository) = three_commits().await;
    let empty = lake
        .reader()
        .snapshot(&repository, &MetaRangeId::trusted(""));
    assert_eq!(empty.tree_id().as_str(), "");
    assert_eq!(paths(&empty.walk("", "", 9).await.unwrap()), "");
    let old = snapshot(&lake, &repository, "main~1").await;
    assert_eq!(
        empty.diff(&old, "a/", "", 1).await.unwrap().next_offset,
        "a/1"
    );
}

#[tokio::test]
async fn snapshot_lists_folders_like_a_reference() {
    let (lake, repository) = three_commits().await;
    let commit = lake.reader().commit(&repository, "main").await.unwrap();
    let snapshot = lake.reader().snapshot(&repository, &commit.meta_range_id);
    let mut request = ListRequest {
        prefix: String::new(),
        after: String::new(),
        delimiter: "/".to_owned(),
        limit: 2,
    };
    for (expected, has_more) in [("a/ b/", true), ("c", false)] {
        let page = snapshot.list(&request).await.unwrap();
        let rows: Vec<_> = page.results.iter().map(path_of).collect();
        assert_eq!(
            (rows.join(" ").as_str(), page.has_more),
            (expected, has_more)
        );
        let of_commit = lake.reader();
        let of_commit = of_commit.list_objects(&repository, commit.id.as_str(), &request);
        assert_eq!(of_commit.await.unwrap(), page);
        request.after = page.next_offset;
    }
}

#[tokio::test]
async fn tag_is_created_and_deleted() {
    let (lake, repository) = three_commits().await;
    lake.create_tag(&repository, "v1", "main~1", false, "tester")
        .await
        .unwrap();
    let tagged = lake.reader().commit(&repository, "v1").await.unwrap();
    assert_eq!(tagged.message, "two");
    let tag = lake.reader().tag(&repository, "v1").await.unwrap();
    assert_eq!(tag.id.as_str(), "v1");
    lake.delete_tag(&repository, "v1", false, "tester")
        .await
        .unwrap();
    assert!(lake.reader().tag(&repository, "v1").await.is_err());
}

#[tokio::test]
async fn branch_is_created_and_deleted() {
    let (lake, repository) = three_commits().await;
    lake.create_branch(&repository, "dev", "main", false, false, "tester")
        .await
        .unwrap();
    let listed = lake
        .reader()
        .list_branches(&repository, "", "", false, 9)
        .await
        .unwrap();
    let names: Vec<_> = listed.results.iter().map(|b| b.id.as_str()).collect();
    assert_eq!(names, ["dev", "main"]);
    lake.delete_branch(&repository, "dev", false, "tester")
        .await
        .unwrap();
    assert!(lake.reader().branch(&repository, "dev").await.is_err());
}

#[tokio::test]
async fn commit_without_changes_is_refused() {
    let (lake, repository) = three_commits().await;
    let nothing = lake
        .commit_branch(&repository, "main", commit_params("nothing"))
        .await;
    assert!(matches!(nothing, Err(Error::NoChanges(_))));
}
