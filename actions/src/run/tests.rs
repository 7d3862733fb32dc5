//! Tests of run records: writing, listing, and setting the commit.

use catalog::MAX_PAGE_BYTES;
use kv::MemoryStore;
use time::macros::datetime;

use super::*;

fn run(id: &str, branch: &str, commit: &str) -> Run {
    Run {
        run_id: id.to_owned(),
        branch_id: branch.to_owned(),
        commit_id: commit.to_owned(),
        source_ref: branch.to_owned(),
        event_type: "pre-commit".to_owned(),
        start_time: datetime!(2026-03-04 05:06:07.000000001 UTC),
        end_time: datetime!(2026-03-04 05:06:08 UTC),
        passed: true,
        warnings: Vec::new(),
    }
}

fn hook(id: &str, status: HookStatus) -> HookRun {
    let at = if status == HookStatus::Skipped {
        NEVER
    } else {
        datetime!(2026-03-04 05:06:07 UTC)
    };
    HookRun {
        hook_run_id: id.to_owned(),
        hook_id: "h".to_owned(),
        action_name: "gate".to_owned(),
        start_time: at,
        end_time: at,
        status,
    }
}

fn records() -> (Records, Arc<MemoryStore>) {
    let kv = Arc::new(MemoryStore::default());
    (Records::new(Arc::clone(&kv) as Arc<dyn Store>), kv)
}

async fn ids(
    records: &Records,
    filter: Filter<'_>,
    after: &str,
    limit: usize,
) -> (Vec<String>, String) {
    let page = records.list("repo", filter, after, limit).await.unwrap();
    assert_eq!(page.has_more, !page.next_offset.is_empty());
    (
        page.results.into_iter().map(|run| run.run_id).collect(),
        page.next_offset,
    )
}

/// Records with five runs of `repo` and one of another repository.
async fn with_runs() -> Records {
    let (records, _) = records();
    for (repository, id, branch, commit) in [
        ("repo", "1", "main", "c1"),
        ("repo", "2", "main2", ""),
        ("repo", "3", "main", "c1"),
        ("repo", "4", "", "c2"),
        ("repo", "5", "main", ""),
        ("repo2", "9", "main", "c1"),
    ] {
        let run = run(id, branch, commit);
        records.save(repository, &run, &[]).await.unwrap();
    }
    records
}

#[tokio::test]
async fn runs_are_listed_in_pages() {
    let records = with_runs().await;
    let (all, next) = ids(&records, Filter::All, "", 10).await;
    assert_eq!(all, ["1", "2", "3", "4", "5"]);
    assert_eq!(next, "");
    let (page, next) = ids(&records, Filter::All, "", 2).await;
    assert_eq!(page, ["1", "2"]);
    assert_eq!(next, "2");
    let (page, _) = ids(&records, Filter::All, "2", 3).await;
    assert_eq!(page, ["3", "4", "5"]);
}

#[tokio::test]
async fn runs_are_listed_by_branch_in_pages() {
    let records = with_runs().await;
    let (page, next) = ids(&records, Filter::Branch("main"), "", 2).await;
    assert_eq!(page, ["1", "3"]);
    assert_eq!(next, "3");
    let (page, next) = ids(&records, Filter::Branch("main"), "3", 2).await;
    assert_eq!(page, ["5"]);
    assert_eq!(next, "");
    let (page, _) = ids(&records, Filter::Branch("none"), "", 10).await;
    assert!(page.is_empty(), "{page:?}");
}

#[tokio::test]
async fn runs_are_listed_by_commit() {
    let records = with_runs().await;
    let (page, _) = ids(&records, Filter::Commit("c1"), "", 10).await;
    assert_eq!(page, ["1", "3"]);
}

#[tokio::test]
async fn run_is_found_by_its_id() {
    let records = with_runs().await;
    let found = records.run("repo", "1").await.unwrap();
    assert_eq!(found, Some(run("1", "main", "c1")));
    assert_eq!(records.run("repo", "none").await.unwrap(), None);
}

#[tokio::test]
async fn index_entry_without_run_is_skipped() {
    let (records, kv) = records();
    for id in ["1", "2", "3"] {
        records
            .save("repo", &run(id, "main", ""), &[])
            .await
            .unwrap();
    }
    kv.delete(PARTITION, b"repos/repo/runs/1").await.unwrap();
    assert_eq!(
        ids(&records, Filter::Branch("main"), "", 1).await,
        (vec!["2".into()], "2".into())
    );
    assert_eq!(
        ids(&records, Filter::Branch("main"), "", 2).await,
        (vec!["2".into(), "3".into()], String::new())
    );
}

#[tokio::test]
async fn commit_of_a_run_is_set_once() {
    let (records, _) = records();
    records
        .save("repo", &run("1", "main", ""), &[])
        .await
        .unwrap();
    let updated = records
        .set_commit("repo", "1", "c1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(updated.commit_id, "c1");
    assert_eq!(ids(&records, Filter::Commit("c1"), "", 10).await.0, ["1"]);
    assert_eq!(records.set_commit("repo", "1", "c2").await.unwrap(), None);
    assert_eq!(
        records.set_commit("repo", "none", "c2").await.unwrap(),
        None
    );
}

#[tokio::test]
async fn hook_status_round_trips() {
    let (records, _) = records();
    let hooks = [
        hook("0000_0000", HookStatus::Failed),
        hook("0000_0001", HookStatus::Skipped),
        hook("0001_0000", HookStatus::Completed),
    ];
    records
        .save("repo", &run("1", "main", ""), &hooks)
        .await
        .unwrap();
    let page = records.hooks("repo", "1", "", 2).await.unwrap();
    assert_eq!(
        (
            page.results.as_slice(),
            page.has_more,
            page.next_offset.as_str()
        ),
        (&hooks[..2], true, "0000_0001")
    );
    assert_eq!(
        records
            .hooks("repo", "1", "0000_0001", 2)
            .await
            .unwrap()
            .results,
        hooks[2..]
    );
    assert_eq!(
        records.hook("repo", "1", "0000_0001").await.unwrap(),
        Some(hooks[1].clone())
    );
    assert!(
        records
            .hooks("repo", "none", "", 2)
            .await
            .unwrap()
            .results
            .is_empty()
    );
    // Otherwise, a second run with the same id could overwrite some hooks of the first.
    assert!(
        records
            .save("repo", &run("1", "main", ""), &hooks)
            .await
            .is_err()
    );
}

#[test]
fn record_encoding_matches_lakefs() {
    let skipped = encode_hook("r", &hook("0000_0001", HookStatus::Skipped));
    // Zero times are encoded explicitly: seconds -62135596800.
    let zero = "2a0b0880 92b8c398feffffff01".replace(' ', "");
    assert!(
        hex::encode(&skipped).contains(&zero),
        "{}",
        hex::encode(&skipped)
    );
    let completed = encode_hook("r", &hook("0", HookStatus::Completed));
    assert!(
        hex::encode(&completed).ends_with("4801"),
        "passed is field 9"
    );
}

#[tokio::test]
async fn run_keeps_its_warnings() {
    let (records, _) = records();
    let mut warned = run("r1", "main", "");
    warned.warnings = vec!["a".to_owned(), "b".to_owned()];
    records.save("repo", &warned, &[]).await.unwrap();
    // `set_commit` decodes and rewrites the whole record.
    records.set_commit("repo", "r1", "c1").await.unwrap();
    let read = records.run("repo", "r1").await.unwrap().unwrap();
    assert_eq!(read.warnings, warned.warnings);
}

/// Regression test: pages of runs were limited in number only. A run could have 300 KB of warnings, and a
/// page 300 MB.
#[tokio::test]
async fn pages_of_runs_are_limited_in_bytes() {
    let (records, _) = records();
    let large = MAX_PAGE_BYTES / 4;
    for n in 0..100 {
        let mut run = run(&format!("{n:03}"), "main", "");
        if n < 10 {
            run.warnings = vec!["w".repeat(large)];
        }
        records.save("repo", &run, &[]).await.unwrap();
    }
    for filter in [Filter::All, Filter::Branch("main")] {
        let (mut after, mut pages) = (String::new(), Vec::new());
        let mut listed = Vec::new();
        loop {
            let (page, next) = ids(&records, filter, &after, 1000).await;
            pages.push(page.len());
            listed.extend(page);
            if next.is_empty() {
                break;
            }
            after = next;
        }
        assert_eq!(pages, [3, 3, 3, 91]);
        let expected: Vec<String> = (0..100).map(|n| format!("{n:03}")).collect();
        assert_eq!(listed, expected);
    }
    let largest = vec!["w".repeat(MAX_PAGE_BYTES + 1)];
    let mut run = run("", "main", "");
    run.run_id = "000a".to_owned();
    run.warnings = largest;
    records.save("repo", &run, &[]).await.unwrap();
    let (page, next) = ids(&records, Filter::All, "000", 1000).await;
    assert_eq!((page, next), (vec!["000a".to_owned()], "000a".to_owned()));
}

#[tokio::test]
async fn commit_prefix_finds_its_runs() {
    let (records, _) = records();
    for (id, commit) in [("r1", "ab12"), ("r2", "ab12"), ("r3", "ab34"), ("r4", "c0")] {
        records
            .save("repo", &run(id, "main", commit), &[])
            .await
            .unwrap();
    }
    let found = async |digits: &str| records.commit_with_runs("repo", digits).await;
    assert_eq!(found("ab1").await.unwrap().as_deref(), Some("ab12"));
    assert_eq!(found("ab12").await.unwrap().as_deref(), Some("ab12"));
    assert_eq!(found("c").await.unwrap().as_deref(), Some("c0"));
    for none in ["", "ab2", "d", "main", "AB1", "../runs", "ab12/r1"] {
        assert_eq!(found(none).await.unwrap(), None, "{none}");
    }
    let error = found("ab").await.unwrap_err().to_string();
    assert!(error.contains("commit ab is ambiguous"), "{error}");
}
