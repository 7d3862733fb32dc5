//! A server process for benchmarks, and its CPU time.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

pub(crate) const KEY: &str = "AKIABENCHBENCHBENCHQ";
pub(crate) const SECRET: &str = "bench-secret-of-this-run-only";

/// The database of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A running server. On drop, it is stopped and its data is deleted.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) http: Client,
    data: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start(database: Database) -> Result<Self> {
        Self::start_binary(&built_binary()?, database).await
    }

    pub(crate) async fn start_binary(binary: &Path, database: Database) -> Result<Self> {
        Self::start_with(|data, port| command(binary, database, data, port)).await
    }

    /// Starts the command that `command` returns for a folder of data and a port.
    pub(crate) async fn start_with(
        command: impl FnOnce(&tempfile::TempDir, u16) -> Result<Command>,
    ) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let port = free_port()?;
        let child = command(&data, port)?
            .spawn()
            .context("failed to start the server")?;
        let url = format!("http://127.0.0.1:{port}");
        let http = client::http_builder().pool_max_idle_per_host(256).build()?;
        let mut server = Self {
            child,
            url,
            http,
            data,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while Instant::now() < deadline {
            pause.tick().await;
            if let Some(status) = self.child.try_wait()? {
                bail!("the server exited during startup: {status}");
            }
            let answer = self.http.get(format!("{}/_health", self.url)).send().await;
            if answer.is_ok_and(|a| a.status().is_success()) {
                return Ok(());
            }
        }
        bail!("the server is not ready after 60 seconds")
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the user and system time of the server so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat
            .rsplit_once(") ")
            .context("/proc/PID/stat has an unexpected format")?
            .1;
        let fields: Vec<&str> = after_name.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // USER_HZ is 100 on every architecture that this runs on.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Returns the resident memory.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        Ok(self.resident_and_shared_bytes()?.0)
    }

    /// Returns the resident memory without the pages of files, which are mostly those of the program.
    pub(crate) fn anonymous_bytes(&self) -> Result<u64> {
        let (resident, shared) = self.resident_and_shared_bytes()?;
        Ok(resident.saturating_sub(shared))
    }

    fn resident_and_shared_bytes(&self) -> Result<(u64, u64)> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let mut pages = statm.split(' ').skip(1).map(str::parse::<u64>);
        match (pages.next(), pages.next()) {
            (Some(resident), Some(shared)) => Ok((resident? * 4096, shared? * 4096)),
            _ => bail!("/proc/PID/statm has an unexpected format"),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/api/v1{path}", self.url))
            .basic_auth(KEY, Some(SECRET))
    }

    pub(crate) async fn json(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let answer = check(self.request(method, path).json(&body).send().await?).await?;
        let text = answer.text().await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn put(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<()> {
        let url = format!("/repositories/{repository}/branches/{branch}/objects?path={path}");
        let request = self
            .request(Method::POST, &url)
            .header("content-type", "application/octet-stream");
        drain(check(request.body(body).send().await?).await?).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<()> {
        drain(check(self.request(Method::GET, path).send().await?).await?).await
    }

    pub(crate) async fn repository(&self, name: &str) -> Result<()> {
        let body = serde_json::json!({ "name": name, "storage_namespace": format!("local://{name}"), "default_branch": "main" });
        self.json(Method::POST, "/repositories", body)
            .await
            .map(|_| ())
    }

    pub(crate) async fn commit(&self, repository: &str, branch: &str) -> Result<()> {
        let body = serde_json::json!({ "message": "bench" });
        self.json(
            Method::POST,
            &format!("/repositories/{repository}/branches/{branch}/commits"),
            body,
        )
        .await
        .map(|_| ())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already. Its data is deleted with the folder.
        let _gone = self.child.kill();
        let _status = self.child.wait();
        let _folder = self.data.path();
    }
}

/// Returns the server binary that `cargo xtask bench` built.
pub(crate) fn built_binary() -> Result<PathBuf> {
    std::env::var_os("WEIR_TEST_BIN")
        .map(PathBuf::from)
        .context("run `cargo xtask bench`: WEIR_TEST_BIN is not set")
}

/// Returns the command that starts a server on a port with a database.
pub(crate) fn command(
    binary: &Path,
    database: Database,
    data: &tempfile::TempDir,
    port: u16,
) -> Result<Command> {
    let mut command = Command::new(binary);
    command
        .args(["run", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data.path())
        .env("WEIR_INSTALLATION_USER_NAME", "bench")
        .env("WEIR_INSTALLATION_ACCESS_KEY_ID", KEY)
        .env("WEIR_INSTALLATION_SECRET_ACCESS_KEY", SECRET)
        .env("WEIR_LOGGING_LEVEL", "error")
        .stdout(Stdio::null());
    if database == Database::Postgres {
        let url = std::env::var("WEIR_TEST_POSTGRES")
            .context("run `cargo xtask bench`: WEIR_TEST_POSTGRES is not set")?;
        let separator = if url.contains('?') { '&' } else { '?' };
        let table = format!("bench_{port}");
        command.env("WEIR_DATABASE_TYPE", "postgres");
        command.env(
            "WEIR_DATABASE_POSTGRES_CONNECTION_STRING",
            format!("{url}{separator}lakefskv_table={table}"),
        );
    }
    Ok(command)
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub(crate) async fn check(answer: Response) -> Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    bail!("{status}: {text}")
}

async fn drain(answer: Response) -> Result<()> {
    answer.bytes().await?;
    Ok(())
}
