//! Tests of concurrent callers: exactly one wins, and no acknowledged write is missed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::join_all;

use super::{all_entries, delete, fresh, set, unchanged_since_read, value};
use crate::{Error, Guard, GuardOutcome, Op, Predicate, Store};

/// Number of concurrent tasks in each race.
const CALLERS: usize = 8;
/// How often the guarded record changes, for each kind of write.
const GUARD_CHANGES: usize = 40;

/// Runs `task` concurrently for each caller and returns the results in the callers' order.
async fn race<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    task: impl Fn(usize) -> F,
) -> Vec<T> {
    let tasks = (0..CALLERS).map(|caller| tokio::spawn(task(caller)));
    join_all(tasks)
        .await
        .into_iter()
        .map(|joined| joined.expect("no caller panics"))
        .collect()
}

/// Increments a counter by compare-and-set. No increment may be lost or applied twice.
pub(super) async fn concurrent_swaps_lose_no_update(store: &Arc<dyn Store>) {
    const STEPS: usize = 15;
    let partition = fresh(&**store, "swaps").await;
    store
        .set(&partition, b"n", Bytes::from_static(b"0"))
        .await
        .expect("a value can be set");
    race(|caller| {
        let (store, partition) = (Arc::clone(store), partition.clone());
        async move {
            let mut taken = 0;
            while taken < STEPS {
                let read = store
                    .get(&partition, b"n")
                    .await
                    .expect("a value can be read")
                    .expect("it exists");
                let next = number(&read.value) + 1;
                // Alternate between single writes and batches, which must exclude each other.
                let result = if (taken + caller).is_multiple_of(2) {
                    store
                        .set_if(
                            &partition,
                            b"n",
                            Bytes::from(next.to_string()),
                            read.predicate,
                        )
                        .await
                } else {
                    let log = set(
                        &partition,
                        &format!("log/{next}"),
                        "",
                        Some(Predicate::Absent),
                    );
                    store
                        .batch(vec![
                            set(&partition, "n", &next.to_string(), Some(read.predicate)),
                            log,
                        ])
                        .await
                };
                match result {
                    Ok(()) => taken += 1,
                    Err(Error::PredicateFailed { index: 0 }) => {}
                    Err(error) => panic!("a swap failed: {error:?}"),
                }
            }
        }
    })
    .await;
    let last = value(&**store, &partition, b"n").await.expect("it exists");
    assert_eq!(number(&last), CALLERS * STEPS);
    fresh(&**store, "swaps").await;
}

pub(super) async fn exactly_one_concurrent_creator_wins(store: &Arc<dyn Store>) {
    let partition = fresh(&**store, "creators").await;
    for round in 0..10 {
        let key = format!("{round}");
        let won = race(|caller| {
            let (store, partition, key) = (Arc::clone(store), partition.clone(), key.clone());
            async move {
                // Alternate between a single write, a batch of one and a batch of two.
                let text = caller.to_string();
                let create = set(&partition, &key, &text, Some(Predicate::Absent));
                let result = match caller % 3 {
                    0 => {
                        store
                            .set_if(&partition, key.as_bytes(), text.into(), Predicate::Absent)
                            .await
                    }
                    1 => store.batch(vec![create]).await,
                    _ => store.batch(vec![create, delete(&partition, "never")]).await,
                };
                match result {
                    Ok(()) => true,
                    Err(Error::PredicateFailed { index: 0 }) => false,
                    Err(error) => panic!("creating failed: {error:?}"),
                }
            }
        })
        .await;
        let winners: Vec<_> = (0..CALLERS).filter(|caller| won[*caller]).collect();
        let [winner] = winners.as_slice() else {
            panic!("{winners:?} created one key");
        };
        let stored = value(&**store, &partition, key.as_bytes())
            .await
            .expect("it exists");
        assert_eq!(number(&stored), *winner, "the winner's value is stored");
    }
    fresh(&**store, "creators").await;
}

/// Sends more requests than a driver has connections, to several partitions.
pub(super) async fn concurrent_requests_are_all_answered(store: &Arc<dyn Store>) {
    const EACH: usize = 25;
    let mut partitions = Vec::new();
    for name in ["crowd/0", "crowd/1", "crowd/2"] {
        partitions.push(fresh(&**store, name).await);
    }
    let partitions = &partitions;
    race(|caller| {
        let (store, partition) = (Arc::clone(store), partitions[caller % 3].clone());
        async move {
            let requests = (0..EACH).map(|index| {
                let (store, partition) = (&store, &partition);
                async move {
                    let key = format!("{caller}/{index}");
                    store
                        .set(partition, key.as_bytes(), Bytes::from(key.clone()))
                        .await
                        .expect("a value can be set");
                    let read = value(&**store, partition, key.as_bytes()).await;
                    assert_eq!(
                        read.as_deref(),
                        Some(key.as_bytes()),
                        "an acknowledged write is visible"
                    );
                    // Callers that write the same key may share a transaction.
                    store
                        .set(partition, b"shared", Bytes::from(key))
                        .await
                        .expect("a value can be set");
                }
            });
            join_all(requests).await;
        }
    })
    .await;
    for (index, partition) in partitions.iter().enumerate() {
        let callers = (0..CALLERS).filter(|caller| caller % 3 == index).count();
        let entries = all_entries(&**store, partition).await;
        assert_eq!(entries.len(), callers * EACH + 1);
        fresh(&**store, &format!("crowd/{index}")).await;
    }
}

/// Batches that write the same keys in opposite orders must not deadlock.
pub(super) async fn batches_in_opposite_key_order_do_not_deadlock(store: &Arc<dyn Store>) {
    let partition = fresh(&**store, "crossed").await;
    race(|caller| {
        let (store, partition) = (Arc::clone(store), partition.clone());
        async move {
            for round in 0..20 {
                let text = format!("{caller}/{round}");
                let mut ops: Vec<Op> = ["a", "b", "c"]
                    .map(|key| set(&partition, key, &text, None))
                    .into();
                if caller % 2 == 0 {
                    ops.reverse();
                }
                if caller % 4 < 2 {
                    ops.push(delete(&partition, "d"));
                }
                store.batch(ops).await.expect("a batch can be applied");
            }
        }
    })
    .await;
    let entries = all_entries(&**store, &partition).await;
    assert!(
        entries
            .windows(2)
            .all(|pair| pair[0].value == pair[1].value),
        "the last batch is applied completely: {entries:?}"
    );
    fresh(&**store, "crossed").await;
}

/// The guarded writes of a race.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A single write, as staging does.
    Plain,
    /// A write and a deletion.
    Several,
    /// A conditional write.
    Conditional,
    /// All of these in turn, so that they share transactions.
    Mixed,
}

/// Writers write under the guard's current value while another task changes the guard repeatedly. After
/// each change, a scan must find every write that was acknowledged under the previous value.
pub(super) async fn guarded_write_is_visible_after_the_guard_changes(store: &Arc<dyn Store>) {
    for kind in [Kind::Plain, Kind::Several, Kind::Conditional, Kind::Mixed] {
        guarded_race(store, kind).await;
    }
}

/// The shared state of a race of guarded writes.
#[derive(Clone)]
struct GuardedRace {
    store: Arc<dyn Store>,
    kind: Kind,
    /// The partition of the guarded record, `head`.
    branch: Bytes,
    /// Whether the guard has changed for the last time.
    done: Arc<AtomicBool>,
}

impl GuardedRace {
    /// The partition of the writes under one value of the guarded record.
    fn token(&self, generation: usize) -> Bytes {
        let kind = self.kind;
        Bytes::from(format!("conformance/guarded race/{kind:?}/{generation}"))
    }

    async fn remove_writes(&self) {
        for generation in 0..=GUARD_CHANGES {
            let removed = self.store.delete_partition(&self.token(generation)).await;
            removed.expect("a partition can be deleted");
        }
    }

    /// Changes the guard repeatedly. Waits before each change for a write under the current value. Returns the keys that were
    /// written under each value, as found after the change.
    async fn change_guard(self) -> Vec<BTreeSet<Vec<u8>>> {
        let mut seen = Vec::new();
        for generation in 0..GUARD_CHANGES {
            let token = self.token(generation);
            // Wait until a writer has written in this generation.
            while self
                .store
                .scan(&token, b"", 1)
                .await
                .expect("a token can be scanned")
                .entries
                .is_empty()
            {
                tokio::task::yield_now().await;
            }
            let unchanged = unchanged_since_read(&*self.store, &self.branch, b"head").await;
            let next = (generation + 1).to_string();
            // Alternate between a single write and a transaction.
            let changed = if generation % 2 == 0 {
                let next = set(&self.branch, "head", &next, Some(unchanged));
                let ops = vec![next, delete(&self.branch, "never")];
                self.store.batch(ops).await
            } else {
                let set = self
                    .store
                    .set_if(&self.branch, b"head", next.into(), unchanged);
                set.await
            };
            changed.expect("only this task changes it");
            seen.push(keys(&*self.store, &token).await);
        }
        self.done.store(true, Ordering::Release);
        seen
    }

    /// Writes under the guard's current value until the guard has changed for the last time. Returns the number of the
    /// guard's value and the key of each acknowledged write.
    async fn write_until_done(self, caller: usize) -> Vec<(usize, String)> {
        let mut written = Vec::new();
        let mut turn = caller;
        while !self.done.load(Ordering::Acquire) {
            // Yield so that the task that changes the guard can run. Calls to the in-memory store never yield.
            tokio::task::yield_now().await;
            let head = self
                .store
                .get(&self.branch, b"head")
                .await
                .expect("a value can be read")
                .expect("it exists");
            let generation = number(&head.value);
            let guard = Guard {
                partition: self.branch.clone(),
                key: Bytes::from_static(b"head"),
                predicate: head.predicate,
            };
            let key = format!("{caller}/{turn}");
            turn += 1;
            let ops = ops(self.kind, turn, &self.token(generation), &key);
            let outcome = self.store.guarded(&guard, ops).await;
            if outcome.expect("a guarded write can be tried") == GuardOutcome::Written {
                written.push((generation, key));
            }
        }
        written
    }
}

async fn guarded_race(store: &Arc<dyn Store>, kind: Kind) {
    let guarded = GuardedRace {
        store: Arc::clone(store),
        kind,
        branch: fresh(&**store, "guarded race").await,
        done: Arc::new(AtomicBool::new(false)),
    };
    guarded.remove_writes().await;
    store
        .set(&guarded.branch, b"head", Bytes::from_static(b"0"))
        .await
        .expect("a value can be set");

    let changer = tokio::spawn(guarded.clone().change_guard());
    let acknowledged = race(|caller| guarded.clone().write_until_done(caller)).await;

    let mut seen = changer.await.expect("the changing task does not panic");
    seen.push(keys(&**store, &guarded.token(GUARD_CHANGES)).await);
    for (generation, key) in acknowledged.into_iter().flatten() {
        assert!(
            seen[generation].contains(key.as_bytes()),
            "{kind:?}: {key} of generation {generation} was lost"
        );
    }
    guarded.remove_writes().await;
    fresh(&**store, "guarded race").await;
}

fn ops(kind: Kind, turn: usize, token: &Bytes, key: &str) -> Vec<Op> {
    match kind {
        Kind::Plain => vec![set(token, key, "", None)],
        Kind::Several => vec![delete(token, "never"), set(token, key, "", None)],
        Kind::Conditional => vec![set(token, key, "", Some(Predicate::Absent))],
        Kind::Mixed => {
            let kind = [Kind::Plain, Kind::Several, Kind::Conditional][turn % 3];
            ops(kind, turn, token, key)
        }
    }
}

async fn keys(store: &dyn Store, partition: &[u8]) -> BTreeSet<Vec<u8>> {
    all_entries(store, partition)
        .await
        .into_iter()
        .map(|entry| entry.key.to_vec())
        .collect()
}

fn number(value: &[u8]) -> usize {
    std::str::from_utf8(value)
        .expect("a number is text")
        .parse()
        .expect("a number is digits")
}
