//! The parsers of the host as functions of bytes, for `crate::fuzzing`.

use super::capability::{ChangeKind, Rights};
use super::{Select, artifact, check, host, nesting};

/// Looks at a component.
pub(crate) fn component(data: &[u8]) {
    drop(check::check(data));
}

/// Walks through a component, as before it is validated.
pub(crate) fn nesting(data: &[u8]) {
    drop(nesting::check(data));
}

/// Reads what a compiling process answers. What is read is written again to the same bytes.
pub(crate) fn compile_answer(data: &[u8]) {
    if let Some(answer) = artifact::decode_answer(data.to_vec()) {
        let written = artifact::encode_answer(&answer);
        assert_eq!(artifact::decode_answer(written), Some(answer));
    }
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
