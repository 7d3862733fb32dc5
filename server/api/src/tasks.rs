//! Commits and merges as background tasks: one request starts a task, others ask for its status.
//!
//! The failure of a task does not fail the status request. The response is 200 and contains the status and error
//! with which the synchronous operation would have failed.

use ::actions::Run;
use api_types as types;
use axum::Json;
use axum::extract::State;
use base::Page;
use catalog::{CommitId, Failure, Gates, Repository, TaskStatus};
use http::StatusCode;

use crate::error::{Context as _, During, Result};
use crate::extract::{Body, Caller, MaybeBody, Path};
use crate::query::{CommitAsyncQuery, Query};
use crate::{ApiState, SharedState, commits, convert, diff};

/// Number of runs that are read at a time to find a commit's gates.
const RUNS_PER_PAGE: usize = 1_000;
/// Maximum number of pages that are searched. Runs are listed newest first, and gates are the oldest runs of a commit.
/// Therefore the gates of a commit with more runs are not found, for example if many branches were created from it.
const MAX_RUN_PAGES: usize = 10;
/// Events whose hooks can reject a commit or merge and whose runs store the commit id.
const GATES: [&str; 2] = ["pre-commit", "pre-merge"];

pub(crate) async fn commit(
    State(api): State<SharedState>,
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
    State(api): State<SharedState>,
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
    State(api): State<SharedState>,
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
    State(api): State<SharedState>,
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
    let commit = Some(commit.as_str());
    let list = |after: String| async move {
        let actions = &api.actions;
        let page = actions.list_runs(repository, None, commit, &after, RUNS_PER_PAGE);
        page.await
    };
    Ok(gates_in(list).await?)
}

/// Collects gates from pages of runs, newest first.
async fn gates_in<L, P>(list: L) -> catalog::Result<Gates>
where
    L: Fn(String) -> P,
    P: Future<Output = catalog::Result<Page<Run>>>,
{
    let (mut found, mut after) = (Vec::new(), String::new());
    for _ in 0..MAX_RUN_PAGES {
        let page = list(after).await?;
        let is_gate = |run: &Run| GATES.contains(&run.event_type.as_str());
        found.extend(page.results.into_iter().filter(is_gate));
        if !page.has_more {
            break;
        }
        after = page.next_offset;
    }
    let mut gates = Gates::default();
    for run in found.into_iter().rev() {
        gates.run_ids.push(run.run_id);
        gates.warnings.extend(run.warnings);
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

#[cfg(test)]
mod tests {
    use base::OffsetDateTime;

    use super::*;

    fn run(run_id: &str, event_type: &str) -> Run {
        Run {
            run_id: run_id.to_owned(),
            branch_id: String::new(),
            commit_id: String::new(),
            source_ref: String::new(),
            event_type: event_type.to_owned(),
            start_time: OffsetDateTime::UNIX_EPOCH,
            end_time: OffsetDateTime::UNIX_EPOCH,
            passed: true,
            warnings: vec![format!("of {run_id}")],
        }
    }

    /// Guards against a bug: only the newest runs were read, and the gates of a commit with more than a thousand runs were
    /// missing.
    #[tokio::test]
    async fn gates_are_found_behind_newer_runs() {
        let runs = [
            run("c", "post-create-branch"),
            run("b", "post-commit"),
            run("a", "pre-commit"),
        ];
        let list = |after: String| {
            let at = runs.iter().position(|run| run.run_id == after);
            let at = at.map_or(0, |at| at + 1);
            std::future::ready(Ok(Page {
                results: vec![runs[at].clone()],
                has_more: at + 1 < runs.len(),
                next_offset: runs[at].run_id.clone(),
            }))
        };
        let gates = gates_in(list).await.expect("gates");
        assert_eq!(
            (gates.run_ids, gates.warnings),
            (vec!["a".to_owned()], vec!["of a".to_owned()])
        );

        // The search ends.
        let endless = |_: String| {
            std::future::ready(Ok(Page {
                results: vec![run("d", "pre-merge")],
                has_more: true,
                next_offset: "d".to_owned(),
            }))
        };
        let gates = gates_in(endless).await.expect("gates");
        assert_eq!(gates.run_ids.len(), MAX_RUN_PAGES);
    }
}
