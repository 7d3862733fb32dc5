//! Calls the function of a hook and turns its result into a verdict.

use serde_json::{Value, json};

use crate::{Change, Object, Report, Result, Verdict};

/// The types that the function of a hook may return in `Ok`: `()` and [`Verdict`].
pub trait Answer {
    /// Computes the verdict. A report with error findings always fails.
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
    fn verdict(self, report: &Report) -> Verdict {
        if report.errors() == 0 {
            self
        } else {
            Verdict::Fail
        }
    }
}

/// Runs the function of a gate.
///
/// # Errors
/// The reason why the function could not decide.
pub fn run_gate<A: Answer>(
    check: impl FnOnce(&mut Report) -> Result<A>,
) -> std::result::Result<Verdict, String> {
    let mut report = Report::default();
    let answer = check(&mut report).map_err(|e| e.to_string())?;
    Ok(answer.verdict(&report))
}

/// Runs the function of an object gate.
///
/// # Errors
/// The reason why the function could not decide.
pub fn run_object_gate<A: Answer>(
    change: &Change,
    content: Option<&Object>,
    check: impl FnOnce(&Change, Option<&Object>, &mut Report) -> Result<Option<A>>,
) -> std::result::Result<Verdict, String> {
    let mut report = Report::default();
    let answer = check(change, content, &mut report).map_err(|e| e.to_string())?;
    Ok(answer.map_or(Verdict::Skip, |a| a.verdict(&report)))
}

/// The JSON that `describe` returns.
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
