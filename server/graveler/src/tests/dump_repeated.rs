//! A restore that was cut short and is repeated: what came meanwhile is seen.

use super::busy::{Busy, Moment};
use super::dump::{bare, dump, refs, restore};
use crate::records::{RESTORES, Stored as _, branch_key, tag_key};
use crate::testing::{Lake, branch, committing};
use crate::{
    Branch, BranchRecord, CommitId, Error, Kind, NoHooks, RefsDump, Repository, RestoreRefs,
    StagingToken, Tag, TagId,
};

async fn begin(lake: &Lake, anew: &Repository, dump: &RefsDump) {
    let begun = RestoreRefs {
        dump,
        force: false,
        actor: "tests",
        token: "",
    };
    let engine = &lake.graveler.engine;
    engine.begin_restore(anew, &begun).await.unwrap();
}

fn a_branch(name: &str, at: &CommitId) -> Branch {
    Branch {
        id: branch(name),
        record: BranchRecord {
            commit_id: at.clone(),
            staging_token: StagingToken::trusted(format!("{name}:theirs")),
            sealed_tokens: Vec::new(),
            hidden: false,
        },
    }
}

fn a_tag(name: &str, at: &CommitId) -> Tag {
    Tag {
        id: TagId::trusted(name),
        commit_id: at.clone(),
    }
}

async fn set(lake: &Lake, anew: &Repository, key: &[u8], value: bytes::Bytes) {
    let partition = anew.partition();
    lake.kv.set(partition.as_bytes(), key, value).await.unwrap();
}

/// `main` with a commit, a tag on it, and its dump.
async fn dumped() -> (Lake, RefsDump, Repository) {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "first").await.unwrap();
    lake.graveler
        .create_tag(
            &lake.repo,
            &TagId::trusted("v1"),
            "main",
            false,
            "me",
            &NoHooks,
        )
        .await
        .unwrap();
    let dump = dump(&lake).await;
    let anew = bare(&lake, "anew").await;
    (lake, dump, anew)
}

#[tokio::test]
async fn a_branch_that_somebody_made_elsewhere_is_not_taken_for_the_dumps() {
    let (lake, dump, anew) = dumped().await;
    let head = lake.head("main").await;
    begin(&lake, &anew, &dump).await;
    let theirs = a_branch("main", &head.parents[0]);
    set(&lake, &anew, &branch_key("main"), theirs.encode()).await;

    let refused = restore(&lake.graveler, &anew, &dump).await;
    let Err(Error::MovedOn { problem, advice }) = refused else {
        panic!("{refused:?}");
    };
    for part in [head.id.as_str(), head.parents[0].as_str()] {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    assert!(advice.contains("reset the branch"), "{advice}");
    let main = lake.graveler.branch(&anew, &branch("main")).await.unwrap();
    assert_eq!(main, theirs, "as it was");

    // What the refusal says to do.
    lake.graveler
        .hard_reset(&anew, &branch("main"), head.id.as_str(), false, "me")
        .await
        .unwrap();
    restore(&lake.graveler, &anew, &dump).await.unwrap();
    let (then, now) = (
        refs(&lake.graveler, &lake.repo).await,
        refs(&lake.graveler, &anew).await,
    );
    assert_eq!(then, now);
}

#[tokio::test]
async fn a_tag_that_somebody_made_elsewhere_is_not_taken_for_the_dumps() {
    let (lake, dump, anew) = dumped().await;
    let head = lake.head("main").await;
    begin(&lake, &anew, &dump).await;
    let theirs = a_tag("v1", &head.parents[0]);
    set(&lake, &anew, &tag_key("v1"), theirs.encode()).await;
    let refused = restore(&lake.graveler, &anew, &dump).await;
    assert!(
        matches!(&refused, Err(Error::MovedOn { advice, .. }) if advice.contains("delete the tag")),
        "{refused:?}"
    );
    lake.graveler
        .delete_tag(&anew, &theirs.id, false, "me", &NoHooks)
        .await
        .unwrap();
    restore(&lake.graveler, &anew, &dump).await.unwrap();
}

#[tokio::test]
async fn a_branch_that_came_with_the_restore_may_have_gone_on() {
    let (lake, dump, anew) = dumped().await;
    restore(&lake.graveler, &anew, &dump).await.unwrap();
    // As if it had been cut short at its very end.
    let partition = anew.partition();
    lake.kv
        .delete(RESTORES, partition.as_bytes())
        .await
        .unwrap();
    begin(&lake, &anew, &dump).await;
    let mut params = committing("later");
    params.allow_empty = true;
    let later = lake
        .graveler
        .commit(&anew, &branch("main"), params, &NoHooks)
        .await
        .unwrap();
    restore(&lake.graveler, &anew, &dump).await.unwrap();
    let main = lake.graveler.branch(&anew, &branch("main")).await.unwrap();
    assert_eq!(main.record.commit_id, later.id);
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_stays_whose_it_is() {
    for landed in ["before", "between"] {
        let (lake, dump, anew) = dumped().await;
        let at = lake.head("main").await.id;
        begin(&lake, &anew, &dump).await;
        // A tag by the name of the branch; no two things have one name.
        let theirs = a_tag("main", &at);
        let landing = vec![kv::Op::Set {
            partition: anew.partition().into(),
            key: tag_key("main"),
            value: theirs.encode(),
            predicate: None,
        }];
        let server = match landed {
            "before" => {
                lake.kv.batch(landing).await.unwrap();
                lake.graveler.fork_for_tests()
            }
            // Behind the look whether the name is free.
            _ => {
                let busy = Busy::store(&lake.kv, Moment::Read("tags/main"), landing);
                lake.graveler.on_store_for_tests(&busy)
            }
        };
        let refused = restore(&server, &anew, &dump).await;
        assert!(
            matches!(&refused, Err(Error::NotUnique { kind: Kind::Tag, id }) if id == "main"),
            "{landed}: {refused:?}"
        );
        let none = lake.graveler.branch(&anew, &branch("main")).await;
        assert!(matches!(none, Err(Error::NotFound { .. })), "{none:?}");
    }
}

/// lakeFS can make both at the same moment; a dump of it is restored as it is.
#[tokio::test]
async fn a_dump_may_have_a_branch_and_a_tag_of_one_name() {
    let (lake, _, anew) = dumped().await;
    let at = lake.head("main").await.id;
    let partition = lake.repo.partition();
    let both = a_tag("main", &at).encode();
    lake.kv
        .set(partition.as_bytes(), &tag_key("main"), both)
        .await
        .unwrap();
    let dump = dump(&lake).await;
    restore(&lake.graveler, &anew, &dump).await.unwrap();
    let (then, now) = (
        refs(&lake.graveler, &lake.repo).await,
        refs(&lake.graveler, &anew).await,
    );
    assert_eq!(then, now);
}
