//! `cargo xtask test`: sets up everything, then passes every test. `cargo xtask soak`: those
//! that try cases, seeds and crashes, for long.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::postgres::Postgres;
use crate::shell::{cargo, command, run, say, target_dir};
use crate::{check, fuzz, hooks, setup};

/// Everything, or the Rust tests whose name contains `filter`.
pub(crate) fn run_all(filter: Option<&str>) -> Result<()> {
    if filter.is_none() {
        check::run_all()?;
    }
    let needs = Needs::new()?;
    let sstables = empty_folder("tables-of-the-tests")?;
    let mut tests = needs.tests();
    tests
        .args(["test", "--workspace", "--no-fail-fast"])
        .env("WEIR_TEST_SSTABLES", &sstables);
    if let Some(filter) = filter {
        tests.arg(filter);
    }
    run(&mut tests)?;
    needs.read_back(&sstables, filter)?;
    say("all tests passed");
    Ok(())
}

/// A folder below the target folder without anything in it.
fn empty_folder(name: &str) -> Result<PathBuf> {
    let folder = target_dir().join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}

/// What the soak runs, by names of modules and tests.
const SOAKED: &[&str] = &[
    "model",
    "graph",
    "listing",
    "retention",
    "simulation",
    "sstable",
    "crash",
];

/// The tests that try cases, seeds and crashes, each for long, or those of them whose name contains `filter`.
/// Without a filter each parser is fuzzed after them.
pub(crate) fn soak(filter: Option<&str>) -> Result<()> {
    let needs = Needs::new()?;
    let sstables = empty_folder("tables-of-the-soak")?;
    let mut tests = needs.tests();
    tests
        .env("WEIR_TEST_LONG", "1")
        .env("WEIR_TEST_SSTABLES", &sstables)
        // All packages, as they were just built: of a few of them other features would be built anew.
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(["--lib", "--tests", "--"]);
    match filter {
        Some(filter) => tests.arg(filter),
        None => tests.args(SOAKED),
    };
    let done = run(&mut tests).and_then(|()| needs.read_back(&sstables, filter));
    drop(needs);
    let fuzzed = match filter {
        Some(_) => Ok(()),
        None => fuzz::all(None, fuzz::SECONDS),
    };
    done?;
    fuzzed?;
    say("the soak passed");
    Ok(())
}

/// What the tests are handed: a Python with the clients, the hooks, a PostgreSQL, the server's program.
struct Needs {
    python: PathBuf,
    components: PathBuf,
    postgres: Postgres,
}

impl Needs {
    fn new() -> Result<Self> {
        setup::zsh()?;
        let python = setup::python()?;
        let components = hooks::build(hooks::EXAMPLES)?;
        let postgres = Postgres::start(false)?;
        // Builds the server as well: the system tests start it as a process.
        run(cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
        Ok(Self {
            python,
            components,
            postgres,
        })
    }

    /// Has RocksDB read the tables that the tests left, of those that contain `filter`.
    fn read_back(&self, sstables: &Path, filter: Option<&str>) -> Result<()> {
        // A few tests may write no table; all of them together do.
        if filter.is_some() && sstables.read_dir()?.next().is_none() {
            return Ok(());
        }
        run(command(&self.python)
            .arg("tests/clients/sstables.py")
            .arg(sstables))
        .context("RocksDB does not read back what the tests wrote")
    }

    fn tests(&self) -> Command {
        let mut tests = cargo();
        tests
            .env("WEIR_TEST_POSTGRES", self.postgres.connection_string())
            .env("WEIR_TEST_PSQL", self.postgres.psql())
            .env("WEIR_TEST_PYTHON", &self.python)
            .env("WEIR_TEST_HOOKS", &self.components)
            .env("WEIR_TEST_BIN", target_dir().join("debug/weir"));
        tests
    }
}
