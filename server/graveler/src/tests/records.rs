//! Records of commits that were made by other servers and are imported.

use crate::ident::commit_id;
use crate::testing::Lake;
use crate::{Commit, CommitId, Error, Kind, MetaRangeId};

/// A valid commit on top of main's head that is not stored yet.
async fn foreign_commit(lake: &Lake) -> Commit {
    let head = lake.head("main").await;
    let mut commit = Commit {
        message: "from afar".to_owned(),
        committer: "someone else".to_owned(),
        generation: head.generation + 1,
        parents: vec![head.id.clone()],
        ..head
    };
    commit.id = commit_id(&commit);
    commit
}

async fn import(lake: &Lake, commit: &Commit) -> crate::Result<()> {
    lake.graveler
        .create_commit_record(&lake.repo, commit, false)
        .await
}

/// Asserts lakeFS's answer for a commit that is already recorded.
fn assert_recorded(refused: &crate::Result<()>) {
    let kind = Kind::Commit;
    assert!(
        matches!(refused, Err(Error::NotUnique { kind: of, .. }) if *of == kind),
        "{refused:?}"
    );
}

async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake
}

#[tokio::test]
async fn foreign_commit_is_recorded_and_no_branch_moves() {
    let lake = lake().await;
    let head = lake.head("main").await;
    let commit = foreign_commit(&lake).await;
    import(&lake, &commit).await.unwrap();
    assert_eq!(lake.head("main").await, head);
    let found = lake
        .graveler
        .get_commit(&lake.repo, &commit.id)
        .await
        .unwrap();
    assert_eq!(found, commit);
    assert_eq!(lake.show(commit.id.as_str()).await, "a=1");
    assert_recorded(&import(&lake, &commit).await);

    // A root commit with the empty tree.
    let mut root = Commit {
        meta_range_id: MetaRangeId::trusted(""),
        parents: Vec::new(),
        generation: 1,
        ..commit
    };
    root.id = commit_id(&root);
    import(&lake, &root).await.unwrap();
}

#[tokio::test]
async fn invalid_foreign_commits_are_refused() {
    let mut lake = lake().await;
    let commit = foreign_commit(&lake).await;
    let nowhere = "0".repeat(64);
    let changed = |change: &dyn Fn(&mut Commit)| {
        let mut other = commit.clone();
        change(&mut other);
        other.id = commit_id(&other);
        other
    };
    let wrong_id = Commit {
        id: CommitId::trusted(nowhere.clone()),
        ..commit.clone()
    };
    for (other, why) in [
        (wrong_id, "does not match the commit's content"),
        (
            changed(&|c| c.parents = vec![CommitId::trusted(nowhere.clone())]),
            "record the parent first",
        ),
        (
            changed(&|c| c.parents = vec![c.parents[0].clone(); 17]),
            "at most 16",
        ),
        (changed(&|c| c.generation = 2), "must be above 2"),
        (
            changed(&|c| (c.generation, c.parents) = (0, Vec::new())),
            "must be above 0",
        ),
        (
            changed(&|c| c.meta_range_id = MetaRangeId::trusted(nowhere.clone())),
            "copy the metarange and its ranges there first",
        ),
        (
            changed(&|c| c.meta_range_id = MetaRangeId::trusted("../x")),
            "copy the metarange and its ranges there first",
        ),
    ] {
        let refused = import(&lake, &other).await;
        assert!(
            matches!(
                &refused,
                Err(refusal @ (Error::InvalidValue(_) | Error::Advised { .. } | Error::WrongCommitId { .. }))
                    if refusal.to_string().contains(why)
            ),
            "{why}: {refused:?}"
        );
        let found = lake.graveler.get_commit(&lake.repo, &other.id).await;
        assert!(matches!(found, Err(Error::NotFound { .. })), "{why}");
    }
    // Fields of a recorded commit that the id does not cover cannot be changed either.
    import(&lake, &commit).await.unwrap();
    let other = Commit {
        generation: 9,
        ..commit.clone()
    };
    assert_recorded(&import(&lake, &other).await);
    let found = lake.graveler.get_commit(&lake.repo, &commit.id).await;
    assert_eq!(found.unwrap(), commit);

    let mut next = commit.clone();
    next.message.push_str(", again");
    next.id = commit_id(&next);
    lake.repo.read_only = true;
    assert!(matches!(
        import(&lake, &next).await,
        Err(Error::ReadOnly(_))
    ));
    lake.graveler
        .create_commit_record(&lake.repo, &next, true)
        .await
        .unwrap();
}
