//! Diffs, merge bases and merges.

use api_types as types;
use axum::Json;
use axum::extract::State;
use catalog::{CommitId, DiffQuery, GateLog, Gates, MergeParams, MergeStrategy};
use http::{HeaderMap, StatusCode};

use crate::commits::gate_headers;
use crate::error::{Context as _, During, Error, ErrorText, Result};
use crate::extract::{Caller, MaybeBody, Path};
use crate::query::{DiffBranchQuery, DiffRefsQuery, Query, non_empty};
use crate::{SharedState, convert};

pub(crate) async fn diff_branch(
    State(api): State<SharedState>,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<DiffBranchQuery>,
) -> Result<Json<types::DiffList>> {
    let repository = api.reader().repository(&id).await?;
    let request = DiffQuery {
        prefix: query.prefix,
        after: query.after,
        delimiter: query.delimiter,
        limit: query.amount,
    };
    let page = api
        .reader()
        .diff_uncommitted(&repository, &branch, &request)
        .await?;
    let pagination = convert::pagination(&page);
    // lakeFS reports size 0 for staged deletions.
    let results = page.map(|d| convert::difference(d, false, false)).results;
    Ok(Json(types::DiffList {
        pagination,
        results,
    }))
}

pub(crate) async fn diff_refs(
    State(api): State<SharedState>,
    Path((id, left, right)): Path<(String, String, String)>,
    Query(query): Query<DiffRefsQuery>,
) -> Result<Json<types::DiffList>> {
    let repository = api.reader().repository(&id).await?;
    let two_dot = non_empty(&query.r#type) == Some("two_dot");
    let request = DiffQuery {
        prefix: query.prefix,
        after: query.after,
        delimiter: query.delimiter,
        limit: query.amount,
    };
    let page = api
        .reader()
        .diff_refs(&repository, &left, &right, two_dot, &request)
        .await
        .during(During::Diff)?;
    let (pagination, with_right) = (
        convert::pagination(&page),
        query.include_right_stats.unwrap_or(false),
    );
    let results = page
        .map(|d| convert::difference(d, true, with_right))
        .results;
    Ok(Json(types::DiffList {
        pagination,
        results,
    }))
}

/// As in lakeFS, source and destination in the response are swapped relative to the path.
pub(crate) async fn find_merge_base(
    State(api): State<SharedState>,
    Path((id, source, destination)): Path<(String, String, String)>,
) -> Result<Json<types::FindMergeBaseResult>> {
    let repository = api.reader().repository(&id).await?;
    let found = api
        .reader()
        .find_merge_base(&repository, &source, &destination)
        .await
        .during(During::FindMergeBase { source: &source })?;
    let base = found
        .base
        .ok_or_else(|| catalog::Error::NoMergeBase(source, destination))?;
    Ok(Json(types::FindMergeBaseResult {
        source_commit_id: found.destination.to_string(),
        destination_commit_id: found.source.to_string(),
        base_commit_id: base.to_string(),
    }))
}

/// A conflict is answered with 409 and a `MergeResult` that lists the conflicts and has an empty reference.
pub(crate) async fn merge_into_branch(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, source, destination)): Path<(String, String, String)>,
    MaybeBody(body): MaybeBody<types::Merge>,
) -> Result<(StatusCode, HeaderMap, Json<types::MergeResult>)> {
    let request = merge_params(caller, body.unwrap_or_default())?;
    let repository = api.reader().repository(&id).await?;
    let gates = GateLog::default();
    match api
        .catalog
        .with_gate_log(&gates)
        .merge(&repository, &source, &destination, request)
        .await
        .during(During::Merge {
            destination: &destination,
        }) {
        Ok(made) => Ok(answer_merge(&made.commit_id, gates.gates())),
        Err(error) => {
            let Some(conflicts) = error.conflicts() else {
                return Err(error);
            };
            let conflicts = Json(convert::conflicts(conflicts));
            Ok((StatusCode::CONFLICT, HeaderMap::new(), conflicts))
        }
    }
}

/// The response to a successful merge.
pub(crate) fn answer_merge(
    commit: &CommitId,
    gates: Gates,
) -> (StatusCode, HeaderMap, Json<types::MergeResult>) {
    let headers = gate_headers(&gates);
    (
        StatusCode::OK,
        headers,
        Json(convert::merge_result(commit, gates)),
    )
}

pub(crate) fn merge_params(caller: Caller, body: types::Merge) -> Result<MergeParams> {
    Ok(MergeParams {
        committer: caller.0.committer,
        message: body.message.unwrap_or_default(),
        metadata: body.metadata.unwrap_or_default(),
        strategy: match body.strategy.as_deref().unwrap_or_default() {
            "" => MergeStrategy::None,
            "dest-wins" => MergeStrategy::DestWins,
            "source-wins" => MergeStrategy::SourceWins,
            other => {
                let text = ErrorText::message("argument strategy: invalid value: validation error");
                return Err(Error::InvalidWith(text.hint(format!(
                    "there is no merge strategy '{other}': give dest-wins or source-wins as `strategy` (lakectl: --strategy), or none at all"
                ))));
            }
        },
        squash: body.squash_merge.unwrap_or(false),
        force: body.force.unwrap_or(false),
        allow_empty: body.allow_empty.unwrap_or(false),
    })
}
