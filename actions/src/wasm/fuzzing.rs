//! The parsers of the host as functions of bytes, for `crate::fuzzing`.

use super::capability::{ChangeKind, Rights};
use super::{Select, check, host};

/// Looks at a component.
pub(crate) fn component(data: &[u8]) {
    drop(check::check(data));
}

/// Reads a description, and compiles the paths that it names.
pub(crate) fn description(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(description) = host::read_description(text)
    {
        rights(&host::texts(&description, "/defaults/paths"));
    }
}

/// Compiles globs.
pub(crate) fn rights(patterns: &[String]) {
    if let Ok(rights) = Rights::new(&Select::default(), patterns, patterns) {
        rights.selects(ChangeKind::Added, "tables/2024/part-0.parquet");
        rights.prefix();
    }
}
