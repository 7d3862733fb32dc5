//! Undo through the REST API: what happened, who did it, and how to undo it.

use client::types::{ReflogEntry, TagCreation, UndoCreation};
use client::{DeleteTagOptions, ListReflogOptions};
use system_tests::{ADMIN, Backend, MAIN, Repo, TestServer, refusal};

/// Creates a repository whose `main` has `a`, and whose `dev` has `b` as well.
async fn lake(server: &TestServer) -> Repo {
    let repo = server.repo("lake").await;
    repo.put(MAIN, "a", "1").await.unwrap();
    repo.commit(MAIN, "base").await.unwrap();
    repo.branch("dev", MAIN).await.unwrap();
    repo.put("dev", "b", "2").await.unwrap();
    repo.commit("dev", "change").await.unwrap();
    repo
}

/// Returns the reflog as selected by the options, in pages of two.
async fn reflog(repo: &Repo, mut options: ListReflogOptions) -> Vec<ReflogEntry> {
    options.amount = Some(2);
    let mut entries = Vec::new();
    loop {
        let page = repo.client.list_reflog(&repo.name, &options).await.unwrap();
        assert!(page.results.len() <= 2);
        entries.extend(page.results);
        if !page.pagination.has_more {
            return entries;
        }
        options.after = Some(page.pagination.next_offset);
    }
}

fn of(branch: &str) -> ListReflogOptions {
    ListReflogOptions {
        branch: Some(branch.to_owned()),
        ..ListReflogOptions::default()
    }
}

fn operations(entries: &[ReflogEntry]) -> Vec<String> {
    let operation = |entry: &ReflogEntry| format!("{} {}", entry.operation, entry.r#ref);
    entries.iter().map(operation).collect()
}

#[tokio::test]
async fn merge_can_be_undone() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    let before = repo.head(MAIN).await.unwrap();
    let merged = repo.merge("dev", MAIN).await.unwrap().reference;
    let undone = repo.undo(MAIN, None).await.unwrap();
    assert_eq!((undone.id.as_str(), &undone.commit_id), (MAIN, &before));
    assert!(!undone.uncommitted_restored);
    let merge = undone.undone;
    assert_eq!(
        (merge.operation.as_str(), merge.actor.as_str()),
        ("merge", ADMIN.0)
    );
    assert_eq!(merge.from_commit.as_ref(), Some(&before));
    assert_eq!(merge.to_commit.as_ref(), Some(&merged));
    assert_eq!(repo.head(MAIN).await.unwrap(), before);
    assert_eq!(repo.list(MAIN, "").await.unwrap(), ["a"]);
    assert_eq!(repo.list(&merged, "").await.unwrap(), ["a", "b"]);
    let again = repo.undo(MAIN, Some(&merge.id)).await;
    let (status, error) = refusal(again);
    assert_eq!(status, 409, "{}", error.message);
}

#[tokio::test]
async fn reflog_lists_changes_newest_first() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    repo.merge("dev", MAIN).await.unwrap();
    let undone = repo.undo(MAIN, None).await.unwrap().undone.id;
    let entries = reflog(&repo, of(MAIN)).await;
    assert_eq!(
        operations(&entries),
        ["undo main", "merge main", "commit main", "create main"]
    );
    assert!(
        entries.iter().all(|entry| entry.actor == ADMIN.0),
        "{entries:?}"
    );
    assert_eq!(entries[0].undone.as_ref(), Some(&undone));
}

#[tokio::test]
async fn change_before_later_changes_cannot_be_undone() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    repo.merge("dev", MAIN).await.unwrap();
    repo.put(MAIN, "c", "3").await.unwrap();
    let later = repo.commit(MAIN, "later").await.unwrap().id;
    let entries = reflog(&repo, of(MAIN)).await;
    let (status, error) = refusal(repo.undo(MAIN, Some(&entries[1].id)).await);
    assert_eq!(status, 409);
    for part in [
        format!("now it is at commit {later}"),
        format!("commit {} by {}", entries[0].id, ADMIN.0),
    ] {
        assert!(error.message.contains(&part), "{part}: {}", error.message);
    }
    let hint = error.hint.unwrap();
    assert!(hint.contains("undo what came later first"), "{hint}");
    assert_eq!(repo.head(MAIN).await.unwrap(), later);
}

#[tokio::test]
async fn reset_changes_can_be_restored() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    repo.put("dev", "c", "3").await.unwrap();
    repo.reset("dev", None).await.unwrap();
    assert!(repo.undo("dev", None).await.unwrap().uncommitted_restored);
    assert_eq!(
        repo.get("dev", "c").await.unwrap().as_deref(),
        Some(&b"3"[..])
    );
}

#[tokio::test]
async fn deleted_branch_can_be_restored_with_its_uncommitted_changes() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    repo.put("dev", "c", "3").await.unwrap();
    let head = repo.head("dev").await.unwrap();
    repo.drop_branch("dev").await.unwrap();
    // The reflog shows the name of the deleted branch.
    let newest = &reflog(&repo, ListReflogOptions::default()).await[0];
    assert_eq!(operations(std::slice::from_ref(newest)), ["delete dev"]);
    assert!(newest.uncommitted_kept);
    assert_eq!(newest.from_commit.as_ref(), Some(&head));
    let undone = repo.undo(&newest.r#ref, Some(&newest.id)).await.unwrap();
    assert!(undone.uncommitted_restored);
    assert_eq!(repo.head("dev").await.unwrap(), head);
    assert_eq!(
        repo.get("dev", "c").await.unwrap().as_deref(),
        Some(&b"3"[..])
    );
    assert_eq!(repo.uncommitted("dev").await.unwrap().len(), 1);
    repo.commit("dev", "what came back").await.unwrap();
    assert_eq!(repo.list("dev", "").await.unwrap(), ["a", "b", "c"]);
}

/// Undoing a creation would delete the branch, which needs another permission and runs other hooks.
#[tokio::test]
async fn creation_of_a_branch_cannot_be_undone() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    repo.branch("new", MAIN).await.unwrap();
    let (status, error) = refusal(repo.undo("new", None).await);
    assert_eq!(status, 400);
    let hint = error.hint.unwrap();
    assert!(hint.contains("delete the branch instead"), "{hint}");
}

#[tokio::test]
async fn undo_of_an_unknown_branch_is_not_found() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    let (status, _) = refusal(repo.undo("never", None).await);
    assert_eq!(status, 404);
}

#[tokio::test]
async fn deleted_tag_can_be_restored() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    let creation = TagCreation {
        id: "v1".to_owned(),
        r#ref: "dev".to_owned(),
        ..TagCreation::default()
    };
    let (client, name) = (&repo.client, repo.name.as_str());
    let tag = client.create_tag(name, &creation).await.unwrap();
    client
        .delete_tag(name, "v1", &DeleteTagOptions::default())
        .await
        .unwrap();
    let undone = client
        .undo_tag(name, "v1", Some(&UndoCreation::default()))
        .await
        .unwrap();
    assert_eq!(undone.commit_id, tag.commit_id);
    assert_eq!(client.get_tag(name, "v1").await.unwrap(), tag);
    let of_tag = ListReflogOptions {
        tag: Some("v1".to_owned()),
        ..ListReflogOptions::default()
    };
    let entries = reflog(&repo, of_tag).await;
    assert_eq!(operations(&entries), ["undo v1", "delete v1", "create v1"]);
}

#[tokio::test]
async fn reflog_is_selected_by_branch_or_by_tag() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = lake(&server).await;
    let both = ListReflogOptions {
        branch: Some(MAIN.to_owned()),
        tag: Some("v1".to_owned()),
        ..ListReflogOptions::default()
    };
    let (status, error) = refusal(repo.client.list_reflog(&repo.name, &both).await);
    assert_eq!(status, 400);
    assert_eq!(error.message, "both branch and tag are given");
}
