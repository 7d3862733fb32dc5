//! Commits and merges as background tasks: one request starts a task, others ask for its status.
//!
//! The failure of a task does not fail the status request. The response is 200 and contains the status and error
//! with which the synchronous operation would have failed.

use api_types as types;
use axum::Json;
use axum::extract::State;
use catalog::{CommitId, Failure, Gates, Repository, TaskStatus};
use http::StatusCode;

use crate::error::{Context as _, During, Result};
use crate::extract::{Body, Caller, MaybeBody, Path};
use crate::query::{CommitAsyncQuery, Query};
use crate::{ApiState, commits, convert, diff};

/// The maximum number of runs searched for a commit's gates. Runs are listed newest first, so that the gates of a
/// commit with more runs are not found.
const MAX_RUNS: usize = 1_000;
/// Events whose hooks can reject a commit or merge and whose runs store the commit id.
const GATES: [&str; 2] = ["pre-commit", "pre-merge"];

pub(crate) async fn commit(
    State(api): State<ApiState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<CommitAsyncQuery>,
    Body(body): Body<types::CommitCreation>,
) -> Result<(StatusCode, Json<types::TaskCreation>)> {
    let repository = api.reader().repository(&id).await?;
    let request = commits::commit_params(caller, &query.source_metarange, body)?;
    let task = api.catalog.submit_commit(&repository, &branch, request);
    let id = task.await.during(During::Commit)?;
    Ok((StatusCode::ACCEPTED, Json(types::TaskCreation { id })))
}

pub(crate) async fn commit_status(
    State(api): State<ApiState>,
    Path((id, branch, task)): Path<(String, String, String)>,
) -> Result<Json<types::CommitAsyncStatus>> {
    let repository = api.reader().repository(&id).await?;
    let status = api.catalog.commit_status(&repository, &branch, &task);
    let status = status.await?;
    let (status_code, error) = failure(&status);
    let result = match status.info {
        Some(commit) => {
            let gates = gates_of(&api, &repository, &commit.id).await?;
            Some(convert::created_commit(commit, gates))
        }
        None => None,
    };
    Ok(Json(types::CommitAsyncStatus {
        task_id: status.id,
        completed: status.done,
        update_time: convert::date_time(status.updated_at),
        progress: Some(status.progress),
        error,
        status_code,
        result,
    }))
}

pub(crate) async fn merge(
    State(api): State<ApiState>,
    caller: Caller,
    Path((id, source, destination)): Path<(String, String, String)>,
    MaybeBody(body): MaybeBody<types::Merge>,
) -> Result<(StatusCode, Json<types::TaskCreation>)> {
    let request = diff::merge_params(caller, body.unwrap_or_default())?;
    let repository = api.reader().repository(&id).await?;
    let catalog = &api.catalog;
    let task = catalog.submit_merge(&repository, &source, &destination, request);
    let id = task.await.during(During::Merge {
        destination: &destination,
    })?;
    Ok((StatusCode::ACCEPTED, Json(types::TaskCreation { id })))
}

pub(crate) async fn merge_status(
    State(api): State<ApiState>,
    Path((id, source, destination, task)): Path<(String, String, String, String)>,
) -> Result<Json<types::MergeAsyncStatus>> {
    let repository = api.reader().repository(&id).await?;
    let catalog = &api.catalog;
    let status = catalog.merge_status(&repository, &source, &destination, &task);
    let status = status.await?;
    let (status_code, error) = failure(&status);
    let result = match status.info {
        Some(commit) => {
            let gates = gates_of(&api, &repository, &commit).await?;
            Some(convert::merge_result(&commit, gates))
        }
        None => None,
    };
    Ok(Json(types::MergeAsyncStatus {
        task_id: status.id,
        completed: status.done,
        update_time: convert::date_time(status.updated_at),
        progress: Some(status.progress),
        error,
        status_code,
        result,
    }))
}

/// The results of the hooks that allowed a commit, from the runs that store its id.
async fn gates_of(api: &ApiState, repository: &Repository, commit: &CommitId) -> Result<Gates> {
    let runs = api
        .actions
        .list_runs(repository, None, Some(commit.as_str()), "", MAX_RUNS)
        .await?;
    let mut gates = Gates::default();
    for run in runs.results.into_iter().rev() {
        if GATES.contains(&run.event_type.as_str()) {
            gates.run_ids.push(run.run_id);
            gates.warnings.extend(run.warnings);
        }
    }
    Ok(gates)
}

/// The status of a failure whose record has no valid error status.
const INTERNAL_ERROR: i64 = 500;

/// The status and error with which the synchronous operation would have failed.
fn failure<T>(status: &TaskStatus<T>) -> (Option<i64>, Option<types::Error>) {
    let describe = |failure: &Failure| {
        let status_code = Some(i64::from(failure.code))
            .filter(|code| (400..600).contains(code))
            .unwrap_or(INTERNAL_ERROR);
        (status_code, convert::failure(failure.clone()))
    };
    status.failure.as_ref().map(describe).unzip()
}
