//! Measures concurrent clients that write to one branch, and that branch, write, commit and merge into one branch.

use anyhow::Result;
use graveler::{BranchId, Condition, Graveler, Repository};
use tokio::task::JoinSet;

use crate::measure::timed;
use crate::target::Target;
use crate::world::{World, branch, commit, entry, merge};

/// The total number of loops per row. The same for all rows, so that each ends with the same number of objects.
const LOOPS: u64 = 320;
const WRITES: u64 = 2_000;

pub(crate) async fn run(world: &World) -> Result<()> {
    for clients in [1, 64] {
        let repo = world.repository(&format!("writes-{clients}")).await?;
        let mut raw = world.raw().await?;
        let before = raw.transactions().await?;
        let (_, cost) = timed(all(clients, WRITES, &world.graveler, &repo, write)).await?;
        let share = match (before, raw.transactions().await?) {
            (Some(before), Some(after)) => {
                Some(f64::from(u32::try_from(after - before)?) / f64::from(u32::try_from(WRITES)?))
            }
            _ => None,
        };
        // A single client waits for each write. Writes of concurrent clients share transactions.
        let target = match share {
            Some(share) if clients > 1 => Target::with_verdict("grouped: 0.5", share <= 0.5),
            _ => Target::none(),
        };
        let share = share.map_or_else(String::new, |share| {
            format!("{share:.2} transactions a write, ")
        });
        world.row(
            &format!("staged writes by {clients} clients"),
            &format!(
                "{share}{:.0}/s",
                f64::from(u32::try_from(WRITES)?) / cost.time.as_secs_f64()
            ),
            &target,
        );
    }
    for clients in [1, 16, 64] {
        let repo = world.repository(&format!("loops-{clients}")).await?;
        let (_, cost) = timed(all(clients, LOOPS, &world.graveler, &repo, whole)).await?;
        world.row(
            &format!(
                "loops of branch, write, commit, merge by {clients} clients, {:.2} ms CPU each",
                cost.cpu.as_secs_f64() * 1000.0 / f64::from(u32::try_from(LOOPS)?)
            ),
            &format!(
                "{:.0}/s",
                f64::from(u32::try_from(LOOPS)?) / cost.time.as_secs_f64()
            ),
            // An error ends the benchmark.
            &Target::with_verdict("no error", true),
        );
    }
    Ok(())
}

/// Runs `work` for every number below `count`, with `clients` concurrent tasks.
async fn all<F, R>(
    clients: u64,
    count: u64,
    graveler: &Graveler,
    repo: &Repository,
    work: F,
) -> Result<()>
where
    F: Fn(Graveler, Repository, u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (graveler, repo, work) = (graveler.clone(), repo.clone(), work.clone());
        running.spawn(async move {
            for n in (client..count).step_by(usize::try_from(clients)?) {
                work(graveler.clone(), repo.clone(), n).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

async fn write(graveler: Graveler, repo: Repository, n: u64) -> Result<()> {
    let key = format!("write/{n:08}");
    let (main, value) = (BranchId::trusted("main"), entry(n, 6).to_value());
    Ok(graveler
        .set(
            &repo,
            &main,
            key.as_bytes(),
            value,
            Condition::Always,
            false,
        )
        .await?)
}

async fn whole(graveler: Graveler, repo: Repository, n: u64) -> Result<()> {
    let name = format!("loop-{n}");
    branch(&graveler, &repo, &name, "main").await?;
    let (on, key) = (BranchId::trusted(&name), format!("loop/{n:08}"));
    let value = entry(n, 7).to_value();
    graveler
        .set(&repo, &on, key.as_bytes(), value, Condition::Always, false)
        .await?;
    commit(&graveler, &repo, &name, false).await?;
    merge(&graveler, &repo, &name, "main").await
}
