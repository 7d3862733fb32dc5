//! Writes and reads of uncommitted changes.

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;

use crate::testing::{Lake, branch, show_diff, value};
use crate::{Condition, Error, Options, Record};

#[tokio::test]
async fn staged_changes_hide_the_head() {
    let lake = Lake::new().await;
    lake.put("main", "a=1 b=1 c=1").await;
    assert_eq!(lake.show("main@").await, "");
    lake.commit("main", "first").await.unwrap();
    lake.put("main", "b=2 d=2 0=2").await;
    lake.delete("main", "c nothing").await.unwrap();
    assert_eq!(lake.show("main").await, "0=2 a=1 b=2 d=2");
    assert_eq!(lake.show("main@").await, "a=1 b=1 c=1");
    assert_eq!(lake.show("main$").await, "0=2 b=2 d=2");
    assert_eq!(lake.get("main", "b").await.as_deref(), Some("2"));
    assert_eq!(lake.get("main", "c").await, None);
    assert_eq!(lake.get("main@", "c").await.as_deref(), Some("1"));
    assert_eq!(lake.get("main$", "a").await, None);
    expect!["+0:>2 ~b:1>2 -c:1> +d:>2"].assert_eq(&lake.uncommitted("main").await);
}

#[tokio::test]
async fn staged_value_equal_to_the_head_is_no_change() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "first").await.unwrap();
    lake.put("main", "a=1 b=1").await;
    lake.delete("main", "b").await.unwrap();
    assert_eq!(lake.uncommitted("main").await, "");
    assert!(matches!(
        lake.commit("main", "nothing").await,
        Err(Error::NoChanges(_))
    ));
    assert_eq!(lake.show("main").await, "a=1");
}

#[tokio::test]
async fn conditional_write_checks_staged_and_committed_values() {
    let lake = Lake::new().await;
    let if_absent = async |key: &str, text: &str| match lake
        .set("main", key, text, Condition::IfAbsent)
        .await
    {
        Ok(()) => true,
        Err(Error::PreconditionFailed) => false,
        Err(other) => panic!("{other}"),
    };
    assert!(if_absent("a", "1").await);
    assert!(!if_absent("a", "2").await, "a staged value exists");
    lake.commit("main", "first").await.unwrap();
    assert!(!if_absent("a", "2").await, "a committed value exists");
    assert!(
        !if_absent("a", "1").await,
        "an equal committed value exists"
    );
    lake.delete("main", "a").await.unwrap();
    assert!(
        if_absent("a", "3").await,
        "a tombstone must count as absent"
    );
    assert_eq!(lake.get("main", "a").await.as_deref(), Some("3"));
    lake.delete("main", "a").await.unwrap();
    // A refused commit leaves its token sealed.
    let refuse = crate::testing::Recorder::refusing(crate::EventKind::PreCommit);
    let refused = lake
        .commit_with("main", crate::testing::committing("no"), &refuse)
        .await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    assert!(
        if_absent("a", "4").await,
        "a sealed tombstone must count as absent"
    );
    assert!(!if_absent("a", "5").await);
}

#[tokio::test]
async fn large_batches_are_written_and_deleted() {
    let lake = Lake::new().await;
    let records: Vec<Record> = (0..2_500)
        .map(|i| Record {
            key: format!("k{i:04}").into_bytes().into(),
            value: value("x"),
        })
        .collect();
    lake.graveler
        .set_many(&lake.repo, &branch("main"), &records, false)
        .await
        .unwrap();
    lake.commit("main", "all").await.unwrap();
    let keys: Vec<Vec<u8>> = records[..2_499].iter().map(|r| r.key.to_vec()).collect();
    lake.graveler
        .delete(&lake.repo, &branch("main"), &keys, false)
        .await
        .unwrap();
    assert_eq!(lake.show("main").await, "k2499=x");
    lake.commit("main", "nearly none").await.unwrap();
    assert_eq!(lake.show("main@").await, "k2499=x");
}

#[tokio::test]
async fn cursors_never_seek_backward() {
    let lake = Lake::new().await;
    lake.put("main", "a=1 b=1 c=1 d=1").await;
    lake.commit("main", "first").await.unwrap();
    lake.put("main", "bb=2 e=2").await;
    lake.delete("main", "c").await.unwrap();
    let resolved = lake.graveler.resolve(&lake.repo, "main").await.unwrap();
    let mut cursor = lake.graveler.cursor(&lake.repo, &resolved).await.unwrap();
    cursor.seek(b"b");
    assert_eq!(cursor.next().await.unwrap().unwrap().key.as_ref(), b"b");
    cursor.seek(b"a");
    assert_eq!(cursor.next().await.unwrap().unwrap().key.as_ref(), b"bb");
    cursor.seek(b"c");
    assert_eq!(cursor.next().await.unwrap().unwrap().key.as_ref(), b"d");
    cursor.seek(b"z");
    assert!(cursor.next().await.unwrap().is_none());

    let mut diff = lake
        .graveler
        .diff_uncommitted(&lake.repo, &branch("main"))
        .await
        .unwrap();
    diff.seek(b"c");
    assert_eq!(show_diff(diff).await, "-c:1> +e:>2");
}

/// A repository whose retired tokens are emptied after a millisecond.
async fn lake_with_short_grace() -> Lake {
    let options = Options {
        token_grace: Duration::from_millis(1),
        ..Options::default()
    };
    Lake::with(Arc::new(kv::MemoryStore::default()), "lake", options).await
}

/// A slowly read listing must not lose keys whose token is committed and emptied meanwhile.
#[tokio::test]
async fn slow_cursor_survives_emptied_tokens() {
    let lake = lake_with_short_grace().await;
    for i in 0..200 {
        lake.put("main", &format!("k{i:03}=1")).await;
    }
    let resolved = lake.graveler.resolve(&lake.repo, "main").await.unwrap();
    let mut cursor = lake.graveler.cursor(&lake.repo, &resolved).await.unwrap();
    for i in 0..10 {
        assert_eq!(
            cursor.next().await.unwrap().unwrap().key,
            format!("k{i:03}")
        );
    }
    lake.commit("main", "all").await.unwrap();
    lake.clock.advance(Duration::from_secs(60));
    lake.wait_until_emptied().await;
    for i in 10..200 {
        assert_eq!(
            cursor.next().await.unwrap().unwrap().key,
            format!("k{i:03}")
        );
    }
    assert!(cursor.next().await.unwrap().is_none());
}

/// Slowly read differences must not lose keys either. Changes that are committed meanwhile are no
/// longer uncommitted.
#[tokio::test]
async fn slow_differences_survive_emptied_tokens() {
    let lake = lake_with_short_grace().await;
    lake.branch_from("base", "main").await;
    for i in 0..200 {
        lake.put("main", &format!("k{i:03}=1")).await;
    }
    let uncommitted = lake
        .graveler
        .diff_uncommitted(&lake.repo, &branch("main"))
        .await;
    let left = lake.graveler.resolve(&lake.repo, "base").await.unwrap();
    let right = lake.graveler.resolve(&lake.repo, "main$").await.unwrap();
    let since_base = lake.graveler.diff(&lake.repo, &left, &right).await;
    let (mut uncommitted, mut since_base) = (uncommitted.unwrap(), since_base.unwrap());
    for i in 0..10 {
        for diff in [&mut uncommitted, &mut since_base] {
            let key = diff.next().await.unwrap().unwrap().key;
            assert_eq!(key, format!("k{i:03}"));
        }
    }
    lake.commit("main", "all").await.unwrap();
    lake.put("main", "k000=2 k150=2 z=1").await;
    lake.clock.advance(Duration::from_secs(60));
    lake.wait_until_emptied().await;
    assert_eq!(show_diff(uncommitted).await, "~k150:1>2 +z:>1");
    let mut expected: Vec<_> = (10..200)
        .map(|i| format!("+k{i:03}:>{}", 1 + u8::from(i == 150)))
        .collect();
    expected.push("+z:>1".to_owned());
    assert_eq!(show_diff(since_base).await, expected.join(" "));
}

/// A walk keeps its end when it continues with a new state of the branch.
#[tokio::test]
async fn end_of_a_walk_survives_emptied_tokens() {
    let lake = lake_with_short_grace().await;
    lake.branch_from("base", "main").await;
    lake.put("main", "a=1 b=1 c=1 d=1").await;
    let resolve = async |name: &str| lake.graveler.resolve(&lake.repo, name).await.unwrap();
    let (base, staged, main) = (
        resolve("base").await,
        resolve("main$").await,
        resolve("main").await,
    );
    let diff = lake.graveler.diff(&lake.repo, &base, &staged).await;
    let cursor = lake.graveler.cursor(&lake.repo, &main).await;
    let (mut diff, mut cursor) = (diff.unwrap(), cursor.unwrap());
    diff.end_at(b"c");
    cursor.end_at(b"c");
    diff.next().await.unwrap();
    cursor.next().await.unwrap();
    lake.commit("main", "all").await.unwrap();
    lake.put("main", "bb=2 c=2").await;
    lake.clock.advance(Duration::from_secs(60));
    lake.wait_until_emptied().await;
    assert_eq!(show_diff(diff).await, "+b:>1 +bb:>2");
    let mut keys = Vec::new();
    while let Some(record) = cursor.next().await.unwrap() {
        keys.push(record.key);
    }
    assert_eq!(keys, ["b", "bb"]);
}

#[tokio::test]
async fn leftover_tokens_are_swept() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let token = lake
        .graveler
        .branch(&lake.repo, &branch("main"))
        .await
        .unwrap()
        .record
        .staging_token;
    lake.commit("main", "first").await.unwrap();
    assert_eq!(lake.retired_tokens().await, 1);
    assert_eq!(
        lake.kv
            .scan(token.as_str().as_bytes(), b"", 10)
            .await
            .unwrap()
            .entries
            .len(),
        1,
        "readers may still use the token"
    );
    // As after a restart: the task that would have emptied the token is gone.
    let again = crate::Graveler::new(
        Arc::clone(&lake.kv),
        Arc::new(block::MemoryStore::default()),
        lake.clock.clone(),
        Arc::new(base::SeededIds::new(8, lake.clock.clone())),
        Options {
            token_grace: Duration::ZERO,
            ..Options::default()
        },
    );
    assert_eq!(again.sweep_tokens().await.unwrap(), 1);
    assert_eq!(
        lake.kv
            .scan(token.as_str().as_bytes(), b"", 10)
            .await
            .unwrap()
            .entries
            .len(),
        0
    );
    assert_eq!(lake.retired_tokens().await, 0);
    assert_eq!(again.sweep_tokens().await.unwrap(), 0);
}

#[tokio::test]
async fn write_to_a_missing_branch_is_refused() {
    let lake = Lake::new().await;
    let refused = lake.set("none", "a", "1", Condition::Always).await;
    assert!(
        matches!(
            refused,
            Err(Error::NotFound {
                kind: crate::Kind::Branch,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn empty_key_or_identity_is_an_invalid_value() {
    let lake = Lake::new().await;
    for (key, text) in [("", "1"), ("a", "")] {
        let refused = lake.set("main", key, text, Condition::Always).await;
        assert!(
            matches!(refused, Err(Error::InvalidValue(_))),
            "{key}={text}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn read_only_repository_refuses_writes_and_deletions() {
    let mut lake = Lake::new().await;
    lake.repo.read_only = true;
    for refused in [
        lake.set("main", "a", "1", Condition::Always).await,
        lake.delete("main", "a").await,
    ] {
        assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    }
}

/// The branch's record is still cached.
#[tokio::test]
async fn write_to_a_deleted_branch_is_refused() {
    let lake = Lake::new().await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    lake.delete_branch("dev").await.unwrap();
    let refused = lake.set("dev", "a", "1", Condition::Always).await;
    assert!(
        matches!(refused, Err(Error::NotFound { .. })),
        "{refused:?}"
    );
}

/// A branch's cached record may be stale, since another server may have moved the branch.
#[tokio::test]
async fn changes_by_another_server_are_noticed() {
    let one = Lake::new().await;
    let two = one.other_server();
    one.put("main", "a=1").await;
    two.put("main", "b=1").await;
    one.commit("main", "by one").await.unwrap();
    two.put("main", "c=1").await;
    assert_eq!(one.uncommitted("main").await, "+c:>1");
    two.commit("main", "by two").await.unwrap();
    // In server one's cached record, `d` is absent. It must re-read the branch before it skips the
    // deletion.
    two.put("main", "d=1").await;
    two.commit("main", "d").await.unwrap();
    one.delete("main", "d").await.unwrap();
    assert_eq!(two.uncommitted("main").await, "-d:1>");
    assert!(matches!(
        one.set("main", "c", "2", Condition::IfAbsent).await,
        Err(Error::PreconditionFailed)
    ));
}
