//! A page of a listing with a delimiter: plain, and behind staged deletions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use catalog::{ListRequest, Reader};
use graveler::{BranchId, Graveler};

use crate::measure::{median, millis, timed};
use crate::world::{PREFIXES, World, key};

const ROUNDS: usize = 5;
const DELETE: usize = 1_000;
/// The branch, its head, and what is newer than its tree.
const FEW_READS: u64 = 8;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const MAX_LOOKS: usize = 600;

pub(crate) async fn run(world: &World) -> Result<()> {
    let deletions = world.objects / 10;
    // One server for all, that does not look at the branch again while it reads.
    let graveler = world.cold();
    let plain = page(world, &graveler, "main").await?;
    world.row("a page of 1,000 prefixes, median", &of(plain), "");
    let spread: Vec<u64> = (0..world.objects).step_by(10).map(|n| n + 3).collect();
    let heads: Vec<u64> = (0..world.objects)
        .filter(|n| n % PREFIXES < PREFIXES / 10)
        .collect();
    let whole: Vec<u64> = (0..deletions).collect();
    for (branch, what, numbers) in [
        ("spread", "every tenth object", spread),
        ("heads", "the first tenth of each prefix", heads),
        ("whole", "a tenth of the prefixes, whole", whole),
    ] {
        world.branch(branch, "main").await?;
        delete(world, branch, &numbers).await?;
        let first = one_page(world, &graveler, branch).await?;
        let waited = wait_for_tree(world, &graveler, branch).await?;
        let behind = page(world, &graveler, branch).await?;
        world.row(
            &format!(
                "the same behind {deletions} staged deletions: {what} ({}), times the plain",
                of(behind)
            ),
            &format!("{:.2}", behind.0.as_secs_f64() / plain.0.as_secs_f64()),
            "1.5",
        );
        world.row(
            &format!(
                "the first such page ({}), times the plain; so are those of the next {}",
                millis(first),
                millis(waited)
            ),
            &format!("{:.2}", first.as_secs_f64() / plain.0.as_secs_f64()),
            "",
        );
    }
    Ok(())
}

async fn delete(world: &World, branch: &str, numbers: &[u64]) -> Result<()> {
    let branch = BranchId::trusted(branch);
    for numbers in numbers.chunks(DELETE) {
        let keys: Vec<Vec<u8>> = numbers.iter().map(|&n| key(n).into_bytes()).collect();
        world
            .graveler
            .delete(&world.repo, &branch, &keys, false)
            .await?;
    }
    Ok(())
}

fn of((time, cpu): (Duration, Duration)) -> String {
    format!("{}, {} CPU", millis(time), millis(cpu))
}

/// Reads pages until one asks the record store for no more than the branch and what is newer than its
/// tree: what is staged has been worked out then.
async fn wait_for_tree(world: &World, graveler: &Graveler, branch: &str) -> Result<Duration> {
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    for _ in 0..MAX_LOOKS {
        looks.tick().await;
        world.kv.take();
        one_page(world, graveler, branch).await?;
        if world.kv.take().reads <= FEW_READS {
            return Ok(began.elapsed());
        }
    }
    bail!("the tree of what is staged did not come")
}

/// The medians of time and CPU time.
async fn page(world: &World, graveler: &Graveler, branch: &str) -> Result<(Duration, Duration)> {
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (_, spent) = timed(one_page(world, graveler, branch)).await?;
        times.push(spent.time);
        cpu.push(spent.cpu);
    }
    Ok((median(times), median(cpu)))
}

async fn one_page(world: &World, graveler: &Graveler, branch: &str) -> Result<Duration> {
    let reader = Reader::new(
        graveler.clone(),
        Arc::clone(&world.block) as Arc<dyn block::BlockStore>,
    );
    let request = ListRequest {
        prefix: "data/".to_owned(),
        after: String::new(),
        delimiter: "/".to_owned(),
        limit: 1_000,
    };
    let began = Instant::now();
    let page = reader.list_objects(&world.repo, branch, &request).await?;
    ensure!(!page.results.is_empty(), "the page is empty");
    Ok(began.elapsed())
}
