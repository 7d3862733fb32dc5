//! Garbage collection rules, at their current and their former path.

use std::collections::BTreeMap;

use api_types as types;
use axum::Json;
use axum::extract::State;
use catalog::GcRules;
use http::StatusCode;

use crate::SharedState;
use crate::error::{Error, Result};
use crate::extract::{Body, Path};

pub(crate) async fn get_rules(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<Json<types::GarbageCollectionRules>> {
    let repository = api.reader().repository(&id).await?;
    let rules = api.reader().gc_rules(&repository).await?;
    Ok(Json(to_wire(rules.ok_or(catalog::Error::NoGcRules)?)))
}

pub(crate) async fn set_rules(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Body(body): Body<types::GarbageCollectionRules>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    api.catalog
        .set_gc_rules(&repository, &from_wire(body)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete_rules(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    api.catalog.delete_gc_rules(&repository).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn to_wire(rules: GcRules) -> types::GarbageCollectionRules {
    let rule = |(branch_id, days)| types::GarbageCollectionRule {
        branch_id,
        retention_days: i64::from(days),
    };
    types::GarbageCollectionRules {
        default_retention_days: i64::from(rules.default_retention_days),
        branches: rules.branch_retention_days.into_iter().map(rule).collect(),
    }
}

/// Refuses days that do not fit into a record, and two rules with different days for one branch.
fn from_wire(rules: types::GarbageCollectionRules) -> Result<GcRules> {
    let mut branch_retention_days = BTreeMap::new();
    for rule in rules.branches {
        let days = days(rule.retention_days)?;
        if let Some(other) = branch_retention_days.insert(rule.branch_id.clone(), days)
            && other != days
        {
            let branch = rule.branch_id;
            return Err(Error::Invalid(format!(
                "branch '{branch}' has two rules, with {other} and {days} days"
            )));
        }
    }
    Ok(GcRules {
        default_retention_days: days(rules.default_retention_days)?,
        branch_retention_days,
    })
}

fn days(days: i64) -> Result<i32> {
    i32::try_from(days).map_err(|_| {
        Error::Invalid(format!(
            "{days} days are out of range: use 0 to {}",
            i32::MAX
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{from_wire, to_wire};
    use api_types::GarbageCollectionRules;
    use serde_json::json;

    fn wire(default: i64, branches: &[(&str, i64)]) -> GarbageCollectionRules {
        let rule =
            |(branch, days): &(&str, i64)| json!({"branch_id": branch, "retention_days": days});
        let branches: Vec<_> = branches.iter().map(rule).collect();
        let rules = json!({"default_retention_days": default, "branches": branches});
        serde_json::from_value(rules).expect("rules")
    }

    #[test]
    fn rules_round_trip_and_invalid_rules_are_refused() {
        let rules = wire(21, &[("dev", 7), ("main", 3), ("main", 3)]);
        let read = from_wire(rules).expect("good rules");
        assert_eq!(to_wire(read), wire(21, &[("dev", 7), ("main", 3)]));
        for bad in [
            wire(1 << 40, &[]),
            wire(1, &[("dev", 1 << 40)]),
            wire(1, &[("dev", 1), ("dev", 2)]),
        ] {
            assert_eq!(from_wire(bad).expect_err("bad").status(), 400);
        }
    }
}
