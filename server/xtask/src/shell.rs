//! Runs other programs. Errors contain the command line.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Returns the project's root folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("xtask is two folders below the root")
        .to_owned()
}

/// Returns cargo's target folder.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns the folder for installed tools, such as the Python environment. `WEIR_TOOLS` can set a folder outside the
/// project.
pub(crate) fn tools_dir() -> PathBuf {
    std::env::var_os("WEIR_TOOLS").map_or_else(|| target_dir().join("tools"), PathBuf::from)
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "a command-line tool")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Returns a command that runs in the project's root folder.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(root());
    command
}

/// Returns a command for the cargo that runs this program.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from))
}

/// Prints and runs a command. Its output goes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    say(&format!("$ {shown}"));
    let status = command
        .status()
        .with_context(|| format!("failed to start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a command and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start `{shown}`"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command and kills it after `limit`. Its error output appears only in the returned error.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let shown = show(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start `{shown}`"))?;
    let mut stderr = child
        .stderr
        .take()
        .context("the child has no stderr pipe")?;
    let (sender, messages) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // If reading fails, send what has been read.
        let _failed = stderr.read_to_end(&mut text);
        let _receiver_dropped = sender.send(String::from_utf8_lossy(&text).trim().to_owned());
    });
    // The pipe closes when the program ends, so this waits for the end.
    let Ok(message) = messages.recv_timeout(limit) else {
        child
            .kill()
            .with_context(|| format!("failed to stop `{shown}`"))?;
        child.wait()?;
        bail!("`{shown}` took longer than {limit:?}");
    };
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` failed ({status}): {message}");
    }
    Ok(())
}

/// Returns whether a program is in the `PATH`.
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
    fn slow_command_is_killed_and_failing_command_reports_its_stderr() {
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
