//! Dumps, and repositories restored from them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kv::testing::{Faults, FaultyStore};

use crate::ident::{Ident, commit_id};
use crate::records::{Stored as _, branch_key, commit_key};
use crate::testing::{Lake, branch, new_repository};
use crate::{
    Branch, BranchRecord, Commit, CommitId, CreateRepository, Error, Graveler, Kind, LogRequest,
    MetaRangeId, NoHooks, Record, RefsDump, Repository, RepositoryId, RestoreRefs, Result,
    StagingToken, Tag, TagId, Value,
};

pub(super) async fn dump(lake: &Lake) -> RefsDump {
    lake.graveler.dump_refs(&lake.repo, &|_| {}).await.unwrap()
}

/// A bare repository in the same namespace.
pub(super) async fn bare(lake: &Lake, name: &str) -> Repository {
    let request = CreateRepository {
        storage_namespace: lake.repo.storage_namespace.clone(),
        bare: true,
        ..new_repository(name)
    };
    lake.graveler.create_repository(request).await.unwrap()
}

pub(super) async fn restore(graveler: &Graveler, into: &Repository, dump: &RefsDump) -> Result<()> {
    restore_as(graveler, into, &restoring(dump)).await
}

fn restoring(dump: &RefsDump) -> RestoreRefs<'_> {
    RestoreRefs {
        dump,
        force: false,
        actor: "tests",
        token: "",
    }
}

async fn restore_as(
    graveler: &Graveler,
    into: &Repository,
    request: &RestoreRefs<'_>,
) -> Result<()> {
    graveler.restore_refs(into, request, &|_| {}).await
}

/// All references with their heads and flags, and every commit; staging tokens are left out.
pub(super) async fn refs(graveler: &Graveler, repo: &Repository) -> String {
    let mut lines = Vec::new();
    let branches = graveler.list_branches(repo, "", "", true, 1_000).await;
    for branch in branches.unwrap().results {
        let record = branch.record;
        lines.push(format!(
            "{} {} {}",
            branch.id, record.commit_id, record.hidden
        ));
    }
    for tag in graveler
        .list_tags(repo, "", "", 1_000)
        .await
        .unwrap()
        .results
    {
        lines.push(format!("{} {}", tag.id, tag.commit_id));
    }
    let (kv, partition) = (graveler.refs.kv_for_tests(), repo.partition());
    let commits = kv::first_entries(kv.as_ref(), partition.as_bytes(), b"commits/", usize::MAX);
    for entry in commits.await.unwrap() {
        lines.push(format!("{:?}", Commit::decode(entry.value).unwrap()));
    }
    lines.join("\n")
}

async fn lake_with_refs() -> Lake {
    let lake = Lake::new().await;
    lake.put("main", "a=1 b=1").await;
    lake.commit("main", "one").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "b=2 c=2").await;
    lake.commit("dev", "two").await.unwrap();
    lake.put("main", "d=3").await;
    lake.commit("main", "three").await.unwrap();
    lake.merge("dev", "main").await.unwrap();
    lake.graveler
        .create_branch(
            &lake.repo,
            &branch("secret"),
            "dev",
            true,
            false,
            "me",
            &NoHooks,
        )
        .await
        .unwrap();
    lake.graveler
        .create_tag(
            &lake.repo,
            &TagId::trusted("v1"),
            "main~1",
            false,
            "me",
            &NoHooks,
        )
        .await
        .unwrap();
    // A commit that cannot be reached from any reference.
    lake.branch_from("gone", "main").await;
    lake.put("gone", "e=4").await;
    lake.commit("gone", "lost").await.unwrap();
    lake.graveler
        .delete_branch(&lake.repo, &branch("gone"), false, "me", &NoHooks)
        .await
        .unwrap();
    lake
}

#[tokio::test]
async fn restore_recreates_references_and_commits() {
    let lake = lake_with_refs().await;
    lake.put("main", "uncommitted=5").await;
    let counted = AtomicU64::new(0);
    let count = |records| {
        counted.fetch_add(records, Ordering::Relaxed);
    };
    let dump = lake.graveler.dump_refs(&lake.repo, &count).await.unwrap();
    // Three branches and one tag; the first commit, four on main and dev, and the unreachable one.
    assert_eq!(counted.swap(0, Ordering::Relaxed), 10);

    let target = bare(&lake, "target").await;
    lake.graveler
        .restore_refs(&target, &restoring(&dump), &count)
        .await
        .unwrap();
    assert_eq!(counted.load(Ordering::Relaxed), 10);
    let (then, now) = (
        refs(&lake.graveler, &lake.repo).await,
        refs(&lake.graveler, &target).await,
    );
    assert_eq!(then, now);

    let restored = Lake {
        repo: target,
        ..lake.clone()
    };
    assert_eq!(restored.show("main").await, "a=1 b=2 c=2 d=3");
    assert_eq!(log(&restored).await, log(&lake).await);
    // The restored repository has its own tokens, so writes to one do not show in the other.
    restored.put("main", "f=6").await;
    restored.commit("main", "after").await.unwrap();
    assert_eq!(restored.show("main").await, "a=1 b=2 c=2 d=3 f=6");
    assert_eq!(lake.show("main").await, "a=1 b=2 c=2 d=3 uncommitted=5");
}

async fn log(lake: &Lake) -> Vec<CommitId> {
    let request = LogRequest {
        from: lake.head("main").await.id,
        first_parent: false,
        since: None,
        stop_at: None,
    };
    let mut log = lake.graveler.log(&lake.repo, request).await.unwrap();
    let mut ids = Vec::new();
    while let Some(commit) = log.next().await.unwrap() {
        ids.push(commit.id);
    }
    ids
}

#[tokio::test]
async fn ten_thousand_commits_are_dumped_and_restored() {
    const COMMITS: i32 = 10_000;
    let lake = Lake::new().await;
    let mut last = lake.head("main").await;
    let partition = lake.repo.partition();
    for number in 0..COMMITS {
        last.parents = vec![last.id.clone()];
        last.message = number.to_string();
        last.generation += 1;
        last.id = commit_id(&last);
        let key = commit_key(last.id.as_str());
        lake.kv
            .set(partition.as_bytes(), &key, last.encode())
            .await
            .unwrap();
    }
    let dump = dump(&lake).await;
    let target = bare(&lake, "target").await;
    restore(&lake.graveler, &target, &dump).await.unwrap();
    let then = refs(&lake.graveler, &lake.repo).await;
    assert_eq!(then.lines().count(), 1 + 1 + COMMITS as usize);
    assert!(then == refs(&lake.graveler, &target).await);
}

#[tokio::test]
async fn restore_needs_a_bare_repository() {
    let lake = lake_with_refs().await;
    let refused = restore(&lake.graveler, &lake.repo, &dump(&lake).await).await;
    assert!(matches!(refused, Err(Error::NotBare(_))), "{refused:?}");
}

/// A server that takes over the task of restoring finds the work done.
#[tokio::test]
async fn finished_restore_repeats_only_with_its_token() {
    let lake = lake_with_refs().await;
    let dump = dump(&lake).await;
    let target = bare(&lake, "target").await;
    let task = RestoreRefs {
        token: "task",
        ..restoring(&dump)
    };
    restore_as(&lake.graveler, &target, &task).await.unwrap();
    let refused = restore(&lake.graveler, &target, &dump).await;
    assert!(matches!(refused, Err(Error::NotBare(_))), "{refused:?}");
    restore_as(&lake.graveler, &target, &task).await.unwrap();
}

#[tokio::test]
async fn restore_into_a_read_only_repository_needs_force() {
    let lake = lake_with_refs().await;
    let dump = dump(&lake).await;
    let mut read_only = bare(&lake, "read-only").await;
    read_only.read_only = true;
    let refused = restore(&lake.graveler, &read_only, &dump).await;
    assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    let forced = RestoreRefs {
        force: true,
        ..restoring(&dump)
    };
    let restored = restore_as(&lake.graveler, &read_only, &forced).await;
    restored.unwrap();
}

/// Stores a tree of records whose properties name the kind `entity`.
pub(super) async fn tree(lake: &Lake, entity: &str, records: &[(&str, Bytes)]) -> MetaRangeId {
    let properties = BTreeMap::from([("entity".to_owned(), entity.to_owned())]);
    let namespace = &lake.repo.storage_namespace;
    let mut writer = lake.graveler.committed.record_writer(namespace, properties);
    for (key, data) in records {
        let record = Record {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Value {
                identity: Bytes::from_static(b"x"),
                data: data.clone(),
            },
        };
        writer.add(record).await.unwrap();
    }
    writer.finish().await.unwrap()
}

#[tokio::test]
async fn inconsistent_dump_is_refused_before_any_write() {
    let lake = lake_with_refs().await;
    let good = dump(&lake).await;
    let head = lake.head("main").await;
    let id = head.id.as_str();
    let with_commit = async |commit: &Commit, key: &str| RefsDump {
        commits: tree(&lake, "commit", &[(key, commit.encode())]).await,
        ..good.clone()
    };
    let mut forged = head.clone();
    forged.message = "forged".to_owned();
    let mut old = head.clone();
    old.generation = 0;
    let no_such = CommitId::trusted("0".repeat(64));
    let tag = Tag {
        id: TagId::trusted("v9"),
        commit_id: no_such.clone(),
    };
    let invalid_tag = Tag {
        id: TagId::trusted("../x"),
        commit_id: head.id.clone(),
    };
    let cases = [
        (with_commit(&forged, id).await, "does not match its id"),
        (with_commit(&old, id).await, "has no generation"),
        (with_commit(&head, "elsewhere").await, "has the key"),
        (
            RefsDump {
                tags: tree(&lake, "tag", &[("v9", tag.encode())]).await,
                ..good.clone()
            },
            "which the dump does not hold",
        ),
        (
            RefsDump {
                tags: tree(&lake, "tag", &[("../x", invalid_tag.encode())]).await,
                ..good.clone()
            },
            "tag id \"../x\" is invalid",
        ),
        (
            RefsDump {
                tags: good.branches.clone(),
                branches: good.tags.clone(),
                ..good.clone()
            },
            "is a dump of kind \"branch\", not of kind \"tag\"",
        ),
        (
            RefsDump {
                commits: MetaRangeId::trusted(""),
                ..good.clone()
            },
            "kind \"commit\" is empty",
        ),
    ];
    let target = bare(&lake, "target").await;
    for (dump, words) in cases {
        check_refused(restore(&lake.graveler, &target, &dump).await, words);
    }
    let absent = RefsDump {
        commits: MetaRangeId::trusted(no_such.as_str()),
        ..good.clone()
    };
    let refused = restore(&lake.graveler, &target, &absent).await;
    assert!(
        matches!(
            &refused,
            Err(Error::NotFound {
                kind: Kind::Dump,
                ..
            })
        ),
        "{refused:?}"
    );
    let written = lake.kv.scan(target.partition().as_bytes(), b"", 10).await;
    assert_eq!(written.unwrap().entries, []);
    restore(&lake.graveler, &target, &good).await.unwrap();
}

pub(super) fn check_refused(outcome: Result<()>, words: &str) {
    match outcome {
        Err(
            refused @ (Error::InvalidValue(_) | Error::Advised { .. } | Error::InvalidName { .. }),
        ) => {
            assert!(refused.to_string().contains(words), "{refused}");
        }
        other => panic!("{words}: {other:?}"),
    }
}

#[tokio::test]
async fn interrupted_restore_resumes_when_repeated() {
    let lake = lake_with_refs().await;
    let good = dump(&lake).await;
    let expected = refs(&lake.graveler, &lake.repo).await;
    let mut cut_short = 0;
    for seed in 0..60 {
        let target = bare(&lake, &format!("target-{seed}")).await;
        let faults = Faults {
            read: 20,
            before_write: 60,
            after_write: 60,
            yields: 0,
        };
        let store = FaultyStore::new(Arc::clone(&lake.kv), seed, faults);
        let faulty = lake.graveler.on_store_for_tests(&(Arc::new(store) as _));
        let mut tries = 0;
        let request = RestoreRefs {
            token: "the same",
            ..restoring(&good)
        };
        while let Err(error) = restore_as(&faulty, &target, &request).await {
            assert!(matches!(error, Error::Kv(_)), "{error}");
            tries += 1;
        }
        cut_short += tries;
        assert_eq!(refs(&lake.graveler, &target).await, expected, "seed {seed}");
    }
    assert!(cut_short > 60, "the store failed too rarely: {cut_short}");
}

#[tokio::test]
async fn restore_of_another_dump_is_refused_while_one_is_unfinished() {
    let lake = lake_with_refs().await;
    let one = dump(&lake).await;
    lake.branch_from("later", "main").await;
    let other = dump(&lake).await;
    let target = bare(&lake, "target").await;
    let begun = lake.graveler.begin_restore(&target, &restoring(&one)).await;
    begun.unwrap();
    let refused = restore(&lake.graveler, &target, &other).await;
    check_refused(refused, "a restore of another dump");

    // A branch that the first attempt created, and that was written to since, stays unchanged.
    let used = Branch {
        id: branch("main"),
        record: BranchRecord {
            commit_id: lake.head("main").await.id,
            staging_token: StagingToken::trusted("target-main:used"),
            sealed_tokens: Vec::new(),
            hidden: false,
        },
    };
    let partition = target.partition();
    lake.kv
        .set(partition.as_bytes(), &branch_key("main"), used.encode())
        .await
        .unwrap();
    restore(&lake.graveler, &target, &one).await.unwrap();
    let main = lake
        .graveler
        .branch(&target, &branch("main"))
        .await
        .unwrap();
    assert_eq!(main, used);

    let id = RepositoryId::trusted("target");
    lake.graveler.delete_repository(&id, false).await.unwrap();
    let target = bare(&lake, "target").await;
    restore(&lake.graveler, &target, &other).await.unwrap();
}

#[tokio::test]
async fn dump_tables_have_properties_that_are_part_of_their_ids() {
    let lake = Lake::new().await;
    let dump = dump(&lake).await;
    let committed = &lake.graveler.committed;
    let namespace = &lake.repo.storage_namespace;
    let mut properties = BTreeMap::new();
    for name in ["type", "entity", "schema_name", "schema_definition"] {
        let stored = committed
            .property(namespace, &dump.tags, name)
            .await
            .unwrap();
        let text = String::from_utf8(stored.unwrap().to_vec()).unwrap();
        properties.insert(name.to_owned(), text);
    }
    assert_eq!(properties["type"], "metaranges");
    assert_eq!(properties["entity"], "tag");
    assert_eq!(
        properties["schema_name"],
        "io.treeverse.lakefs.graveler.TagData"
    );
    // Without records, the id covers only the properties.
    let id = hex::encode(Ident::new().map(&properties).finish());
    assert_eq!(dump.tags.as_str(), id);

    let mut cursor = committed.cursor(namespace, &dump.branches).await.unwrap();
    let record = cursor.next().await.unwrap().unwrap();
    let head = lake.head("main").await.id;
    assert_eq!(record.key.as_ref(), b"main");
    assert_eq!(record.value.identity.as_ref(), head.as_str().as_bytes());
    // The record has no staging tokens, nor other fields that matter only in its repository.
    let expected = [b"\x0a\x04main\x12\x40", head.as_str().as_bytes()].concat();
    assert_eq!(record.value.data.as_ref(), expected);
}

/// A branch with a dump as its tree could never be read again.
#[tokio::test]
async fn dump_cannot_be_committed_as_a_tree() {
    let lake = Lake::new().await;
    let as_tree = crate::CommitParams {
        source_metarange: Some(dump(&lake).await.commits),
        ..crate::testing::committing("a dump")
    };
    let refused = lake.commit_with("main", as_tree, &NoHooks).await;
    assert!(
        matches!(&refused, Err(Error::Advised { problem, .. }) if problem.contains("not a tree of objects")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn restore_refuses_trees_that_are_not_dumps_of_their_kind() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let objects = lake.commit("main", "first").await.unwrap().meta_range_id;
    let dump = dump(&lake).await;
    let target = bare(&lake, "target").await;
    let cases = [
        (
            RefsDump {
                commits: objects,
                ..dump.clone()
            },
            "tree of objects",
        ),
        (
            RefsDump {
                tags: MetaRangeId::trusted(""),
                ..dump.clone()
            },
            "empty",
        ),
        (
            RefsDump {
                branches: dump.tags.clone(),
                ..dump.clone()
            },
            "of kind",
        ),
    ];
    for (wrong, why) in cases {
        let refused = restore(&lake.graveler, &target, &wrong).await;
        assert!(
            matches!(&refused, Err(Error::Advised { problem, .. }) if problem.contains(why)),
            "{why}: {refused:?}"
        );
    }
    restore(&lake.graveler, &target, &dump).await.unwrap();
}

#[tokio::test]
async fn restore_is_the_only_entry_in_the_reflog_of_the_new_repository() {
    let lake = Lake::new().await;
    let dump = dump(&lake).await;
    let target = bare(&lake, "target").await;
    restore(&lake.graveler, &target, &dump).await.unwrap();
    let page = lake.graveler.reflog(&target, None, "", 10).await.unwrap();
    let entries: Vec<_> = page
        .results
        .iter()
        .map(|entry| (entry.operation, entry.actor.as_str(), entry.to.is_some()))
        .collect();
    assert_eq!(entries, [(crate::Operation::Restore, "tests", true)]);
}
