//! Branch protection rules, at their current and their former path.

use api_types as types;
use axum::Json;
use axum::extract::State;
use http::header::{ETAG, HeaderName, IF_MATCH};
use http::{HeaderMap, StatusCode};

use crate::SharedState;
use crate::error::Result;
use crate::extract::{Body, Path};

/// The rules and their `ETag`. As in lakeFS, the `ETag` has no quotes, and is empty if rules were never set.
pub(crate) async fn get_rules(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<(
    [(HeaderName, String); 1],
    Json<Vec<types::BranchProtectionRule>>,
)> {
    let repository = api.reader().repository(&id).await?;
    let found = api.reader().branch_protection(&repository).await?;
    let rule = |pattern| types::BranchProtectionRule { pattern };
    let rules = found.patterns.into_iter().map(rule).collect();
    Ok(([(ETAG, found.tag)], Json(rules)))
}

pub(crate) async fn set_rules(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body<Vec<types::BranchProtectionRule>>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    let patterns: Vec<String> = body.into_iter().map(|rule| rule.pattern).collect();
    api.catalog
        .set_branch_protection(&repository, &patterns, if_match(&headers))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The `ETag` in `If-Match`: with quotes, as HTTP requires, or without, as `getBranchProtectionRules` returns it.
fn if_match(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(IF_MATCH)?.to_str().ok()?.trim();
    let unquoted = given
        .strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'));
    Some(unquoted.unwrap_or(given))
}

pub(crate) async fn add_rule(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Body(rule): Body<types::BranchProtectionRule>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    api.catalog
        .add_protected_pattern(&repository, &rule.pattern)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete_rule(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Body(rule): Body<types::BranchProtectionRule>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    api.catalog
        .remove_protected_pattern(&repository, &rule.pattern)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::if_match;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn if_match_accepts_tags_with_and_without_quotes() {
        assert_eq!(if_match(&HeaderMap::new()), None);
        for (given, tag) in [("abc", "abc"), ("\"abc\"", "abc"), ("", ""), ("\"\"", "")] {
            let mut headers = HeaderMap::new();
            headers.insert("if-match", HeaderValue::from_static(given));
            assert_eq!(if_match(&headers), Some(tag), "{given}");
        }
    }
}
