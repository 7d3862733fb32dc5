//! Pull requests.

use api_types as types;
use auth::{Permission, arn};
use axum::Json;
use axum::extract::State;
use catalog::{GateLog, NewPullRequest, PullFilter, PullRequestUpdate, PullStatus};
use http::{HeaderMap, StatusCode};

use crate::error::{Context as _, During, Result};
use crate::extract::{Body, Caller, Path};
use crate::query::{ListPullRequestsQuery, Query, non_empty};
use crate::{SharedState, convert, diff};

pub(crate) async fn list_pull_requests(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<ListPullRequestsQuery>,
) -> Result<Json<types::PullRequestsList>> {
    let repository = api.reader().repository(&id).await?;
    let filter = match non_empty(&query.status) {
        Some("open") => PullFilter::Open,
        Some("closed") => PullFilter::Closed,
        _ => PullFilter::All,
    };
    let (prefix, after) = (&query.prefix, &query.after);
    let page = api
        .catalog
        .list_pull_requests(&repository, filter, prefix, after, query.amount)
        .await?;
    let pagination = convert::pagination(&page);
    Ok(Json(types::PullRequestsList {
        pagination,
        results: page.map(convert::pull_request).results,
    }))
}

pub(crate) async fn create_pull_request(
    State(api): State<SharedState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<types::PullRequestCreation>,
) -> Result<(StatusCode, Json<types::PullRequestCreationResponse>)> {
    let repository = api.reader().repository(&id).await?;
    let new = NewPullRequest {
        title: body.title,
        description: body.description.unwrap_or_default(),
        author: caller.0.committer,
        source_branch: body.source_branch,
        destination_branch: body.destination_branch,
    };
    let id = api.catalog.create_pull_request(&repository, new).await?.id;
    let answer = types::PullRequestCreationResponse { id };
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(crate) async fn get_pull_request(
    State(api): State<SharedState>,
    Path((id, pull)): Path<(String, String)>,
) -> Result<Json<types::PullRequest>> {
    let repository = api.reader().repository(&id).await?;
    let pull = api.catalog.pull_request(&repository, &pull).await?;
    Ok(Json(convert::pull_request(pull)))
}

/// Answers 204 instead of the contract's 200: lakeFS does, and its web interface expects it.
pub(crate) async fn update_pull_request(
    State(api): State<SharedState>,
    Path((id, pull)): Path<(String, String)>,
    Body(body): Body<types::PullRequestBasic>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    let status = |status| match status {
        types::PullRequestBasicStatus::Open => PullStatus::Open,
        types::PullRequestBasicStatus::Closed => PullStatus::Closed,
        types::PullRequestBasicStatus::Merged => PullStatus::Merged,
    };
    let update = PullRequestUpdate {
        title: body.title,
        description: body.description,
        status: body.status.map(status),
    };
    api.catalog
        .update_pull_request(&repository, &pull, update)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Also requires the permission to commit to the destination, which only the stored pull request names. Conflicts are
/// answered like those of `mergeIntoBranch`.
pub(crate) async fn merge_pull_request(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, pull)): Path<(String, String)>,
) -> Result<(StatusCode, HeaderMap, Json<types::MergeResult>)> {
    let repository = api.reader().repository(&id).await?;
    let to = api.catalog.pull_request(&repository, &pull).await?;
    let destination = arn::branch(&id, &to.destination_branch);
    let permission = Permission::new("fs:CreateCommit", destination);
    api.authorize(&caller, &[permission]).await?;
    let committer = &caller.0.committer;
    let gates = GateLog::default();
    let merged = api
        .catalog
        .with_gate_log(&gates)
        .merge_pull_request(&repository, &pull, committer)
        .await;
    match merged.during(During::MergePullRequest {
        destination: &to.destination_branch,
    }) {
        Ok(commit) => Ok(diff::answer_merge(&commit, gates.gates())),
        Err(error) => {
            let Some(conflicts) = error.conflicts() else {
                return Err(error);
            };
            let conflicts = Json(convert::conflicts(conflicts));
            Ok((StatusCode::CONFLICT, HeaderMap::new(), conflicts))
        }
    }
}
