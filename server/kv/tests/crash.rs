//! Tests that a process killed during its writes loses no acknowledged write.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use kv::{Op, Predicate, SqliteStore, Store as _};

use crate::sqlite::options;

const ROUNDS: usize = 10;
const WRITERS: usize = 8;
/// Environment variable of the process to be killed. It holds the path of the database.
const VICTIM: &str = "WEIR_TEST_KV_CRASH_VICTIM";

/// Starts this test as a child process, records the writes that the child acknowledges, kills it, and
/// checks the database.
#[test]
fn acknowledged_writes_survive_a_kill() {
    if let Some(path) = std::env::var_os(VICTIM) {
        write_until_killed(Path::new(&path));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::acknowledged_writes_survive_a_kill",
                "--nocapture",
            ])
            .env(VICTIM, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap());
        let mut line = String::new();
        let mut count = 0;
        // Kill the child after a different number of writes each round, then read the rest of the pipe.
        while lines.read_line(&mut line).unwrap() > 0 {
            // The last line may be truncated, and the test harness prints lines too.
            if let Some(key) = line
                .strip_prefix("acknowledged ")
                .and_then(|key| key.strip_suffix('\n'))
            {
                acknowledged.push(key.to_owned());
                count += 1;
            }
            if count == 40 + 37 * round {
                victim.kill().unwrap();
            }
            line.clear();
        }
        assert!(
            !victim.wait().unwrap().success(),
            "the child was killed and did not exit by itself"
        );
        assert!(
            count >= 40 + 37 * round,
            "only {count} writes were acknowledged"
        );
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check_database(&path, &acknowledged, round));
    }
}

async fn check_database(path: &Path, acknowledged: &[String], round: usize) {
    let store = SqliteStore::open(options(path)).await.unwrap();
    for key in acknowledged {
        let (single, pair) = (format!("single/{key}"), format!("pair/{key}"));
        for key in [single, format!("{pair}/1"), format!("{pair}/2")] {
            assert!(
                store.get(b"p", key.as_bytes()).await.unwrap().is_some(),
                "round {round} lost {key}"
            );
        }
    }
    // No batch may be applied partially, whether it was acknowledged or not.
    let pairs = kv::first_entries(&store, b"p", b"pair/", usize::MAX);
    assert_eq!(
        pairs.await.unwrap().len() % 2,
        0,
        "round {round} left a partial batch"
    );
    store.close().await;
}

fn write_until_killed(path: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(options(path)).await.unwrap());
        let writers = (0..WRITERS).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for index in 0.. {
                    let key = format!("{}/{writer}/{index}", std::process::id());
                    store
                        .set(b"p", format!("single/{key}").as_bytes(), Bytes::new())
                        .await
                        .unwrap();
                    let op = |half: u8| Op::Set {
                        partition: Bytes::from_static(b"p"),
                        key: format!("pair/{key}/{half}").into(),
                        value: Bytes::new(),
                        predicate: Some(Predicate::Absent),
                    };
                    store.batch(vec![op(1), op(2)]).await.unwrap();
                    // Write each line with one call, so that lines of several tasks do not mix.
                    std::io::stdout()
                        .write_all(format!("acknowledged {key}\n").as_bytes())
                        .unwrap();
                }
            })
        });
        futures::future::join_all(writers).await;
    });
}
