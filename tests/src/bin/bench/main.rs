//! Benchmarks of a release build: `cargo xtask bench serve | hooks | start | attacks | compare |
//! instructions`.
//!
//! Each benchmark prints Markdown tables. Results depend on the machine, mainly on how long it takes to
//! flush data to disk. CPU time per operation is the most stable figure.

mod attacks;
mod compare;
#[path = "../../../../actions/tests/wasm/components.rs"]
#[expect(
    clippy::unwrap_used,
    reason = "written for tests; the text is constant"
)]
mod components;
mod hooks;
mod instructions;
mod load;
mod process;
mod serve;
mod start;

use anyhow::{Result, bail};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["serve", rest @ ..] => serve::run(rest).await,
        ["hooks"] => hooks::run().await,
        ["start"] => start::run().await,
        ["attacks"] => attacks::run().await,
        ["compare", binaries @ ..] => compare::run(binaries).await,
        ["instructions", binaries @ ..] => instructions::run(binaries).await,
        _ => bail!(
            "usage: bench serve [SECONDS] | hooks | start | attacks | compare [PostgreSQL] BASELINE [BINARY...] | instructions BASELINE [BINARY...]"
        ),
    }
}

#[expect(clippy::print_stdout, reason = "a command-line tool")]
fn say(text: &str) {
    println!("{text}");
}

/// The word for a figure that is compared with its bound. `cargo xtask tidy` checks it in docs/operations/benchmarks.md.
fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}
