//! Branches.

use api_types as types;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::error::{Context as _, During, Result};
use crate::extract::{Body, Caller, Path};
use crate::query::{DeleteBranchQuery, ListBranchesQuery, Query};
use crate::{SharedState, convert};

pub(crate) async fn list_branches(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<ListBranchesQuery>,
) -> Result<Json<types::RefList>> {
    let repository = api.reader().repository(&id).await?;
    let (prefix, after, hidden) = (
        &query.prefix,
        &query.after,
        query.show_hidden.unwrap_or(false),
    );
    let page = api
        .reader()
        .list_branches(&repository, prefix, after, hidden, query.amount)
        .await?;
    let pagination = convert::pagination(&page);
    Ok(Json(types::RefList {
        pagination,
        results: page.results.iter().map(convert::branch).collect(),
    }))
}

/// Answers with the id of the branch's commit, as plain text.
pub(crate) async fn create_branch(
    State(api): State<SharedState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<types::BranchCreation>,
) -> Result<(StatusCode, String)> {
    let repository = api.reader().repository(&id).await?;
    let (hidden, force) = (body.hidden.unwrap_or(false), body.force.unwrap_or(false));
    let actor = &caller.0.committer;
    let branch = api
        .catalog
        .create_branch(&repository, &body.name, &body.source, hidden, force, actor)
        .await
        .during(During::CreateBranch)?;
    Ok((StatusCode::CREATED, branch.record.commit_id.to_string()))
}

pub(crate) async fn get_branch(
    State(api): State<SharedState>,
    Path((id, branch)): Path<(String, String)>,
) -> Result<Json<types::Ref>> {
    let repository = api.reader().repository(&id).await?;
    Ok(Json(convert::branch(
        &api.reader().branch(&repository, &branch).await?,
    )))
}

pub(crate) async fn delete_branch(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<DeleteBranchQuery>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    api.catalog
        .delete_branch(
            &repository,
            &branch,
            query.force.unwrap_or(false),
            &caller.0.committer,
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
