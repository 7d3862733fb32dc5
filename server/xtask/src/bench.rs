//! `cargo xtask bench NAME`: runs a benchmark with a release build. No test depends on the results.

use anyhow::{Result, bail};

use crate::hooks;
use crate::postgres::Postgres;
use crate::shell::{cargo, run, target_dir};

/// The benchmarks in `tests/src/bin/bench`.
const NAMES: &[&str] = &[
    "serve",
    "hooks",
    "start",
    "attacks",
    "compare",
    "instructions",
];
/// The benchmark in `server/catalog/benches/engine`, which does not start a server.
const ENGINE: &str = "engine";

/// Runs one benchmark with the arguments that follow its name.
pub(crate) fn run_command(arguments: &[&str]) -> Result<()> {
    if let Some((&ENGINE, rest)) = arguments.split_first() {
        return run_engine(rest);
    }
    let Some((name, rest)) = arguments.split_first().filter(|(n, _)| NAMES.contains(n)) else {
        bail!(
            "usage: cargo xtask bench NAME, where NAME is one of {}, {ENGINE}",
            NAMES.join(", ")
        );
    };
    let components = hooks::build(hooks::EXAMPLES)?;
    run(cargo().args([
        "build",
        "--release",
        "--package",
        "app",
        "--package",
        "system-tests",
        "--bins",
    ]))?;
    if name == &"hooks" {
        run(cargo().args(["bench", "--package", "actions", "--bench", "noop"]))?;
    }
    let postgres = Postgres::start(true)?;
    let release = target_dir().join("release");
    run(crate::shell::command(release.join("bench"))
        .arg(name)
        .args(rest)
        .env("WEIR_TEST_POSTGRES", postgres.connection_string())
        .env("WEIR_TEST_HOOKS", &components)
        .env("WEIR_TEST_BIN", release.join("weir")))
}

fn run_engine(rest: &[&str]) -> Result<()> {
    let mut bench = cargo();
    bench.args(["bench", "--package", "catalog", "--bench", ENGINE]);
    // Build before PostgreSQL starts.
    run(cargo().args([
        "bench",
        "--package",
        "catalog",
        "--bench",
        ENGINE,
        "--no-run",
    ]))?;
    let postgres = Postgres::start(true)?;
    run(bench
        .arg("--")
        .args(rest)
        .env("WEIR_TEST_POSTGRES", postgres.connection_string()))
}
