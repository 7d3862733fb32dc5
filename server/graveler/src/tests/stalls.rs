//! Answers of the record store that come so late that what they tell was emptied meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::testing::{FaultSchedule, Turn};
use kv::Store;
use kv::testing::{Faults, FaultyStore};

use crate::testing::{Lake, branch, show_diff};
use crate::{Condition, Error, Options};

/// What another server does while the store stalls: either takes what is staged from its tokens, which are emptied then.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Commits,
    /// Resets `r`, and so writes what else is staged anew.
    Resets,
}

/// At one of its turns the store takes so long that what was staged on `main` is emptied meanwhile.
#[derive(Debug)]
struct StalledAt {
    meanwhile: Meanwhile,
    turn: usize,
    turns: AtomicUsize,
    other: Lake,
}

impl FaultSchedule for StalledAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.turns.fetch_add(1, Ordering::Relaxed) != self.turn {
                return;
            }
            let Lake {
                graveler,
                repo,
                clock,
                kv,
                ..
            } = &self.other;
            let staged = graveler.branch(repo, &branch("main")).await.unwrap();
            match self.meanwhile {
                Meanwhile::Commits => drop(self.other.commit("main", "meanwhile").await.unwrap()),
                Meanwhile::Resets => self.other.reset("main", "r").await.unwrap(),
            }
            clock.advance(Options::default().token_grace * 2);
            for token in staged.record.tokens() {
                kv.delete_partition(token.as_str().as_bytes())
                    .await
                    .unwrap();
            }
        })
    }
}

/// A server over a store that stalls, and what knows of it. `a` and `b` are committed; `a` is staged as deleted, `k` is new.
async fn stalled_at(turn: usize, meanwhile: Meanwhile) -> (Lake, Arc<StalledAt>) {
    let other = Lake::new().await;
    other.put("main", "a=0 b=0").await;
    other.commit("main", "base").await.unwrap();
    other.put("main", "k=1").await;
    other.delete("main", "a").await.unwrap();
    if matches!(meanwhile, Meanwhile::Resets) {
        other.put("main", "r=1").await;
    }
    let fate = Arc::new(StalledAt {
        meanwhile,
        turn,
        turns: AtomicUsize::new(0),
        other: other.clone(),
    });
    let kv = Arc::clone(&other.kv);
    let store: Arc<dyn Store> = Arc::new(FaultyStore::with_schedule(
        kv,
        Faults::default(),
        Arc::clone(&fate) as _,
    ));
    let server = Lake {
        graveler: other.graveler.on_store_for_tests(&store),
        ..other
    };
    (server, fate)
}

/// Does something with a stall at each of its turns, until there is no such turn.
async fn at_each_turn(does: impl AsyncFn(&Lake, &Lake)) {
    while_other(Meanwhile::Commits, does).await;
}

async fn while_other(meanwhile: Meanwhile, does: impl AsyncFn(&Lake, &Lake)) {
    for turn in 0.. {
        let (server, fate) = stalled_at(turn, meanwhile).await;
        does(&server, &fate.other).await;
        if fate.turns.load(Ordering::Relaxed) <= turn {
            assert!(turn > 2, "it asks the store more often");
            return;
        }
    }
}

#[tokio::test]
async fn a_key_is_read_as_it_was_or_is() {
    at_each_turn(async |server, _| {
        assert_eq!(server.get("main", "k").await.as_deref(), Some("1"));
    })
    .await;
    at_each_turn(async |server, _| {
        assert_eq!(server.get("main", "a").await, None, "deleted");
    })
    .await;
}

#[tokio::test]
async fn a_listing_misses_nothing() {
    at_each_turn(async |server, _| {
        assert_eq!(server.show("main").await, "b=0 k=1");
    })
    .await;
}

#[tokio::test]
async fn a_difference_misses_nothing() {
    at_each_turn(async |server, other| {
        let commits = other.head("main").await;
        let base = match commits.message.as_str() {
            "meanwhile" => commits.parents[0].to_string(),
            _ => commits.id.to_string(),
        };
        let graveler = &server.graveler;
        let left = graveler.resolve(&server.repo, &base).await.unwrap();
        let right = graveler.resolve(&server.repo, "main$").await.unwrap();
        let diff = graveler.diff(&server.repo, &left, &right).await.unwrap();
        assert_eq!(show_diff(diff).await, "-a:0> +k:>1");
    })
    .await;
}

#[tokio::test]
async fn what_is_uncommitted_is_listed_or_committed() {
    at_each_turn(async |server, other| {
        let shown = server.uncommitted("main").await;
        let is_committed = other.head("main").await.message == "meanwhile";
        let expected = if is_committed { "" } else { "-a:0> +k:>1" };
        assert!(shown == expected || shown == "-a:0> +k:>1", "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_deletion_finds_what_there_is_to_delete() {
    at_each_turn(async |server, other| {
        server.delete("main", "k").await.unwrap();
        assert_eq!(other.show("main").await, "b=0");
    })
    .await;
}

#[tokio::test]
async fn a_conditional_write_is_refused_for_what_is_there_only() {
    at_each_turn(async |server, other| {
        server
            .set("main", "a", "2", Condition::IfAbsent)
            .await
            .unwrap();
        let refused = server.set("main", "k", "2", Condition::IfAbsent).await;
        assert!(
            matches!(refused, Err(Error::PreconditionFailed)),
            "{refused:?}"
        );
        assert_eq!(other.show("main").await, "a=2 b=0 k=1");
    })
    .await;
}

#[tokio::test]
async fn a_reset_throws_away_what_is_there() {
    while_other(Meanwhile::Resets, async |server, other| {
        server.reset("main", "*").await.unwrap();
        assert_eq!(other.show("main").await, "a=0 b=0");
    })
    .await;
    while_other(Meanwhile::Resets, async |server, other| {
        server.reset("main", "k").await.unwrap();
        let shown = other.show("main").await;
        assert!(shown == "b=0" || shown == "b=0 r=1", "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_commit_finds_what_is_staged() {
    while_other(Meanwhile::Resets, async |server, other| {
        server.commit("main", "staged").await.unwrap();
        let committed = other.show("main~0").await;
        assert!(
            committed == "b=0 k=1" || committed == "b=0 k=1 r=1",
            "{committed}"
        );
        assert_eq!(other.uncommitted("main").await, "");
    })
    .await;
}
