//! The engine against a model of sorted maps: two branches of one base with something staged, and
//! every way to list, compare and join them. Trees have many small ranges, and few
//! identities, so that different keys often have equal ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::testing::{Lake, branch, committing, merging};
use crate::{
    CherryPickParams, CommitId, Diff, DiffCursor, DiffKind, Error, MergeStrategy, NoHooks, Options,
    Record, ResetScope, RevertParams, Value,
};

type Tree = BTreeMap<String, Value>;
type Edits = BTreeMap<String, Option<Value>>;

#[derive(Debug, Clone)]
struct Case {
    raggedness: u32,
    min_bytes: u64,
    max_bytes: u64,
    base: Tree,
    ours: Edits,
    theirs: Edits,
    staged: Edits,
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: base::testing::cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn key() -> impl Strategy<Value = String> {
    (0..30u32, prop_oneof![3 => Just(""), 1 => Just("/x")])
        .prop_map(|(number, end)| format!("k{number:02}{end}"))
}

/// Data tells where a value was written; the identity is one of three.
fn content(origin: &'static str) -> impl Strategy<Value = Value> {
    (1..4u8).prop_map(move |identity| Value {
        identity: Bytes::from(identity.to_string()),
        data: Bytes::from(format!("{identity} by {origin}")),
    })
}

fn edits(origin: &'static str) -> impl Strategy<Value = Edits> {
    btree_map(
        key(),
        proptest::option::weighted(0.7, content(origin)),
        0..15,
    )
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (1..8u32, 0..120u64, prop_oneof![Just(20 << 20), 60..600u64]);
    (
        sizes,
        btree_map(key(), content("base"), 0..40),
        edits("ours"),
        edits("theirs"),
        edits("staged"),
    )
        .prop_map(
            |((raggedness, min_bytes, max_bytes), base, ours, theirs, staged)| Case {
                raggedness,
                min_bytes,
                max_bytes,
                base,
                ours,
                theirs,
                staged,
            },
        )
}

/// The branches `main` (the base), `ours` and `theirs`, and what they hold.
struct Stage {
    lake: Lake,
    base: Tree,
    ours: Tree,
    theirs: Tree,
    /// `theirs` with what is staged there.
    shown: Tree,
}

impl Case {
    async fn stage(&self) -> Stage {
        self.stage_materialized(None).await
    }

    /// Has the tree of what is staged worked out after so many of the edits.
    async fn stage_materialized(&self, after: Option<usize>) -> Stage {
        let options = Options {
            range_raggedness_entries: f64::from(self.raggedness),
            min_range_size_bytes: self.min_bytes,
            max_range_size_bytes: self.max_bytes,
            ..Options::default()
        };
        let lake = Lake::with(Arc::new(kv::MemoryStore::default()), "lake", options).await;
        let base = self.base.clone().into_iter();
        write(&lake, "main", &base.map(|(k, v)| (k, Some(v))).collect()).await;
        commit(&lake, "main").await;
        for (name, edits) in [("ours", &self.ours), ("theirs", &self.theirs)] {
            lake.branch_from(name, "main").await;
            write(&lake, name, edits).await;
            commit(&lake, name).await;
        }
        let (mut early, mut late) = (self.staged.clone(), Edits::new());
        if let Some(after) = after {
            late = self.staged.clone().into_iter().skip(after).collect();
            early.retain(|key, _| !late.contains_key(key));
        }
        write(&lake, "theirs", &early).await;
        if after.is_some() && !lake.show("theirs$").await.is_empty() {
            lake.materialize("theirs").await;
            // Keys of the tree change once more.
            write(
                &lake,
                "theirs",
                &early.keys().map(|key| (key.clone(), None)).collect(),
            )
            .await;
            write(&lake, "theirs", &early).await;
        }
        write(&lake, "theirs", &late).await;
        let theirs = edited(&self.base, &self.theirs);
        let mut shown = theirs.clone();
        for (key, value) in &self.staged {
            match value {
                Some(value) => shown.insert(key.clone(), value.clone()),
                None => shown.remove(key),
            };
        }
        Stage {
            lake,
            base: self.base.clone(),
            ours: edited(&self.base, &self.ours),
            theirs,
            shown,
        }
    }
}

async fn write(lake: &Lake, on: &str, edits: &Edits) {
    let (mut records, mut deleted) = (Vec::new(), Vec::new());
    for (key, value) in edits {
        match value {
            Some(value) => records.push(Record {
                key: Bytes::from(key.clone()),
                value: value.clone(),
            }),
            None => deleted.push(key.clone().into_bytes()),
        }
    }
    let (graveler, on) = (&lake.graveler, branch(on));
    graveler
        .set_many(&lake.repo, &on, &records, false)
        .await
        .unwrap();
    graveler
        .delete(&lake.repo, &on, &deleted, false)
        .await
        .unwrap();
}

async fn commit(lake: &Lake, on: &str) -> CommitId {
    let mut params = committing(on);
    params.allow_empty = true;
    lake.commit_with(on, params, &NoHooks).await.unwrap().id
}

/// What committed edits make of a tree: the bytes stay where the identity does.
fn edited(base: &Tree, edits: &Edits) -> Tree {
    let mut tree = base.clone();
    for (key, value) in edits {
        match value {
            None => {
                tree.remove(key);
            }
            Some(value) if identity(base, key) == Some(&value.identity) => {}
            Some(value) => {
                tree.insert(key.clone(), value.clone());
            }
        }
    }
    tree
}

fn identity<'a>(tree: &'a Tree, key: &str) -> Option<&'a Bytes> {
    tree.get(key).map(|value| &value.identity)
}

fn identities(tree: &Tree) -> BTreeMap<String, Bytes> {
    tree.iter()
        .map(|(key, value)| (key.clone(), value.identity.clone()))
        .collect()
}

fn keys<'a>(trees: &[&'a Tree]) -> BTreeSet<&'a String> {
    trees.iter().flat_map(|tree| tree.keys()).collect()
}

fn difference(key: &str, left: &Tree, right: &Tree) -> Diff {
    let (left, right) = (left.get(key).cloned(), right.get(key).cloned());
    let kind = match (&left, &right) {
        (None, _) => DiffKind::Added,
        (_, None) => DiffKind::Removed,
        _ => DiffKind::Changed,
    };
    Diff {
        kind,
        key: Bytes::from(key.to_owned()),
        left,
        right,
    }
}

fn model_diff(left: &Tree, right: &Tree) -> Vec<Diff> {
    keys(&[left, right])
        .into_iter()
        .filter(|key| identity(left, key) != identity(right, key))
        .map(|key| difference(key, left, right))
        .collect()
}

fn model_compare(base: &Tree, left: &Tree, right: &Tree) -> Vec<Diff> {
    let mut diffs = Vec::new();
    for key in keys(&[base, left, right]) {
        let [base, ours, theirs] = [base, left, right].map(|tree| identity(tree, key));
        if theirs != base && theirs != ours {
            let mut diff = difference(key, left, right);
            if ours != base {
                diff.kind = DiffKind::Conflict;
            }
            diffs.push(diff);
        }
    }
    diffs
}

/// The joined identities, or the keys that contradict each other.
fn model_merge(
    base: &Tree,
    ours: &Tree,
    theirs: &Tree,
    strategy: MergeStrategy,
) -> Result<BTreeMap<String, Bytes>, Vec<Vec<u8>>> {
    let (mut merged, mut conflicts) = (BTreeMap::new(), Vec::new());
    for key in keys(&[base, ours, theirs]) {
        let [base, ours, theirs] = [base, ours, theirs].map(|tree| identity(tree, key));
        let winner = match strategy {
            _ if theirs == base || theirs == ours => ours,
            _ if ours == base => theirs,
            MergeStrategy::DestWins => ours,
            MergeStrategy::SourceWins => theirs,
            MergeStrategy::None => {
                conflicts.push(key.clone().into_bytes());
                continue;
            }
        };
        merged.extend(winner.map(|identity| (key.clone(), identity.clone())));
    }
    match conflicts.is_empty() {
        true => Ok(merged),
        false => Err(conflicts),
    }
}

impl Stage {
    async fn read(&self, reference: &str) -> Tree {
        let (graveler, repo) = (&self.lake.graveler, &self.lake.repo);
        let resolved = graveler.resolve(repo, reference).await.unwrap();
        let mut cursor = graveler.cursor(repo, &resolved).await.unwrap();
        let mut tree = Tree::new();
        while let Some(record) = cursor.next().await.unwrap() {
            let key = String::from_utf8(record.key.to_vec()).unwrap();
            assert!(tree.keys().all(|other| *other < key), "keys ascend");
            tree.insert(key, record.value);
        }
        tree
    }

    async fn diff(&self, left: &str, right: &str) -> DiffCursor {
        let (graveler, repo) = (&self.lake.graveler, &self.lake.repo);
        let left = graveler.resolve(repo, left).await.unwrap();
        let right = graveler.resolve(repo, right).await.unwrap();
        graveler.diff(repo, &left, &right).await.unwrap()
    }

    async fn compare(&self, left: &str, right: &str) -> DiffCursor {
        let (graveler, repo) = (&self.lake.graveler, &self.lake.repo);
        let left = graveler.resolve(repo, left).await.unwrap();
        let right = graveler.resolve(repo, right).await.unwrap();
        graveler.compare(repo, &left, &right).await.unwrap()
    }

    async fn uncommitted(&self, on: &str) -> DiffCursor {
        let (graveler, repo) = (&self.lake.graveler, &self.lake.repo);
        graveler.diff_uncommitted(repo, &branch(on)).await.unwrap()
    }

    /// What was joined has the model's identities and the bytes of one of `sides`.
    async fn check_joined(
        &self,
        on: &str,
        expected: &BTreeMap<String, Bytes>,
        sides: &[&Tree],
    ) -> TestCaseResult {
        let joined = self.read(on).await;
        prop_assert_eq!(&identities(&joined), expected);
        for (key, value) in &joined {
            prop_assert!(
                sides.iter().any(|side| side.get(key) == Some(value)),
                "the bytes of {} are a side's",
                key
            );
        }
        prop_assert_eq!(self.lake.uncommitted(on).await, "");
        Ok(())
    }
}

fn reverting() -> RevertParams {
    RevertParams {
        committer: "tester".to_owned(),
        parent_number: 0,
        message: String::new(),
        metadata: BTreeMap::new(),
        allow_empty: false,
        force: false,
    }
}

fn picking() -> CherryPickParams {
    CherryPickParams {
        committer: "tester".to_owned(),
        parent_number: 0,
        message: None,
        metadata: None,
        force: false,
    }
}

async fn read_diffs(mut cursor: DiffCursor) -> Vec<Diff> {
    let mut diffs = Vec::new();
    while let Some(diff) = cursor.next().await.unwrap() {
        diffs.push(diff);
    }
    assert_eq!(cursor.next().await.unwrap(), None, "the end lasts");
    diffs
}

fn run(test: impl Future<Output = TestCaseResult>) -> TestCaseResult {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(test)
}

/// Steps of a walk: none is a step, some a seek.
fn steps() -> impl Strategy<Value = Vec<Option<String>>> {
    vec(
        prop_oneof![2 => Just(None), 1 => key().prop_map(Some)],
        1..50,
    )
}

/// The same walk over a sorted list of keys: what each step finds.
fn model_walk(keys: &[Bytes], steps: &[Option<String>]) -> Vec<Option<Bytes>> {
    let (mut at, mut found) = (0, Vec::new());
    for step in steps {
        match step {
            Some(key) => at = at.max(keys.partition_point(|other| other < key.as_bytes())),
            None => {
                found.push(keys.get(at).cloned());
                at = (at + 1).min(keys.len());
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_branch_lists_what_is_staged_over_what_is_committed(
        case in case(), steps in steps(), materialized in proptest::option::of(0..16usize)
    ) {
        run(async {
            let stage = case.stage_materialized(materialized).await;
            prop_assert_eq!(&stage.read("main").await, &stage.base);
            prop_assert_eq!(&stage.read("theirs@").await, &stage.theirs);
            prop_assert_eq!(&stage.read("theirs").await, &stage.shown);
            for key in keys(&[&stage.theirs, &stage.shown]) {
                let data = stage.shown.get(key).map(|value| String::from_utf8(value.data.to_vec()).unwrap());
                prop_assert_eq!(stage.lake.get("theirs", key).await, data);
            }
            let (graveler, repo) = (&stage.lake.graveler, &stage.lake.repo);
            let resolved = graveler.resolve(repo, "theirs").await.unwrap();
            let mut cursor = graveler.cursor(repo, &resolved).await.unwrap();
            let mut found = Vec::new();
            for step in &steps {
                match step {
                    Some(key) => cursor.seek(key.as_bytes()),
                    None => found.push(cursor.next().await.unwrap().map(|record| record.key)),
                }
            }
            let all: Vec<_> = stage.shown.keys().map(|key| Bytes::from(key.clone())).collect();
            prop_assert_eq!(found, model_walk(&all, &steps));
            Ok(())
        })?;
    }

    #[test]
    fn differences_are_those_of_the_maps(case in case(), steps in steps()) {
        run(async {
            let stage = case.stage().await;
            let Stage { base, ours, theirs, shown, .. } = &stage;
            prop_assert_eq!(read_diffs(stage.uncommitted("theirs").await).await, model_diff(theirs, shown));
            prop_assert_eq!(read_diffs(stage.diff("ours", "theirs").await).await, model_diff(ours, theirs));
            prop_assert_eq!(read_diffs(stage.diff("theirs", "ours").await).await, model_diff(theirs, ours));
            prop_assert_eq!(read_diffs(stage.diff("ours", "theirs$").await).await, model_diff(ours, shown));
            prop_assert_eq!(read_diffs(stage.diff("main", "theirs$").await).await, model_diff(base, shown));
            let compared = read_diffs(stage.compare("ours", "theirs").await).await;
            prop_assert_eq!(compared, model_compare(base, ours, theirs));
            prop_assert_eq!(read_diffs(stage.compare("ours", "main").await).await, Vec::new());
            for (mut cursor, expected) in [
                (stage.uncommitted("theirs").await, model_diff(theirs, shown)),
                (stage.diff("ours", "theirs$").await, model_diff(ours, shown)),
                (stage.compare("ours", "theirs").await, model_compare(base, ours, theirs)),
            ] {
                let mut found = Vec::new();
                for step in &steps {
                    match step {
                        Some(key) => cursor.seek(key.as_bytes()),
                        None => found.push(cursor.next().await.unwrap().map(|diff| diff.key)),
                    }
                }
                let all: Vec<_> = expected.into_iter().map(|diff| diff.key).collect();
                prop_assert_eq!(found, model_walk(&all, &steps));
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_merge_is_that_of_the_maps_or_leaves_the_branch_alone(case in case()) {
        run(async {
            let stage = case.stage().await;
            let Stage { lake, base, ours, theirs, .. } = &stage;
            let source = lake.head("theirs").await.id;
            for strategy in [MergeStrategy::None, MergeStrategy::DestWins, MergeStrategy::SourceWins] {
                for squash in [false, true] {
                    let on = format!("merged-{strategy:?}-{squash}");
                    lake.branch_from(&on, "ours").await;
                    let before = lake.graveler.branch(&lake.repo, &branch(&on)).await.unwrap();
                    let mut params = merging();
                    (params.strategy, params.squash) = (strategy, squash);
                    let merged = lake.merge_with("theirs", &on, params, &NoHooks).await;
                    let after = lake.graveler.branch(&lake.repo, &branch(&on)).await.unwrap();
                    match (merged, model_merge(base, ours, theirs, strategy)) {
                        (Err(Error::NoChanges), expected) => {
                            // Squashed, all that it could tell is what it changes.
                            let is_lost = squash
                                && expected == Ok(identities(ours));
                            prop_assert!(is_lost || identities(base) == identities(theirs));
                            prop_assert_eq!(before, after);
                        }
                        (Err(Error::Conflict { keys, .. }), Err(expected)) => {
                            prop_assert_eq!(keys, expected);
                            prop_assert_eq!(before, after);
                        }
                        (Ok(made), Ok(expected)) => {
                            let head = lake.head(&on).await;
                            prop_assert_eq!(&head.id, &made.commit_id);
                            let mut parents = vec![before.record.commit_id];
                            parents.extend((!squash).then(|| source.clone()));
                            prop_assert_eq!(head.parents, parents);
                            stage.check_joined(&on, &expected, &[ours, theirs]).await?;
                        }
                        (other, expected) => prop_assert!(false, "{:?} instead of {:?}", other, expected),
                    }
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_revert_and_a_cherry_pick_are_merges_of_one_commits_change(case in case()) {
        run(async {
            let stage = case.stage().await;
            let Stage { lake, base, ours, theirs, .. } = &stage;
            let (graveler, repo) = (&lake.graveler, &lake.repo);
            for is_revert in [true, false] {
                let on = if is_revert { "reverted" } else { "picked" };
                lake.branch_from(on, "ours").await;
                let before = graveler.branch(repo, &branch(on)).await.unwrap();
                let (made, expected, brought) = match is_revert {
                    true => (
                        graveler.revert(repo, &branch(on), "theirs", reverting(), &NoHooks).await,
                        model_merge(theirs, ours, base, MergeStrategy::None),
                        base,
                    ),
                    false => (
                        graveler.cherry_pick(repo, &branch(on), "theirs", picking(), &NoHooks).await,
                        model_merge(base, ours, theirs, MergeStrategy::None),
                        theirs,
                    ),
                };
                let after = graveler.branch(repo, &branch(on)).await.unwrap();
                match (made, expected) {
                    (Err(Error::NoChanges), Ok(expected)) => {
                        prop_assert!(is_revert);
                        prop_assert_eq!(expected, identities(ours));
                        prop_assert_eq!(before, after);
                    }
                    (Err(Error::Conflict { keys, count }), Err(expected)) => {
                        prop_assert_eq!(count, expected.len() as u64);
                        prop_assert_eq!(keys, expected);
                        prop_assert_eq!(before, after);
                    }
                    (Ok(made), Ok(expected)) => {
                        prop_assert!(!is_revert || expected != identities(ours));
                        prop_assert_eq!(&made.parents, &[before.record.commit_id]);
                        prop_assert_eq!(made.id, after.record.commit_id);
                        stage.check_joined(on, &expected, &[ours, brought]).await?;
                    }
                    (other, expected) => prop_assert!(false, "{:?} instead of {:?}", other, expected),
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_reset_leaves_what_is_committed_and_a_hard_reset_what_is_staged(
        case in case(), prefix in prop_oneof![Just(String::new()), "k[012]", key()],
    ) {
        run(async {
            let stage = case.stage().await;
            let Stage { lake, base, theirs, shown, .. } = &stage;
            let (graveler, repo, on) = (&lake.graveler, &lake.repo, branch("theirs"));
            let scope = ResetScope::Prefix(prefix.clone().into_bytes());
            graveler.reset(repo, &on, scope, false, "tester").await.unwrap();
            let pick = |tree: &Tree, inside: bool| -> Tree {
                let of = tree.iter().filter(|(key, _)| key.starts_with(&prefix) == inside);
                of.map(|(key, value)| (key.clone(), value.clone())).collect()
            };
            let mut left = pick(shown, false);
            left.extend(pick(theirs, true));
            prop_assert_eq!(&stage.read("theirs").await, &left);
            prop_assert_eq!(&stage.read("theirs@").await, theirs);

            graveler.hard_reset(repo, &on, "main", false, "tester").await.unwrap();
            let mut moved = base.clone();
            for diff in model_diff(theirs, &left) {
                let key = String::from_utf8(diff.key.to_vec()).unwrap();
                match diff.right {
                    Some(value) => moved.insert(key, value),
                    None => moved.remove(&key),
                };
            }
            prop_assert_eq!(&identities(&stage.read("theirs").await), &identities(&moved));
            prop_assert_eq!(&stage.read("theirs@").await, base);
            Ok(())
        })?;
    }
}

/// Of a key with one identity and different bytes on both sides, deleted in what is staged on
/// the right, the difference told the right side's bytes as the left one's.
#[tokio::test]
async fn a_difference_tells_the_left_sides_bytes_where_both_have_one_identity() {
    let one = |origin: &str| {
        let value = Value {
            identity: Bytes::from("3"),
            data: Bytes::from(format!("3 by {origin}")),
        };
        Edits::from([("k03".to_owned(), Some(value))])
    };
    let case = Case {
        raggedness: 1,
        min_bytes: 0,
        max_bytes: 20 << 20,
        base: Tree::new(),
        ours: one("ours"),
        theirs: one("theirs"),
        staged: Edits::from([("k03".to_owned(), None)]),
    };
    let stage = case.stage().await;
    let found = read_diffs(stage.diff("ours", "theirs$").await).await;
    assert_eq!(found, model_diff(&stage.ours, &stage.shown));
}
