//! Test fixtures: trees written as text, a store that records requests, and ranges so small that a few
//! keys fill several.
//!
//! A tree is written `a=1 b=2/x`: key `b` has the identity `2` and the data `x`. Without `/`, the
//! data equals the identity.

mod store;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use block::BlockStore;
use bytes::Bytes;
use expect_test::Expect;

pub(crate) use self::store::CountingStore;
use super::{Change, ChangeCursor, Committed, Summary};
use crate::{
    Cursor, Diff, DiffCursor, DiffKind, Error, MergeStrategy, MetaRangeId, Options, Result, Value,
};

pub(crate) const NAMESPACE: &str = "mem://lake";

/// A tree in the model: values by key.
pub(super) type Model = BTreeMap<String, Value>;

/// A cursor over listed changes.
#[derive(Debug)]
pub(super) struct ListedChanges(pub(super) VecDeque<Change>);

#[async_trait]
impl ChangeCursor for ListedChanges {
    async fn next(&mut self) -> Result<Option<Change>> {
        Ok(self.0.pop_front())
    }
}

/// Trees on a store that records requests.
#[derive(Debug)]
pub(super) struct Trees {
    pub(super) store: Arc<CountingStore>,
    pub(super) committed: Committed,
    options: Options,
}

impl Trees {
    pub(super) fn new(options: Options) -> Self {
        let store = Arc::new(CountingStore::default());
        Self {
            committed: Committed::new(Arc::clone(&store) as Arc<dyn BlockStore>, &options),
            store,
            options,
        }
    }

    /// Trees whose ranges have about `raggedness` keys.
    pub(super) fn with_raggedness(raggedness: u32) -> Self {
        Self::new(Options {
            range_raggedness_entries: f64::from(raggedness),
            ..Options::default()
        })
    }

    /// Clears the caches and the counters.
    pub(super) fn clear_caches(&mut self) {
        self.committed = Committed::new(
            Arc::clone(&self.store) as Arc<dyn BlockStore>,
            &self.options,
        );
        self.store.reset();
    }

    /// Stores a tree.
    pub(super) async fn tree(&self, model: &Model) -> MetaRangeId {
        let changes = model
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect();
        self.apply(&MetaRangeId::trusted(""), &changes).await.0
    }

    pub(super) async fn apply(
        &self,
        base: &MetaRangeId,
        changes: &BTreeMap<String, Option<Value>>,
    ) -> (MetaRangeId, Summary) {
        self.try_apply(base, changes).await.unwrap()
    }

    pub(super) async fn try_apply(
        &self,
        base: &MetaRangeId,
        changes: &BTreeMap<String, Option<Value>>,
    ) -> Result<(MetaRangeId, Summary)> {
        let changes = changes
            .iter()
            .map(|(key, value)| Change {
                key: Bytes::from(key.clone()),
                value: value.clone(),
            })
            .collect();
        self.committed
            .apply(NAMESPACE, base, Box::new(ListedChanges(changes)))
            .await
    }

    /// Reads a whole tree back.
    pub(super) async fn read(&self, tree: &MetaRangeId) -> Model {
        let mut cursor = self.committed.cursor(NAMESPACE, tree).await.unwrap();
        read_all(&mut *cursor).await
    }

    pub(super) async fn diff(&self, left: &MetaRangeId, right: &MetaRangeId) -> Vec<Diff> {
        read_diffs(self.committed.diff(NAMESPACE, left, right).await.unwrap()).await
    }

    pub(super) async fn compare(
        &self,
        base: &MetaRangeId,
        left: &MetaRangeId,
        right: &MetaRangeId,
    ) -> Vec<Diff> {
        read_diffs(
            self.committed
                .compare(NAMESPACE, base, left, right)
                .await
                .unwrap(),
        )
        .await
    }

    pub(super) async fn merge(
        &self,
        base: &MetaRangeId,
        source: &MetaRangeId,
        destination: &MetaRangeId,
        strategy: MergeStrategy,
    ) -> Result<MetaRangeId> {
        self.committed
            .merge(NAMESPACE, base, source, destination, strategy)
            .await
    }
}

pub(super) async fn read_all(cursor: &mut dyn Cursor) -> Model {
    let mut model = Model::new();
    while let Some(record) = cursor.next().await.unwrap() {
        let key = String::from_utf8(record.key.to_vec()).unwrap();
        assert!(
            model.last_key_value().is_none_or(|(last, _)| *last < key),
            "keys must ascend"
        );
        model.insert(key, record.value);
    }
    assert_eq!(
        cursor.next().await.unwrap(),
        None,
        "a cursor must stay at the end"
    );
    model
}

pub(crate) async fn read_diffs(mut cursor: DiffCursor) -> Vec<Diff> {
    let mut diffs = Vec::new();
    while let Some(diff) = cursor.next().await.unwrap() {
        diffs.push(diff);
    }
    assert_eq!(
        cursor.next().await.unwrap(),
        None,
        "a cursor must stay at the end"
    );
    diffs
}

/// Parses `label: a=1 b=2/x`; a value of `-` is a deletion.
pub(super) fn changes(text: &str) -> BTreeMap<String, Option<Value>> {
    let text = text
        .split_once(": ")
        .map_or(text.trim_end_matches(':'), |(_, text)| text);
    let mut parsed = BTreeMap::new();
    for word in text.split_whitespace().filter(|word| word.contains('=')) {
        let (key, value) = word.split_once('=').unwrap();
        parsed.insert(key.to_owned(), (value != "-").then(|| self::value(value)));
    }
    parsed
}

pub(super) fn model(text: &str) -> Model {
    changes(text)
        .into_iter()
        .map(|(key, value)| (key, value.unwrap()))
        .collect()
}

pub(super) fn value(text: &str) -> Value {
    let (identity, data) = text.split_once('/').unwrap_or((text, text));
    Value {
        identity: Bytes::copy_from_slice(identity.as_bytes()),
        data: Bytes::copy_from_slice(data.as_bytes()),
    }
}

pub(super) fn show(model: &Model) -> String {
    let words: Vec<_> = model
        .iter()
        .map(|(key, value)| format!("{key}={}", show_value(Some(value))))
        .collect();
    words.join(" ")
}

fn show_value(value: Option<&Value>) -> String {
    let Some(Value { identity, data }) = value else {
        return "-".to_owned();
    };
    let (identity, data) = (
        String::from_utf8_lossy(identity),
        String::from_utf8_lossy(data),
    );
    if identity == data {
        identity.into_owned()
    } else {
        format!("{identity}/{data}")
    }
}

/// Formats differences: `+` added, `~` changed, `-` removed, `!` conflict; then key and values.
pub(super) fn show_diffs(diffs: &[Diff]) -> String {
    let show = |diff: &Diff| {
        let sign = match diff.kind {
            DiffKind::Added => '+',
            DiffKind::Changed => '~',
            DiffKind::Removed => '-',
            DiffKind::Conflict => '!',
        };
        let (left, right) = (
            show_value(diff.left.as_ref()),
            show_value(diff.right.as_ref()),
        );
        format!(
            "{sign}{}:{left}>{right}",
            String::from_utf8_lossy(&diff.key)
        )
    };
    diffs.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// Applies changes to a base.
pub(super) async fn check_apply(base: &str, staged: &str, expected: Expect) {
    let trees = Trees::with_raggedness(2);
    let base = trees.tree(&model(base)).await;
    let (
        result,
        Summary {
            added,
            changed,
            removed,
        },
    ) = trees.apply(&base, &changes(staged)).await;
    expected.assert_eq(&format!(
        "{} (+{added} ~{changed} -{removed})",
        show(&trees.read(&result).await)
    ));
}

pub(super) async fn check_diff(left: &str, right: &str, expected: Expect) {
    let trees = Trees::with_raggedness(2);
    let (left, right) = (
        trees.tree(&model(left)).await,
        trees.tree(&model(right)).await,
    );
    expected.assert_eq(&show_diffs(&trees.diff(&left, &right).await));
}

/// Compares `theirs` (right) with `ours` (left), given their base.
pub(super) async fn check_compare(base: &str, ours: &str, theirs: &str, expected: Expect) {
    let trees = Trees::with_raggedness(2);
    let [base, ours, theirs] = stored(&trees, [base, ours, theirs]).await;
    expected.assert_eq(&show_diffs(&trees.compare(&base, &ours, &theirs).await));
}

/// Merges theirs into ours.
pub(super) async fn check_merge(base: &str, ours: &str, theirs: &str, expected: Expect) {
    check_merge_with(MergeStrategy::None, base, ours, theirs, expected).await;
}

pub(super) async fn check_merge_with(
    strategy: MergeStrategy,
    base: &str,
    ours: &str,
    theirs: &str,
    expected: Expect,
) {
    let trees = Trees::with_raggedness(2);
    let [base, ours, theirs] = stored(&trees, [base, ours, theirs]).await;
    let merged = match trees.merge(&base, &theirs, &ours, strategy).await {
        Ok(tree) => show(&trees.read(&tree).await),
        Err(Error::Conflict { keys, .. }) => {
            let keys: Vec<_> = keys
                .iter()
                .map(|key| String::from_utf8_lossy(key))
                .collect();
            format!("conflict: {}", keys.join(" "))
        }
        Err(error) => panic!("{error}"),
    };
    expected.assert_eq(&merged);
}

async fn stored(trees: &Trees, texts: [&str; 3]) -> [MetaRangeId; 3] {
    let [a, b, c] = texts.map(model);
    [
        trees.tree(&a).await,
        trees.tree(&b).await,
        trees.tree(&c).await,
    ]
}
