//! Answers of the record store that come so late that what they tell was emptied meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::testing::{Fate, Turn};
use kv::Store;
use kv::testing::{Faults, FaultyStore};

use crate::testing::{Lake, branch, show_diff};
use crate::{Condition, Error, Options};

/// At one of its turns the store takes so long that what is staged on `main` is committed and emptied by another server.
#[derive(Debug)]
struct StalledAt {
    turn: usize,
    turns: AtomicUsize,
    other: Lake,
}

impl Fate for StalledAt {
    fn strikes(&self, _parts: u8) -> bool {
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
            self.other.commit("main", "meanwhile").await.unwrap();
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
async fn stalled_at(turn: usize) -> (Lake, Arc<StalledAt>) {
    let other = Lake::new().await;
    other.put("main", "a=0 b=0").await;
    other.commit("main", "base").await.unwrap();
    other.put("main", "k=1").await;
    other.delete("main", "a").await.unwrap();
    let fate = Arc::new(StalledAt {
        turn,
        turns: AtomicUsize::new(0),
        other: other.clone(),
    });
    let kv = Arc::clone(&other.kv);
    let store: Arc<dyn Store> = Arc::new(FaultyStore::by_fate(
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
    for turn in 0.. {
        let (server, fate) = stalled_at(turn).await;
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
