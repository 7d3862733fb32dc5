//! `cargo xtask test`: sets up everything, then passes every test.

use anyhow::Result;

use crate::postgres::Postgres;
use crate::shell::{cargo, run, say, target_dir};
use crate::{hooks, setup, tidy};

/// Everything, or the Rust tests whose name contains `filter`.
pub(crate) fn run_all(filter: Option<&str>) -> Result<()> {
    if filter.is_none() {
        tidy::run()?;
        run(cargo().args(["fmt", "--all", "--check"]))?;
    }
    let python = setup::python()?;
    let components = hooks::build()?;
    let postgres = Postgres::start(false)?;
    // Builds the server as well: the system tests start it as a process.
    run(cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
    let mut tests = cargo();
    tests
        .args(["test", "--workspace", "--no-fail-fast"])
        .env("WEIR_TEST_POSTGRES", postgres.connection_string())
        .env("WEIR_TEST_PYTHON", &python)
        .env("WEIR_TEST_HOOKS", &components)
        .env("WEIR_TEST_BIN", target_dir().join("debug/weir"));
    if let Some(filter) = filter {
        tests.arg(filter);
    }
    let done = run(&mut tests);
    drop(postgres);
    if done.is_ok() {
        say("all tests passed");
    }
    done
}

/// Formatting, lints and house rules.
pub(crate) fn check() -> Result<()> {
    tidy::run()?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}
