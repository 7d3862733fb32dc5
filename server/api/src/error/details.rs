//! Findings and conflicting paths in error bodies.

use api_types as types;
use catalog::Finding;

/// The first conflicting paths, and the total number of conflicts.
pub(crate) fn conflicting(conflicts: &catalog::Conflicts) -> (Vec<String>, i64) {
    let path = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
    let count = i64::try_from(conflicts.count).unwrap_or(i64::MAX);
    (conflicts.keys.iter().map(path).collect(), count)
}

/// Converts a finding. The properties `row` and `column` become fields; a `row` that is not a number stays a property.
pub(crate) fn finding(finding: &Finding) -> types::HookFinding {
    let mut properties = finding.properties.clone();
    let column = properties.remove("column");
    let row = properties.get("row").and_then(|row| row.parse().ok());
    if row.is_some() {
        properties.remove("row");
    }
    types::HookFinding {
        action: finding.action.clone(),
        hook: finding.hook.clone(),
        severity: finding.severity.clone(),
        rule: finding.rule.clone(),
        message: finding.message.clone(),
        path: finding.path.clone(),
        row,
        column,
        properties: (!properties.is_empty()).then_some(properties),
    }
}
