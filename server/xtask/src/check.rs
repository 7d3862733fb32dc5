//! `cargo xtask check`: what holds without running a test. `cargo xtask test` begins with it.
//!
//! The cheapest checks come first. All fail the command; the one thing that depends on the network, advisories, says so
//! when it could not be looked at.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::shell::{cargo, run, run_within, say, tools_dir};
use crate::{links, tidy};

/// The version of `cargo deny` that is used, installed below the folder of tools.
const DENY_VERSION: &str = "0.20.2";
/// Set to fail, not only to say so, when advisories can't be checked: for releases.
const REQUIRE_ADVISORIES: &str = "WEIR_REQUIRE_ADVISORIES";

/// Without a network a fetch fails at once or hangs.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);

/// A name, and what is run.
type Check = (&'static str, fn() -> Result<()>);

/// All checks, in order. CONTRIBUTING.md has a row for each.
const CHECKS: &[Check] = &[
    ("tidy", tidy::run),
    ("links", links::run),
    ("cargo fmt", formatting),
    ("cargo deny", deny),
    ("cargo clippy", clippy),
    ("cargo doc", documentation),
];

/// Runs all checks; the first that fails ends them.
pub(crate) fn run_all() -> Result<()> {
    for (name, check) in CHECKS {
        check().with_context(|| format!("check {name}"))?;
        say(&format!("check {name}: passed"));
    }
    Ok(())
}

fn formatting() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

/// Every target of every crate, so that the methods that `clippy.toml` bans are banned everywhere.
fn clippy() -> Result<()> {
    run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Doc comments: no link to what is not there. Dependencies were checked by clippy just before, and are not again.
fn documentation() -> Result<()> {
    run(cargo()
        .args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ])
        // Links to private items lead somewhere, since those are documented here.
        .env(
            "RUSTDOCFLAGS",
            "-D warnings -A rustdoc::private_intra_doc_links",
        ))
}

/// Licences, sources and banned crates of everything in the lock file; advisories if there is a database of them.
fn deny() -> Result<()> {
    let program = deny_program()?;
    let deny = |arguments: &[&str]| {
        let mut command = cargo();
        // As `cargo deny`, wherever the program is.
        command
            .args(["deny", "--locked", "--color", "never"])
            .args(arguments)
            .env("PATH", with_folder_first(&program));
        command
    };
    run(&mut deny(&["check", "bans", "licenses", "sources"]))?;
    match run_within(&mut deny(&["fetch", "db"]), FETCH_TIMEOUT) {
        Ok(()) => run(&mut deny(&["check", "advisories"])),
        Err(e) => without_fetching(&e, || run(&mut deny(&["--offline", "check", "advisories"]))),
    }
}

/// An earlier copy of the database is better than none, and none is told.
fn without_fetching(why: &anyhow::Error, check_with_copy: impl Fn() -> Result<()>) -> Result<()> {
    let why = format!("{why:#}");
    let why = why.lines().last().unwrap_or_default();
    if has_copy() {
        say(&format!(
            "NOTE: the advisory database could not be fetched ({why}); an earlier copy is used, which may miss newer advisories"
        ));
        return check_with_copy();
    }
    let missing = format!(
        "advisories were NOT checked: the advisory database could not be fetched ({why}), and there is no earlier copy; run `cargo xtask check` where https://github.com can be reached"
    );
    if std::env::var_os(REQUIRE_ADVISORIES).is_some() {
        bail!(missing);
    }
    say(&format!("NOTE: {missing}"));
    Ok(())
}

/// Whether `cargo deny` fetched the database once; `deny.toml` leaves it where it usually is.
fn has_copy() -> bool {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(Path::new(&home).join(".cargo"))
        });
    let copies = home.map(|h| h.join("advisory-dbs"));
    copies
        .and_then(|c| c.read_dir().ok())
        .is_some_and(|entries| {
            entries
                .flatten()
                .any(|e| e.path().join(".git").exists() && e.path().join("crates").is_dir())
        })
}

/// The folder with `cargo-deny`, which is installed if it is not there.
fn deny_program() -> Result<PathBuf> {
    let at = tools_dir().join(format!("cargo-deny-{DENY_VERSION}"));
    let folder = at.join("bin");
    if folder.join("cargo-deny").is_file() {
        return Ok(folder);
    }
    say(&format!(
        "Installing cargo-deny {DENY_VERSION} to {}: a few minutes, once.",
        at.display()
    ));
    let build = at.join("build");
    run(cargo()
        .args([
            "install",
            "cargo-deny",
            "--locked",
            "--no-track",
            "--version",
            DENY_VERSION,
        ])
        // Unoptimised: it runs for seconds, and would compile for minutes.
        .args(["--debug", "--config", "profile.dev.debug=false", "--root"])
        .arg(&at)
        .env("CARGO_TARGET_DIR", &build))
    .context("can't install cargo-deny")?;
    std::fs::remove_dir_all(&build)?;
    Ok(folder)
}

fn with_folder_first(folder: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{CHECKS, without_fetching};

    #[test]
    fn every_check_is_explained_to_contributors() {
        let text = std::fs::read_to_string(crate::shell::root().join("CONTRIBUTING.md")).unwrap();
        let table = text
            .split("`cargo xtask check` runs, in this order")
            .nth(1)
            .unwrap();
        let table = table.split("\n\n").next().unwrap();
        assert_eq!(table.matches("\n| ").count(), CHECKS.len(), "{table}");
        for (name, _) in CHECKS {
            assert!(
                table.contains(name),
                "CONTRIBUTING.md has no row for {name}"
            );
        }
    }

    #[test]
    fn an_unreachable_database_is_told_and_not_taken_for_a_pass() {
        // Whatever this machine has: a copy is checked, or nothing is claimed to be.
        let checked = Cell::new(false);
        let ended = without_fetching(&anyhow::anyhow!("no network"), || {
            checked.set(true);
            anyhow::bail!("an advisory")
        });
        let must_check = std::env::var_os(super::REQUIRE_ADVISORIES).is_some();
        assert_eq!(ended.is_err(), checked.get() || must_check);
    }
}
