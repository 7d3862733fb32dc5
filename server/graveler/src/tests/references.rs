//! Branches, tags, and expressions that name commits.

use expect_test::expect;

use crate::testing::{Lake, branch};
use crate::{Condition, Error, Kind, NoHooks, RefKind};

#[tokio::test]
async fn expressions_resolve_to_commits() {
    let lake = Lake::new().await;
    for message in ["1", "2", "3"] {
        lake.put("main", &format!("k={message}")).await;
        lake.commit("main", message).await.unwrap();
    }
    lake.branch_from("dev", "main~1").await;
    lake.put("dev", "x=1").await;
    lake.commit("dev", "dev").await.unwrap();
    lake.merge("dev", "main").await.unwrap();
    lake.new_tag("v1", "main^2").await.unwrap();
    let first = lake
        .graveler
        .resolve(&lake.repo, "main~3")
        .await
        .unwrap()
        .commit_id;
    let prefix = &first.as_str()[..12];

    let name = async |text: &str| match lake.graveler.resolve(&lake.repo, text).await {
        Ok(found) => {
            lake.graveler
                .get_commit(&lake.repo, &found.commit_id)
                .await
                .unwrap()
                .message
        }
        Err(Error::NotFound { kind, .. }) => format!("no {kind:?}"),
        Err(Error::InvalidReference { .. }) => "invalid".to_owned(),
        Err(other) => panic!("{other}"),
    };
    let mut shown = Vec::new();
    for text in [
        "main", "main@", "main$", "main~", "main~2", "main~4", "main~9", "main^0", "main~0",
        "main^1", "main^2", "main^3", "main^2~1", "dev~1^1", "v1", "v1~1", "v1@", "v1$", "main~x",
        "main@~1", "none", "none@", "",
    ] {
        shown.push(format!("{text}: {}", name(text).await));
    }
    expect![[r#"
        main: Merge 'dev' into 'main'
        main@: Merge 'dev' into 'main'
        main$: Merge 'dev' into 'main'
        main~: 3
        main~2: 2
        main~4: Repository created
        main~9: no Reference
        main^0: Merge 'dev' into 'main'
        main~0: Merge 'dev' into 'main'
        main^1: 3
        main^2: dev
        main^3: invalid
        main^2~1: 2
        dev~1^1: 1
        v1: dev
        v1~1: 2
        v1@: invalid
        v1$: invalid
        main~x: invalid
        main@~1: invalid
        none: no Reference
        none@: no Reference
        : invalid"#]]
    .assert_eq(&shown.join("\n"));
    assert_eq!(name(first.as_str()).await, "1");
    assert_eq!(name(prefix).await, "1");
    assert_eq!(name(&format!("{prefix}~1")).await, "Repository created");
    assert_eq!(name(&"ab".repeat(32)).await, "no Reference");
}

#[tokio::test]
async fn ambiguous_id_prefix_is_not_found() {
    let lake = Lake::new().await;
    // More commits than hex digits, so at least two start with the same digit.
    for i in 0..17 {
        lake.put("main", &format!("k={i}")).await;
        lake.commit("main", "x").await.unwrap();
    }
    let mut ambiguous = 0;
    for digit in "0123456789abcdef".chars() {
        let found = lake
            .kv
            .scan(
                lake.repo.partition().as_bytes(),
                format!("commits/{digit}").as_bytes(),
                2,
            )
            .await
            .unwrap();
        let starts = found
            .entries
            .iter()
            .filter(|e| e.key.starts_with(format!("commits/{digit}").as_bytes()))
            .count();
        let resolved = lake.graveler.resolve(&lake.repo, &digit.to_string()).await;
        assert_eq!(resolved.is_ok(), starts == 1, "{digit}");
        ambiguous += usize::from(starts == 2);
    }
    assert!(ambiguous > 0);
}

/// The kind of reference that has the name already.
#[track_caller]
fn kind_of_owner<T>(refused: crate::Result<T>) -> Kind {
    match refused.map(drop) {
        Err(Error::NotUnique { kind, .. }) => kind,
        other => panic!("{other:?}"),
    }
}

/// A lake with the branch `dev` and the tag `v1`, and the id of its first commit.
async fn lake_with_refs() -> (Lake, String) {
    let lake = Lake::new().await;
    lake.new_branch("dev", "main").await.unwrap();
    lake.new_tag("v1", "main").await.unwrap();
    let root = lake.head("main").await.id.to_string();
    (lake, root)
}

#[tokio::test]
async fn new_branch_needs_a_free_name() {
    let (lake, root) = lake_with_refs().await;
    for (name, kind) in [
        ("dev", Kind::Branch),
        ("v1", Kind::Tag),
        (root.as_str(), Kind::Commit),
    ] {
        assert_eq!(kind_of_owner(lake.new_branch(name, "main").await), kind);
    }
}

#[tokio::test]
async fn new_tag_needs_a_free_name() {
    let (lake, root) = lake_with_refs().await;
    for (name, source, kind) in [
        ("v1", "dev", Kind::Tag),
        ("dev", "main", Kind::Branch),
        (root.as_str(), "main", Kind::Commit),
    ] {
        assert_eq!(kind_of_owner(lake.new_tag(name, source).await), kind);
    }
}

#[tokio::test]
async fn new_branch_needs_an_existing_source() {
    let lake = Lake::new().await;
    assert!(matches!(
        lake.new_branch("x", "none").await,
        Err(Error::NotFound {
            kind: Kind::Reference,
            ..
        })
    ));
}

#[tokio::test]
async fn source_with_uncommitted_changes_is_refused() {
    let lake = Lake::new().await;
    assert!(matches!(
        lake.new_branch("x", "main$").await,
        Err(Error::InvalidReference { .. })
    ));
    assert!(matches!(
        lake.new_tag("x", "main$").await,
        Err(Error::InvalidReference { .. })
    ));
}

#[tokio::test]
async fn listings_are_paged() {
    let lake = Lake::new().await;
    for name in ["a", "a-1", "b", "c"] {
        lake.new_branch(name, "main").await.unwrap();
        lake.new_tag(&format!("t-{name}"), "main").await.unwrap();
    }
    lake.graveler
        .create_branch(
            &lake.repo,
            &branch("a-0"),
            "main",
            true,
            false,
            "tester",
            &NoHooks,
        )
        .await
        .unwrap();
    let list = async |prefix: &str, after: &str, hidden: bool, limit: usize| {
        let page = lake
            .graveler
            .list_branches(&lake.repo, prefix, after, hidden, limit)
            .await
            .unwrap();
        let names: Vec<_> = page.results.iter().map(|b| b.id.as_str()).collect();
        format!("{} {} {}", names.join(","), page.has_more, page.next_offset)
    };
    assert_eq!(list("", "", false, 100).await, "a,a-1,b,c,main false ");
    assert_eq!(list("", "", true, 100).await, "a,a-0,a-1,b,c,main false ");
    assert_eq!(list("", "", false, 2).await, "a,a-1 true a-1");
    assert_eq!(list("", "a-1", false, 3).await, "b,c,main false ");
    assert_eq!(list("a", "a", false, 1).await, "a-1 false ");
    assert_eq!(list("a", "zzz", false, 1).await, " false ");
    assert_eq!(list("b", "a", false, 1).await, "b false ");
    let tags = lake
        .graveler
        .list_tags(&lake.repo, "t-", "t-a", 2)
        .await
        .unwrap();
    assert_eq!(
        tags.results
            .iter()
            .map(|t| t.id.as_str())
            .collect::<Vec<_>>(),
        ["t-a-1", "t-b"]
    );
    assert_eq!((tags.has_more, tags.next_offset.as_str()), (true, "t-b"));
}

fn assert_not_found<T: std::fmt::Debug>(outcome: &crate::Result<T>, expected: Kind) {
    assert!(
        matches!(outcome, Err(Error::NotFound { kind, .. }) if *kind == expected),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn default_branch_cannot_be_deleted() {
    let refused = Lake::new().await.delete_branch("main").await;
    assert!(
        matches!(refused, Err(Error::DefaultBranch(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn deleting_a_missing_branch_is_not_found() {
    let refused = Lake::new().await.delete_branch("none").await;
    assert_not_found(&refused, Kind::Branch);
}

#[tokio::test]
async fn deleted_branch_keeps_its_staged_changes_for_an_undo() {
    let lake = Lake::new().await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    lake.delete_branch("dev").await.unwrap();
    assert_eq!(lake.retired_tokens().await, 0);
    let found = lake.graveler.branch(&lake.repo, &branch("dev")).await;
    assert_not_found(&found, Kind::Branch);
}

#[tokio::test]
async fn new_branch_has_nothing_of_a_deleted_one_with_its_name() {
    let lake = Lake::new().await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    lake.delete_branch("dev").await.unwrap();
    lake.branch_from("dev", "main").await;
    assert_eq!(lake.show("dev").await, "");
}

#[tokio::test]
async fn tag_is_deleted_once() {
    let lake = Lake::new().await;
    lake.new_tag("v1", "main").await.unwrap();
    lake.delete_tag("v1").await.unwrap();
    assert_not_found(&lake.delete_tag("v1").await, Kind::Tag);
}

/// The order is: full commit id, branch, tag, unique prefix of a commit id.
#[tokio::test]
async fn names_are_looked_up_by_kind_in_order() {
    let lake = Lake::new().await;
    let root = lake.head("main").await.id;
    lake.put("main", "a=1").await;
    let one = lake.commit("main", "one").await.unwrap().id;
    let resolve = async |text: &str| {
        let found = lake.graveler.resolve(&lake.repo, text).await.unwrap();
        (found.kind, found.commit_id)
    };
    let start = &root.as_str()[..10];
    assert_eq!(resolve(start).await, (RefKind::Commit, root.clone()));
    lake.new_tag(start, "main").await.unwrap();
    assert_eq!(resolve(start).await, (RefKind::Tag, one.clone()));
    lake.delete_tag(start).await.unwrap();
    lake.new_branch(start, "main").await.unwrap();
    assert_eq!(resolve(start).await, (RefKind::Branch, one.clone()));
    assert_eq!(resolve(root.as_str()).await, (RefKind::Commit, root));

    // A tag's name may look like an expression. The expression takes precedence.
    for odd in ["main~1", "v~1", "v@2", "v$"] {
        lake.new_tag(odd, "main").await.unwrap();
    }
    assert_eq!(resolve("main~1").await.0, RefKind::Commit);
    for odd in ["v~1", "v@2", "v$"] {
        assert_eq!(resolve(odd).await, (RefKind::Tag, one.clone()), "{odd}");
    }
    let none = lake.graveler.resolve(&lake.repo, "v~2").await;
    assert!(matches!(none, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn deleted_branch_is_not_found_but_its_commits_remain() {
    let lake = Lake::new().await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    let one = lake.commit("dev", "one").await.unwrap().id;
    lake.new_tag("v1", "dev").await.unwrap();
    // Makes this server cache the branch's record.
    lake.put("dev", "b=1").await;
    let other = lake.other_server();
    other.delete_branch("dev").await.unwrap();

    let gone = |result: crate::Result<()>, what: &str| {
        let is_gone = matches!(&result, Err(Error::NotFound { id, .. }) if id == "dev");
        assert!(is_gone, "{what}: {result:?}");
    };
    gone(
        lake.set("dev", "c", "1", Condition::Always).await,
        "a write",
    );
    gone(
        lake.set("dev", "c", "1", Condition::IfAbsent).await,
        "a conditional write",
    );
    gone(lake.delete("dev", "a").await, "a deletion");
    gone(lake.commit("dev", "two").await.map(|_| ()), "a commit");
    gone(
        lake.merge("main", "dev").await.map(|_| ()),
        "a merge into it",
    );
    gone(lake.merge("dev", "main").await.map(|_| ()), "a merge of it");
    gone(
        lake.graveler
            .diff_uncommitted(&lake.repo, &branch("dev"))
            .await
            .map(|_| ()),
        "its changes",
    );
    for text in ["dev", "dev@", "dev$", "dev~1"] {
        let resolved = lake.graveler.resolve(&lake.repo, text).await;
        gone(resolved.map(|_| ()), text);
    }

    // The commits are still there by tag and id, and a branch can be created from them.
    for text in ["v1", one.as_str(), &one.as_str()[..12]] {
        assert_eq!(lake.show(text).await, "a=1", "{text}");
    }
    lake.branch_from("dev", "v1").await;
    assert_eq!(lake.show("dev").await, "a=1");
    lake.put("dev", "d=1").await;
    assert_eq!(lake.uncommitted("dev").await, "+d:>1");
}

/// A bare repository has no commits, branches or tags until a restore.
#[tokio::test]
async fn bare_repository_is_empty() {
    let lake = Lake::new().await;
    let request = crate::CreateRepository {
        bare: true,
        ..crate::testing::new_repository("bare")
    };
    let repo = lake.graveler.create_repository(request).await.unwrap();
    let lake = Lake { repo, ..lake };
    let no = |result: crate::Result<()>, expected: Kind, what: &str| match result {
        Err(Error::NotFound { kind, .. }) => assert_eq!(kind, expected, "{what}"),
        other => panic!("{what}: {other:?}"),
    };
    for text in ["main", "main@", "main$", "main~1", "00"] {
        let resolved = lake.graveler.resolve(&lake.repo, text).await;
        no(resolved.map(|_| ()), Kind::Reference, text);
    }
    let made = lake.new_branch("dev", "main").await;
    no(made.map(|_| ()), Kind::Reference, "a branch");
    let made = lake.new_tag("v1", "main").await;
    no(made.map(|_| ()), Kind::Reference, "a tag");
    let main = branch("main");
    no(
        lake.set("main", "a", "1", Condition::Always).await,
        Kind::Branch,
        "a write",
    );
    no(lake.delete("main", "a").await, Kind::Branch, "a deletion");
    let committed = lake.commit("main", "one").await;
    no(committed.map(|_| ()), Kind::Branch, "a commit");
    let diff = lake.graveler.diff_uncommitted(&lake.repo, &main).await;
    no(diff.map(|_| ()), Kind::Branch, "its changes");
    let found = lake.graveler.branch(&lake.repo, &main).await;
    no(found.map(|_| ()), Kind::Branch, "the branch");
    let listed = lake
        .graveler
        .list_branches(&lake.repo, "", "", true, 10)
        .await
        .unwrap();
    assert!(listed.results.is_empty());
    let listed = lake
        .graveler
        .list_tags(&lake.repo, "", "", 10)
        .await
        .unwrap();
    assert!(listed.results.is_empty());
}
