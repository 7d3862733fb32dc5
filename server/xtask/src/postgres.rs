//! Starts a temporary PostgreSQL server for tests. It listens on loopback only and is removed when dropped.

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
    /// Starts a server with a new cluster. `durable` enables the durability settings of production.
    pub(crate) fn start(durable: bool) -> Result<Self> {
        let binaries = postgres_binaries()?;
        // Use the system's temporary folder, which the user `postgres` can access.
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
        .context("failed to create a PostgreSQL cluster")?;
        let mut options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c max_connections=200",
            server.dir.display()
        );
        if !durable {
            options.push_str(" -c fsync=off -c synchronous_commit=off -c full_page_writes=off");
        }
        // Log to a file. The server outlives `pg_ctl` and would otherwise keep our output pipe open.
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
        .context("failed to start PostgreSQL")?;
        Ok(server)
    }

    /// Returns the connection string.
    pub(crate) fn connection_string(&self) -> String {
        format!("postgres://weir@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns the path of the `psql` client.
    pub(crate) fn psql(&self) -> PathBuf {
        self.binaries.join("psql")
    }

    /// Returns a command for a program of PostgreSQL, which refuses to run as root.
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
            crate::shell::say(&format!("failed to stop PostgreSQL: {e:#}"));
        }
        if let Err(e) = std::fs::remove_dir_all(&self.dir) {
            crate::shell::say(&format!("failed to remove {}: {e}", self.dir.display()));
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
