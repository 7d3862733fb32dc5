//! Random walks of cursors and differences, and the same walks of a sorted list of keys.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{Cursor, DiffCursor};

/// A step of a walk.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Next,
    Seek(String),
    EndAt(String),
}

/// Steps whose keys are like those of the models' trees.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || {
        (0..40u32, prop_oneof![3 => Just(""), 1 => Just("/x")])
            .prop_map(|(number, end)| format!("k{number:02}{end}"))
    };
    let step = prop_oneof![
        20 => Just(Step::Next),
        10 => key().prop_map(Step::Seek),
        1 => key().prop_map(Step::EndAt),
    ];
    vec(step, 1..60)
}

/// The keys that the steps find in a sorted list of keys.
pub(crate) fn model_walk(keys: &[Bytes], steps: &[Step]) -> Vec<Option<Bytes>> {
    let (mut at, mut end, mut found) = (0, keys.len(), Vec::new());
    let position = |key: &str| keys.partition_point(|other| other < key.as_bytes());
    for step in steps {
        match step {
            Step::Seek(key) => at = at.max(position(key)),
            Step::EndAt(key) => end = end.min(position(key)),
            Step::Next => {
                found.push(keys[..end].get(at).cloned());
                at += usize::from(at < end);
            }
        }
    }
    found
}

/// The keys that the steps find with a cursor.
pub(crate) async fn walk_cursor(cursor: &mut dyn Cursor, steps: &[Step]) -> Vec<Option<Bytes>> {
    let mut found = Vec::new();
    for step in steps {
        match step {
            Step::Seek(key) => cursor.seek(key.as_bytes()),
            Step::EndAt(key) => cursor.end_at(key.as_bytes()),
            Step::Next => found.push(cursor.next().await.unwrap().map(|record| record.key)),
        }
    }
    found
}

/// The keys that the steps find in differences.
pub(crate) async fn walk_diff(diff: &mut DiffCursor, steps: &[Step]) -> Vec<Option<Bytes>> {
    let mut found = Vec::new();
    for step in steps {
        match step {
            Step::Seek(key) => diff.seek(key.as_bytes()),
            Step::EndAt(key) => diff.end_at(key.as_bytes()),
            Step::Next => found.push(diff.next().await.unwrap().map(|diff| diff.key)),
        }
    }
    found
}
