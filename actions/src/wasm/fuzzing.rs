//! Fuzzing entry points of the Wasm host, for `crate::fuzzing`.

use super::capability::{ChangeKind, Rights};
use super::request::Select;
use super::{artifact, check, describe, nesting};

/// Checks a component.
pub(crate) fn component(data: &[u8]) {
    drop(check::check(data));
}

/// Checks the nesting depth of a component, as is done before validation.
pub(crate) fn nesting(data: &[u8]) {
    drop(nesting::check(data));
}

/// Decodes the response of a compiler process. Encoding it again must give the same bytes.
pub(crate) fn compile_answer(data: &[u8]) {
    if let Some(answer) = artifact::decode_answer(data.to_vec()) {
        let written = artifact::encode_answer(&answer);
        assert_eq!(artifact::decode_answer(written), Some(answer));
    }
}

/// Parses a description and compiles the paths in it.
pub(crate) fn description(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(description) = describe::parse(text)
    {
        rights(&describe::texts(&description, "/defaults/paths"));
    }
}

/// Compiles globs.
pub(crate) fn rights(patterns: &[String]) {
    if let Ok(rights) = Rights::new(&Select::default(), patterns, patterns) {
        rights.selects(ChangeKind::Added, "tables/2024/part-0.parquet");
        rights.prefix();
    }
}
