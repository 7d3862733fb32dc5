//! Resets of uncommitted changes and of heads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::staging::MAX_FOLDED_KEYS;
use crate::testing::{Lake, Recorder, branch, committing, value};
use crate::{Condition, Error, Event, EventKind, HookOutcome, Hooks, Record, Rejection};

/// Committed: `a=1 b=1 d/x=1 d/y=1`. Staged on top, in two sealed tokens and the writable one: `a=3`,
/// `b` deleted, `d/x=3`, `d/y` deleted, `d/z=2`, `e=2`.
async fn lake_with_staged_changes() -> Lake {
    let lake = Lake::new().await;
    lake.put("main", "a=1 b=1 d/x=1 d/y=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.put("main", "a=2 d/x=2 d/z=2").await;
    refused_commit(&lake).await;
    lake.delete("main", "b d/y").await.unwrap();
    lake.put("main", "e=2").await;
    refused_commit(&lake).await;
    lake.put("main", "a=3 d/x=3").await;
    lake
}

/// Makes a commit that hooks refuse, which leaves the staged changes in a sealed token.
async fn refused_commit(lake: &Lake) {
    let hooks = Recorder::refusing(EventKind::PreCommit);
    let refused = lake
        .commit_with("main", committing("refused"), &hooks)
        .await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
}

async fn sealed(lake: &Lake) -> usize {
    let branch = lake.graveler.branch(&lake.repo, &branch("main")).await;
    branch.unwrap().record.sealed_tokens.len()
}

/// Stages more keys, from `m00000` on, than a reset copies.
async fn stage_many(lake: &Lake) {
    let records: Vec<_> = (0..=MAX_FOLDED_KEYS)
        .map(|n| Record {
            key: format!("m{n:05}").into(),
            value: value("9"),
        })
        .collect();
    let main = branch("main");
    lake.graveler
        .set_many(&lake.repo, &main, &records, false)
        .await
        .unwrap();
}

/// The records whose keys do not start with `m`.
async fn outside_m(lake: &Lake, reference: &str) -> String {
    let shown = lake.show(reference).await;
    let words: Vec<_> = shown
        .split(' ')
        .filter(|word| !word.starts_with('m'))
        .collect();
    words.join(" ")
}

#[tokio::test]
async fn reset_keys_read_as_committed_in_any_token() {
    for (what, shown) in [
        ("a", "a=1 d/x=3 d/z=2 e=2"),
        ("b", "a=3 b=1 d/x=3 d/z=2 e=2"),
        ("d/x", "a=3 d/x=1 d/z=2 e=2"),
        ("d/y", "a=3 d/x=3 d/y=1 d/z=2 e=2"),
        ("d/z", "a=3 d/x=3 e=2"),
        ("e", "a=3 d/x=3 d/z=2"),
        ("none", "a=3 d/x=3 d/z=2 e=2"),
        ("d/*", "a=3 d/x=1 d/y=1 e=2"),
        ("d*", "a=3 d/x=1 d/y=1 e=2"),
        ("e*", "a=3 d/x=3 d/z=2"),
        ("none/*", "a=3 d/x=3 d/z=2 e=2"),
        ("\u{10ffff}*", "a=3 d/x=3 d/z=2 e=2"),
        ("*", "a=1 b=1 d/x=1 d/y=1"),
    ] {
        let lake = lake_with_staged_changes().await;
        lake.reset("main", what).await.unwrap();
        assert_eq!(lake.show("main").await, shown, "{what}");
        assert!(sealed(&lake).await <= 3, "{what}");
        // A commit must contain exactly what is left.
        if what == "*" {
            assert!(matches!(
                lake.commit("main", "rest").await,
                Err(Error::NoChanges(_))
            ));
        } else {
            lake.commit("main", "rest").await.unwrap();
        }
        assert_eq!(lake.show("main@").await, shown, "{what}");
    }
}

/// If many other keys are staged, the reset does not copy them but masks the keys in scope. The results
/// must be the same.
#[tokio::test]
async fn reset_of_few_keys_among_many_masks_them() {
    for (what, shown) in [
        ("a", "a=1 d/x=3 d/z=2 e=2"),
        ("b", "a=3 b=1 d/x=3 d/z=2 e=2"),
        ("d/*", "a=3 d/x=1 d/y=1 e=2"),
        ("e", "a=3 d/x=3 d/z=2"),
    ] {
        let lake = lake_with_staged_changes().await;
        stage_many(&lake).await;
        for again in 0..3 {
            lake.reset("main", what).await.unwrap();
            assert_eq!(outside_m(&lake, "main").await, shown, "{what}, {again}");
        }
        assert!(
            sealed(&lake).await <= 5,
            "repeated resets must not add tokens"
        );
        lake.reset("main", "m*").await.unwrap();
        assert_eq!(lake.show("main").await, shown, "{what}");
        lake.commit("main", "rest").await.unwrap();
        assert_eq!(lake.show("main@").await, shown, "{what}");
    }
}

#[tokio::test]
async fn many_resets_leave_a_bounded_number_of_tokens() {
    let lake = lake_with_staged_changes().await;
    stage_many(&lake).await;
    for n in 0..40 {
        lake.put("main", "x=1 y=1").await;
        lake.reset("main", "x").await.unwrap();
        lake.reset("main", &format!("m{n:05}")).await.unwrap();
        assert!(sealed(&lake).await <= 5, "{n}");
    }
    assert_eq!(outside_m(&lake, "main").await, "a=3 d/x=3 d/z=2 e=2 y=1");
    assert_eq!(lake.get("main", "m00039").await, None);
    assert_eq!(lake.get("main", "m00040").await.as_deref(), Some("9"));
}

/// A reset restores not only the content but also the object's address and time.
#[tokio::test]
async fn reset_restores_the_data_of_an_equal_value() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    let mut same = value("1");
    same.data = "elsewhere".into();
    let main = branch("main");
    lake.graveler
        .set(&lake.repo, &main, b"a", same, Condition::Always, false)
        .await
        .unwrap();
    assert_eq!(lake.show("main").await, "a=elsewhere");
    lake.reset("main", "a").await.unwrap();
    assert_eq!(lake.show("main").await, "a=1");
}

#[tokio::test]
async fn resets_of_missing_protected_or_read_only_branches_are_refused() {
    let mut lake = lake_with_staged_changes().await;
    for what in ["a", "a*", "*"] {
        let none = lake.reset("none", what).await;
        assert!(matches!(none, Err(Error::NotFound { .. })), "{none:?}");
    }
    assert!(matches!(
        lake.reset("main", "").await,
        Err(Error::InvalidValue(_))
    ));
    let gone = lake.hard_reset("main", "none").await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let staged = lake.hard_reset("main", "main$").await;
    assert!(
        matches!(staged, Err(Error::InvalidReference { .. })),
        "{staged:?}"
    );
    lake.protect("ma*").await;
    for refused in [
        lake.reset("main", "*").await,
        lake.reset("main", "a").await,
        lake.hard_reset("main", "main~1").await,
    ] {
        assert!(
            matches!(refused, Err(Error::Protected { .. })),
            "{refused:?}"
        );
    }
    lake.repo.read_only = true;
    for refused in [
        lake.reset("main", "a").await,
        lake.hard_reset("main", "main~1").await,
    ] {
        assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    }
    assert_eq!(
        lake.show("main").await,
        "a=3 d/x=3 d/z=2 e=2",
        "a refused reset must change nothing"
    );
}

#[tokio::test]
async fn hard_reset_of_a_clean_branch_matches_the_target() {
    let lake = Lake::new().await;
    for records in ["a=1", "a=2 b=2", "a=3 c=3"] {
        lake.put("main", records).await;
        lake.commit("main", records).await.unwrap();
    }
    let last = lake.head("main").await;
    // A staged value that equals the head is no change, and must not become one.
    lake.put("main", "a=3").await;
    lake.hard_reset("main", "main~2").await.unwrap();
    assert_eq!(lake.show("main").await, "a=1");
    assert_eq!(lake.uncommitted("main").await, "");
    assert_eq!(lake.head("main").await.message, "a=1");
    // The later commits still exist.
    lake.hard_reset("main", last.id.as_str()).await.unwrap();
    assert_eq!(lake.show("main").await, "a=3 b=2 c=3");
    lake.hard_reset("main", "main").await.unwrap();
    assert_eq!(lake.head("main").await, last);
}

#[tokio::test]
async fn hard_reset_keeps_staged_changes() {
    let lake = lake_with_staged_changes().await;
    lake.commit("main", "second").await.unwrap();
    // Stage changes, a value that equals the head, and a change that is then reset.
    lake.put("main", "e=5 a=3 x=1").await;
    lake.delete("main", "d/z").await.unwrap();
    lake.reset("main", "x").await.unwrap();
    lake.hard_reset("main", "main~1").await.unwrap();
    assert_eq!(lake.show("main@").await, "a=1 b=1 d/x=1 d/y=1");
    assert_eq!(lake.show("main").await, "a=1 b=1 d/x=1 d/y=1 e=5");
    lake.commit("main", "on the old one").await.unwrap();
    assert_eq!(lake.show("main@").await, "a=1 b=1 d/x=1 d/y=1 e=5");
}

/// Hooks during which another server resets.
#[derive(Debug)]
struct ResettingHooks {
    lake: Lake,
    what: &'static str,
    done: AtomicBool,
}

#[async_trait]
impl Hooks for ResettingHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind() == EventKind::PreCommit && !self.done.swap(true, Ordering::Relaxed) {
            let other = self.lake.other_server();
            other.reset("main", self.what).await.unwrap();
        }
        Ok(HookOutcome::ran())
    }

    async fn after(&self, _event: Event) {}
}

/// The commit's tree was computed before the reset. It must be recomputed; otherwise the commit would
/// restore the discarded changes.
#[tokio::test]
async fn commit_in_flight_does_not_restore_reset_changes() {
    for much in [false, true] {
        for (what, shown) in [
            ("a", "a=1 d/x=3 d/z=2 e=2"),
            ("b", "a=3 b=1 d/x=3 d/z=2 e=2"),
            ("d/*", "a=3 d/x=1 d/y=1 e=2"),
        ] {
            let lake = lake_with_staged_changes().await;
            if much {
                stage_many(&lake).await;
            }
            let hooks = ResettingHooks {
                lake: lake.clone(),
                what,
                done: false.into(),
            };
            lake.commit_with("main", committing("with the rest"), &hooks)
                .await
                .unwrap();
            assert_eq!(outside_m(&lake, "main@").await, shown, "{what}, {much}");
            assert_eq!(lake.uncommitted("main").await, "", "{what}, {much}");
        }
        let lake = lake_with_staged_changes().await;
        let hooks = ResettingHooks {
            lake: lake.clone(),
            what: "*",
            done: false.into(),
        };
        let nothing = lake
            .commit_with("main", committing("nothing left"), &hooks)
            .await;
        assert!(matches!(nothing, Err(Error::NoChanges(_))), "{nothing:?}");
    }
}

/// Resets of some keys lose no writes of other keys, even with concurrent commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_lose_no_other_writes() {
    let lake = Lake::new().await;
    let stop = Arc::new(AtomicBool::new(false));
    let other = lake.other_server();
    let other_server = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                other.put("main", &format!("r/{n}=1 r/k=1")).await;
                for what in ["r/k", "r/*"] {
                    match other.reset("main", what).await {
                        Ok(()) | Err(Error::TooManyTries(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                if n % 4 == 0 {
                    match other.commit("main", "meddling").await {
                        Ok(_) | Err(Error::NoChanges(_) | Error::TooManyTries(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    });
    let mut written = Vec::new();
    for n in 0..200 {
        lake.put("main", &format!("w{n:03}=1")).await;
        written.push(format!("w{n:03}"));
        if n % 16 == 15 {
            match lake.commit("main", "mine").await {
                Ok(_) | Err(Error::NoChanges(_) | Error::TooManyTries(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    other_server.await.unwrap();
    let shown = lake.show("main").await;
    let there: Vec<_> = shown
        .split(' ')
        .filter_map(|word| word.strip_suffix("=1"))
        .filter(|key| key.starts_with('w'))
        .collect();
    assert_eq!(there, written);
}
