//! The parsers of this crate as functions of bytes, for `tests/fuzz`.

use crate::action_file::Action;
use crate::condition::Condition;
use crate::env::Environment;
use crate::glob;
use crate::wasm;

/// An action file.
pub fn action_file(data: &[u8]) {
    drop(Action::parse("_lakefs_actions/fuzz.yaml", data));
}

/// Globs of paths, one a line, as an action file and as a component names them.
pub fn path_globs(data: &[u8]) {
    let Some(patterns) = lines(data) else {
        return;
    };
    if let Ok(set) = glob::path_set(&patterns) {
        set.is_match("tables/2024/part-0.parquet");
    }
    for pattern in &patterns {
        glob::literal_prefix(pattern);
    }
    wasm::fuzzing::rights(&patterns);
}

/// Globs of branches, one a line; the first line is the branch.
pub fn branch_globs(data: &[u8]) {
    let Some(mut patterns) = lines(data).filter(|lines| !lines.is_empty()) else {
        return;
    };
    let name = patterns.remove(0);
    if glob::check_branch_list(&patterns).is_ok() {
        for pattern in &patterns {
            glob::branch_matches(pattern, &name);
        }
    }
}

/// The `if` of a hook, and a text with variables.
pub fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(condition) = Condition::parse(text) {
        condition.holds(true);
        drop(condition.clone());
    }
    drop(Environment::new(true, "", |name| Some(name.to_owned())).expand(text));
}

/// A WebAssembly component.
pub fn component(data: &[u8]) {
    wasm::fuzzing::component(data);
}

/// What a component says of itself.
pub fn description(data: &[u8]) {
    wasm::fuzzing::description(data);
}

/// A stored run or hook run: the first byte tells which.
pub fn record(data: &[u8]) {
    if let Some((kind, stored)) = data.split_first() {
        crate::run::try_record(kind % 2 == 0, stored);
    }
}

fn lines(data: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(data).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}
