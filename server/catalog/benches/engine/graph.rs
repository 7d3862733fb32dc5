//! Measures log and merge base over a long history.

use anyhow::Result;
use graveler::{BranchId, Graveler, LogRequest, Repository};

use crate::measure::{millis, timed};
use crate::target::Target;
use crate::world::{World, branch, commit};

const COMMITS: usize = 10_000;
/// The maximum number of reads. Commits are read in pages, so there are far fewer reads than commits.
const MAX_PAGES: u64 = 100;

pub(crate) async fn run(world: &World) -> Result<()> {
    let repo = world.repository("history").await?;
    for n in 0..COMMITS {
        if n == COMMITS / 2 {
            branch(&world.graveler, &repo, "side", "main").await?;
        }
        commit(&world.graveler, &repo, "main", true).await?;
    }
    commit(&world.graveler, &repo, "side", true).await?;

    let cold = world.cold();
    // Even a warm server reads branches again, because other servers may have moved them. Commits are immutable and cached.
    let of = async |name: &str| -> Result<String> {
        let branch = world
            .graveler
            .branch(&repo, &BranchId::trusted(name))
            .await?;
        Ok(branch.record.commit_id.to_string())
    };
    let (main, side) = (of("main").await?, of("side").await?);
    for (state, one, other, words, most) in [
        ("cold", "main", "side", "100: pages", MAX_PAGES),
        ("warm", "main", "side", "the 2 branches", 2),
        ("warm, by commit ids", main.as_str(), side.as_str(), "0", 0),
    ] {
        world.kv.take();
        let (_, cost) = timed(async { Ok(cold.find_merge_base(&repo, one, other).await?) }).await?;
        let reads = world.kv.take().reads;
        world.row(
            &format!(
                "merge base over {COMMITS} commits, {state} ({}), reads of the store",
                millis(cost.time)
            ),
            &reads.to_string(),
            &Target::with_verdict(words, reads <= most),
        );
    }
    let cold = world.cold();
    for (state, words, most) in [("cold", "100: pages", MAX_PAGES), ("warm", "0", 0)] {
        let from = cold
            .branch(&repo, &BranchId::trusted("main"))
            .await?
            .record
            .commit_id;
        world.kv.take();
        let (_, cost) = timed(log(&cold, &repo, from)).await?;
        let reads = world.kv.take().reads;
        world.row(
            &format!(
                "log of {COMMITS} commits, {state} ({}), reads of the store",
                millis(cost.time)
            ),
            &reads.to_string(),
            &Target::with_verdict(words, reads <= most),
        );
    }
    Ok(())
}

async fn log(graveler: &Graveler, repo: &Repository, from: graveler::CommitId) -> Result<usize> {
    let request = LogRequest {
        from,
        first_parent: false,
        since: None,
        stop_at: None,
    };
    let mut log = graveler.log(repo, request).await?;
    let mut length = 0;
    while log.next().await?.is_some() {
        length += 1;
    }
    Ok(length)
}
