//! Dumps of commits, tags and branches into the storage namespace, and restores from them.

use api_types as types;
use axum::Json;
use axum::extract::State;
use catalog::{Failure, MetaRangeId, RefsDump};
use http::StatusCode;

use crate::error::{Error, Result, parsed};
use crate::extract::{Body, Caller, Path};
use crate::query::{DumpStatusQuery, Query, RestoreStatusQuery, non_empty};
use crate::{SharedState, convert};

pub(crate) async fn dump_refs(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<types::RefsDump>)> {
    let repository = api.reader().repository(&id).await?;
    let dump = api.catalog.dump_refs(&repository).await?;
    Ok((StatusCode::CREATED, Json(dumped(&dump))))
}

pub(crate) async fn restore_refs(
    State(api): State<SharedState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<types::RefsRestore>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    let (dump, force) = to_restore(&body)?;
    let actor = &caller.0.committer;
    api.catalog
        .restore_refs(&repository, &dump, force, actor)
        .await?;
    Ok(StatusCode::OK)
}

pub(crate) async fn submit_dump(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<types::TaskInfo>)> {
    let repository = api.reader().repository(&id).await?;
    let id = api.catalog.submit_dump(&repository).await?;
    Ok((StatusCode::ACCEPTED, Json(types::TaskInfo { id })))
}

pub(crate) async fn dump_status(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<DumpStatusQuery>,
) -> Result<Json<types::RepositoryDumpStatus>> {
    let repository = api.reader().repository(&id).await?;
    let task = given_task(&query.task_id)?;
    let status = api.catalog.dump_status(&repository, task).await?;
    let (error, hint) = message_and_hint(status.failure);
    Ok(Json(types::RepositoryDumpStatus {
        id: status.id,
        done: status.done,
        update_time: convert::date_time(status.updated_at),
        progress: Some(status.progress),
        error,
        hint,
        refs: status.info.map(|dump| dumped(&dump)),
    }))
}

pub(crate) async fn submit_restore(
    State(api): State<SharedState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<types::RefsRestore>,
) -> Result<(StatusCode, Json<types::TaskInfo>)> {
    let repository = api.reader().repository(&id).await?;
    let (dump, force) = to_restore(&body)?;
    let actor = &caller.0.committer;
    let task = api.catalog.submit_restore(&repository, &dump, force, actor);
    Ok((
        StatusCode::ACCEPTED,
        Json(types::TaskInfo { id: task.await? }),
    ))
}

pub(crate) async fn restore_status(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<RestoreStatusQuery>,
) -> Result<Json<types::RepositoryRestoreStatus>> {
    let repository = api.reader().repository(&id).await?;
    let task = given_task(&query.task_id)?;
    let status = api.catalog.restore_status(&repository, task).await?;
    let (error, hint) = message_and_hint(status.failure);
    Ok(Json(types::RepositoryRestoreStatus {
        id: status.id,
        done: status.done,
        update_time: convert::date_time(status.updated_at),
        progress: Some(status.progress),
        error,
        hint,
    }))
}

fn message_and_hint(failure: Option<Failure>) -> (Option<String>, Option<String>) {
    let pair = failure.map(|failure| (failure.message, failure.hint));
    let (error, hint) = pair.unzip();
    (error, hint.flatten())
}

fn given_task(id: &str) -> Result<&str> {
    non_empty(id).ok_or_else(|| Error::Invalid("task_id is empty".to_owned()))
}

fn dumped(dump: &RefsDump) -> types::RefsDump {
    types::RefsDump {
        commits_meta_range_id: dump.commits.to_string(),
        tags_meta_range_id: dump.tags.to_string(),
        branches_meta_range_id: dump.branches.to_string(),
    }
}

fn to_restore(body: &types::RefsRestore) -> Result<(RefsDump, bool)> {
    let dump = RefsDump {
        commits: parsed(MetaRangeId::parse(&body.commits_meta_range_id))?,
        tags: parsed(MetaRangeId::parse(&body.tags_meta_range_id))?,
        branches: parsed(MetaRangeId::parse(&body.branches_meta_range_id))?,
    };
    Ok((dump, body.force.unwrap_or(false)))
}
