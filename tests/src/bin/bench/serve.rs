//! Measures common requests with 1, 32 and 64 clients on each database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::json;

use crate::load::{Measured, measure, measure_up_to, milliseconds};
use crate::process::{Database, Server};
use crate::say;

const CLIENTS: &[usize] = &[1, 32, 64];
const REPOSITORY: &str = "bench";
/// The repository in which every client repeats [`whole_loop`].
const LOOPS: &str = "loops";
/// Number of objects for GET, stat and listing.
const OBJECTS: u64 = 2_000;
const BODY: usize = 1024;
/// Number of commits that are prepared and measured for each number of clients.
const COMMITS: u64 = 400;
/// Longer than all commits take.
const COMMIT_TIME: Duration = Duration::from_secs(120);

pub(crate) async fn run(arguments: &[&str]) -> Result<()> {
    let seconds: u64 = arguments
        .first()
        .map_or(Ok(3), |s| s.parse())
        .context("SECONDS is not a number")?;
    let time = Duration::from_secs(seconds);
    say("| database | operation | clients | per second | p50 ms | p99 ms | server CPU ms |");
    say("|---|---|--:|--:|--:|--:|--:|");
    for database in [Database::Sqlite, Database::Postgres] {
        let server = Arc::new(Server::start(database).await?);
        let commit = prepare(&server).await?;
        for &clients in CLIENTS {
            let row = |name: &str, m: &Measured| {
                say(&format!(
                    "| {} | {name} | {clients} | {:.0} | {} | {} | {:.3} |",
                    database.name(),
                    m.per_second,
                    milliseconds(m.p50),
                    milliseconds(m.p99),
                    m.cpu_per_operation.as_secs_f64() * 1000.0
                ));
            };
            row(
                "PUT 1 KiB",
                &measure(&server, clients, time, put(clients)).await?,
            );
            row("GET 1 KiB", &measure(&server, clients, time, get).await?);
            let reference = commit.clone();
            row(
                "stat by commit",
                &measure(&server, clients, time, move |s, n| {
                    stat(s, n, reference.clone())
                })
                .await?,
            );
            row(
                "listing page of 1,000",
                &measure(&server, clients, time, list).await?,
            );
            stage_changes(&server, clients, COMMITS).await?;
            row(
                "commit of one change",
                &measure_up_to(COMMITS, &server, clients, COMMIT_TIME, commit_one(clients)).await?,
            );
            row(
                "branch + PUT + commit + merge",
                &measure(&server, clients, time, whole_loop(clients)).await?,
            );
        }
        say(&format!(
            "| {} | resident memory afterwards | | {} MiB | | | |",
            database.name(),
            server.resident_bytes()? >> 20
        ));
    }
    Ok(())
}

/// Creates and commits objects on `main`. Returns the commit.
pub(crate) async fn prepare(server: &Arc<Server>) -> Result<String> {
    server.repository(REPOSITORY).await?;
    server.repository(LOOPS).await?;
    for n in 0..OBJECTS {
        server
            .put(REPOSITORY, "main", &object(n), vec![b'x'; BODY])
            .await?;
    }
    server.commit(REPOSITORY, "main").await?;
    let branch = server
        .json(
            Method::GET,
            &format!("/repositories/{REPOSITORY}/branches/main"),
            json!({}),
        )
        .await?;
    Ok(branch["commit_id"]
        .as_str()
        .context("a branch without commit_id")?
        .to_owned())
}

fn object(n: u64) -> String {
    format!("data/part-{:02}/{:06}", n % 20, n)
}

pub(crate) fn put(clients: usize) -> impl Fn(Arc<Server>, u64) -> BoxedResult + Clone {
    move |server, n| {
        Box::pin(async move {
            server
                .put(
                    REPOSITORY,
                    "main",
                    &format!("put/{clients}/{n}"),
                    vec![b'y'; BODY],
                )
                .await
        })
    }
}

pub(crate) type BoxedResult = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

pub(crate) async fn get(server: Arc<Server>, n: u64) -> Result<()> {
    server
        .get(&format!(
            "/repositories/{REPOSITORY}/refs/main/objects?path={}",
            object(n % OBJECTS)
        ))
        .await
}

pub(crate) async fn stat(server: Arc<Server>, n: u64, commit: String) -> Result<()> {
    server
        .get(&format!(
            "/repositories/{REPOSITORY}/refs/{commit}/objects/stat?path={}",
            object(n % OBJECTS)
        ))
        .await
}

pub(crate) async fn list(server: Arc<Server>, _n: u64) -> Result<()> {
    server
        .get(&format!(
            "/repositories/{REPOSITORY}/refs/main/objects/ls?amount=1000&prefix=data/"
        ))
        .await
}

/// Creates branches with one staged change each, so that the measurement contains only commits and
/// no waiting for a shared branch.
pub(crate) async fn stage_changes(server: &Arc<Server>, clients: usize, count: u64) -> Result<()> {
    for n in 0..count {
        let branch = format!("one-{clients}-{n}");
        let body = json!({ "name": branch, "source": "main" });
        let path = format!("/repositories/{REPOSITORY}/branches");
        server.json(Method::POST, &path, body).await?;
        server
            .put(REPOSITORY, &branch, "one", vec![b'z'; BODY])
            .await?;
    }
    Ok(())
}

pub(crate) fn commit_one(clients: usize) -> impl Fn(Arc<Server>, u64) -> BoxedResult + Clone {
    move |server, n| {
        Box::pin(async move {
            server
                .commit(REPOSITORY, &format!("one-{clients}-{n}"))
                .await
        })
    }
}

/// Creates a branch, writes and commits one object, and merges the branch into `main`, which all clients share.
pub(crate) fn whole_loop(clients: usize) -> impl Fn(Arc<Server>, u64) -> BoxedResult + Clone {
    move |server, n| {
        Box::pin(async move {
            let branch = format!("loop-{clients}-{n}");
            let body = json!({ "name": branch, "source": "main" });
            server
                .json(
                    Method::POST,
                    &format!("/repositories/{LOOPS}/branches"),
                    body,
                )
                .await?;
            server
                .put(
                    LOOPS,
                    &branch,
                    &format!("loop/{clients}/{n}"),
                    vec![b'w'; BODY],
                )
                .await?;
            server.commit(LOOPS, &branch).await?;
            server
                .json(
                    Method::POST,
                    &format!("/repositories/{LOOPS}/refs/{branch}/merge/main"),
                    json!({}),
                )
                .await
                .map(|_| ())
        })
    }
}
