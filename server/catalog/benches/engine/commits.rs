//! Measures commits of a million staged objects, and of one object on top of a million.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use graveler::{BranchId, Graveler};
use md5::{Digest as _, Md5};

use crate::measure::{Cost, mebibytes, median, millis, peak, reset_peak, seconds, timed};
use crate::target::Target;
use crate::world::{World, commit, entry, key};

/// The number of commits of one object.
const SMALL: u64 = 20;
/// How often the benchmark checks whether the staged rows are deleted.
const POLL: Duration = Duration::from_millis(2);
/// How many bytes the MD5 probe hashes at a time.
const PIECE: usize = 1 << 20;
/// The maximum growth of memory during a commit of any size, in bytes.
const MAX_GROWTH: u64 = 256 << 20;
/// The maximum number of durable writes of a commit.
const MAX_WRITES: u64 = 3;

pub(crate) async fn run(world: &World) -> Result<()> {
    large(world).await?;
    small(world).await
}

/// Measures the commit of all objects, and compares it with probes: a read of the same staged rows, and
/// an MD5 over as many bytes as the commit writes.
async fn large(world: &World) -> Result<()> {
    let n = world.objects;
    let ((), staging) = timed(world.stage("main", 0..n, 0)).await?;
    world.row(
        &format!("staging of {n} objects, 1,000 a write"),
        &seconds(staging.time),
        &Target::none(),
    );
    let token = staging_token(world).await?;
    let range_delete = probe_range_delete(world, &token).await?;
    let read = probe_read(world, &token).await?;
    world.block.take();
    let before = reset_peak()?;
    let (_, committing) = timed(world.commit("main")).await?;
    let committed = Instant::now();
    let growth = peak()?.saturating_sub(before);
    wait_until_deleted(world, &token).await?;
    let deleted_after = committed.elapsed();
    let written = world.block.take().1;
    let hashing = probe_hash(written).await?;
    report_probes(world, &read, written, &hashing);
    let ratio = committing.time.as_secs_f64() / (read.time + hashing.time).as_secs_f64();
    world.row(
        &format!(
            "commit of {n} staged objects ({}, {:.2} threads busy), times the probes",
            seconds(committing.time),
            committing.busy()
        ),
        &format!("{ratio:.2}"),
        &Target::at_most(ratio, 2.5),
    );
    world.row(
        "peak growth of resident memory meanwhile",
        &mebibytes(growth),
        &Target::with_verdict(mebibytes(MAX_GROWTH), growth <= MAX_GROWTH),
    );
    let ratio = deleted_after.as_secs_f64() / range_delete.time.as_secs_f64();
    world.row(
        &format!(
            "staged rows gone after {}, times one range delete ({})",
            seconds(deleted_after),
            seconds(range_delete.time)
        ),
        &format!("{ratio:.2}"),
        &Target::at_most(ratio, 3.0),
    );
    Ok(())
}

async fn staging_token(world: &World) -> Result<String> {
    let main = BranchId::trusted("main");
    let branch = world.graveler.branch(&world.repo, &main).await?;
    Ok(branch.record.staging_token.to_string())
}

/// Measures one range delete of a copy of the staged rows.
async fn probe_range_delete(world: &World, token: &str) -> Result<Cost> {
    let mut raw = world.raw().await?;
    raw.copy_partition(token, "probe").await?;
    let (_, cost) = timed(raw.delete_partition("probe")).await?;
    Ok(cost)
}

/// Measures a streamed read of the staged rows.
async fn probe_read(world: &World, token: &str) -> Result<Cost> {
    let (_, cost) = timed(async {
        let store = Arc::clone(&world.kv) as Arc<dyn kv::Store>;
        let mut cursor = kv::Cursor::new(store, token.as_bytes(), b"");
        while cursor.next().await?.is_some() {}
        Ok(())
    })
    .await?;
    Ok(cost)
}

/// Measures an MD5 over `bytes` bytes.
async fn probe_hash(bytes: u64) -> Result<Cost> {
    let piece = vec![7; PIECE];
    let (_, cost) = timed(async {
        let mut hash = Md5::new();
        for _ in 0..bytes.div_ceil(PIECE as u64) {
            hash.update(&piece);
        }
        std::hint::black_box(hash.finalize());
        Ok(())
    })
    .await?;
    Ok(cost)
}

fn report_probes(world: &World, read: &Cost, written: u64, hashing: &Cost) {
    world.row(
        "probe: streamed read of the staged rows",
        &seconds(read.time),
        &Target::none(),
    );
    world.row(
        &format!("probe: MD5 over {} written", mebibytes(written)),
        &seconds(hashing.time),
        &Target::none(),
    );
}

async fn wait_until_deleted(world: &World, token: &str) -> Result<()> {
    let mut poll = tokio::time::interval(POLL);
    loop {
        let rows = kv::Store::scan(world.kv.as_ref(), token.as_bytes(), b"", 1).await?;
        if rows.entries.is_empty() {
            return Ok(());
        }
        poll.tick().await;
    }
}

async fn small(world: &World) -> Result<()> {
    let graveler = world.cold();
    let mut raw = world.raw().await?;
    let (mut times, mut puts) = (Vec::new(), Vec::new());
    let (mut durable, mut transactions) = (0, None);
    // Requests of puts on a server that has the branch cached, and on a server whose cached branch is out of date.
    let (mut known, mut moved) = (Vec::new(), Vec::new());
    for i in 0..SMALL {
        let n = i * 7919 % world.objects;
        world.kv.take();
        put(world, &world.graveler, n + 1, i).await?;
        moved.push(requests(world.kv.take()));
        put(world, &graveler, n + 2, i).await?;
        world.kv.take();
        let (_, cost) = timed(put(world, &graveler, n, i)).await?;
        puts.push(cost.time);
        known.push(requests(world.kv.take()));
        let before = raw.transactions().await?;
        let (_, cost) = timed(commit(&graveler, &world.repo, "main", false)).await?;
        times.push(cost.time);
        durable = durable.max(world.kv.take().writes);
        if let (Some(before), Some(after)) = (before, raw.transactions().await?) {
            // Reading the counter is a transaction itself.
            transactions = transactions.max(Some(after - before - 1));
        }
    }
    world.row(
        "put of one object, median",
        &millis(median(puts)),
        &Target::none(),
    );
    for (what, requests, words, (most_reads, most_writes)) in [
        (
            "the same, requests to the store, median",
            known,
            "1 write",
            (0, 1),
        ),
        (
            "the same, where another server has committed since, median",
            moved,
            "1 read more, and the write again",
            (1, 2),
        ),
    ] {
        let (reads, writes) = median(requests);
        let target = Target::with_verdict(words, reads <= most_reads && writes <= most_writes);
        world.row(what, &format!("{reads} reads, {writes} writes"), &target);
    }
    world.row(
        "commit of one object on top, median",
        &millis(median(times)),
        &Target::none(),
    );
    world.row(
        "the same, durable writes of the store",
        &durable.to_string(),
        &Target::with_verdict(MAX_WRITES.to_string(), durable <= MAX_WRITES),
    );
    if let Some(transactions) = transactions {
        world.row(
            "the same, transactions that wrote, by the server",
            &transactions.to_string(),
            &Target::with_verdict(MAX_WRITES.to_string(), transactions <= MAX_WRITES),
        );
    }
    Ok(())
}

async fn put(world: &World, graveler: &Graveler, n: u64, content: u64) -> Result<()> {
    let (main, value) = (BranchId::trusted("main"), entry(content, 1).to_value());
    let condition = graveler::Condition::Always;
    Ok(graveler
        .set(
            &world.repo,
            &main,
            key(n).as_bytes(),
            value,
            condition,
            false,
        )
        .await?)
}

/// The numbers of reads and writes. About once a second, the reads include the branch protection rules.
fn requests(counts: kv::testing::Counts) -> (u64, u64) {
    (counts.reads, counts.writes)
}
