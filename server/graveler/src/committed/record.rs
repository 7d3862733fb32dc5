//! Conversion between records and values, and comparison of records.

use bytes::Bytes;

use crate::sstable::{self, Record, encode_value};
use crate::{Error, Result, Value};

/// Decodes a record's value.
pub(super) fn value(record: &Record) -> Result<Value> {
    let (identity, data) = record
        .split_value()
        .map_err(|error| corrupt(record, &error))?;
    Ok(Value { identity, data })
}

/// Encodes a value as a record.
pub(super) fn frame(key: Bytes, value: &Value) -> Record {
    Record {
        key,
        value: Bytes::from(encode_value(&value.identity, &value.data)),
    }
}

/// Whether two sides agree on a key: both lack it, or both values have the same identity.
pub(super) fn same_identity(a: Option<&Record>, b: Option<&Record>) -> Result<bool> {
    match (a, b) {
        (None, None) => Ok(true),
        (Some(a), Some(b)) if a.value == b.value => Ok(true),
        (Some(a), Some(b)) => Ok(value(a)?.identity == value(b)?.identity),
        (None, Some(_)) | (Some(_), None) => Ok(false),
    }
}

/// The outcome of a three-way comparison at one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The destination wins: the source did not change the key, or both changed it in the same way.
    Keep,
    /// The source wins: only it changed the key.
    Take,
    /// Both changed the key in different ways.
    Conflict,
}

/// Decides by comparing the identities of source and destination with that of the base.
pub(super) fn compare_three_way(
    base: Option<&Record>,
    source: Option<&Record>,
    destination: Option<&Record>,
) -> Result<Verdict> {
    if same_identity(source, destination)? || same_identity(source, base)? {
        return Ok(Verdict::Keep);
    }
    Ok(if same_identity(destination, base)? {
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
