//! Entry points for `tests/fuzz`: each function feeds bytes to one parser of this crate.

use std::hint::black_box;

use crate::action_file::Action;
use crate::condition::Condition;
use crate::env::Environment;
use crate::{glob, nesting, schema, wasm, webhook};

/// Parses an action file.
pub fn action_file(data: &[u8]) {
    drop(Action::parse("_lakefs_actions/fuzz.yaml", data));
}

/// Matches path globs, one per line, against the path in the first line, the way action files and components do.
pub fn path_globs(data: &[u8]) {
    let Some(mut patterns) = lines(data).filter(|lines| !lines.is_empty()) else {
        return;
    };
    let path = patterns.remove(0);
    if let Ok(set) = glob::path_set(&patterns) {
        assert!(set.steps() <= base::glob::MAX_STEPS);
        black_box(set.is_match(&path[..path.floor_char_boundary(glob::MAX_PATH_BYTES)]));
    }
    for pattern in &patterns {
        glob::literal_prefix(pattern);
    }
    wasm::fuzzing::rights(&patterns);
}

/// Matches branch globs, one per line, against the branch in the first line.
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

/// Parses the `if` of a hook, and expands the variables of a string.
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

/// Checks a WebAssembly component.
pub fn component(data: &[u8]) {
    wasm::fuzzing::component(data);
}

/// Parses the JSON that a component's `describe` returns.
pub fn description(data: &[u8]) {
    wasm::fuzzing::description(data);
}

/// Decodes a stored run or hook run; the first byte selects which.
pub fn record(data: &[u8]) {
    if let Some((kind, stored)) = data.split_first() {
        crate::run::try_record(kind % 2 == 0, stored);
    }
}

/// Checks the nesting depth of a component, as is done before validation.
pub fn component_nesting(data: &[u8]) {
    wasm::fuzzing::nesting(data);
}

/// Decodes the response of a compiler process.
pub fn compile_answer(data: &[u8]) {
    wasm::fuzzing::compile_answer(data);
}

/// Validates a hook's config (all lines but the first) against a schema (the first line).
pub fn hook_config(data: &[u8]) {
    let Some((schema, config)) = split_first_line(data) else {
        return;
    };
    if let (Ok(schema), Ok(config)) = (
        serde_json::from_slice(schema),
        serde_json::from_slice(config),
    ) {
        black_box(schema::mistakes(&schema, &config));
    }
}

/// Parses the headers of a request that may originate from a webhook. Each line is a run token and
/// a user agent.
pub fn run_marks(data: &[u8]) {
    nesting::try_headers(data);
}

/// Masks a webhook's response. The first line is the secret that was sent with the request.
pub fn webhook_answer(data: &[u8]) {
    let Some((secret, answer)) = split_first_line(data) else {
        return;
    };
    if let Ok(secret) = std::str::from_utf8(secret) {
        webhook::try_answer(secret, answer);
    }
}

/// Reads the state from Airflow's description of a DAG run.
pub fn dag_run(data: &[u8]) {
    webhook::try_dag_run(data);
}

/// Checks a webhook's URL against entries of `actions.webhook.allow` and `deny`, one per line.
pub fn webhook_target(data: &[u8]) {
    if let Some(mut entries) = lines(data).filter(|lines| !lines.is_empty()) {
        let url = entries.remove(0);
        webhook::try_target(&url, &entries);
    }
}

/// Splits off the first line. Returns `None` if there is no line break.
fn split_first_line(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    Some((&data[..end], &data[end + 1..]))
}

fn lines(data: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(data).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}
