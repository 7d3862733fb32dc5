//! Helpers for the unit tests of this crate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::any;
use base::OffsetDateTime;
use graveler::{
    After, BranchId, CommitId, CommitPreparation, CommitProposal, Draft, Event, EventDetails,
    EventKind, LandedCommit, LandedMerge, MergeProposal, MergeSource, MetaRangeId, Repository,
    RepositoryId, RepositoryState, TagChange, TagId,
};
use time::macros::datetime;

/// Returns a repository `repo` with the default branch `main`.
pub(crate) fn repository() -> Repository {
    Repository {
        id: RepositoryId::trusted("repo"),
        storage_namespace: "mem://repo".to_owned(),
        default_branch: BranchId::trusted("main"),
        creation_date: datetime!(2026-03-04 05:06:07 UTC),
        state: RepositoryState::Active,
        instance_uid: "uid".to_owned(),
        read_only: false,
        storage_id: String::new(),
    }
}

/// Returns an event for a change of `main`, or for the creation of the tag `t` at the commit `c1`.
pub(crate) fn event(kind: EventKind) -> Event {
    event_on("main", kind)
}

/// Returns an event for a change of a branch. New commits have the id `c1`; the source of merges is
/// `dev`.
pub(crate) fn event_on(branch: &str, kind: EventKind) -> Event {
    Event {
        run_id: "run1".to_owned(),
        time: TIME,
        repository: repository(),
        actor: "admin".to_owned(),
        depth: 0,
        details: details(&BranchId::trusted(branch), kind),
    }
}

const TIME: OffsetDateTime = datetime!(2026-03-04 05:06:07.5 UTC);

fn details(branch: &BranchId, kind: EventKind) -> EventDetails {
    let proposal = CommitProposal {
        branch: branch.clone(),
        draft: draft(),
        base: MetaRangeId::trusted(""),
    };
    let landed = LandedCommit {
        branch: branch.clone(),
        commit_id: CommitId::trusted("c1"),
        draft: draft(),
        base: MetaRangeId::trusted(""),
    };
    let tag = TagChange {
        tag: TagId::trusted("t"),
        commit_id: CommitId::trusted("c1"),
        meta_range_id: MetaRangeId::trusted(""),
    };
    let source = MergeSource {
        name: "dev".to_owned(),
        commit_id: CommitId::trusted("c0"),
        meta_range_id: MetaRangeId::trusted(""),
    };
    match kind {
        EventKind::PrepareCommit => EventDetails::PrepareCommit(CommitPreparation {
            branch: branch.clone(),
            draft: draft(),
        }),
        EventKind::PreCommit => EventDetails::PreCommit(proposal),
        EventKind::PostCommit => EventDetails::PostCommit(after(landed)),
        EventKind::PreMerge => EventDetails::PreMerge(MergeProposal {
            commit: proposal,
            commit_id: CommitId::trusted("c1"),
            source,
        }),
        EventKind::PostMerge => EventDetails::PostMerge(after(LandedMerge {
            commit: landed,
            source,
        })),
        EventKind::PreCreateTag => EventDetails::PreCreateTag(tag),
        other => panic!("no test has an event of {}", other.as_str()),
    }
}

fn draft() -> Draft {
    Draft {
        message: "with actions".to_owned(),
        committer: "admin".to_owned(),
        metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        creation_date: TIME,
        meta_range_id: MetaRangeId::trusted(""),
        parents: Vec::new(),
        version: 1,
    }
}

fn after<T>(change: T) -> After<T> {
    After {
        pre_run_id: None,
        change,
    }
}

/// The requests that a [`server`] received, in order: path with query, headers, body.
pub(crate) type Seen = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// Responds with the request's query and `X-Var` header, in one piece or in pieces of three bytes.
fn echo(path: &str, headers: &HeaderMap, uri: &Uri) -> Response {
    let value = headers.get("x-var").cloned();
    let shown = value
        .as_ref()
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let query = uri.query().unwrap_or_default();
    let token = query.strip_prefix("token=").unwrap_or_default();
    let text = format!("you sent /{token}?{query} and {shown}");
    let size = if path == "/echo" { text.len() } else { 3 };
    let pieces: Vec<_> = text
        .as_bytes()
        .chunks(size)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let mut answer = Body::from_stream(futures::stream::iter(pieces)).into_response();
    answer
        .headers_mut()
        .extend(value.map(|v| (HeaderName::from_static("x-echo"), v)));
    answer
}

/// Responds like Airflow. The response depends on the DAG's name and on the number of earlier
/// identical requests. The response for the DAG `hangs` never ends.
fn airflow(path: &str, headers: &HeaderMap, before: usize) -> Response {
    let (dag, run) = path
        .split_once("/dags/")
        .and_then(|(_, rest)| rest.split_once("/dagRuns"))
        .unwrap_or_default();
    let state = |state: &str| format!(r#"{{"conf":{{}},"state":"{state}"}}"#).into_response();
    if run.is_empty() {
        return match dag {
            "fail" => (StatusCode::BAD_REQUEST, "{}").into_response(),
            "unauthorized" => (StatusCode::UNAUTHORIZED, "{}").into_response(),
            "created" => (StatusCode::CREATED, "{}").into_response(),
            "login" => Redirect::to("/login").into_response(),
            _ => "{}".into_response(),
        };
    }
    match dag {
        "succeeds" if before == 2 => state("success"),
        "fails" if before == 2 => state("failed"),
        "hangs" => Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
            .into_response(),
        "garbage" => "<html>".into_response(),
        "nested" => "[".repeat(100_000).into_response(),
        "list" => r#"["success"]"#.into_response(),
        "no-state" => r#"{"state":null}"#.into_response(),
        "long-state" => state(&"s".repeat(50_000)),
        "huge" => vec![b'x'; 2 << 20].into_response(),
        "large" => {
            format!(r#"{{"conf":"{}","state":"success"}}"#, "x".repeat(300_000)).into_response()
        }
        "tells-a-part" => r#"{"note":"the key is pa55+w0rd","state":"success"}"#.into_response(),
        "echoes" => {
            let sent = headers.get("authorization").and_then(|v| v.to_str().ok());
            let sent = sent.unwrap_or_default();
            format!(r#"{{"note":"you sent {sent}","state":"success"}}"#).into_response()
        }
        _ => state("running"),
    }
}

/// Starts a server that records requests and responds by path. Returns its URL.
pub(crate) async fn server() -> (String, Seen) {
    async fn answer(
        State(seen): State<Seen>,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        let path = uri.path().to_owned();
        let (headers_of, uri_of) = (headers.clone(), uri.clone());
        let target = uri.to_string();
        let before = {
            let mut seen = seen.lock().expect("no holder panics");
            let before = seen.iter().filter(|(of, ..)| *of == target).count();
            seen.push((target, headers, body));
            before
        };
        match path.as_str() {
            "/fail" => (StatusCode::BAD_REQUEST, "checked").into_response(),
            "/slow" => std::future::pending().await,
            "/huge" => vec![b'x'; 1 << 20].into_response(),
            "/loop" => Redirect::temporary("/loop").into_response(),
            "/echo" | "/echo-in-pieces" => echo(&path, &headers_of, &uri_of),
            "/301" | "/302" | "/303" | "/308" => {
                let status: StatusCode = path[1..].parse().expect("a status");
                (status, [(LOCATION, "/ok?token=t0ken")]).into_response()
            }
            "/307-to-302" => Redirect::temporary("/302").into_response(),
            "/to-https" => Redirect::temporary("https://hooks.invalid/ok").into_response(),
            "/away" => Redirect::temporary("http://127.0.0.2:9/").into_response(),
            "/moved" => Redirect::temporary("/ok").into_response(),
            path if path.contains("/api/v1/dags/") => airflow(path, &headers_of, before),
            "/login" => "<html>".into_response(),
            _ => "checked".into_response(),
        }
    }
    let seen = Seen::default();
    let router = Router::new()
        .fallback(any(answer))
        .with_state(Arc::clone(&seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}
