//! Compares server binaries by the instructions that they execute for each request, on SQLite. Unlike CPU
//! times, counts do not depend on the load of the machine. They exclude the kernel and the cost of cache misses.
//!
//! Needs valgrind, whose tool callgrind counts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::compare::{change, given_or_built};
use crate::load::measure_up_to;
use crate::process::{Database, Server, command};
use crate::{say, serve};

/// How often a request is sent before it is counted, to fill caches.
const WARM_UP: u64 = 20;
const READS: u64 = 200;
const WRITES: u64 = 100;
/// How long the server may work after its last response.
const SETTLE: Duration = Duration::from_secs(3);
/// A limit that no row reaches.
const TIME: Duration = Duration::from_secs(600);
const DUMP_TRIES: usize = 100;
const DUMP_PAUSE: Duration = Duration::from_millis(100);

/// A server under callgrind, and the folder of the counts.
struct Counted {
    server: Arc<Server>,
    folder: tempfile::TempDir,
    dumps: u32,
}

pub(crate) async fn run(binaries: &[&str]) -> Result<()> {
    let binaries = given_or_built(binaries)?;
    let mut rows: Vec<(&'static str, Vec<u64>)> = Vec::new();
    for (at, binary) in binaries.iter().enumerate() {
        for (order, (name, count)) in count(Path::new(binary)).await?.into_iter().enumerate() {
            if at == 0 {
                rows.push((name, Vec::new()));
            }
            rows[order].1.push(count);
        }
    }
    let columns: Vec<String> = (1..binaries.len())
        .map(|n| format!(" binary {n} | change |"))
        .collect();
    say(&format!("| instructions | baseline |{}", columns.concat()));
    say(&format!("|---|--:|{}", "--:|--:|".repeat(columns.len())));
    for (name, counts) in rows {
        let mut line = format!("| {name} | {} |", counts[0]);
        for count in &counts[1..] {
            let change = change(counts[0] as f64, *count as f64);
            line.push_str(&format!(" {count} | {change:+.1} % |"));
        }
        say(&line);
    }
    Ok(())
}

/// Counts one binary. The rows are always the same, in the same order.
async fn count(binary: &Path) -> Result<Vec<(&'static str, u64)>> {
    let mut counted = Counted::start(binary).await?;
    let commit = serve::prepare(&counted.server).await?;
    let stat = move |s, n| serve::stat(s, n, commit.clone());
    let mut rows = vec![
        ("stat by commit", counted.warm(READS, stat).await?),
        ("GET 1 KiB", counted.warm(READS, serve::get).await?),
        ("PUT 1 KiB", counted.warm(WRITES, serve::put(1)).await?),
        (
            "listing page of 1,000",
            counted.warm(WRITES, serve::list).await?,
        ),
    ];
    serve::stage_changes(&counted.server, 1, WRITES).await?;
    let commits = counted.cold(WRITES, serve::commit_one(1)).await?;
    rows.push(("commit of one change", commits));
    let loops = counted.cold(WRITES, serve::whole_loop(1)).await?;
    rows.push(("branch + PUT + commit + merge", loops));
    Ok(rows)
}

impl Counted {
    async fn start(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("counts");
        let server = Server::start_with(|data, port| {
            let server = command(binary, Database::Sqlite, data, port)?;
            let mut counting = Command::new("valgrind");
            counting
                .args(["--tool=callgrind", "--instr-atstart=no", "--quiet"])
                .arg(format!("--callgrind-out-file={}", out.display()))
                .arg(server.get_program())
                .args(server.get_args())
                .stdout(Stdio::null());
            for (name, value) in server.get_envs() {
                counting.env(name, value.unwrap_or_default());
            }
            Ok(counting)
        });
        let server = server
            .await
            .context("start the server under valgrind (Debian package valgrind)")?;
        let counted = Self {
            server: Arc::new(server),
            folder,
            dumps: 0,
        };
        counted.control(&["--instr=on"])?;
        Ok(counted)
    }

    /// Instructions per request, after requests that are not counted.
    async fn warm<F, R>(&mut self, requests: u64, request: F) -> Result<u64>
    where
        F: Fn(Arc<Server>, u64) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send + 'static,
    {
        measure_up_to(WARM_UP, &self.server, 1, TIME, request.clone()).await?;
        self.cold(requests, request).await
    }

    async fn cold<F, R>(&mut self, requests: u64, request: F) -> Result<u64>
    where
        F: Fn(Arc<Server>, u64) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send + 'static,
    {
        // Work that the server does after earlier responses is not counted; work after the responses of this row is.
        settle().await;
        self.control(&["--zero"])?;
        measure_up_to(requests, &self.server, 1, TIME, request).await?;
        settle().await;
        Ok(self.dump().await? / requests)
    }

    /// Writes the counts since the last zero to a file, and returns their total.
    async fn dump(&mut self) -> Result<u64> {
        self.control(&["--dump"])?;
        self.dumps += 1;
        let file = self.folder.path().join(format!("counts.{}", self.dumps));
        let mut pause = tokio::time::interval(DUMP_PAUSE);
        for _ in 0..DUMP_TRIES {
            pause.tick().await;
            if let Some(total) = total(&file)? {
                return Ok(total);
            }
        }
        bail!("callgrind did not write {}", file.display())
    }

    fn control(&self, arguments: &[&str]) -> Result<()> {
        let done = Command::new("callgrind_control")
            .args(arguments)
            .arg(self.server.process_id().to_string())
            .output()
            .context("run callgrind_control (Debian package valgrind)")?;
        let error = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "callgrind_control failed: {error}");
        Ok(())
    }
}

/// Waits for the work that the server does after its last response.
async fn settle() {
    let start = tokio::time::Instant::now() + SETTLE;
    tokio::time::interval_at(start, SETTLE).tick().await;
}

/// The total of a complete file of counts.
fn total(file: &PathBuf) -> Result<Option<u64>> {
    let Ok(text) = std::fs::read_to_string(file) else {
        return Ok(None);
    };
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.map(|total| total.trim().parse()).transpose()?)
}
