//! `cargo xtask check`: all checks except tests. `cargo xtask test` runs it first.
//!
//! The cheapest checks come first, and the first failure ends the command. Only the check of advisories needs the
//! network; it prints a note if it cannot run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::setup::{WASM_TARGET, wasm_target};
use crate::shell::{cargo, command, root, run, run_within, say, target_dir};
use crate::tool::Tool;
use crate::{book, links, tidy};

const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    features: &[],
};
const MACHETE: Tool = Tool {
    name: "cargo-machete",
    version: "0.9.2",
    features: &[],
};
/// The guests that the tests of hooks run. They form a separate workspace, so commands for the server's workspace
/// skip them.
const GUESTS: &str = "actions/tests/guests/Cargo.toml";
/// If this variable is set, the check fails if advisories cannot be checked. Set it for releases.
const REQUIRE_ADVISORIES: &str = "WEIR_REQUIRE_ADVISORIES";

/// Timeout for fetching advisories. Without a network the fetch may hang.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);

/// The name of a check and its function.
type Check = (&'static str, fn() -> Result<()>);

/// All checks, in order. CONTRIBUTING.md has a row for each.
const CHECKS: &[Check] = &[
    ("tidy", tidy::run),
    ("links", links::run),
    ("docs", book::build),
    ("cargo fmt", formatting),
    ("cargo machete", unused_dependencies),
    ("cargo deny", deny),
    ("cargo clippy", clippy),
    ("cargo doc", documentation),
];

/// Runs all checks and stops at the first failure.
pub(crate) fn run_all() -> Result<()> {
    for (name, check) in CHECKS {
        check().with_context(|| format!("check {name}"))?;
        say(&format!("check {name}: passed"));
    }
    Ok(())
}

fn formatting() -> Result<()> {
    let check = || {
        let mut fmt = cargo();
        fmt.args(["fmt", "--all", "--check"]);
        fmt
    };
    run(&mut check())?;
    run(check().args(["--manifest-path", GUESTS]))
}

/// Runs clippy on all targets of all crates, so that the methods banned in `clippy.toml` are banned in tests too.
fn clippy() -> Result<()> {
    let clippy = |manifest: &str, target: &[&str]| {
        let mut clippy = cargo();
        clippy.args(["clippy", "--workspace", "--all-targets"]);
        clippy.args(["--manifest-path", manifest]).args(target);
        clippy.args(["--", "-D", "warnings"]);
        clippy
    };
    run(&mut clippy("Cargo.toml", &[]))?;
    wasm_target()?;
    run(clippy(GUESTS, &["--target", WASM_TARGET])
        .env("CARGO_TARGET_DIR", target_dir().join("guests")))
}

/// Builds the documentation, which finds broken links in doc comments. Dependencies are not documented.
fn documentation() -> Result<()> {
    run(cargo()
        .args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ])
        // Private items are documented here, so links to them are not broken.
        .env(
            "RUSTDOCFLAGS",
            "-D warnings -A rustdoc::private_intra_doc_links",
        ))
}

/// Fails if a crate declares a dependency that its code does not name.
fn unused_dependencies() -> Result<()> {
    let program = MACHETE.install()?;
    run(command(program.join("cargo-machete"))
        .arg("--with-metadata")
        .arg(root()))
    .context("remove the listed dependencies from the Cargo.toml files")
}

/// Checks licenses, sources and banned crates of all dependencies, and advisories if a database is available.
fn deny() -> Result<()> {
    let program = DENY.install()?;
    let deny = |manifest: &str, arguments: &[&str]| {
        let mut command = cargo();
        // Run it as `cargo deny`, which searches the PATH for the program.
        command
            .args(["deny", "--locked", "--color", "never"])
            .args(["--manifest-path", manifest])
            .args(arguments)
            .env("PATH", with_folder_first(&program));
        command
    };
    let advisories = |online: &[&str]| {
        let check = [online, &["check", "advisories"]].concat();
        run(&mut deny("Cargo.toml", &check))?;
        run(&mut deny(GUESTS, &check))
    };
    let all = ["bans", "licenses", "sources"];
    run(deny("Cargo.toml", &["check"]).args(all))?;
    // The guests have only some of the licences.
    let some = [
        "license-not-encountered",
        "license-exception-not-encountered",
    ];
    let some = some.iter().flat_map(|lint| ["--allow", lint]);
    run(deny(GUESTS, &["check"]).args(some).args(all))?;
    match run_within(&mut deny("Cargo.toml", &["fetch", "db"]), FETCH_TIMEOUT) {
        Ok(()) => advisories(&[]),
        Err(e) => check_without_fetching(&e, || advisories(&["--offline"])),
    }
}

/// Checks advisories with an earlier copy of the database. If there is none, prints a note or fails.
fn check_without_fetching(
    why: &anyhow::Error,
    check_with_copy: impl Fn() -> Result<()>,
) -> Result<()> {
    let why = format!("{why:#}");
    let why = why.lines().last().unwrap_or_default();
    if has_copy() {
        say(&format!(
            "NOTE: failed to fetch the advisory database ({why}); using an earlier copy, which may lack recent advisories"
        ));
        return check_with_copy();
    }
    let missing = format!(
        "advisories were NOT checked: failed to fetch the advisory database ({why}), and there is no earlier copy; run `cargo xtask check` with access to https://github.com"
    );
    if std::env::var_os(REQUIRE_ADVISORIES).is_some() {
        bail!(missing);
    }
    say(&format!("NOTE: {missing}"));
    Ok(())
}

/// Returns whether there is an earlier copy of the database, at the default path of `cargo deny`.
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

fn with_folder_first(folder: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{CHECKS, check_without_fetching};

    #[test]
    fn every_check_has_a_row_in_contributing() {
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
    fn check_without_the_database_uses_the_copy_or_fails_only_if_required() {
        // The machine may or may not have an earlier copy.
        let checked = Cell::new(false);
        let ended = check_without_fetching(&anyhow::anyhow!("no network"), || {
            checked.set(true);
            anyhow::bail!("an advisory")
        });
        let must_check = std::env::var_os(super::REQUIRE_ADVISORIES).is_some();
        assert_eq!(ended.is_err(), checked.get() || must_check);
    }
}
