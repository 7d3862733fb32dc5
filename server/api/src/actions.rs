//! Hook runs: their status, their hooks, and the output of hooks.
//!
//! The error messages are those of lakeFS.

use api_types as types;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base::Page;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use crate::error::{Error, Result};
use crate::extract::Path;
use crate::query::{ListRepositoryRunsQuery, ListRunHooksQuery, Query, non_empty};
use crate::{SharedState, convert};

pub(crate) async fn list_runs(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<ListRepositoryRunsQuery>,
) -> Result<Json<types::ActionRunList>> {
    let (branch, commit) = (non_empty(&query.branch), non_empty(&query.commit));
    if branch.is_some() && commit.is_some() {
        return Err(Error::Invalid(
            "can't use both branchID and MergedCommitID: parameters conflict".to_owned(),
        ));
    }
    let repository = api.reader().repository(&id).await?;
    let page = api
        .actions
        .list_runs(&repository, branch, commit, &query.after, query.amount)
        .await?;
    let pagination = convert::pagination(&page);
    Ok(Json(types::ActionRunList {
        pagination,
        results: page.map(convert::run).results,
    }))
}

pub(crate) async fn get_run(
    State(api): State<SharedState>,
    Path((id, run)): Path<(String, String)>,
) -> Result<Json<types::ActionRun>> {
    let repository = api.reader().repository(&id).await?;
    let found = api.actions.run(&repository, &run).await?;
    Ok(Json(convert::run(found.ok_or(Error::NoRun)?)))
}

/// As in lakeFS, an unknown run gets an empty page and not an error.
pub(crate) async fn list_hooks(
    State(api): State<SharedState>,
    Path((id, run)): Path<(String, String)>,
    Query(query): Query<ListRunHooksQuery>,
) -> Result<Json<types::HookRunList>> {
    let repository = api.reader().repository(&id).await?;
    let page = api
        .actions
        .list_hooks(&repository, &run, &query.after, query.amount)
        .await?;
    let page = page.unwrap_or_else(Page::empty);
    let pagination = convert::pagination(&page);
    Ok(Json(types::HookRunList {
        pagination,
        results: page.map(convert::hook).results,
    }))
}

pub(crate) async fn get_output(
    State(api): State<SharedState>,
    Path((id, run, hook)): Path<(String, String, String)>,
) -> Result<Response> {
    let repository = api.reader().repository(&id).await?;
    let log = api.actions.hook_output(&repository, &run, &hook).await?;
    let log = log.ok_or(Error::NoHookOutput)?;
    // The id is safe in a header: a hook run with this id exists, and such ids consist of digits and underscores.
    let name = format!("attachment; filename={hook}.log");
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(log)).into_response())
}
