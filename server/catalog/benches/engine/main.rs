//! Benchmarks versioning with a million objects: `cargo xtask bench engine [OBJECTS]`.
//!
//! Runs the engine in process on a local disk, with SQLite and with PostgreSQL (`WEIR_TEST_POSTGRES`).
//! A second argument, `SQLite` or `PostgreSQL`, limits the run to this database.
//!
//! Targets for times are relative to probes of the same run, and counts do not depend on the machine. Each row shows a
//! figure, its target, and whether the target is met.

mod commits;
mod graph;
mod listings;
mod loops;
mod measure;
mod store;
mod target;
mod trees;
mod world;

use anyhow::{Context as _, Result};

use crate::world::{Database, World};

const OBJECTS: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo bench` adds its own argument.
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let objects = match arguments.next() {
        None => OBJECTS,
        Some(text) => text.parse().context("OBJECTS is not a number")?,
    };
    let only = arguments.next();
    say("| database | what | figure | target | verdict |");
    say("|---|---|--:|--:|---|");
    for database in Database::all() {
        if only.as_deref().is_some_and(|only| only != database.name()) {
            continue;
        }
        let world = World::open(database, objects).await?;
        commits::run(&world).await?;
        trees::run(&world).await?;
        listings::run(&world).await?;
        graph::run(&world).await?;
        loops::run(&world).await?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command-line tool")]
fn say(text: &str) {
    println!("{text}");
}
