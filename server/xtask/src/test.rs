//! `cargo xtask test`: runs all checks, installs what tests need, and runs all tests. `cargo xtask soak`: runs property
//! tests, simulation and crash tests with long effort.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::postgres::Postgres;
use crate::shell::{cargo, command, run, say, target_dir};
use crate::{check, fuzz, hooks, setup};

/// A step of `cargo xtask test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Check,
    Tests,
}

/// The steps, in order. With a filter, only the Rust tests run.
fn steps(filter: Option<&str>) -> &'static [Step] {
    match filter {
        None => &[Step::Check, Step::Tests],
        Some(_) => &[Step::Tests],
    }
}

/// Runs all checks and tests, or only the Rust tests whose name contains `filter`.
pub(crate) fn run_all(filter: Option<&str>) -> Result<()> {
    if filter.is_some() {
        say("NOTE: the checks are not run, because of the filter");
    }
    for step in steps(filter) {
        match step {
            Step::Check => check::run_all()?,
            Step::Tests => run_tests(filter)?,
        }
    }
    Ok(())
}

fn run_tests(filter: Option<&str>) -> Result<()> {
    let environment = TestEnvironment::new()?;
    let sstables = empty_folder("tables-of-the-tests")?;
    let mut tests = environment.tests();
    tests
        .args(["test", "--workspace", "--no-fail-fast"])
        .env("WEIR_TEST_SSTABLES", &sstables);
    if let Some(filter) = filter {
        tests.arg(filter);
    }
    run(&mut tests)?;
    environment.read_back(&sstables, filter)?;
    say("all tests passed");
    Ok(())
}

/// Returns an empty folder below the target folder.
fn empty_folder(name: &str) -> Result<PathBuf> {
    let folder = target_dir().join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}

/// Name filters of the tests that the soak runs.
const SOAK_FILTERS: &[&str] = &[
    "model",
    "rebase",
    "completions",
    "event::tests",
    "glob::tests",
    "graph",
    "listing",
    "retention",
    "simulation",
    "sstable",
    "crash",
];

/// Runs the soak tests with long effort, then fuzzes each parser. With a filter, runs only tests whose name contains it.
pub(crate) fn soak(filter: Option<&str>) -> Result<()> {
    let environment = TestEnvironment::new()?;
    let sstables = empty_folder("tables-of-the-soak")?;
    let mut tests = environment.tests();
    tests
        .env("WEIR_TEST_LONG", "1")
        .env("WEIR_TEST_SSTABLES", &sstables)
        // Test the whole workspace, because selecting packages would change features and cause a rebuild.
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(["--lib", "--tests", "--"]);
    match filter {
        Some(filter) => tests.arg(filter),
        None => tests.args(SOAK_FILTERS),
    };
    let done = run(&mut tests).and_then(|()| environment.read_back(&sstables, filter));
    drop(environment);
    let fuzzed = match filter {
        Some(_) => {
            say("NOTE: the parsers were not fuzzed, because of the filter");
            Ok(())
        }
        None => fuzz::all(None, fuzz::SECONDS),
    };
    done?;
    fuzzed?;
    say("the soak passed");
    Ok(())
}

/// The environment of the tests: a Python interpreter with the clients, hooks, a PostgreSQL server, the server binary.
struct TestEnvironment {
    python: PathBuf,
    components: PathBuf,
    postgres: Postgres,
}

impl TestEnvironment {
    fn new() -> Result<Self> {
        setup::zsh()?;
        let python = setup::python()?;
        let components = hooks::build(hooks::EXAMPLES)?;
        let postgres = Postgres::start(false)?;
        // This builds the server too, which the system tests start as a process.
        run(cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
        Ok(Self {
            python,
            components,
            postgres,
        })
    }

    /// Makes RocksDB read the tables that the tests have written.
    fn read_back(&self, sstables: &Path, filter: Option<&str>) -> Result<()> {
        // With a filter, the selected tests may not write any table.
        if filter.is_some() && sstables.read_dir()?.next().is_none() {
            say("NOTE: RocksDB read nothing back: the selected tests wrote no tables");
            return Ok(());
        }
        run(command(&self.python)
            .arg("tests/clients/sstables.py")
            .arg(sstables))
        .context("RocksDB failed to read the tables that the tests wrote")
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{SOAK_FILTERS, Step, steps};
    use crate::shell::root;

    #[test]
    fn checks_run_before_the_tests_unless_there_is_a_filter() {
        assert_eq!(steps(None), [Step::Check, Step::Tests]);
        assert_eq!(steps(Some("merge")), [Step::Tests]);
    }

    /// Where the levels of effort are defined.
    const DEFINITIONS: [&str; 2] = ["server/base/src/testing.rs", "tests/src/environment.rs"];

    /// The names of tests begin with the path of their module, which follows from the path of their file.
    #[test]
    fn soak_runs_all_tests_that_have_a_long_effort() {
        let mut tested = Vec::new();
        for folder in ["server", "actions", "hooks-sdk", "tests"] {
            add_tests_with_effort(&root().join(folder), &mut tested);
        }
        assert!(tested.len() > 10, "{tested:?}");
        tested.retain(|file| {
            let module = file.trim_end_matches(".rs").replace('/', "::");
            !SOAK_FILTERS.iter().any(|filter| module.contains(filter))
        });
        assert!(tested.is_empty(), "not in the soak: {tested:?}");
    }

    fn add_tests_with_effort(folder: &Path, tested: &mut Vec<String>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    add_tests_with_effort(&path, tested);
                }
                continue;
            }
            let file = path.strip_prefix(root()).unwrap().to_str().unwrap();
            if !file.ends_with(".rs") || DEFINITIONS.contains(&file) || file.contains("xtask") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let marks = ["cases()", "effort(", "seeds(", "proptest_config(config("];
            if marks.iter().any(|mark| text.contains(mark)) {
                tested.push(file.to_owned());
            }
        }
    }
}
