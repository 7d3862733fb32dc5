//! The way from the host's call to a hook's function and back.

use serde_json::{Value, json};

use crate::{Change, Object, Report, Result, Verdict};

/// What a hook's function may return in its `Ok`.
pub trait Answer {
    /// The verdict, given what was reported.
    fn verdict(self, report: &Report) -> Verdict;
}

impl Answer for () {
    fn verdict(self, report: &Report) -> Verdict {
        if report.errors() == 0 {
            Verdict::Pass
        } else {
            Verdict::Fail
        }
    }
}

impl Answer for Verdict {
    /// An error finding stands, whatever was returned.
    fn verdict(self, report: &Report) -> Verdict {
        if report.errors() == 0 {
            self
        } else {
            Verdict::Fail
        }
    }
}

/// Runs a gate's function.
///
/// # Errors
/// Why it could not decide.
pub fn run_gate<A: Answer>(
    check: impl FnOnce(&mut Report) -> Result<A>,
) -> std::result::Result<Verdict, String> {
    let mut report = Report::default();
    let answer = check(&mut report).map_err(|e| e.to_string())?;
    Ok(answer.verdict(&report))
}

/// Runs an object gate's function.
///
/// # Errors
/// Why it could not decide.
pub fn run_object_gate<A: Answer>(
    change: &Change,
    content: Option<&Object>,
    check: impl FnOnce(&Change, Option<&Object>, &mut Report) -> Result<Option<A>>,
) -> std::result::Result<Verdict, String> {
    let mut report = Report::default();
    let answer = check(change, content, &mut report).map_err(|e| e.to_string())?;
    Ok(answer.map_or(Verdict::Skip, |a| a.verdict(&report)))
}

/// The JSON that a component describes itself with.
#[must_use]
pub fn describe(
    name: &str,
    version: &str,
    scope: &str,
    paths: &[&str],
    kinds: &[&str],
    schema: &Value,
) -> String {
    json!({
        "name": name,
        "version": version,
        "scope": scope,
        "config_schema": schema,
        "defaults": { "paths": paths, "kinds": kinds },
    })
    .to_string()
}
