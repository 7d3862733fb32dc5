//! The parsers of this crate as functions of bytes, for `tests/fuzz`.

use std::hint::black_box;

use crate::action_file::Action;
use crate::condition::Condition;
use crate::env::Environment;
use crate::{glob, nesting, schema, wasm, webhook};

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

/// Whether a component nests too deep: the walk before the validator, by itself.
pub fn component_nesting(data: &[u8]) {
    wasm::fuzzing::nesting(data);
}

/// The answer of the process that compiles components.
pub fn compile_answer(data: &[u8]) {
    wasm::fuzzing::compile_answer(data);
}

/// A hook's config against the schema that its component gives, which is the first line.
pub fn hook_config(data: &[u8]) {
    let Some((schema, config)) = halves(data) else {
        return;
    };
    if let (Ok(schema), Ok(config)) = (
        serde_json::from_slice(schema),
        serde_json::from_slice(config),
    ) {
        black_box(schema::mistakes(&schema, &config));
    }
}

/// The headers of a request that may come from a webhook: a run token in each line, or a user agent.
pub fn run_marks(data: &[u8]) {
    nesting::try_headers(data);
}

/// A webhook's answer, whose first line is the secret that the request was sent with.
pub fn webhook_answer(data: &[u8]) {
    let Some((secret, answer)) = halves(data) else {
        return;
    };
    if let Ok(secret) = std::str::from_utf8(secret) {
        webhook::try_answer(secret, answer);
    }
}

/// A webhook's URL, and the entries of `actions.webhook.allow` and `deny`, one a line.
pub fn webhook_target(data: &[u8]) {
    if let Some(mut entries) = lines(data).filter(|lines| !lines.is_empty()) {
        let url = entries.remove(0);
        webhook::try_target(&url, &entries);
    }
}

/// The first line, and what follows it.
fn halves(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    Some((&data[..end], &data[end + 1..]))
}

fn lines(data: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(data).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}
