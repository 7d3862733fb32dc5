//! Measures diffs and merges of two trees with a million objects.

use anyhow::Result;

use crate::measure::{Cost, mebibytes, millis, seconds, timed};
use crate::target::Target;
use crate::world::{World, diff, merge};

/// The average number of runnable threads that work on large trees must reach: the number of cores of the benchmark
/// machine.
const CORES: f64 = 2.0;

pub(crate) async fn run(world: &World) -> Result<()> {
    few(world).await?;
    many(world).await
}

async fn count(world: &World, left: &str, right: &str) -> Result<u64> {
    let mut cursor = diff(&world.cold(), &world.repo, left, right).await?;
    let mut differences = 0;
    while cursor.next().await?.is_some() {
        differences += 1;
    }
    Ok(differences)
}

/// Measures a diff and a merge with ten changes on each side.
async fn few(world: &World) -> Result<()> {
    let spread = world.objects / 10;
    world.branch("few", "main").await?;
    world.stage("few", (0..10).map(|i| i * spread), 2).await?;
    world.block.take();
    world.commit("few").await?;
    let theirs = world.block.take().1;
    let (differences, diffing) = timed(count(world, "main", "few")).await?;
    let read = world.block.take().0;
    // A changed range exists twice, old and new, and so does the metarange.
    world.row(
        &format!(
            "diff with {differences} changes ({}), bytes read",
            millis(diffing.time)
        ),
        &mebibytes(read),
        &Target::with_verdict(
            format!("changed ranges, old and new: {}", mebibytes(2 * theirs)),
            read <= 2 * theirs,
        ),
    );
    world.branch("ours", "main").await?;
    world
        .stage("ours", (0..10).map(|i| i * spread + 1), 3)
        .await?;
    world.block.take();
    world.commit("ours").await?;
    let ours = world.block.take().1;
    let cold = world.cold();
    let (_, merging) = timed(merge(&cold, &world.repo, "few", "ours")).await?;
    let (read, written) = world.block.take();
    world.row(
        &format!(
            "merge of 10 changes into 10 others ({}, {} written), bytes read",
            millis(merging.time),
            mebibytes(written)
        ),
        &mebibytes(read),
        &Target::with_verdict(
            format!(
                "changed ranges of three trees: {}",
                mebibytes(theirs + 2 * ours)
            ),
            read <= theirs + 2 * ours,
        ),
    );
    Ok(())
}

fn both_cores(cost: Cost) -> Target {
    Target::with_verdict("both of 2 cores", cost.busy() >= CORES)
}

/// Measures a commit, a diff and a merge of changes to half of all objects, into a branch with changes in every range.
async fn many(world: &World) -> Result<()> {
    let n = world.objects;
    world.branch("many", "main").await?;
    world.stage("many", (0..n).step_by(2), 4).await?;
    let (_, committing) = timed(world.commit("many")).await?;
    world.row(
        &format!("commit of {} changes, threads busy", n / 2),
        &format!("{:.2} ({})", committing.busy(), seconds(committing.time)),
        &both_cores(committing),
    );
    let (differences, diffing) = timed(count(world, "main", "many")).await?;
    world.row(
        &format!("diff with {differences} changes, threads busy"),
        &format!("{:.2} ({})", diffing.busy(), seconds(diffing.time)),
        &both_cores(diffing),
    );
    world.branch("into", "main").await?;
    world.stage("into", (1..n).step_by(1_000), 5).await?;
    world.commit("into").await?;
    let cold = world.cold();
    let (_, merging) = timed(merge(&cold, &world.repo, "many", "into")).await?;
    world.row(
        &format!(
            "merge of {} changes into {}, threads busy",
            n / 2,
            n / 1_000
        ),
        &format!("{:.2} ({})", merging.busy(), seconds(merging.time)),
        &both_cores(merging),
    );
    Ok(())
}
