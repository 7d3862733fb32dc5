//! Two branches of a common base, one with staged changes: generated, stored and read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::maps::{Edits, Tree, edited, identities, with_staged};
use crate::testing::{Lake, branch, committing};
use crate::{
    CherryPickParams, CommitId, DiffCursor, NoHooks, Options, Record, RevertParams, Value,
};

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub raggedness: u32,
    pub min_bytes: u64,
    pub max_bytes: u64,
    pub base: Tree,
    pub ours: Edits,
    pub theirs: Edits,
    pub staged: Edits,
}

pub(super) fn config() -> ProptestConfig {
    ProptestConfig {
        cases: base::testing::cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(super) fn key() -> impl Strategy<Value = String> {
    (0..30u32, prop_oneof![3 => Just(""), 1 => Just("/x")])
        .prop_map(|(number, end)| format!("k{number:02}{end}"))
}

/// A value with one of three identities. The data names the origin.
pub(super) fn content(origin: &'static str) -> impl Strategy<Value = Value> {
    (1..4u8).prop_map(move |identity| Value {
        identity: Bytes::from(identity.to_string()),
        data: Bytes::from(format!("{identity} by {origin}")),
    })
}

pub(super) fn edits(origin: &'static str) -> impl Strategy<Value = Edits> {
    btree_map(
        key(),
        proptest::option::weighted(0.7, content(origin)),
        0..15,
    )
}

pub(super) fn case() -> impl Strategy<Value = Case> {
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

/// The branches `main` (the base), `ours` and `theirs`, and their expected content.
pub(super) struct Stage {
    pub lake: Lake,
    pub base: Tree,
    pub ours: Tree,
    pub theirs: Tree,
    /// `theirs` with its staged changes.
    pub shown: Tree,
}

impl Case {
    pub(super) async fn stage(&self) -> Stage {
        self.stage_materialized(None).await
    }

    /// With `after`, stores a tree of the staged changes after that many edits.
    pub(super) async fn stage_materialized(&self, after: Option<usize>) -> Stage {
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
            // Change keys of the tree once more.
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
        let shown = with_staged(&theirs, &[&self.staged]);
        Stage {
            lake,
            base: self.base.clone(),
            ours: edited(&self.base, &self.ours),
            theirs,
            shown,
        }
    }
}

pub(super) async fn write(lake: &Lake, on: &str, edits: &Edits) {
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

pub(super) async fn commit(lake: &Lake, on: &str) -> CommitId {
    let mut params = committing(on);
    params.allow_empty = true;
    lake.commit_with(on, params, &NoHooks).await.unwrap().id
}

impl Stage {
    pub(super) async fn diff(&self, left: &str, right: &str) -> DiffCursor {
        let (graveler, repo) = (&self.lake.graveler, &self.lake.repo);
        let left = graveler.resolve(repo, left).await.unwrap();
        let right = graveler.resolve(repo, right).await.unwrap();
        graveler.diff(repo, &left, &right).await.unwrap()
    }

    pub(super) async fn compare(&self, left: &str, right: &str) -> DiffCursor {
        let (graveler, repo) = (&self.lake.graveler, &self.lake.repo);
        let left = graveler.resolve(repo, left).await.unwrap();
        let right = graveler.resolve(repo, right).await.unwrap();
        graveler.compare(repo, &left, &right).await.unwrap()
    }

    pub(super) async fn uncommitted(&self, on: &str) -> DiffCursor {
        let (graveler, repo) = (&self.lake.graveler, &self.lake.repo);
        graveler.diff_uncommitted(repo, &branch(on)).await.unwrap()
    }
}

pub(super) fn reverting() -> RevertParams {
    RevertParams {
        committer: "tester".to_owned(),
        parent_number: 0,
        message: String::new(),
        metadata: BTreeMap::new(),
        allow_empty: false,
        force: false,
    }
}

pub(super) fn picking() -> CherryPickParams {
    CherryPickParams {
        committer: "tester".to_owned(),
        parent_number: 0,
        message: None,
        metadata: None,
        force: false,
    }
}

pub(super) fn run(test: impl Future<Output = TestCaseResult>) -> TestCaseResult {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(test)
}

/// Everything that a reference shows.
pub(super) async fn read(lake: &Lake, reference: &str) -> Tree {
    let (graveler, repo) = (&lake.graveler, &lake.repo);
    let resolved = graveler.resolve(repo, reference).await.unwrap();
    let mut cursor = graveler.cursor(repo, &resolved).await.unwrap();
    let mut tree = Tree::new();
    while let Some(record) = cursor.next().await.unwrap() {
        let key = String::from_utf8(record.key.to_vec()).unwrap();
        assert!(tree.keys().all(|other| *other < key), "keys must ascend");
        tree.insert(key, record.value);
    }
    tree
}

/// Asserts that a branch has the model's identities, each with the bytes of one of `sides`.
pub(super) async fn check_merge_result(
    lake: &Lake,
    on: &str,
    expected: &BTreeMap<String, Bytes>,
    sides: &[&Tree],
) -> TestCaseResult {
    let joined = read(lake, on).await;
    prop_assert_eq!(&identities(&joined), expected);
    for (key, value) in &joined {
        prop_assert!(
            sides.iter().any(|side| side.get(key) == Some(value)),
            "the bytes of {} must come from one side",
            key
        );
    }
    prop_assert_eq!(lake.uncommitted(on).await, "");
    Ok(())
}
