//! Running other programs, with errors that say which one and what to do.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The top of the project.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("xtask lies two folders below the top")
        .to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where tools are kept between runs (a Python environment): outside of the project if `WEIR_TOOLS` says so.
pub(crate) fn tools_dir() -> PathBuf {
    std::env::var_os("WEIR_TOOLS").map_or_else(|| target_dir().join("tools"), PathBuf::from)
}

/// Prints a line for the person at the terminal.
#[expect(clippy::print_stdout, reason = "a command-line tool")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// A command that starts at the top of the project.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(root());
    command
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from))
}

/// Runs to the end; its output goes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    say(&format!("$ {shown}"));
    let status = command
        .status()
        .with_context(|| format!("can't start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs to the end and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start `{shown}`"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end, or kills it after `limit`. What it says is shown only in the error.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let shown = show(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't start `{shown}`"))?;
    let mut stderr = child.stderr.take().context("a pipe was asked for")?;
    let (sender, said) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // Half of what it said is better than nothing.
        let _broken = stderr.read_to_end(&mut text);
        let _gone = sender.send(String::from_utf8_lossy(&text).trim().to_owned());
    });
    // Closed when it ends, so this waits for the end.
    let Ok(said) = said.recv_timeout(limit) else {
        child
            .kill()
            .with_context(|| format!("can't stop `{shown}`"))?;
        child.wait()?;
        bail!("`{shown}` took longer than {limit:?}");
    };
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` failed ({status}): {said}");
    }
    Ok(())
}

/// Whether a program can be found.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn show(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .map(|n| n.to_string_lossy().into_owned());
    let mut words = vec![name.unwrap_or_default()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{command, run_within};

    #[test]
    fn what_takes_too_long_is_killed_and_what_fails_says_why() {
        let mut slow = command(Path::new("sleep"));
        let error = run_within(slow.arg("600"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
        let mut failing = command(Path::new("sh"));
        let error = run_within(
            failing.args(["-c", "echo reason >&2; exit 3"]),
            Duration::from_secs(600),
        )
        .unwrap_err();
        assert!(error.to_string().ends_with("reason"), "{error}");
        run_within(&mut command(Path::new("true")), Duration::from_secs(600)).unwrap();
    }
}
