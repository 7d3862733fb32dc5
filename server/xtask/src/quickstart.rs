//! `cargo xtask quickstart`: from a fresh machine to a guarded repository, seen at work.

use std::process::{Child, Command};

use anyhow::{Context as _, Result, bail};

use crate::hooks;
use crate::shell::{cargo, command, root, run, say, target_dir};

/// Where the quickstart serves.
const URL: &str = "http://127.0.0.1:8000";

/// Sets up, builds, serves, and shows a merge that is refused and one that lands.
/// Goes on serving until it is interrupted, unless `check`.
pub(crate) fn run_it(check: bool) -> Result<()> {
    let components = hooks::build()?;
    run(cargo().args([
        "build",
        "--quiet",
        "--package",
        "app",
        "--package",
        "system-tests",
        "--bins",
    ]))?;
    let debug = target_dir().join("debug");
    let data = target_dir().join("quickstart");
    if check && data.exists() {
        std::fs::remove_dir_all(&data).context("can't clear the data of the last quickstart")?;
    }
    let keys = data.join("quickstart-credentials.json");
    let mut server = Server(start(&debug.join("weir"), &data)?);
    let tour = run(command(debug.join("tour"))
        .arg(URL)
        .arg(&components)
        .arg(root().join("example-hooks/parquet-guard/testdata"))
        .arg(&keys));
    if let Some(status) = server.0.try_wait()? {
        bail!("the server ended by itself ({status}); is port 8000 taken?");
    }
    tour?;
    if check {
        return Ok(());
    }
    say(&format!(
        "\nWeir serves on {URL}; its data lies in {}, its keys in {}. Ctrl-C stops it.",
        data.display(),
        keys.display()
    ));
    let status = server.0.wait().context("can't wait for the server")?;
    if status.success() {
        Ok(())
    } else {
        bail!("the server ended: {status}")
    }
}

fn start(weir: &std::path::Path, data: &std::path::Path) -> Result<Child> {
    let mut server = Command::new(weir);
    server
        .args(["run", "--quickstart", "--data"])
        .arg(data)
        .env("WEIR_LOGGING_OUTPUT", "=")
        .env("WEIR_LOGGING_LEVEL", "warn")
        .env_remove("WEIR_TOOLS");
    server
        .spawn()
        .with_context(|| format!("can't start {}", weir.display()))
}

/// The server, stopped with us.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already where it was interrupted together with us.
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}
