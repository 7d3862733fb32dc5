//! Measures the time from exec to the first response, with an empty and with a used data folder.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::milliseconds;
use crate::process::{Database, built_binary, command, free_port};
use crate::say;

const STARTS: usize = 20;
const GIVE_UP: Duration = Duration::from_secs(20);

#[expect(
    clippy::unused_async,
    reason = "the same shape as the other benchmarks"
)]
pub(crate) async fn run() -> Result<()> {
    say("| database | folder | median ms | longest ms |");
    say("|---|---|--:|--:|");
    let binary = &built_binary()?;
    for database in [Database::Sqlite, Database::Postgres] {
        let kept = tempfile::tempdir()?;
        let port = free_port()?;
        start_once(binary, database, &kept, port)?;
        row(database, "used before", || {
            start_once(binary, database, &kept, port)
        })?;
        row(database, "empty", || {
            start_once(binary, database, &tempfile::tempdir()?, free_port()?)
        })?;
    }
    Ok(())
}

fn row(
    database: Database,
    folder: &str,
    mut start: impl FnMut() -> Result<Duration>,
) -> Result<()> {
    let mut taken = (0..STARTS).map(|_| start()).collect::<Result<Vec<_>>>()?;
    taken.sort_unstable();
    let (median, longest) = (taken[STARTS / 2], taken[STARTS - 1]);
    say(&format!(
        "| {} | {folder} | {} | {} |",
        database.name(),
        milliseconds(median),
        milliseconds(longest)
    ));
    Ok(())
}

/// Starts a server, polls it without pause until it responds, and stops it.
pub(crate) fn start_once(
    binary: &Path,
    database: Database,
    data: &tempfile::TempDir,
    port: u16,
) -> Result<Duration> {
    let mut command = command(binary, database, data, port)?;
    let started = Instant::now();
    let mut child = command.spawn()?;
    let mut answered = false;
    while !answered && started.elapsed() < GIVE_UP {
        answered = ask(port);
    }
    let taken = started.elapsed();
    child.kill()?;
    child.wait()?;
    ensure!(answered, "the server was not ready within {GIVE_UP:?}");
    Ok(taken)
}

fn ask(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        std::thread::yield_now();
        return false;
    };
    let mut answer = [0; 12];
    let sent =
        stream.write_all(b"GET /_health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    sent.is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"HTTP/1.1 200"
}
