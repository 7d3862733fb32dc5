//! Objects whose bytes in the store were damaged: clients must notice, and the operator finds the object in the log.

use std::fs::OpenOptions;
use std::path::PathBuf;

use futures::StreamExt as _;
use system_tests::{Backend, MAIN, TestServer};

/// More than the buffers between server and client hold.
const LARGE_BYTES: usize = 64 << 20;

/// Returns the file with the bytes of an object.
fn stored_file(server: &TestServer, size: u64) -> PathBuf {
    let mut folders = vec![server.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.metadata().unwrap().len() == size {
                return entry.path();
            }
        }
    }
    panic!("no file of {size} bytes");
}

fn resize(file: &PathBuf, size: u64) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(size).unwrap();
}

async fn get(server: &TestServer, repo: &str, path: &str) -> reqwest::Response {
    let (key, secret) = server.keys();
    let url = format!(
        "{}/api/v1/repositories/{repo}/refs/{MAIN}/objects?path={path}",
        server.url()
    );
    let http = ::client::http_builder().build().unwrap();
    let request = http.get(url).basic_auth(key, Some(secret));
    request.send().await.unwrap()
}

/// Regression test: the connection broke before a status was sent, and the log said nothing.
#[tokio::test]
async fn object_of_the_wrong_size_is_an_error_with_a_line_in_the_log() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("damaged").await;
    repo.put(MAIN, "small", vec![b'x'; 12_347]).await.unwrap();
    let file = stored_file(&server, 12_347);
    for size in [0, 12_346, 12_348] {
        resize(&file, size);
        let answer = get(&server, "damaged", "small").await;
        assert_eq!(answer.status(), 500);
        let text = answer.text().await.unwrap();
        assert!(text.contains("stored data has the wrong size"), "{text}");
    }
    let log = server.log();
    let name = file.file_name().unwrap().to_str().unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("12346 bytes in the store"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in ["ERROR", "damaged", "small", "local://", name] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// Regression test: the log had no line about an answer that was cut off.
#[tokio::test]
async fn object_that_is_cut_off_while_it_is_read_breaks_the_answer() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("damaged").await;
    repo.put(MAIN, "large", vec![b'x'; LARGE_BYTES])
        .await
        .unwrap();
    let file = stored_file(&server, LARGE_BYTES as u64);
    let answer = get(&server, "damaged", "large").await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.bytes_stream();
    let mut read = body.next().await.unwrap().unwrap().len();
    resize(&file, 1000);
    let broken = loop {
        match body.next().await {
            Some(Ok(piece)) => read += piece.len(),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken && read < LARGE_BYTES, "{read} bytes");
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("failed to read all bytes"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in ["ERROR", "damaged", "large", "local://"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
