//! A process killed in the middle of its writes loses none that it acknowledged.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use kv::{Op, Predicate, SqliteStore, Store as _};

use crate::sqlite::options;

const ROUNDS: usize = 10;
const WRITERS: usize = 8;
/// Tells the test that it is the process to be killed, and where the database is.
const VICTIM: &str = "WEIR_TEST_KV_CRASH_VICTIM";

/// Starts itself again as the victim, reads what it acknowledges, kills it, and looks.
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
        let mut heard = 0;
        // A different number each round; after the kill, what is still in the pipe.
        while lines.read_line(&mut line).unwrap() > 0 {
            // The last line may be cut short, and the test harness prints some of its own.
            if let Some(key) = line
                .strip_prefix("acknowledged ")
                .and_then(|key| key.strip_suffix('\n'))
            {
                acknowledged.push(key.to_owned());
                heard += 1;
            }
            if heard == 40 + 37 * round {
                victim.kill().unwrap();
            }
            line.clear();
        }
        assert!(
            !victim.wait().unwrap().success(),
            "it was killed, and did not end by itself"
        );
        assert!(
            heard >= 40 + 37 * round,
            "only {heard} writes were acknowledged"
        );
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(all_there(&path, &acknowledged, round));
    }
}

async fn all_there(path: &Path, acknowledged: &[String], round: usize) {
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
    // And no batch is there by half, acknowledged or not.
    let pairs = store.scan(b"p", b"pair/", 1_000_000).await.unwrap();
    let pairs = pairs
        .iter()
        .take_while(|entry| entry.key.starts_with(b"pair/"))
        .count();
    assert_eq!(pairs % 2, 0, "round {round} left half a batch");
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
                    // One write call a line, so that lines do not mix.
                    std::io::stdout()
                        .write_all(format!("acknowledged {key}\n").as_bytes())
                        .unwrap();
                }
            })
        });
        futures::future::join_all(writers).await;
    });
}
