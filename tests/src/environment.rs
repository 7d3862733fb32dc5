//! What the tests need from outside: the paths that `cargo xtask test` hands over, and Python clients run to their end.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The value of a variable that `cargo xtask test` sets.
pub(crate) fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test`, which sets up what the system tests need"
        )
    })
}

/// How much a test does: `brief` in the test command, `long` in `cargo xtask soak`.
#[must_use]
pub fn effort<T>(brief: T, long: T) -> T {
    if std::env::var_os("WEIR_TEST_LONG").is_some() {
        long
    } else {
        brief
    }
}

/// The folder with the example hooks, built to components.
#[must_use]
pub fn hooks() -> PathBuf {
    PathBuf::from(required("WEIR_TEST_HOOKS"))
}

/// The folder of the system tests.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The bytes of a guest that the host is tested with.
///
/// # Panics
/// If there is none of that name.
#[must_use]
pub fn fixture(name: &str) -> Vec<u8> {
    let path = here().join("../actions/tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("failed to read {}: {e}", path.display()))
}

/// Runs a script below `tests/` with the Python clients, and returns what it printed.
///
/// # Panics
/// If it fails, with its output.
pub fn python(script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(required("WEIR_TEST_PYTHON"));
    command
        .arg(here().join(script))
        .args(arguments)
        .current_dir(here());
    // A client must not find its own settings on the machine that tests it.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["AWS_", "LAKECTL_", "LAKEFS_", "WEIR_"]
            .iter()
            .any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .envs(variables.iter().copied());
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("failed to start {script}: {e}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{script} {} failed ({}):\n{printed}\n{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// Compares a server with what lakeFS answered in these areas (separated by commas), message texts
/// included. Differences that `compat/better.txt` or `compat/AREA_later.txt` explain are allowed.
///
/// # Panics
/// On any other difference, with the list of them.
pub fn conformance(url: &str, areas: &str, keys: (&str, &str)) {
    for area in areas.split(',') {
        python(
            "compat/check_area.py",
            &[url, area],
            &[("ACCESS_KEY", keys.0), ("SECRET_KEY", keys.1)],
        );
    }
}
