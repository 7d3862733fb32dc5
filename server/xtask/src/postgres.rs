//! A PostgreSQL server of the tests' own: a fresh database, loopback only, gone when dropped.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::setup::postgres_binaries;
use crate::shell::{command, output, run};

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    dir: PathBuf,
    binaries: PathBuf,
    port: u16,
}

impl Postgres {
    /// Starts a server with a new, empty cluster. `durable` turns on what production has on.
    pub(crate) fn start(durable: bool) -> Result<Self> {
        let binaries = postgres_binaries()?;
        // Below the system's temporary folder, since the user `postgres` must be able to reach it.
        let dir = std::env::temp_dir().join(format!("weir-postgres-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Self {
            dir,
            binaries,
            port,
        };
        if is_root()? {
            run(command("chown").arg("postgres:").arg(&server.dir))?;
        }
        let data = server.dir.join("data");
        output(server.tool("initdb").arg("-D").arg(&data).args([
            "-U",
            "weir",
            "--auth=trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]))
        .context("can't make a PostgreSQL cluster")?;
        let mut options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c max_connections=200",
            server.dir.display()
        );
        if !durable {
            options.push_str(" -c fsync=off -c synchronous_commit=off -c full_page_writes=off");
        }
        // Its output must not hold our own open: it outlives the command that starts it.
        run(server
            .tool("pg_ctl")
            .arg("-D")
            .arg(&data)
            .arg("-w")
            .arg("-l")
            .arg(server.dir.join("log"))
            .arg("-o")
            .arg(options)
            .arg("start"))
        .context("can't start PostgreSQL")?;
        Ok(server)
    }

    /// How to connect.
    pub(crate) fn connection_string(&self) -> String {
        format!("postgres://weir@127.0.0.1:{}/postgres", self.port)
    }

    /// The client that comes with the server.
    pub(crate) fn psql(&self) -> PathBuf {
        self.binaries.join("psql")
    }

    /// A program of PostgreSQL's, run as a user that it accepts: never root.
    fn tool(&self, name: &str) -> Command {
        let program = self.binaries.join(name);
        if !is_root().unwrap_or(false) {
            return at(&self.dir, Command::new(program));
        }
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "env",
        ]);
        command
            .arg(format!("HOME={}", self.dir.display()))
            .arg(program);
        at(&self.dir, command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stopped = output(
            self.tool("pg_ctl")
                .arg("-D")
                .arg(self.dir.join("data"))
                .args(["-m", "immediate", "-w", "stop"]),
        );
        if let Err(e) = stopped {
            crate::shell::say(&format!("PostgreSQL did not stop: {e:#}"));
        }
        if let Err(e) = std::fs::remove_dir_all(&self.dir) {
            crate::shell::say(&format!("{} is left behind: {e}", self.dir.display()));
        }
    }
}

fn at(dir: &Path, mut command: Command) -> Command {
    command.current_dir(dir).stdin(std::process::Stdio::null());
    command
}

fn is_root() -> Result<bool> {
    Ok(output(command("id").arg("-u"))?.trim() == "0")
}
