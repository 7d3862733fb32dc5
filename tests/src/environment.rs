//! Environment of the tests: paths from `cargo xtask test`, and Python clients.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the value of an environment variable that `cargo xtask test` sets.
pub(crate) fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `cargo xtask test`, which prepares the system tests")
    })
}

/// Selects the amount of work: `brief` in the test command, `long` in `cargo xtask soak`.
#[must_use]
pub fn effort<T>(brief: T, long: T) -> T {
    if std::env::var_os("WEIR_TEST_LONG").is_some() {
        long
    } else {
        brief
    }
}

/// Returns the folder with the compiled example hooks.
#[must_use]
pub fn hooks() -> PathBuf {
    PathBuf::from(required("WEIR_TEST_HOOKS"))
}

/// Returns the folder of the system tests.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the bytes of a Wasm test guest of `actions`.
///
/// # Panics
/// If there is no guest with this name.
#[must_use]
pub fn fixture(name: &str) -> Vec<u8> {
    let path = here().join("../actions/tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("failed to read {}: {e}", path.display()))
}

/// Runs a Python script below `tests/` and returns its output.
///
/// # Panics
/// If the script fails, with its output.
pub fn python(script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    try_python(script, arguments, variables).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Like [`python`], for a script that may fail.
///
/// # Errors
/// If the script fails: its exit code and its output.
///
/// # Panics
/// If it cannot be started.
pub fn try_python(
    script: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<String, String> {
    let mut command = Command::new(required("WEIR_TEST_PYTHON"));
    command
        .arg(here().join(script))
        .args(arguments)
        .current_dir(here());
    // Clients must not pick up settings of the machine.
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
    if output.status.success() {
        return Ok(printed);
    }
    Err(format!(
        "{script} {} failed ({}):\n{printed}\n{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Compares a server's responses, including message texts, with lakeFS's recorded responses in
/// these areas (comma-separated). Differences that `compat/better.txt` or `compat/AREA_later.txt`
/// explain are allowed.
///
/// # Panics
/// On any other difference, with a list of the differences.
pub fn conformance(url: &str, areas: &str, keys: (&str, &str)) {
    for area in areas.split(',') {
        python(
            "compat/check_area.py",
            &[url, area],
            &[("ACCESS_KEY", keys.0), ("SECRET_KEY", keys.1)],
        );
    }
}
