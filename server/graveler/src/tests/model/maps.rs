//! The model: sorted maps, and the expected results of operations on them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{Diff, DiffKind, MergeStrategy, Value};

pub(super) type Tree = BTreeMap<String, Value>;
pub(super) type Edits = BTreeMap<String, Option<Value>>;

/// Applies committed edits to a tree. A value with the tree's identity does not replace its bytes.
pub(super) fn edited(base: &Tree, edits: &Edits) -> Tree {
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

/// Applies staged edits to a tree. They replace the tree's bytes even if the identity is equal.
pub(super) fn with_staged(tree: &Tree, edits: &[&Edits]) -> Tree {
    let mut tree = tree.clone();
    for (key, value) in edits.iter().copied().flatten() {
        match value {
            Some(value) => tree.insert(key.clone(), value.clone()),
            None => tree.remove(key),
        };
    }
    tree
}

pub(super) fn identity<'a>(tree: &'a Tree, key: &str) -> Option<&'a Bytes> {
    tree.get(key).map(|value| &value.identity)
}

pub(super) fn identities(tree: &Tree) -> BTreeMap<String, Bytes> {
    tree.iter()
        .map(|(key, value)| (key.clone(), value.identity.clone()))
        .collect()
}

pub(super) fn keys<'a>(trees: &[&'a Tree]) -> BTreeSet<&'a String> {
    trees.iter().flat_map(|tree| tree.keys()).collect()
}

pub(super) fn difference(key: &str, left: &Tree, right: &Tree) -> Diff {
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

pub(super) fn model_diff(left: &Tree, right: &Tree) -> Vec<Diff> {
    keys(&[left, right])
        .into_iter()
        .filter(|key| identity(left, key) != identity(right, key))
        .map(|key| difference(key, left, right))
        .collect()
}

pub(super) fn model_compare(base: &Tree, left: &Tree, right: &Tree) -> Vec<Diff> {
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

/// The merged identities, or the conflicting keys.
pub(super) fn model_merge(
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
