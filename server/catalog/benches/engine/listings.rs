//! Measures a page of a listing with a delimiter: without staged changes, and with many staged deletions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use catalog::{ListRequest, Reader};
use graveler::{BranchId, Graveler};

use crate::measure::{median, millis, timed};
use crate::target::Target;
use crate::world::{PREFIXES, World, key};

/// The maximum duration of a page with staged deletions, relative to a page without them.
const MAX_RATIO: f64 = 1.5;
const ROUNDS: usize = 101;
const DELETE: usize = 1_000;
/// How long the branch is idle after the deletions, so that the engine materializes them.
const REST: Duration = Duration::from_secs(6);

pub(crate) async fn run(world: &World) -> Result<()> {
    let deletions = world.objects / 10;
    let graveler = world.cold();
    let plain_first = one_page(world, &graveler, "main").await?;
    let plain = page(world, &graveler, "main").await?;
    world.row(
        "a page of 1,000 prefixes, median",
        &of(plain),
        &Target::none(),
    );
    world.row(
        "the first of them, nothing cached",
        &millis(plain_first),
        &Target::none(),
    );
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
        delete(world, &graveler, branch, &numbers).await?;
        let at_once = one_page(world, &world.cold(), branch).await?;
        rest().await;
        let first = one_page(world, &graveler, branch).await?;
        let behind = page(world, &graveler, branch).await?;
        let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
        let times = ratio(behind.0, plain.0);
        world.row(
            &format!(
                "the same behind {deletions} staged deletions: {what} ({}), times the plain",
                of(behind)
            ),
            &format!("{times:.2}"),
            &Target::at_most(times, MAX_RATIO),
        );
        let times = ratio(first, plain_first);
        world.row(
            &format!(
                "the first of them ({}), times the plain's first",
                millis(first)
            ),
            &format!("{times:.2}"),
            &Target::at_most(times, MAX_RATIO),
        );
        world.row(
            &format!(
                "one of a server that has just started ({}), times the plain's first",
                millis(at_once)
            ),
            &format!("{:.2}", ratio(at_once, plain_first)),
            &Target::none(),
        );
    }
    Ok(())
}

async fn delete(world: &World, graveler: &Graveler, branch: &str, numbers: &[u64]) -> Result<()> {
    let branch = BranchId::trusted(branch);
    for numbers in numbers.chunks(DELETE) {
        let keys: Vec<Vec<u8>> = numbers.iter().map(|&n| key(n).into_bytes()).collect();
        graveler.delete(&world.repo, &branch, &keys, false).await?;
    }
    Ok(())
}

fn of((time, cpu): (Duration, Duration)) -> String {
    format!("{}, {} CPU", millis(time), millis(cpu))
}

/// The medians of wall time and CPU time.
async fn page(world: &World, graveler: &Graveler, branch: &str) -> Result<(Duration, Duration)> {
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (_, cost) = timed(one_page(world, graveler, branch)).await?;
        times.push(cost.time);
        cpu.push(cost.cpu);
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

async fn rest() {
    let mut rest = tokio::time::interval(REST);
    rest.tick().await;
    rest.tick().await;
}
