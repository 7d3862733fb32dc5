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
/// Bound of the longest request of another user while hostile hooks run.
const OTHERS_WITHIN: Duration = Duration::from_millis(100);
/// Bound of a commit of another repository, with its gate, while hostile components are compiled. Its
/// delay is shorter than the commit.
const GATE_WITHIN: Duration = Duration::from_secs(1);
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
    /// Number of repositories to which the hooks belong. The hooks of one repository get half of the
    /// memory, and a hook that waits for memory is refused later.
    repositories: usize,
}

impl Attack {
    /// Returns the repository of a hook.
    fn repository(&self, hook: usize) -> String {
        format!("{HOSTILE}-{}", hook % self.repositories)
    }
}

/// Whose gate runs when, and in which branch.
struct Gate<'a> {
    repository: &'a str,
    branch: &'a str,
    event: &'a str,
    component: Vec<u8>,
    /// Lines below `properties`.
    properties: &'a str,
}

pub(crate) async fn run() -> Result<()> {
    let server = Arc::new(Server::start(Database::Sqlite).await?);
    let attacks = attacks();
    server.repository(CALM).await?;
    let most = attacks.iter().map(|attack| attack.repositories).max();
    for n in 0..most.unwrap_or_default() {
        server.repository(&format!("{HOSTILE}-{n}")).await?;
    }
    server.put(CALM, "main", "sea", vec![b'x'; 1024]).await?;
    server.commit(CALM, "main").await?;

    say("| while this runs | request | p50 ms | p99 ms | longest ms |");
    say("|---|---|--:|--:|--:|");
    latencies(&server, "nothing").await?;
    let mut stopped = Vec::new();
    let mut longest = [Duration::ZERO; REQUESTS.len()];
    for attack in &attacks {
        compile(&server, attack).await?;
        let branches = prepare(&server, attack).await?;
        let running: Vec<JoinHandle<Result<Duration>>> = branches
            .into_iter()
            .map(|(repository, branch)| {
                let server = Arc::clone(&server);
                tokio::spawn(async move { refused_after(&server, &repository, &branch).await })
            })
            .collect();
        let measured = latencies(&server, &format!("{} {}", attack.hooks, attack.name)).await?;
        for (longest, measured) in longest.iter_mut().zip(measured) {
            *longest = measured.max(*longest);
        }
        for run in running {
            stopped.push((attack.name, run.await??));
        }
    }

    say("");
    say("| request of another user, during all attacks | longest ms | bound ms | verdict |");
    say("|---|--:|--:|---|");
    for (request, longest) in REQUESTS.into_iter().zip(longest) {
        say(&bounded_row(request, longest, OTHERS_WITHIN));
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

/// Returns the row of a duration in milliseconds with its bound.
fn bounded_row(what: &str, longest: Duration, bound: Duration) -> String {
    format!(
        "| {what} | {} | {} | {} |",
        milliseconds(longest),
        bound.as_millis(),
        verdict(longest <= bound)
    )
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
            repositories: 1,
        },
        Attack {
            name: "hooks that fill 125 MiB again and again",
            component: component(
                "(drop (memory.grow (i32.const 2000))) (loop (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536))) (br 0))",
            ),
            memory_mib: 256,
            hooks: 8,
            repositories: 1,
        },
        Attack {
            name: "pairs of nested components that pass 500 MB",
            component: passing_text(500),
            memory_mib: 1536,
            hooks: 2,
            repositories: 2,
        },
    ]
}

/// Has the server compile the component of an attack without running it, so that no instance is left
/// when the attack starts.
async fn compile(server: &Server, attack: &Attack) -> Result<()> {
    let repository = attack.repository(0);
    let branch = format!("{}-compiled", attack.name.replace(' ', "-"));
    new_branch(server, &repository, &branch).await?;
    let gate = Gate {
        repository: &repository,
        branch: &branch,
        event: "pre-merge",
        component: attack.component.to_vec(),
        properties: "",
    };
    gate.stage(server).await?;
    server.commit(&repository, &branch).await
}

/// Creates a branch for each hook of an attack, with its gate and a staged change. Returns the
/// repository and the branch of each.
async fn prepare(server: &Server, attack: &Attack) -> Result<Vec<(String, String)>> {
    let mut branches = Vec::new();
    for n in 0..attack.hooks {
        let repository = attack.repository(n);
        let branch = format!("{}-{n}", attack.name.replace(' ', "-"));
        new_branch(server, &repository, &branch).await?;
        let gate = Gate {
            repository: &repository,
            branch: &branch,
            event: "pre-commit",
            component: attack.component.to_vec(),
            properties: &format!(
                "      limits: {{ memory: {}MiB, time_per_object: {}s }}\n",
                attack.memory_mib,
                LIMIT.as_secs()
            ),
        };
        gate.stage(server).await?;
        branches.push((repository, branch));
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

impl Gate<'_> {
    /// Stages the component and its action file.
    async fn stage(self, server: &Server) -> Result<()> {
        let (repository, branch) = (self.repository, self.branch);
        let path = "hooks/gate.wasm";
        server.put(repository, branch, path, self.component).await?;
        let action = format!(
            "name: gate\non:\n  {}:\nhooks:\n  - id: gate\n    type: wasm\n    properties:\n      component: {path}\n{}",
            self.event, self.properties
        );
        let path = "_lakefs_actions/gate.yaml";
        server
            .put(repository, branch, path, action.into_bytes())
            .await
    }
}

/// Stages a gate for commits to a branch of the calm repository.
async fn calm_gate(
    server: &Server,
    branch: &str,
    component: Vec<u8>,
    properties: &str,
) -> Result<()> {
    new_branch(server, CALM, branch).await?;
    let gate = Gate {
        repository: CALM,
        branch,
        event: "pre-commit",
        component,
        properties,
    };
    gate.stage(server).await
}

/// Commits to a branch with a hostile gate and checks that the gate's time limit stops it. Returns how long the commit took.
async fn refused_after(server: &Server, repository: &str, branch: &str) -> Result<Duration> {
    let (taken, status, text) = commit_hostile(server, repository, branch).await?;
    ensure!(
        status == 412 && text.contains("limit_time"),
        "the hostile hook of {branch} was not stopped by its time limit: {status} {text}"
    );
    Ok(taken)
}

/// Commits to a branch with a hostile gate. Returns how long the commit took, and the status and body of the response.
async fn commit_hostile(
    server: &Server,
    repository: &str,
    branch: &str,
) -> Result<(Duration, reqwest::StatusCode, String)> {
    let started = Instant::now();
    let answer = server
        .request(
            Method::POST,
            &format!("/repositories/{repository}/branches/{branch}/commits"),
        )
        .json(&json!({ "message": "attack" }))
        .send()
        .await?;
    Ok((started.elapsed(), answer.status(), answer.text().await?))
}

/// The requests of other users that are measured.
const REQUESTS: [&str; 2] = ["`/_health`", "GET of another repository"];

/// Measures requests of other users and prints a row for each kind. `meanwhile` names what runs at the same time.
/// Returns the longest request of each kind.
async fn latencies(server: &Arc<Server>, meanwhile: &str) -> Result<[Duration; REQUESTS.len()]> {
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
    let measured = [health, read];
    for (request, measured) in REQUESTS.into_iter().zip(&measured) {
        row(meanwhile, request, measured);
    }
    Ok(measured.map(|measured| measured.longest))
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
    calm_gate(server, "known", known, "").await?;
    let first = commit_gated(server, "known", 0).await?;
    let before = commits(server, "before").await?;

    say("| commit of another repository | median ms | longest ms |");
    say("|---|--:|--:|");
    delay("compiled gate, no attack", &before);
    // The gate has no formats configured, so it must not see an object.
    let no_objects = "      select:\n        paths: ['none/**']\n";
    calm_gate(server, "alone", alone, no_objects).await?;
    let alone = commit_gated(server, "alone", 0).await?;
    delay("new gate (commit-metadata), no attack", &[first]);
    delay("new gate (format-allow-list), no attack", &[alone]);

    let hostile = commit_slow_components(server).await?;
    // The first tick is immediate. After the second one, the compiler has received the components.
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    ticks.tick().await;
    ticks.tick().await;
    let during = commits(server, "during").await?;
    calm_gate(server, "meanwhile", meanwhile, "").await?;
    let meanwhile = commit_gated(server, "meanwhile", 0).await?;
    ensure!(
        hostile.iter().any(|h| !h.is_finished()),
        "the hostile components were compiled before the measurement ended"
    );
    let (compiled, new) = (
        "compiled gate, two hostile components in the compiler",
        "new gate (parquet-guard), two hostile components in the compiler",
    );
    delay(compiled, &during);
    delay(new, &[meanwhile]);
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
    say("");
    say("| commit of another repository | longest ms | bound ms | verdict |");
    say("|---|--:|--:|---|");
    let longest = during.last().copied().unwrap_or_default();
    say(&bounded_row(compiled, longest, GATE_WITHIN));
    say(&bounded_row(new, meanwhile, GATE_WITHIN));
    Ok(())
}

/// A hostile commit that is still running.
type HostileCommit = JoinHandle<Result<(Duration, reqwest::StatusCode, String)>>;

/// Commits two components that take long to compile, to different branches.
async fn commit_slow_components(server: &Arc<Server>) -> Result<Vec<HostileCommit>> {
    let repository = format!("{HOSTILE}-0");
    let mut hostile = Vec::new();
    for loops in [300, 301] {
        let branch = format!("loops-{loops}");
        new_branch(server, &repository, &branch).await?;
        let gate = Gate {
            repository: &repository,
            branch: &branch,
            event: "pre-commit",
            component: nested_loops(loops, 3000).to_vec(),
            properties: "",
        };
        gate.stage(server).await?;
        let (server, repository) = (Arc::clone(server), repository.clone());
        hostile.push(tokio::spawn(async move {
            commit_hostile(&server, &repository, &branch).await
        }));
    }
    Ok(hostile)
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
