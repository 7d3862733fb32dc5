//! Tests of `cargo xtask quickstart` with an existing server and hooks: which server it uses, what it prints, how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Timeout for an unoptimized server on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(300);

fn required(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`, which sets it"))
}

/// Returns the command with the server and hooks from the environment.
fn quickstart(data: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(["quickstart", "--listen", listen])
        .args(["--weir", &required("WEIR_TEST_BIN")])
        .args(["--hooks", &required("WEIR_TEST_HOOKS")])
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null());
    command
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Creates a shell script to run instead of the server.
fn script(folder: &Path, body: &str) -> String {
    let path = folder.join("weir");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn help_is_not_an_unknown_option() {
    for arguments in [["quickstart", "--help"], ["test", "-h"]] {
        let ended = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments)
            .output()
            .unwrap();
        let output = text(&ended);
        assert!(ended.status.success(), "{output}");
        assert!(output.contains("usage: cargo xtask COMMAND"), "{output}");
    }
}

#[test]
fn used_port_fails_before_building_and_without_calling_the_other_server() {
    let dir = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    // Without a server and hooks, the command would build them.
    let ended = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["quickstart", "--check", "--listen", &address, "--data"])
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    assert!(!ended.status.success());
    let output = text(&ended);
    assert!(
        output.contains(&format!("another program listens on {address}"))
            && output.contains("--listen"),
        "{output}"
    );
    assert!(
        !output.contains("Building") && !dir.path().join("data").exists(),
        "{output}"
    );
    other.set_nonblocking(true).unwrap();
    assert!(other.accept().is_err(), "the other server was called");
}

/// Returns a file of the repository without the marks of code.
fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(name)).unwrap();
    text.replace('`', "")
}

/// Regression test: the command announced another size than the README, and an earlier version printed nothing while it
/// built for eleven minutes.
#[test]
fn first_build_is_announced_and_its_progress_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let cargo = script(
        folder,
        "echo '   Compiling part v1.2.3' >&2; echo \"$@\"; exit 7",
    );
    let build = || {
        let ended = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["quickstart", "--check", "--listen", &free_address()])
            .arg("--hooks")
            .arg(folder)
            .arg("--data")
            .arg(folder.join("data"))
            .env("CARGO", &cargo)
            .env("CARGO_TARGET_DIR", folder)
            .output()
            .unwrap();
        assert!(!ended.status.success());
        ended
    };
    let first = build();
    let printed = String::from_utf8_lossy(&first.stdout);
    let (announced, rest) = printed.split_once('\n').unwrap();
    let (time, space) = announced
        .strip_prefix("Building the server and one hook. The first build takes ")
        .and_then(|rest| rest.strip_suffix("; later builds take seconds."))
        .and_then(|rest| rest.split_once(", and "))
        .unwrap_or_else(|| panic!("{announced}"));
    assert!(rest.contains("--package app --bin weir"), "{printed}");
    let progress = String::from_utf8_lossy(&first.stderr);
    assert!(progress.contains("Compiling part v1.2.3"), "{progress}");

    let readme = page("README.md");
    let row = |of: &str| {
        let found = readme.lines().find(|line| line.starts_with(of));
        found.unwrap_or_else(|| panic!("the README has no row {of}"))
    };
    assert!(row("| disk |").contains(&format!("{space} for quickstart")));
    let minutes = time.strip_suffix(" on 2 cores").unwrap();
    assert!(
        row("| time of the first build, on 2 cores |")
            .contains(&format!("{minutes} for quickstart"))
    );
    assert!(page("docs/get-started/install.md").contains(&format!("The first build takes {time}")));

    std::fs::create_dir_all(folder.join("quickstart")).unwrap();
    std::fs::write(folder.join("quickstart/weir"), "").unwrap();
    let again = build();
    let printed = String::from_utf8_lossy(&again.stdout);
    assert!(printed.starts_with("Rebuilding the server"), "{printed}");
}

#[test]
fn server_that_exits_at_start_is_reported_immediately() {
    let dir = tempfile::tempdir().unwrap();
    let weir = script(dir.path(), "echo 'weir: out of luck' >&2; exit 7");
    let ended = quickstart(&dir.path().join("data"), &free_address())
        .args(["--weir", &weir])
        .output()
        .unwrap();
    let output = text(&ended);
    assert!(!ended.status.success());
    assert!(
        output.contains("weir: out of luck")
            && output.contains("exited before it was ready (exit status: 7)"),
        "{output}"
    );
}

#[test]
fn server_with_another_process_id_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    // The ready file names a server that listens, but its process id differs from the started process.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let data = dir.path().join("data");
    let weir = script(
        dir.path(),
        &format!(
            "cd {}; echo '{{\"pid\": 1, \"address\": \"{address}\"}}' > written; mv written ready.json; exec cat > /dev/null",
            data.display()
        ),
    );
    let ended = quickstart(&data, &free_address())
        .args(["--weir", &weir])
        .output()
        .unwrap();
    let output = text(&ended);
    assert!(!ended.status.success());
    assert!(
        output.contains("is process 1, not the process that was started here"),
        "{output}"
    );
    other.set_nonblocking(true).unwrap();
    assert!(other.accept().is_err(), "the other server was called");
}

/// A running quickstart that has finished its tour.
struct Serving {
    child: Child,
    printed: String,
    address: String,
    /// The server's process id.
    server: u64,
    _dir: tempfile::TempDir,
}

impl Serving {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut child = quickstart(&data, "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            printed.push_str(&line);
            printed.push('\n');
            if line.contains("until you press Ctrl-C") {
                let ready = std::fs::read_to_string(data.join("ready.json")).unwrap();
                let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
                return Self {
                    child,
                    printed,
                    address: ready["address"].as_str().unwrap().to_owned(),
                    server: ready["pid"].as_u64().unwrap(),
                    _dir: dir,
                };
            }
        }
        panic!("the quickstart exited: {:?}\n{printed}", child.wait());
    }

    fn send_signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    fn server_runs(&self) -> bool {
        // A zombie has exited but is still listed.
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.server));
        state.is_ok_and(|s| {
            !s.rsplit(')')
                .next()
                .unwrap_or_default()
                .trim()
                .starts_with('Z')
        })
    }

    fn wait_for_server_exit(&self, why: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while self.server_runs() {
            assert!(Instant::now() < deadline, "the server outlived {why}");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(TcpStream::connect(&self.address).is_err(), "{why}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail only if the process has already exited. The server ends with it.
        let _exited = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn server_ends_with_the_quickstart_after_a_signal() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let mut serving = Serving::start();
        serving.send_signal(signal);
        let status = serving.child.wait().unwrap();
        assert!(status.success(), "{signal}: {status}");
        // The quickstart waits for the server before it exits.
        assert!(!serving.server_runs(), "{signal}");
        serving.wait_for_server_exit(signal);
    }
}

#[test]
fn server_ends_with_a_killed_quickstart() {
    let mut serving = Serving::start();
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    serving.wait_for_server_exit("-KILL");
}

/// Runs the commands that the tour prints in both shells. A script replaces `lakectl` and uses its settings with curl.
#[test]
fn printed_commands_work_in_bash_and_zsh() {
    let serving = Serving::start();
    let printed = &serving.printed;
    let lines: Vec<&str> = printed
        .split("Copy this")
        .nth(1)
        .unwrap_or_else(|| panic!("{printed}"))
        .lines()
        .filter_map(|l| l.strip_prefix("    "))
        .collect();
    for word in ["aws ", "lakectl ", "python3 ", "curl "] {
        assert!(
            lines.iter().any(|l| l.starts_with(word)),
            "{word}: {printed}"
        );
    }
    assert!(
        printed.contains(&format!(
            "The gate's run can be read at http://{}/",
            serving.address
        )),
        "{printed}"
    );
    let dir = tempfile::tempdir().unwrap();
    let lakectl = dir.path().join("lakectl");
    std::fs::write(
        &lakectl,
        "#!/bin/sh\n[ \"$*\" = 'log lakefs://quickstart/main' ] || exit 9\nexec curl -s --fail -u \"$LAKECTL_CREDENTIALS_ACCESS_KEY_ID:$LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY\" \"$LAKECTL_SERVER_ENDPOINT_URL/api/v1/repositories/quickstart/refs/main/commits\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&lakectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let python = PathBuf::from(required("WEIR_TEST_PYTHON"));
    let path = format!(
        "{}:{}:{}",
        dir.path().display(),
        python.parent().unwrap().display(),
        required("PATH")
    );
    for (shell, option) in [("bash", "--norc"), ("zsh", "-f")] {
        let mut started = Command::new(shell)
            .args([option, "-eu"])
            .env_clear()
            .env("PATH", &path)
            .env("HOME", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{shell}: {e}"));
        started
            .stdin
            .take()
            .unwrap()
            .write_all(lines.join("\n").as_bytes())
            .unwrap();
        let mut out = String::new();
        started
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        assert!(started.wait().unwrap().success(), "{shell}:\n{out}");
        for expected in [
            // The output of aws, python, curl for the run, and curl for the hook's output.
            "main/tables/flights/2013-01.parquet",
            "flights of the first month, and the gate",
            "\"status\":\"failed\"",
            "retyped-column",
        ] {
            assert!(out.contains(expected), "{shell}: no {expected} in:\n{out}");
        }
    }
}
