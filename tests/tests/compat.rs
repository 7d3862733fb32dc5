//! Weir responds like lakeFS: replays recorded conversations on both databases.
//!
//! `compat/conformance` has recordings and scripts and is not edited here. `compat/AREA_later.txt`
//! lists the steps of an area that wait for a feature.

use std::sync::{Mutex, PoisonError};

use system_tests::{Backend, Museum, Records, Setup, TestServer};

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
