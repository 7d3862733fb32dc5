//! Commits and the commit log.

use api_types as types;
use axum::Json;
use axum::extract::State;
use catalog::{Commit, CommitParams, GateLog, Gates, LogQuery, MetaRangeId};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::error::{Context as _, During, Error, Result, parsed};
use crate::extract::{Body, Caller, Path};
use crate::query::{CommitQuery, LogCommitsQuery, Query, non_empty};
use crate::{SharedState, convert};

pub(crate) async fn log_commits(
    State(api): State<SharedState>,
    Path((id, reference)): Path<(String, String)>,
    Query(query): Query<LogCommitsQuery>,
) -> Result<Json<types::CommitList>> {
    if reference.contains(char::is_whitespace) {
        return Err(Error::Invalid(
            "argument ref: ref: invalid value: validation error".to_owned(),
        ));
    }
    let repository = api.reader().repository(&id).await?;
    let page = api
        .reader()
        .log(&repository, &reference, &log_query(&query))
        .await
        .during(During::Log {
            reference: &reference,
            after: &query.after,
        })?;
    let pagination = convert::pagination(&page);
    Ok(Json(types::CommitList {
        pagination,
        results: page.map(convert::commit).results,
    }))
}

fn log_query(query: &LogCommitsQuery) -> LogQuery {
    LogQuery {
        after: query.after.clone(),
        amount: query.amount,
        objects: query.objects.clone(),
        prefixes: query.prefixes.clone(),
        limit: query.limit.unwrap_or(false),
        first_parent: query.first_parent.unwrap_or(false),
        since: non_empty(&query.since).and_then(convert::parse_date_time),
        stop_at: non_empty(&query.stop_at).map(str::to_owned),
    }
}

pub(crate) async fn commit(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<CommitQuery>,
    Body(body): Body<types::CommitCreation>,
) -> Result<(StatusCode, HeaderMap, Json<types::Commit>)> {
    let repository = api.reader().repository(&id).await?;
    let request = commit_params(caller, &query.source_metarange, body)?;
    let gates = GateLog::default();
    let made = api
        .catalog
        .with_gate_log(&gates)
        .commit_branch(&repository, &branch, request)
        .await
        .during(During::Commit)?;
    Ok(answer_commit(made, gates.gates()))
}

/// The response to an operation that created a commit.
pub(crate) fn answer_commit(
    commit: Commit,
    gates: Gates,
) -> (StatusCode, HeaderMap, Json<types::Commit>) {
    let headers = gate_headers(&gates);
    (
        StatusCode::CREATED,
        headers,
        Json(convert::created_commit(commit, gates)),
    )
}

/// The header with the ids of the hook runs that allowed a change. It exists because some responses have no body that
/// could contain these ids.
const GATE_RUNS: HeaderName = HeaderName::from_static("x-weir-gate-run-ids");

/// Clients and proxies limit the length of headers, often to 4 KiB.
const MAX_GATE_RUNS_IN_HEADER: usize = 100;

pub(crate) fn gate_headers(gates: &Gates) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !gates.run_ids.is_empty() {
        let first = &gates.run_ids[..gates.run_ids.len().min(MAX_GATE_RUNS_IN_HEADER)];
        let ids = HeaderValue::try_from(first.join(", "));
        headers.insert(GATE_RUNS, ids.expect("run ids are letters and digits"));
    }
    headers
}

pub(crate) fn commit_params(
    caller: Caller,
    source_metarange: &str,
    body: types::CommitCreation,
) -> Result<CommitParams> {
    Ok(CommitParams {
        committer: caller.0.committer,
        message: body.message,
        metadata: body.metadata.unwrap_or_default(),
        date: body.date.map(convert::instant).transpose()?,
        allow_empty: body.allow_empty.unwrap_or(false),
        force: body.force.unwrap_or(false),
        source_metarange: non_empty(source_metarange)
            .map(|id| parsed(MetaRangeId::parse(id)))
            .transpose()?,
    })
}

pub(crate) async fn get_commit(
    State(api): State<SharedState>,
    Path((id, commit)): Path<(String, String)>,
) -> Result<Json<types::Commit>> {
    let repository = api.reader().repository(&id).await?;
    let found = api.reader().commit(&repository, &commit).await;
    Ok(Json(convert::commit(found.during(During::GetCommit)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a bug: with many runs, the header was longer than clients accept.
    #[test]
    fn header_with_the_runs_of_gates_is_limited() {
        let of = |count: usize| {
            let gates = Gates {
                run_ids: vec!["20261201000000abcdef".to_owned(); count],
                ..Gates::default()
            };
            let header = gate_headers(&gates).remove(GATE_RUNS).unwrap();
            header.to_str().unwrap().split(", ").count()
        };
        assert_eq!((of(1), of(100), of(1000)), (1, 100, 100));
    }
}
