//! Preparing garbage collection: lists of the objects that a job must keep.

use api_types as types;
use axum::Json;
use axum::extract::State;
use catalog::PreparedCommits;
use http::StatusCode;

use crate::error::Result;
use crate::extract::{MaybeBody, Path};
use crate::query::{PrepareGarbageCollectionCommitsStatusQuery, Query};
use crate::{SharedState, convert};

pub(crate) async fn prepare_commits(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<types::GarbageCollectionPrepareResponse>)> {
    let repository = api.reader().repository(&id).await?;
    let prepared = api.catalog.prepare_gc_commits(&repository).await?;
    Ok((StatusCode::CREATED, Json(commits(prepared))))
}

pub(crate) async fn submit_commits(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<types::TaskCreation>)> {
    let repository = api.reader().repository(&id).await?;
    let id = api.catalog.submit_gc_commits(&repository).await?;
    Ok((StatusCode::ACCEPTED, Json(types::TaskCreation { id })))
}

pub(crate) async fn commits_status(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<PrepareGarbageCollectionCommitsStatusQuery>,
) -> Result<Json<types::PrepareGarbageCollectionCommitsStatus>> {
    let repository = api.reader().repository(&id).await?;
    let task = &query.id;
    let status = api.catalog.gc_commits_status(&repository, task).await?;
    Ok(Json(types::PrepareGarbageCollectionCommitsStatus {
        task_id: status.id,
        completed: status.done,
        update_time: convert::date_time(status.updated_at),
        result: status.info.map(commits),
        error: status.failure.map(convert::failure),
    }))
}

pub(crate) async fn prepare_uncommitted(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    MaybeBody(body): MaybeBody<types::PrepareGCUncommittedRequest>,
) -> Result<(StatusCode, Json<types::PrepareGCUncommittedResponse>)> {
    let repository = api.reader().repository(&id).await?;
    let token = body.and_then(|body| body.continuation_token);
    let token = token.as_deref().filter(|token| !token.is_empty());
    let prepared = api
        .catalog
        .prepare_gc_uncommitted(&repository, token)
        .await?;
    let answer = types::PrepareGCUncommittedResponse {
        run_id: prepared.run_id,
        gc_uncommitted_location: prepared.location,
        continuation_token: prepared.continuation,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Converts prepared commits. There is no presigned URL, because no store supports them yet; jobs read the location.
fn commits(prepared: PreparedCommits) -> types::GarbageCollectionPrepareResponse {
    types::GarbageCollectionPrepareResponse {
        run_id: prepared.run_id,
        gc_commits_location: prepared.commits_location,
        gc_addresses_location: prepared.addresses_location,
        gc_commits_presigned_url: None,
    }
}
