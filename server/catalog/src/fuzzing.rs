//! Entry points for `tests/fuzz`: the parsers of this crate as functions of bytes.
//!
//! They return nothing: the fuzzer looks for panics.

use bytes::Bytes;
use graveler::Value;

use crate::Entry;
use crate::pull_records::PullData;

/// Parses a stored record. The first byte selects its type.
pub fn record(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let stored = Bytes::copy_from_slice(rest);
    match kind % 12 {
        0 => {
            let value = Value {
                identity: Bytes::new(),
                data: stored,
            };
            if let Ok(entry) = Entry::from_value(&value) {
                drop(entry.to_value());
                drop(entry.location("local://repo"));
            }
        }
        1 => drop(PullData::decode(stored)),
        2 => crate::multipart::try_record(rest),
        3 => crate::retention::try_rules(stored),
        10 => crate::completion::try_record(stored),
        11 => crate::pull_records::try_opening(stored),
        kind => crate::tasks::try_record(kind, &stored),
    }
}

/// Parses a continuation token of garbage collection, or the JSON inside. The first byte selects which.
pub fn continuation(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    crate::gc_uncommitted::try_token(kind % 2 == 0, rest);
}
