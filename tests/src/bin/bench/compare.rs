//! Compares server binaries: alternates them in short turns, because a shared machine changes its speed
//! from minute to minute.
//!
//! Each turn of a binary starts a server on SQLite, or on PostgreSQL if the first argument says so, and sends each request
//! with one client. The first binary is the baseline; without another, it is compared with the one just built.
//! A row is missed if its median is more than [`BOUND_PERCENT`] above the baseline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::load::{Measured, measure, measure_up_to};
use crate::process::{Database, Server, built_binary, free_port};
use crate::start::start_once;
use crate::{say, serve, verdict};

/// How often each binary is measured.
const TURNS: usize = 10;
/// How long each request is repeated in one turn.
const TIME: Duration = Duration::from_secs(1);
/// Number of commits per turn.
const COMMITS: u64 = 200;
const COMMIT_TIME: Duration = Duration::from_secs(60);

/// Maximum increase of a figure, in percent.
const BOUND_PERCENT: f64 = 5.0;

/// The values of one row for each binary, in order of the turns.
type Row = Vec<Vec<f64>>;

pub(crate) async fn run(binaries: &[&str]) -> Result<()> {
    let (database, binaries) = match binaries {
        ["PostgreSQL", binaries @ ..] => (Database::Postgres, binaries),
        binaries => (Database::Sqlite, binaries),
    };
    let copies = tempfile::tempdir()?;
    let binaries = fresh_copies(&given_or_built(binaries)?, copies.path())?;
    let mut rows: BTreeMap<usize, (&'static str, Row)> = BTreeMap::new();
    for round in 0..TURNS {
        for place in 0..binaries.len() {
            // The order rotates, because data that one binary is still flushing to disk slows the next one.
            let at = (round + place) % binaries.len();
            let binary = &binaries[at];
            for (order, (name, value)) in turn(binary, database).await?.into_iter().enumerate() {
                let (_, row) = rows
                    .entry(order)
                    .or_insert_with(|| (name, vec![Vec::new(); binaries.len()]));
                row[at].push(value);
            }
        }
    }
    let columns: Vec<String> = (1..binaries.len())
        .map(|n| format!(" binary {n} | median | fastest turns | bound | verdict |"))
        .collect();
    say(&format!("| | baseline |{}", columns.concat()));
    say(&format!(
        "|---|--:|{}",
        "--:|--:|--:|--:|---|".repeat(columns.len())
    ));
    for (name, row) in rows.into_values() {
        let medians: Vec<f64> = row.iter().map(|values| median(values)).collect();
        let fastest: Vec<f64> = row.iter().map(|values| least(values)).collect();
        let mut line = format!("| {name} | {:.1} |", medians[0]);
        for n in 1..binaries.len() {
            let of_medians = change(medians[0], medians[n]);
            let of_fastest = change(fastest[0], fastest[n]);
            let is_missed = of_medians > BOUND_PERCENT;
            line.push_str(&format!(
                " {:.1} | {of_medians:+.1} % | {of_fastest:+.1} % | {BOUND_PERCENT} % | {} |",
                medians[n],
                verdict(!is_missed)
            ));
        }
        say(&line);
    }
    Ok(())
}

/// The given binaries. If it is one, the binary that was just built is compared with it.
pub(crate) fn given_or_built(binaries: &[&str]) -> Result<Vec<String>> {
    let mut binaries: Vec<String> = binaries.iter().map(ToString::to_string).collect();
    ensure!(
        !binaries.is_empty(),
        "usage: bench NAME BASELINE [BINARY...]"
    );
    if binaries.len() == 1 {
        binaries.push(built_binary()?.to_string_lossy().into_owned());
    }
    Ok(binaries)
}

/// Copies the binaries. The kernel maps more pages of a file that was just written than of one whose pages were
/// loaded one by one, which changes the resident memory of the same binary by a tenth.
fn fresh_copies(binaries: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
    let copy = |(n, binary): (usize, &String)| {
        let to = folder.join(format!("weir-{n}"));
        std::fs::copy(binary, &to).with_context(|| format!("failed to copy {binary}"))?;
        Ok(to)
    };
    binaries.iter().enumerate().map(copy).collect()
}

/// Measures one binary. The rows are always the same, in the same order.
async fn turn(binary: &Path, database: Database) -> Result<Vec<(&'static str, f64)>> {
    let empty = tempfile::tempdir()?;
    let start = start_once(binary, database, &empty, free_port()?)?;
    let server = Arc::new(Server::start_binary(binary, database).await?);
    let commit = serve::prepare(&server).await?;
    let stat = move |s, n| serve::stat(s, n, commit.clone());
    let cpu = |measured: Measured| measured.cpu_per_operation.as_secs_f64() * 1e6;
    let mut rows = vec![
        (
            "stat by commit, CPU us",
            cpu(measure(&server, 1, TIME, stat).await?),
        ),
        (
            "GET 1 KiB, CPU us",
            cpu(measure(&server, 1, TIME, serve::get).await?),
        ),
        (
            "PUT 1 KiB, CPU us",
            cpu(measure(&server, 1, TIME, serve::put(1)).await?),
        ),
        (
            "listing page of 1,000, CPU us",
            cpu(measure(&server, 1, TIME, serve::list).await?),
        ),
    ];
    serve::stage_changes(&server, 1, COMMITS).await?;
    let commits = measure_up_to(COMMITS, &server, 1, COMMIT_TIME, serve::commit_one(1));
    rows.push(("commit of one change, CPU us", cpu(commits.await?)));
    let loops = measure(&server, 1, TIME, serve::whole_loop(1));
    rows.push(("branch + PUT + commit + merge, CPU us", cpu(loops.await?)));
    let puts = measure(&server, 32, TIME, serve::put(32));
    rows.push(("PUT 1 KiB of 32 clients, CPU us", cpu(puts.await?)));
    rows.push(("start on an empty folder, ms", start.as_secs_f64() * 1e3));
    let mib = |bytes| bytes as f64 / f64::from(1 << 20);
    rows.push((
        "resident memory afterwards, MiB",
        mib(server.resident_bytes()?),
    ));
    rows.push((
        "of that, without the program's own pages, MiB",
        mib(server.anonymous_bytes()?),
    ));
    Ok(rows)
}

/// Change from `from` to `to` in percent.
pub(crate) fn change(from: f64, to: f64) -> f64 {
    (to / from - 1.0) * 100.0
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
