//! Measures the cost of a gate: a merge with and without it, and a merge of 1,000 changed files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::json;

use crate::load::milliseconds;
use crate::process::{Database, Server};
use crate::say;

const MERGES: u64 = 200;
const FILES: u64 = 1_000;
/// Number of concurrent uploads.
const SENDERS: u64 = 16;

pub(crate) async fn run() -> Result<()> {
    let folder = std::env::var_os("WEIR_TEST_HOOKS")
        .map(PathBuf::from)
        .context("run `cargo xtask bench hooks`: WEIR_TEST_HOOKS is not set")?;
    let read = |name: &str| {
        std::fs::read(folder.join(name)).with_context(|| format!("failed to read {name}"))
    };
    let (metadata, guard) = (read("commit_metadata.wasm")?, read("parquet_guard.wasm")?);
    let parquet = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../example-hooks/parquet-guard/testdata/good.parquet"
    ))?;

    let server = Arc::new(Server::start(Database::Sqlite).await?);
    say("| what | p50 ms | p99 ms |");
    say("|---|--:|--:|");
    let plain = merges(&server, "plain", None).await?;
    say(&format!(
        "| merge of one change, no gate | {} | {} |",
        milliseconds(plain.0),
        milliseconds(plain.1)
    ));
    let gated = merges(&server, "gated", Some(metadata)).await?;
    say(&format!(
        "| the same, with the gate commit-metadata | {} | {} |",
        milliseconds(gated.0),
        milliseconds(gated.1)
    ));
    say(&format!(
        "| added by the gate | {} | {} |",
        milliseconds(gated.0.saturating_sub(plain.0)),
        milliseconds(gated.1.saturating_sub(plain.1))
    ));

    let cpu = server.cpu_time()?;
    let taken = fan_out(&server, guard, parquet).await?;
    let cpu = server.cpu_time()?.saturating_sub(cpu);
    say(&format!(
        "| merge of {FILES} Parquet files, each checked by parquet-guard | {} | |",
        milliseconds(taken)
    ));
    say(&format!(
        "| the same, per file | {} | |",
        milliseconds(taken / u32::try_from(FILES)?)
    ));
    say(&format!(
        "| server CPU for uploading, committing and checking, per file | {} | |",
        milliseconds(cpu / u32::try_from(FILES)?)
    ));
    Ok(())
}

fn action(component: &str, paths: &str) -> Vec<u8> {
    format!(
        "name: bench gate\non:\n  pre-merge:\nhooks:\n  - id: gate\n    type: wasm\n    properties:\n      component: {component}\n      select:\n        paths: ['{paths}']\n"
    )
    .into_bytes()
}

/// Merges changes one after another. Returns the median and the 99th percentile of the merge
/// requests.
async fn merges(
    server: &Arc<Server>,
    repository: &str,
    gate: Option<Vec<u8>>,
) -> Result<(Duration, Duration)> {
    server.repository(repository).await?;
    server
        .put(repository, "main", "start", b"x".to_vec())
        .await?;
    if let Some(component) = gate {
        server
            .put(repository, "main", "hooks/gate.wasm", component)
            .await?;
        let text = b"name: bench gate\non:\n  pre-merge:\nhooks:\n  - id: gate\n    type: wasm\n    properties:\n      component: hooks/gate.wasm\n";
        server
            .put(
                repository,
                "main",
                "_lakefs_actions/gate.yaml",
                text.to_vec(),
            )
            .await?;
    }
    server.commit(repository, "main").await?;
    let mut taken = Vec::new();
    for n in 0..MERGES {
        let branch = format!("b{n}");
        branch_of_main(server, repository, &branch).await?;
        server
            .put(repository, &branch, &format!("new/{n}"), b"y".to_vec())
            .await?;
        server.commit(repository, &branch).await?;
        let started = Instant::now();
        merge(server, repository, &branch).await?;
        taken.push(started.elapsed());
    }
    taken.sort_unstable();
    Ok((taken[taken.len() / 2], taken[taken.len() * 99 / 100]))
}

/// Merges [`FILES`] new Parquet files, each of which a gate checks. Returns how long the merge took.
async fn fan_out(server: &Arc<Server>, guard: Vec<u8>, parquet: Vec<u8>) -> Result<Duration> {
    let repository = "tables";
    server.repository(repository).await?;
    server
        .put(repository, "main", "hooks/guard.wasm", guard)
        .await?;
    server
        .put(
            repository,
            "main",
            "_lakefs_actions/gate.yaml",
            action("hooks/guard.wasm", "t/**/*.parquet"),
        )
        .await?;
    server
        .put(repository, "main", "t/0000.parquet", parquet.clone())
        .await?;
    server.commit(repository, "main").await?;
    branch_of_main(server, repository, "load").await?;
    let mut sending = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let (server, parquet) = (Arc::clone(server), parquet.clone());
        sending.spawn(async move {
            for n in (1 + sender..=FILES).step_by(usize::try_from(SENDERS)?) {
                server
                    .put(
                        repository,
                        "load",
                        &format!("t/{n:04}.parquet"),
                        parquet.clone(),
                    )
                    .await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(done) = sending.join_next().await {
        done??;
    }
    server.commit(repository, "load").await?;
    let started = Instant::now();
    merge(server, repository, "load").await?;
    Ok(started.elapsed())
}

async fn branch_of_main(server: &Arc<Server>, repository: &str, name: &str) -> Result<()> {
    let body = json!({ "name": name, "source": "main" });
    server
        .json(
            Method::POST,
            &format!("/repositories/{repository}/branches"),
            body,
        )
        .await
        .map(|_| ())
}

async fn merge(server: &Arc<Server>, repository: &str, source: &str) -> Result<()> {
    server
        .json(
            Method::POST,
            &format!("/repositories/{repository}/refs/{source}/merge/main"),
            json!({}),
        )
        .await
        .map(|_| ())
}
