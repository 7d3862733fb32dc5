//! Repositories: creation, listing, metadata, and resumable deletion.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use kv::Op;

use crate::records::{REPOSITORIES, Stored as _, repository_key};
use crate::testing::{Lake, branch, new_repository, open};
use crate::{CreateRepository, Error, Kind, Repository, RepositoryId, RepositoryState};

#[tokio::test]
async fn names_are_unique_and_bare_repositories_have_no_branch() {
    let lake = Lake::new().await;
    let again = lake
        .graveler
        .create_repository(new_repository("lake"))
        .await;
    assert!(matches!(
        again,
        Err(Error::NotUnique {
            kind: Kind::Repository,
            ..
        })
    ));
    assert_eq!(
        lake.graveler.repository(&lake.repo.id).await.unwrap(),
        lake.repo
    );
    let none = lake
        .graveler
        .repository(&RepositoryId::trusted("none"))
        .await;
    assert!(matches!(
        none,
        Err(Error::NotFound {
            kind: Kind::Repository,
            ..
        })
    ));
    let bare = CreateRepository {
        bare: true,
        ..new_repository("bare")
    };
    let bare = lake.graveler.create_repository(bare).await.unwrap();
    let main = lake.graveler.branch(&bare, &branch("main")).await;
    assert!(matches!(
        main,
        Err(Error::NotFound {
            kind: Kind::Branch,
            ..
        })
    ));
}

#[tokio::test]
async fn listing_filters_by_prefix_search_and_visibility() {
    let lake = Lake::new().await;
    for name in ["c-one", "c-two", "d-one"] {
        lake.graveler
            .create_repository(new_repository(name))
            .await
            .unwrap();
    }
    let list = async |prefix: &str, after: &str, search: &str, limit: usize| {
        let page = lake
            .graveler
            .list_repositories(prefix, after, search, limit, |_| true)
            .await
            .unwrap();
        (
            page.results
                .iter()
                .map(|r| r.id.to_string())
                .collect::<Vec<_>>()
                .join(","),
            page.has_more,
            page.next_offset,
        )
    };
    assert_eq!(
        list("", "", "", 10).await,
        ("c-one,c-two,d-one,lake".into(), false, String::new())
    );
    assert_eq!(
        list("c-", "", "", 1).await,
        ("c-one".into(), true, "c-one".into())
    );
    assert_eq!(
        list("c-", "c-one", "", 1).await,
        ("c-two".into(), false, String::new())
    );
    assert_eq!(
        list("", "", "one", 1).await,
        ("c-one".into(), true, "c-one".into())
    );
    assert_eq!(
        list("", "c-one", "one", 1).await,
        ("d-one".into(), false, String::new())
    );
    let visible = |id: &RepositoryId| id.as_str() != "c-two";
    let page = lake
        .graveler
        .list_repositories("", "", "", 2, visible)
        .await
        .unwrap();
    let names: Vec<_> = page.results.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(
        (names.as_slice(), page.has_more),
        (&["c-one", "d-one"][..], true),
        "pages must count only visible repositories"
    );
}

#[tokio::test]
async fn metadata_is_set_deleted_and_bounded() {
    let lake = Lake::new().await;
    assert!(
        lake.graveler
            .repository_metadata(&lake.repo)
            .await
            .unwrap()
            .is_empty()
    );
    let set = [
        ("k".to_owned(), "v".to_owned()),
        ("empty".to_owned(), String::new()),
    ];
    lake.graveler
        .set_repository_metadata(&lake.repo, set.into(), 100)
        .await
        .unwrap();
    lake.graveler
        .delete_repository_metadata(&lake.repo, &["k".to_owned(), "none".to_owned()])
        .await
        .unwrap();
    let large = [("large".to_owned(), "x".repeat(91))];
    let refused = lake
        .graveler
        .set_repository_metadata(&lake.repo, large.into(), 100)
        .await;
    assert!(
        matches!(refused, Err(Error::InvalidValue(_))),
        "the limit must include existing metadata"
    );
    let left = lake.graveler.repository_metadata(&lake.repo).await.unwrap();
    assert_eq!(left, [("empty".to_owned(), String::new())].into());
}

#[tokio::test]
async fn deletion_leaves_nothing_and_frees_the_name() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "first").await.unwrap();
    lake.put("main", "b=1").await;
    lake.branch_from("dev", "main").await;
    lake.graveler
        .delete_repository(&lake.repo.id, false)
        .await
        .unwrap();
    assert!(
        lake.kv
            .scan(lake.repo.partition().as_bytes(), b"", 10)
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    assert_eq!(lake.retired_tokens().await, 3);
    assert!(matches!(
        lake.graveler.repository(&lake.repo.id).await,
        Err(Error::NotFound { .. })
    ));
    let again = lake.graveler.delete_repository(&lake.repo.id, false).await;
    assert!(matches!(
        again,
        Err(Error::NotFound {
            kind: Kind::Repository,
            ..
        })
    ));
    let set = lake.set("main", "c", "1", crate::Condition::Always).await;
    assert!(matches!(set, Err(Error::NotFound { .. })));
    let (_, recreated) = open(&lake.kv, &lake.clock, "lake", crate::Options::default()).await;
    assert_ne!(recreated.instance_uid, lake.repo.instance_uid);
    let lake = Lake {
        repo: lake.graveler.repository(&recreated.id).await.unwrap(),
        ..lake
    };
    assert_eq!(lake.show("main").await, "");
}

#[tokio::test]
async fn interrupted_deletion_resumes() {
    let lake = Lake::new().await;
    let marked = Repository {
        state: RepositoryState::InDeletion,
        ..lake.repo.clone()
    };
    let key = repository_key(&lake.repo.id);
    let op = Op::Set {
        partition: Bytes::from_static(REPOSITORIES),
        key,
        value: marked.encode(),
        predicate: None,
    };
    lake.kv.batch(vec![op]).await.unwrap();
    let restarted = lake.graveler.fork_for_tests();
    assert!(matches!(
        restarted.repository(&lake.repo.id).await,
        Err(Error::InDeletion(_))
    ));
    assert!(
        restarted
            .list_repositories("", "", "", 10, |_| true)
            .await
            .unwrap()
            .results
            .is_empty()
    );
    restarted
        .delete_repository(&lake.repo.id, false)
        .await
        .unwrap();
    assert!(matches!(
        restarted.repository(&lake.repo.id).await,
        Err(Error::NotFound { .. })
    ));
}

async fn mark(lake: &Lake, repo: &Repository) {
    let marked = Repository {
        state: RepositoryState::InDeletion,
        ..repo.clone()
    };
    let key = repository_key(&repo.id);
    lake.kv
        .set(REPOSITORIES, &key, marked.encode())
        .await
        .unwrap();
}

#[tokio::test]
async fn finish_deletions_resumes_up_to_the_limit() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    for name in ["one", "two", "kept"] {
        let made = lake.graveler.create_repository(new_repository(name)).await;
        if name != "kept" {
            mark(&lake, &made.unwrap()).await;
        }
    }
    mark(&lake, &lake.repo).await;
    let restarted = lake.graveler.fork_for_tests();
    assert_eq!(
        restarted.finish_deletions(2).await.unwrap(),
        2,
        "the limit must hold"
    );
    assert_eq!(restarted.finish_deletions(2).await.unwrap(), 1);
    assert_eq!(restarted.finish_deletions(2).await.unwrap(), 0);
    let left = lake.kv.scan(REPOSITORIES, b"", 10).await.unwrap();
    assert_eq!(
        left.entries.len(),
        1,
        "only the repository that is not being deleted"
    );
    let rows = lake
        .kv
        .scan(lake.repo.partition().as_bytes(), b"", 10)
        .await;
    assert!(rows.unwrap().entries.is_empty());
}

/// Two servers delete a repository. One finishes, and the name is reused before the other finishes.
#[tokio::test]
async fn late_deletion_does_not_affect_a_new_repository_with_the_same_name() {
    let lake = Lake::new().await;
    mark(&lake, &lake.repo).await;
    let marked = Repository {
        state: RepositoryState::InDeletion,
        ..lake.repo.clone()
    };
    let other = lake.graveler.fork_for_tests();
    other.finish_deletions(10).await.unwrap();
    let recreated = other
        .create_repository(new_repository("lake"))
        .await
        .unwrap();
    lake.graveler.purge_repository(&marked).await.unwrap();
    assert_eq!(
        other
            .fork_for_tests()
            .repository(&recreated.id)
            .await
            .unwrap(),
        recreated
    );
    other.branch(&recreated, &branch("main")).await.unwrap();
    // The same holds if the new repository is being deleted too and its rows still exist.
    mark(&lake, &recreated).await;
    lake.graveler.purge_repository(&marked).await.unwrap();
    let record = lake
        .kv
        .get(REPOSITORIES, &repository_key(&recreated.id))
        .await;
    assert!(record.unwrap().is_some());
}

/// Shared partitions in which the catalog keeps rows by repository; the index of pull requests is
/// another.
const SHARED_PARTITIONS: [&[u8]; 4] = [
    b"weir-tasks",
    b"weir-task-findings",
    b"weir-task-branches",
    b"weir-pulls",
];

#[tokio::test]
async fn deletion_removes_rows_that_lakefs_would_leave() {
    let lake = Lake::new().await;
    let partition = lake.repo.partition();
    for key in [
        "settings/protected_branches",
        "pulls/p",
        "tasks/DRx",
        "imports/i",
    ] {
        let set = lake
            .kv
            .set(partition.as_bytes(), key.as_bytes(), Bytes::new());
        set.await.unwrap();
    }
    for shared in SHARED_PARTITIONS {
        for key in [format!("{partition}/GCPCx"), format!("{partition}x/GCPCx")] {
            lake.kv
                .set(shared, key.as_bytes(), Bytes::new())
                .await
                .unwrap();
        }
    }
    let other = format!("repos/{partition}x/side/main");
    for number in 0..1_200 {
        let key = format!("repos/{partition}/side/{number}");
        lake.kv
            .set(b"pulls", key.as_bytes(), Bytes::new())
            .await
            .unwrap();
    }
    lake.kv
        .set(b"pulls", other.as_bytes(), Bytes::new())
        .await
        .unwrap();
    lake.graveler
        .delete_repository(&lake.repo.id, false)
        .await
        .unwrap();
    let rows = lake.kv.scan(partition.as_bytes(), b"", 10).await.unwrap();
    assert_eq!(rows.entries, []);
    let index = lake.kv.scan(b"pulls", b"", 10).await.unwrap().entries;
    assert_eq!(index.len(), 1, "only the other repository's row may remain");
    assert_eq!(index[0].key, other.as_bytes());
    for shared in SHARED_PARTITIONS {
        let rows = lake.kv.scan(shared, b"", 10).await.unwrap();
        assert_eq!(rows.entries.len(), 1);
    }
}

#[tokio::test]
async fn name_of_a_repository_in_deletion_is_taken() {
    let lake = Lake::new().await;
    mark(&lake, &lake.repo).await;
    let again = lake
        .graveler
        .create_repository(new_repository("lake"))
        .await;
    assert!(matches!(again, Err(Error::InDeletion(_))), "{again:?}");
}

#[tokio::test]
async fn nested_namespaces_overlap() {
    let lake = Lake::new().await; // in mem://lake
    let overlapping = async |namespace: &str, or_same| {
        let found = lake
            .graveler
            .overlapping_repository(namespace, or_same)
            .await;
        found.unwrap().is_some()
    };
    for (namespace, expected) in [
        ("mem://lake", true),
        ("mem://lake/", true),
        ("mem://lake/a/b", true),
        ("mem://lakeside", false),
        ("mem://other/lake", false),
        ("mem:/", true),
    ] {
        assert_eq!(overlapping(namespace, true).await, expected, "{namespace}");
    }
    assert!(!overlapping("mem://lake/", false).await);
    assert!(overlapping("mem://lake/a", false).await);
    mark(&lake, &lake.repo).await;
    assert!(
        overlapping("mem://lake/a", true).await,
        "a repository in deletion still counts"
    );
}

/// Creates another repository each time a creation claims its namespace.
#[derive(Debug)]
struct OvertakingServer(crate::Graveler, AtomicUsize);

#[async_trait::async_trait]
impl crate::NamespaceClaim for OvertakingServer {
    async fn claim(&self) -> crate::Result<()> {
        let number = self.1.fetch_add(1, Ordering::Relaxed);
        let request = new_repository(&format!("other-{number}"));
        self.0.create_repository(request).await.map(drop)
    }
}

#[tokio::test]
async fn creation_gives_up_if_others_always_come_first() {
    let lake = Lake::new().await;
    let others = OvertakingServer(lake.graveler.fork_for_tests(), AtomicUsize::new(0));
    let created = lake
        .graveler
        .create_repository_with_claim(new_repository("late"), &others);
    let error = created.await.unwrap_err();
    assert!(matches!(error, Error::TooManyTries(_)), "{error}");
    assert_eq!(others.1.load(Ordering::Relaxed), 10, "claims");
    let created = lake.graveler.create_repository(new_repository("late"));
    created.await.unwrap();
}

/// The same folder can be spelled as an absolute path, or relative to the store.
#[tokio::test]
async fn namespaces_are_compared_in_canonical_form() {
    let lake = Lake::new().await;
    let folder = tempfile::tempdir().unwrap();
    let options = block::LocalOptions {
        path: folder.path().to_owned(),
        default_namespace_prefix: "local://".to_owned(),
        import_enabled: false,
        allowed_external_prefixes: Vec::new(),
    };
    let ids = Arc::clone(&lake.graveler.ids);
    let block = block::LocalStore::open(options, ids).await.unwrap();
    let graveler = lake.graveler.on_blocks_for_tests(Arc::new(block));
    let absolute = |below: &str| format!("local://{}/{below}", folder.path().display());
    for (name, namespace) in [
        ("relative", "local://one/lake".to_owned()),
        ("absolute", absolute("other/lake/")),
    ] {
        let request = CreateRepository {
            storage_namespace: namespace,
            ..new_repository(name)
        };
        graveler.create_repository(request).await.unwrap();
    }
    for (namespace, expected) in [
        (absolute("one/lake"), Some("relative")),
        (absolute("one/lake/inner"), Some("relative")),
        (absolute("one"), Some("relative")),
        (absolute("one/lakeside"), None),
        ("local://other/lake".to_owned(), Some("absolute")),
        ("local://other/lake/inner".to_owned(), Some("absolute")),
        ("local://other/lakeside".to_owned(), None),
    ] {
        let found = graveler.overlapping_repository(&namespace, true).await;
        let found = found.unwrap().map(|found| found.id.to_string());
        assert_eq!(found.as_deref(), expected, "{namespace}");
    }
}

#[tokio::test]
async fn read_only_repository_is_deleted_only_with_force() {
    let lake = Lake::new().await;
    let read_only = CreateRepository {
        read_only: true,
        ..new_repository("frozen")
    };
    let frozen = lake.graveler.create_repository(read_only).await.unwrap();
    assert!(matches!(
        lake.graveler.delete_repository(&frozen.id, false).await,
        Err(Error::ReadOnly(_))
    ));
    assert_eq!(lake.graveler.repository(&frozen.id).await.unwrap(), frozen);
    lake.graveler
        .delete_repository(&frozen.id, true)
        .await
        .unwrap();
}
