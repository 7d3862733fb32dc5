//! Runs the commands of a page in one shell and returns what each printed.

use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A shell's program and the option that skips personal settings.
pub(super) type Shell = (&'static str, &'static str);

pub(super) const BASH: Shell = ("bash", "--norc");
pub(super) const ZSH: Shell = ("zsh", "-f");

/// Result of a command.
#[derive(Debug)]
pub(super) struct CommandResult {
    pub(super) status: String,
    pub(super) output: String,
    /// Whether the output ends with a line break.
    pub(super) ends_line: bool,
}

/// Runs commands in one shell, in `folder`. Programs that they start in the background end with
/// the shell.
pub(super) fn run(shell: Shell, folder: &Path, commands: &[&str]) -> Vec<CommandResult> {
    // Makes curl fail on error statuses, although examples do not pass that option.
    let mut script = "set -u\ncurl() { command curl --fail-with-body \"$@\"; }\n".to_owned();
    for command in commands {
        writeln!(
            script,
            "printf '\\n@@begin\\n'\n{command}\nprintf '\\n@@end %s\\n' \"$?\""
        )
        .unwrap();
    }
    let file = folder.join("examples");
    std::fs::write(&file, script).unwrap();
    let child = Command::new(shell.0)
        .arg(shell.1)
        .arg(&file)
        .current_dir(folder)
        .env_clear()
        .env("PATH", path())
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Run in a separate process group, so that programs in the background can be ended with it.
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| {
            panic!(
                "{} failed to start ({e}): run `cargo xtask test`, which installs it",
                shell.0
            )
        });
    let group = format!("-{}", child.id());
    let output = child.wait_with_output().unwrap();
    // It fails if nothing runs in the background.
    let _nothing_left = Command::new("kill")
        .args(["-TERM", "--", &group])
        .stderr(Stdio::null())
        .status();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let ran: Vec<CommandResult> = printed
        .split("\n@@begin\n")
        .skip(1)
        .map(|part| {
            let (output, rest) = part.split_once("\n@@end ").unwrap_or((part, "none"));
            CommandResult {
                status: rest.trim().to_owned(),
                ends_line: output.ends_with('\n'),
                output: output.trim().to_owned(),
            }
        })
        .collect();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        ran.len(),
        commands.len(),
        "{} stopped early:\n{printed}\n{error}",
        shell.0
    );
    assert!(
        error.trim().is_empty(),
        "{} complains:\n{error}\n{printed}",
        shell.0
    );
    ran
}

/// Returns a search path that has the tests' Python environment first, for `aws` and `python3`.
fn path() -> std::ffi::OsString {
    let python = std::env::var_os("WEIR_TEST_PYTHON")
        .expect("WEIR_TEST_PYTHON is not set: run `cargo xtask test`");
    let folder = PathBuf::from(python)
        .parent()
        .expect("the program has no folder")
        .to_owned();
    let folders = std::iter::once(folder).chain(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>(),
    );
    std::env::join_paths(folders).unwrap()
}
