//! Weir responds like lakeFS: replays recorded conversations on both databases.
//!
//! `compat/conformance` has recordings and scripts and is not edited here. `compat/AREA_later.txt`
//! lists the steps of an area that wait for a feature.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use system_tests::{Backend, Museum, Records, Setup, TestServer, python, try_python};

/// The webhook receiver of area `hooks` needs the port that is in the recordings.
static HOOKS_PORT: Mutex<()> = Mutex::new(());
/// The same for area `action_files`.
static ACTION_FILES_PORT: Mutex<()> = Mutex::new(());

fn setup_auth_and_main(backend: Backend) {
    let server = TestServer::start_with(backend, Setup::Open);
    server.conformance("setup");
    server.conformance("auth,main");
}

fn hooks(backend: Backend) {
    let _alone = HOOKS_PORT.lock().unwrap_or_else(PoisonError::into_inner);
    let server = TestServer::start(backend);
    server.conformance("hooks");
}

fn action_files(backend: Backend) {
    let _alone = ACTION_FILES_PORT
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let server = TestServer::start(backend);
    server.conformance("action_files");
}

fn versioning(backend: Backend) {
    TestServer::start(backend).conformance("versioning");
}

fn objects(backend: Backend) {
    TestServer::start(backend).conformance("objects");
}

fn s3(backend: Backend) {
    TestServer::start(backend).conformance("s3");
}

/// Sends the requests that `lakectl` sends, and compares the messages that `lakectl` would print.
/// The test does not need the binary.
fn lakectl(backend: Backend) {
    TestServer::start(backend).python("clients/lakectl_texts.py", &[]);
}

fn log(backend: Backend) {
    TestServer::start(backend).conformance("log");
}

/// Weir on lakeFS's installation responds like lakeFS, including ids and times. Reading changes no
/// records.
fn museum(backend: Backend) {
    let mut museum = Museum::open(backend);
    museum.server.conformance("museum");
    museum.server.stop();
    let before = Museum::records_of_lakefs();
    assert_eq!(of_repositories(museum.records()), of_repositories(before));
}

/// Removes records that a server writes at startup, and its request count.
fn of_repositories(records: Records) -> Records {
    let of_server = |partition: &[u8]| matches!(partition, b"auth" | b"usage");
    let kept = records.into_iter();
    kept.filter(|((partition, _), _)| !of_server(partition))
        .collect()
}

#[test]
fn sqlite_matches_lakefs_in_setup_auth_and_main() {
    setup_auth_and_main(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_in_setup_auth_and_main() {
    setup_auth_and_main(Backend::Postgres);
}

#[test]
fn sqlite_matches_lakefs_in_hooks() {
    hooks(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_in_hooks() {
    hooks(Backend::Postgres);
}

#[test]
fn sqlite_matches_lakefs_in_action_files() {
    action_files(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_in_action_files() {
    action_files(Backend::Postgres);
}

#[test]
fn sqlite_matches_lakefs_in_versioning() {
    versioning(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_in_versioning() {
    versioning(Backend::Postgres);
}

#[test]
fn sqlite_matches_lakefs_in_objects() {
    objects(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_in_objects() {
    objects(Backend::Postgres);
}

#[test]
fn sqlite_matches_lakefs_in_s3() {
    s3(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_in_s3() {
    s3(Backend::Postgres);
}

#[test]
fn sqlite_matches_lakefs_in_lakectl() {
    lakectl(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_in_lakectl() {
    lakectl(Backend::Postgres);
}

#[test]
fn sqlite_matches_lakefs_in_log() {
    log(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_in_log() {
    log(Backend::Postgres);
}

#[test]
fn sqlite_matches_lakefs_on_its_installation() {
    museum(Backend::Sqlite);
}

#[test]
fn postgres_matches_lakefs_on_its_installation() {
    museum(Backend::Postgres);
}

fn compat() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat")
}

/// The files below a folder of [`compat`], relative to that.
fn files_below(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in compat().join(folder).read_dir().unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if !entry.path().is_dir() {
            files.push(path);
        } else if name != "__pycache__" {
            files.extend(files_below(&path));
        }
    }
    files.sort();
    files
}

/// The recordings document lakeFS, so they must not be edited to match Weir.
#[test]
fn recordings_are_not_edited() {
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "recordings.sha256"])
        .current_dir(compat())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let list = std::fs::read_to_string(compat().join("recordings.sha256")).unwrap();
    let listed: Vec<&str> = list
        .lines()
        .filter_map(|line| Some(line.split_once("  ")?.1))
        .collect();
    let existing = [files_below("conformance"), files_below("museum")].concat();
    assert_eq!(listed, existing, "the list does not match the files");
}

/// Regression test: the line `s3/list v1: 200 ~ main/tagged` matched every listing with that object, including lakeFS's
/// wrong one.
#[test]
fn intended_differences_do_not_match_lakefs() {
    python("compat/check_lines.py", &["compat/better.txt"], &[]);
}

#[test]
fn line_that_matches_lakefs_is_reported() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = "s3/list v1: 200 ~ main/tagged | vague\ns3/list v1: 200 ~ \"KeyCount\": [\"7\"] | exact\ns3/none: 200 | unknown\n";
    std::fs::write(file.path(), lines).unwrap();
    let path = file.path().to_str().unwrap();
    let error = try_python("compat/check_lines.py", &[path], &[]).unwrap_err();
    assert!(
        error.contains(":1: lakeFS's own response matches this line")
            && !error.contains(":2:")
            && error.contains(":3: no such step was recorded"),
        "{error}"
    );
}
