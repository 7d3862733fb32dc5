//! Tests of batches and guarded writes with a single caller.

use bytes::Bytes;

use super::{contents, delete, fresh, set, unchanged_since_read, value};
use crate::{Error, Guard, GuardOutcome, Op, Predicate, Store};

fn unchanged(value: &str) -> Option<Predicate> {
    Some(Predicate::Unchanged(Bytes::copy_from_slice(
        value.as_bytes(),
    )))
}

/// Returns a guard on the key `g` of the partition.
fn guard(partition: &Bytes, predicate: Predicate) -> Guard {
    Guard {
        partition: partition.clone(),
        key: Bytes::from_static(b"g"),
        predicate,
    }
}

pub(super) async fn batch_applies_writes_in_order(store: &dyn Store) {
    let one = fresh(store, "order/1").await;
    let two = fresh(store, "order/2").await;
    let check = async |ops: Vec<Op>, expected: &str| {
        store.batch(ops).await.expect("a batch can be applied");
        let shown = format!(
            "{} | {}",
            contents(store, &one).await,
            contents(store, &two).await
        );
        assert_eq!(shown, expected);
    };
    check(vec![], " | ").await;
    check(
        vec![set(&one, "a", "1", None), set(&two, "a", "2", None)],
        "a=1 | a=2",
    )
    .await;
    check(
        vec![set(&one, "a", "3", None), set(&one, "a", "4", None)],
        "a=4 | a=2",
    )
    .await;
    check(
        vec![
            delete(&one, "a"),
            delete(&one, "never"),
            set(&two, "b", "5", None),
        ],
        " | a=2 b=5",
    )
    .await;
    check(
        vec![
            set(&one, "a", "6", Some(Predicate::Absent)),
            delete(&two, "b"),
        ],
        "a=6 | a=2",
    )
    .await;
    check(
        vec![
            set(&one, "a", "7", unchanged("6")),
            set(&two, "c", "", None),
        ],
        "a=7 | a=2 c=",
    )
    .await;
    // Later writes see earlier ones.
    check(
        vec![
            delete(&one, "a"),
            set(&one, "a", "8", Some(Predicate::Absent)),
        ],
        "a=8 | a=2 c=",
    )
    .await;
    check(
        vec![
            set(&one, "b", "1", Some(Predicate::Absent)),
            delete(&one, "b"),
        ],
        "a=8 | a=2 c=",
    )
    .await;
    let rewrite = vec![
        set(&one, "a", "9", Some(Predicate::Exists)),
        set(&one, "a", "10", unchanged("9")),
    ];
    check(rewrite, "a=10 | a=2 c=").await;
    check(
        vec![set(&one, "a", "11", None), delete(&one, "a")],
        " | a=2 c=",
    )
    .await;
    fresh(store, "order/2").await;
}

pub(super) async fn failed_predicate_reports_its_index(store: &dyn Store) {
    let partition = fresh(store, "index").await;
    store
        .set(&partition, b"a", Bytes::from_static(b"1"))
        .await
        .expect("a value can be set");
    let fails_at = async |ops: Vec<Op>, expected: usize| match store.batch(ops).await {
        Err(Error::PredicateFailed { index }) => assert_eq!(index, expected),
        other => panic!("expected operation {expected} to fail: {other:?}"),
    };
    let absent = Some(Predicate::Absent);
    let exists = Some(Predicate::Exists);
    fails_at(vec![set(&partition, "a", "2", absent.clone())], 0).await;
    fails_at(
        vec![
            delete(&partition, "z"),
            set(&partition, "a", "2", absent.clone()),
        ],
        1,
    )
    .await;
    fails_at(
        vec![
            delete(&partition, "z"),
            set(&partition, "b", "2", exists.clone()),
        ],
        1,
    )
    .await;
    fails_at(
        vec![delete(&partition, "a"), set(&partition, "a", "2", exists)],
        1,
    )
    .await;
    fails_at(
        vec![
            delete(&partition, "a"),
            set(&partition, "a", "2", unchanged("1")),
        ],
        1,
    )
    .await;
    fails_at(
        vec![
            set(&partition, "c", "1", None),
            set(&partition, "c", "2", absent.clone()),
        ],
        1,
    )
    .await;
    // The index follows the order of the batch, not of the keys.
    fails_at(
        vec![
            set(&partition, "b", "1", unchanged("0")),
            set(&partition, "a", "1", absent),
        ],
        0,
    )
    .await;
    fresh(store, "index").await;
}

pub(super) async fn failed_batch_writes_nothing(store: &dyn Store) {
    let one = fresh(store, "atomic/1").await;
    let two = fresh(store, "atomic/2").await;
    for (partition, key) in [(&one, "a"), (&one, "b"), (&two, "c")] {
        store
            .batch(vec![set(partition, key, "old", None)])
            .await
            .expect("a value can be set");
    }
    for failing in [
        set(&two, "c", "new", Some(Predicate::Absent)),
        set(&two, "d", "new", Some(Predicate::Exists)),
        set(&two, "c", "new", unchanged("other")),
    ] {
        let writes = || {
            vec![
                set(&one, "a", "new", None),
                set(&one, "x", "new", None),
                delete(&one, "b"),
            ]
        };
        let last = [writes(), vec![failing.clone()]].concat();
        let first = [vec![failing.clone()], writes()].concat();
        for ops in [first, last] {
            store
                .batch(ops.clone())
                .await
                .expect_err("a predicate fails");
            let holds = guard(&one, Predicate::Absent);
            store
                .guarded(&holds, ops)
                .await
                .expect_err("a predicate fails");
            assert_eq!(
                contents(store, &one).await,
                "a=old b=old",
                "something was written by {failing:?}"
            );
            assert_eq!(
                contents(store, &two).await,
                "c=old",
                "something was written by {failing:?}"
            );
        }
    }
    fresh(store, "atomic/1").await;
    fresh(store, "atomic/2").await;
}

/// A guarded record `g`, and the partition of the writes that it guards.
struct Guarded<'a> {
    store: &'a dyn Store,
    partition: Bytes,
    staged: Bytes,
}

impl<'a> Guarded<'a> {
    async fn new(store: &'a dyn Store) -> Self {
        Self {
            store,
            partition: fresh(store, "guard").await,
            staged: fresh(store, "guard/staged").await,
        }
    }

    async fn outcome(&self, predicate: &Predicate, ops: Vec<Op>) -> GuardOutcome {
        self.store
            .guarded(&guard(&self.partition, predicate.clone()), ops)
            .await
            .expect("a guarded write can be tried")
    }

    /// A single write, a write with a deletion, and no write.
    fn writes(&self, text: &str) -> [Vec<Op>; 3] {
        let write = || set(&self.staged, "k", text, None);
        [
            vec![write()],
            vec![write(), delete(&self.staged, "never")],
            vec![],
        ]
    }

    async fn set_guard(&self, text: &'static str) {
        let value = Bytes::from_static(text.as_bytes());
        let written = self.store.set(&self.partition, b"g", value).await;
        written.expect("a value can be set");
    }

    async fn current(&self) -> Predicate {
        unchanged_since_read(self.store, &self.partition, b"g").await
    }

    async fn remove(self) {
        fresh(self.store, "guard").await;
        fresh(self.store, "guard/staged").await;
    }
}

/// While the guarded record does not exist, only `Absent` holds.
pub(super) async fn guard_of_a_missing_record_honors_its_predicate(store: &dyn Store) {
    let guarded = Guarded::new(store).await;
    let guess = Predicate::Unchanged(Bytes::from_static(b"1"));
    for predicate in [&Predicate::Exists, &guess] {
        for ops in guarded.writes("x") {
            assert_eq!(
                guarded.outcome(predicate, ops).await,
                GuardOutcome::GuardFailed
            );
        }
    }
    for ops in guarded.writes("1") {
        assert_eq!(
            guarded.outcome(&Predicate::Absent, ops).await,
            GuardOutcome::Written
        );
    }
    assert_eq!(
        value(store, &guarded.partition, b"g").await,
        None,
        "a guard writes nothing"
    );
    assert_eq!(contents(store, &guarded.staged).await, "k=1");
    guarded.remove().await;
}

/// Once the guarded record exists, `Absent` and its previous value do not hold.
pub(super) async fn guard_of_an_existing_record_honors_its_predicate(store: &dyn Store) {
    let guarded = Guarded::new(store).await;
    guarded.set_guard("old").await;
    let stale = guarded.current().await;
    guarded.set_guard("new").await;
    let current = guarded.current().await;
    for predicate in [&Predicate::Absent, &stale] {
        for ops in guarded.writes("x") {
            assert_eq!(
                guarded.outcome(predicate, ops).await,
                GuardOutcome::GuardFailed
            );
        }
    }
    for (predicate, text) in [(&Predicate::Exists, "3"), (&current, "4")] {
        for ops in guarded.writes(text) {
            assert_eq!(guarded.outcome(predicate, ops).await, GuardOutcome::Written);
        }
        assert_eq!(contents(store, &guarded.staged).await, format!("k={text}"));
    }
    guarded.remove().await;
}

/// The guarded writes may have predicates too.
pub(super) async fn guarded_write_honors_its_predicates(store: &dyn Store) {
    let guarded = Guarded::new(store).await;
    guarded.set_guard("1").await;
    let current = guarded.current().await;
    let conditional = || {
        vec![
            set(&guarded.staged, "k", "1", Some(Predicate::Absent)),
            set(&guarded.staged, "l", "1", Some(Predicate::Absent)),
        ]
    };
    assert_eq!(
        guarded.outcome(&current, conditional()).await,
        GuardOutcome::Written
    );
    let again = store
        .guarded(&guard(&guarded.partition, current), conditional())
        .await;
    assert!(
        matches!(again, Err(Error::PredicateFailed { index: 0 })),
        "{again:?}"
    );
    let update = vec![set(&guarded.staged, "k", "2", unchanged("1"))];
    assert_eq!(
        guarded.outcome(&Predicate::Exists, update).await,
        GuardOutcome::Written
    );
    assert_eq!(contents(store, &guarded.staged).await, "k=2 l=1");
    guarded.remove().await;
}

/// The guarded writes may write the guarded record itself.
pub(super) async fn guarded_write_can_change_its_guard(store: &dyn Store) {
    let guarded = Guarded::new(store).await;
    guarded.set_guard("1").await;
    let current = guarded.current().await;
    let advance = || {
        vec![
            set(&guarded.partition, "g", "2", None),
            set(&guarded.staged, "k", "6", None),
        ]
    };
    assert_eq!(
        guarded.outcome(&current, advance()).await,
        GuardOutcome::Written
    );
    assert_eq!(
        guarded.outcome(&current, advance()).await,
        GuardOutcome::GuardFailed,
        "the guarded record has changed"
    );
    assert_eq!(contents(store, &guarded.staged).await, "k=6");
    guarded.remove().await;
}
