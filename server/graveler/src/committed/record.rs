//! Records as the engine reads them: values out of frames, and when two are the same.

use bytes::Bytes;

use crate::sstable::{self, Record, encode_value};
use crate::{Error, Result, Value};

/// Takes a record's value out of its frame.
pub(super) fn value(record: &Record) -> Result<Value> {
    let (identity, data) = record
        .split_value()
        .map_err(|error| corrupt(record, &error))?;
    Ok(Value { identity, data })
}

/// Frames a value as a record.
pub(super) fn framed(key: Bytes, value: &Value) -> Record {
    Record {
        key,
        value: Bytes::from(encode_value(&value.identity, &value.data)),
    }
}

/// Whether two sides agree on a key: both without it, or with values of one identity.
pub(super) fn same(a: Option<&Record>, b: Option<&Record>) -> Result<bool> {
    match (a, b) {
        (None, None) => Ok(true),
        (Some(a), Some(b)) if a.value == b.value => Ok(true),
        (Some(a), Some(b)) => Ok(value(a)?.identity == value(b)?.identity),
        (None, Some(_)) | (Some(_), None) => Ok(false),
    }
}

/// What a three-way comparison says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The source has not changed it, or both changed it alike: the destination stands.
    Keep,
    /// Only the source changed it.
    Take,
    /// Both changed it, each otherwise.
    Conflict,
}

/// Compares what source and destination made of the base's record.
pub(super) fn judge(
    base: Option<&Record>,
    source: Option<&Record>,
    destination: Option<&Record>,
) -> Result<Verdict> {
    if same(source, destination)? || same(source, base)? {
        return Ok(Verdict::Keep);
    }
    Ok(if same(destination, base)? {
        Verdict::Take
    } else {
        Verdict::Conflict
    })
}

fn corrupt(record: &Record, error: &sstable::Error) -> Error {
    let key = String::from_utf8_lossy(&record.key).into_owned();
    Error::Corrupt {
        what: format!("record {key:?}"),
        reason: error.to_string(),
    }
}
