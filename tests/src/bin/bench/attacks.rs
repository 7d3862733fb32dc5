//! Measures how hostile hooks affect other users: latency of health checks and reads, and the delay
//! of another repository's gate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::components::{component, nested_loops, passing_text};
use crate::load::{Measured, measure, milliseconds};
use crate::process::{Database, Server};
use crate::{say, verdict};

const CALM: &str = "calm";
const HOSTILE: &str = "hostile";
/// Time limit of each hostile hook.
const LIMIT: Duration = Duration::from_secs(5);
/// Bound of the time after which a change is refused, as a multiple of [`LIMIT`].
const REFUSED_WITHIN: f64 = 1.1;
/// Measuring time. Shorter than [`LIMIT`], so that all hostile hooks run throughout.
const WINDOW: Duration = Duration::from_secs(3);
/// Number of commits of the calm repository, both before and during the attack.
const COMMITS: usize = 20;

/// One kind of hostile hook.
struct Attack {
    name: &'static str,
    component: bytes::Bytes,
    /// The memory limit of each hook.
    memory_mib: u32,
    /// Number of hooks that run at the same time.
    hooks: usize,
}

pub(crate) async fn run() -> Result<()> {
    let server = Arc::new(Server::start(Database::Sqlite).await?);
    server.repository(CALM).await?;
    server.repository(HOSTILE).await?;
    server.put(CALM, "main", "sea", vec![b'x'; 1024]).await?;
    server.commit(CALM, "main").await?;

    say("| while this runs | request | p50 ms | p99 ms | longest ms |");
    say("|---|---|--:|--:|--:|");
    latencies(&server, "nothing").await?;
    let mut stopped = Vec::new();
    let attacks = attacks();
    for attack in &attacks {
        let branches = prepare(&server, attack).await?;
        // The first commit compiles the component. It is refused by the time limit.
        refused_after(&server, &branches[0]).await?;
        let running: Vec<JoinHandle<Result<Duration>>> = branches
            .iter()
            .map(|branch| {
                let (server, branch) = (Arc::clone(&server), branch.clone());
                tokio::spawn(async move { refused_after(&server, &branch).await })
            })
            .collect();
        latencies(&server, &format!("{} {}", attack.hooks, attack.name)).await?;
        for run in running {
            stopped.push((attack.name, run.await??));
        }
    }

    say("");
    say("| hook with `time_per_object: 5s` | change refused after s | bound s | verdict |");
    say("|---|--:|--:|---|");
    for attack in &attacks {
        let of_attack = stopped.iter().filter(|(name, _)| *name == attack.name);
        let after: Vec<f64> = of_attack.map(|(_, after)| after.as_secs_f64()).collect();
        say(&refused_row(attack.name, &after));
    }
    say("");
    measure_during_compilation(&server).await
}

/// Returns the row of an attack, whose hooks were refused after these seconds.
fn refused_row(name: &str, after: &[f64]) -> String {
    let earliest = after.iter().copied().fold(f64::INFINITY, f64::min);
    let latest = after.iter().copied().fold(0.0, f64::max);
    let bound = LIMIT.as_secs_f64() * REFUSED_WITHIN;
    format!(
        "| {name} | {earliest:.2} to {latest:.2} | {bound:.1} | {} |",
        verdict(latest <= bound)
    )
}

fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "endless loops",
            component: component("(loop (br 0))"),
            memory_mib: 16,
            hooks: 8,
        },
        Attack {
            name: "hooks that fill 125 MiB again and again",
            component: component(
                "(drop (memory.grow (i32.const 2000))) (loop (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536))) (br 0))",
            ),
            memory_mib: 256,
            hooks: 8,
        },
        Attack {
            name: "pairs of nested components that pass 500 MB",
            component: passing_text(500),
            memory_mib: 2048,
            hooks: 2,
        },
    ]
}

/// Creates a branch for each hook of an attack, with its gate and a staged change.
async fn prepare(server: &Server, attack: &Attack) -> Result<Vec<String>> {
    let mut branches = Vec::new();
    for n in 0..attack.hooks {
        let branch = format!("{}-{n}", attack.name.replace(' ', "-"));
        new_branch(server, HOSTILE, &branch).await?;
        gate(
            server,
            HOSTILE,
            &branch,
            attack.component.to_vec(),
            &format!(
                "      limits: {{ memory: {}MiB, time_per_object: {}s }}\n",
                attack.memory_mib,
                LIMIT.as_secs()
            ),
        )
        .await?;
        branches.push(branch);
    }
    Ok(branches)
}

async fn new_branch(server: &Server, repository: &str, branch: &str) -> Result<()> {
    server
        .json(
            Method::POST,
            &format!("/repositories/{repository}/branches"),
            json!({ "name": branch, "source": "main" }),
        )
        .await
        .map(|_| ())
}

async fn gate(
    server: &Server,
    repository: &str,
    branch: &str,
    component: Vec<u8>,
    properties: &str,
) -> Result<()> {
    server
        .put(repository, branch, "hooks/gate.wasm", component)
        .await?;
    let action = format!(
        "name: gate\non:\n  pre-commit:\nhooks:\n  - id: gate\n    type: wasm\n    properties:\n      component: hooks/gate.wasm\n{properties}"
    );
    server
        .put(
            repository,
            branch,
            "_lakefs_actions/gate.yaml",
            action.into_bytes(),
        )
        .await
}

/// Commits to a branch with a hostile gate and checks that the gate's time limit stops it. Returns how long the commit took.
async fn refused_after(server: &Server, branch: &str) -> Result<Duration> {
    let (taken, status, text) = commit_hostile(server, branch).await?;
    ensure!(
        status == 412 && text.contains("limit_time"),
        "the hostile hook of {branch} was not stopped by its time limit: {status} {text}"
    );
    Ok(taken)
}

/// Commits to a branch with a hostile gate. Returns how long the commit took, and the status and body of the response.
async fn commit_hostile(
    server: &Server,
    branch: &str,
) -> Result<(Duration, reqwest::StatusCode, String)> {
    let started = Instant::now();
    let answer = server
        .request(
            Method::POST,
            &format!("/repositories/{HOSTILE}/branches/{branch}/commits"),
        )
        .json(&json!({ "message": "attack" }))
        .send()
        .await?;
    Ok((started.elapsed(), answer.status(), answer.text().await?))
}

/// Measures requests of other users and prints a row for each kind. `meanwhile` names what runs at the same time.
async fn latencies(server: &Arc<Server>, meanwhile: &str) -> Result<()> {
    let health = async |server: Arc<Server>, _n: u64| {
        let url = format!("{}/_health", server.url);
        server.http.get(url).send().await?.error_for_status()?;
        anyhow::Ok(())
    };
    let read = async |server: Arc<Server>, _n: u64| {
        server
            .get(&format!("/repositories/{CALM}/refs/main/objects?path=sea"))
            .await
    };
    let (health, read) = tokio::try_join!(
        measure(server, 1, WINDOW, health),
        measure(server, 1, WINDOW, read)
    )?;
    for (request, measured) in [("`/_health`", health), ("GET of another repository", read)] {
        row(meanwhile, request, &measured);
    }
    Ok(())
}

fn row(meanwhile: &str, request: &str, measured: &Measured) {
    say(&format!(
        "| {meanwhile} | {request} | {} | {} | {} |",
        milliseconds(measured.p50),
        milliseconds(measured.p99),
        milliseconds(measured.longest)
    ));
}

/// Measures the delay of another repository's gate while two slow components are being compiled.
async fn measure_during_compilation(server: &Arc<Server>) -> Result<()> {
    let folder = std::env::var_os("WEIR_TEST_HOOKS")
        .map(PathBuf::from)
        .context("run `cargo xtask bench attacks`: WEIR_TEST_HOOKS is not set")?;
    let read = |name: &str| {
        std::fs::read(folder.join(name)).with_context(|| format!("failed to read {name}"))
    };
    // Three digests that the server has not seen, so each must be compiled.
    let (known, alone, meanwhile) = (
        read("commit_metadata.wasm")?,
        read("format_allow_list.wasm")?,
        read("parquet_guard.wasm")?,
    );
    new_branch(server, CALM, "known").await?;
    gate(server, CALM, "known", known, "").await?;
    let first = commit_gated(server, "known", 0).await?;
    let before = commits(server, "before").await?;

    say("| commit of another repository | median ms | longest ms |");
    say("|---|--:|--:|");
    delay("compiled gate, no attack", &before);
    new_branch(server, CALM, "alone").await?;
    // The gate has no formats configured, so it must not see an object.
    let no_objects = "      select:\n        paths: ['none/**']\n";
    gate(server, CALM, "alone", alone, no_objects).await?;
    let alone = commit_gated(server, "alone", 0).await?;
    delay("new gate (commit-metadata), no attack", &[first]);
    delay("new gate (format-allow-list), no attack", &[alone]);

    let mut hostile = Vec::new();
    for loops in [300, 301] {
        let branch = format!("loops-{loops}");
        new_branch(server, HOSTILE, &branch).await?;
        gate(
            server,
            HOSTILE,
            &branch,
            nested_loops(loops, 3000).to_vec(),
            "",
        )
        .await?;
        let server = Arc::clone(server);
        hostile.push(tokio::spawn(async move {
            commit_hostile(&server, &branch).await
        }));
    }
    // The first tick is immediate. After the second one, the compiler has received the components.
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    ticks.tick().await;
    ticks.tick().await;
    let during = commits(server, "during").await?;
    new_branch(server, CALM, "meanwhile").await?;
    gate(server, CALM, "meanwhile", meanwhile, "").await?;
    let meanwhile = commit_gated(server, "meanwhile", 0).await?;
    ensure!(
        hostile.iter().any(|h| !h.is_finished()),
        "the hostile components were compiled before the measurement ended"
    );
    delay(
        "compiled gate, two hostile components in the compiler",
        &during,
    );
    delay(
        "new gate (parquet-guard), two hostile components in the compiler",
        &[meanwhile],
    );
    for component in hostile {
        let (after, status, text) = component.await??;
        ensure!(
            status == 412 || status == 400,
            "a hostile component was not refused: {status} {text}"
        );
        say(&format!(
            "| hostile component refused ({status}) | {} | |",
            milliseconds(after)
        ));
    }
    Ok(())
}

/// Makes [`COMMITS`] commits on the branch `known`. Returns how long each took, in ascending order.
async fn commits(server: &Server, prefix: &str) -> Result<Vec<Duration>> {
    let mut taken = Vec::new();
    for n in 0..COMMITS {
        taken.push(commit_gated(server, prefix, n).await?);
    }
    taken.sort_unstable();
    Ok(taken)
}

/// Commits one change to the branch `name`. The names `before` and `during` stand for the branch `known`.
async fn commit_gated(server: &Server, name: &str, n: usize) -> Result<Duration> {
    let branch = if matches!(name, "before" | "during") {
        "known"
    } else {
        name
    };
    server
        .put(CALM, branch, &format!("{name}/{n}"), vec![b'y'; 16])
        .await?;
    let started = Instant::now();
    server
        .json(
            Method::POST,
            &format!("/repositories/{CALM}/branches/{branch}/commits"),
            json!({ "message": "calm", "metadata": { "owner": "bench" } }),
        )
        .await?;
    Ok(started.elapsed())
}

/// Prints a row with the median and the maximum of the durations.
fn delay(what: &str, sorted: &[Duration]) {
    if let (Some(median), Some(longest)) = (sorted.get(sorted.len() / 2), sorted.last()) {
        say(&format!(
            "| {what} | {} | {} |",
            milliseconds(*median),
            milliseconds(*longest)
        ));
    }
}
