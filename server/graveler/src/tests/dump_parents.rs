//! A dump includes the parents of each of its commits, even if commits are made during the dump.

use kv::Op;

use super::dump::{bare, check_refused, dump, refs, restore, tree};
use super::racing_store::{Moment, RacingStore};
use crate::ident::commit_id;
use crate::records::{COMMITS, Stored as _, commit_key};
use crate::testing::Lake;
use crate::{Commit, Error, RefsDump};

/// A commit on top of `parent` whose id starts with `digit`.
fn child_of(parent: &Commit, digit: char) -> Commit {
    let mut child = parent.clone();
    child.parents = vec![parent.id.clone()];
    child.generation += 1;
    for number in 0.. {
        child.message = number.to_string();
        child.id = commit_id(&child);
        if child.id.as_str().starts_with(digit) {
            break;
        }
    }
    child
}

fn set(lake: &Lake, commit: &Commit) -> Op {
    Op::Set {
        partition: lake.repo.partition().into(),
        key: commit_key(commit.id.as_str()),
        value: commit.encode(),
        predicate: None,
    }
}

/// A line of a hundred commits, more than one page.
async fn lake_with_history() -> (Lake, Commit) {
    let lake = Lake::new().await;
    let mut last = lake.head("main").await;
    for number in 0..100 {
        last = child_of(&last, char::from_digit(number % 16, 16).unwrap());
        lake.kv.batch(vec![set(&lake, &last)]).await.unwrap();
    }
    (lake, last)
}

#[tokio::test]
async fn commit_during_a_dump_is_dumped_with_its_ancestors() {
    let (lake, head) = lake_with_history().await;
    // The first page ends before 8. The child lies after it, so the dump reads it; its parent and
    // grandparent lie before.
    let grandparent = child_of(&head, '0');
    let parent = child_of(&grandparent, '1');
    let child = child_of(&parent, 'f');
    let landing = [&grandparent, &parent, &child].map(|commit| set(&lake, commit));
    let store = RacingStore::store(&lake.kv, Moment::Scanned(COMMITS), landing.into());
    let server = lake.graveler.on_store_for_tests(&store);
    let counted = std::sync::atomic::AtomicU64::new(0);
    let count = |records| {
        counted.fetch_add(records, std::sync::atomic::Ordering::Relaxed);
    };
    let dump = server.dump_refs(&lake.repo, &count).await.unwrap();
    assert_eq!(counted.into_inner(), 1 + 101 + 3, "a branch, and commits");

    let target = bare(&lake, "target").await;
    restore(&lake.graveler, &target, &dump).await.unwrap();
    let (then, now) = (
        refs(&lake.graveler, &lake.repo).await,
        refs(&lake.graveler, &target).await,
    );
    assert!(
        now.contains(child.id.as_str()),
        "the new commit must be in the dump"
    );
    assert_eq!(then, now);
}

#[tokio::test]
async fn restore_refuses_a_dump_that_lacks_a_parent_and_names_both() {
    let (lake, head) = lake_with_history().await;
    let good = dump(&lake).await;
    let orphan = RefsDump {
        commits: tree(&lake, "commit", &[(head.id.as_str(), head.encode())]).await,
        tags: good.tags.clone(),
        branches: tree(&lake, "branch", &[]).await,
    };
    let target = bare(&lake, "target").await;
    let words = format!(
        "commit {} names parent {}, which the dump does not hold",
        head.id, head.parents[0]
    );
    check_refused(restore(&lake.graveler, &target, &orphan).await, &words);
    let written = lake.kv.scan(target.partition().as_bytes(), b"", 10).await;
    assert_eq!(written.unwrap().entries, []);
}

#[tokio::test]
async fn missing_parents_are_found_with_any_part_size() {
    let (lake, head) = lake_with_history().await;
    let mut line = vec![head];
    while let Some(parent) = line.last().unwrap().parents.first() {
        let parent = lake.graveler.get_commit(&lake.repo, parent).await.unwrap();
        line.push(parent);
    }
    line.sort_by(|a, b| a.id.cmp(&b.id));
    for gone in (0..line.len()).step_by(6) {
        let without: Vec<_> = line
            .iter()
            .filter(|commit| commit.id != line[gone].id)
            .map(|commit| (commit.id.as_str(), commit.encode()))
            .collect();
        let commits = tree(&lake, "commit", &without).await;
        let engine = &lake.graveler;
        for max_ids in [1 + gone % 7, 33, 100, 101] {
            let missing = engine.missing_parents(&lake.repo, &commits, max_ids).await;
            let missing: Vec<_> = missing.unwrap().into_keys().collect();
            let is_parent = line.iter().any(|c| c.parents.contains(&line[gone].id));
            let expected = is_parent.then(|| line[gone].id.clone());
            assert_eq!(missing, Vec::from_iter(expected), "{gone} {max_ids}");
        }
    }
}

#[tokio::test]
async fn dump_fails_if_a_parent_has_no_record() {
    let (lake, head) = lake_with_history().await;
    let gone = commit_key(head.parents[0].as_str());
    let partition = lake.repo.partition();
    lake.kv.delete(partition.as_bytes(), &gone).await.unwrap();
    let server = lake.graveler.fork_for_tests();
    let error = server.dump_refs(&lake.repo, &|_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    for id in [&head.id, &head.parents[0]] {
        assert!(error.to_string().contains(id.as_str()), "{error}");
    }
}
