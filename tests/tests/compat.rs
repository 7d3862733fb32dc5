//! What lakeFS answered, Weir answers: the recorded conversations, on both databases.
//!
//! Recordings and script are in `compat/conformance`, which is not edited here;
//! `compat/AREA_later.txt` names the steps of an area that wait for a feature.

use std::sync::{Mutex, PoisonError};

use system_tests::{Backend, Museum, Records, Setup, TestServer};

/// The webhook receiver of area `hooks` listens on a port that is written in the recordings.
static HOOKS_PORT: Mutex<()> = Mutex::new(());
/// So does that of area `action_files`.
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

/// What `lakectl` prints of a refusal, without it: its requests are sent, and the messages are its lines.
fn lakectl(backend: Backend) {
    TestServer::start(backend).python("clients/lakectl_texts.py", &[]);
}

fn log(backend: Backend) {
    TestServer::start(backend).conformance("log");
}

/// An installation that lakeFS made is answered from as lakeFS does, ids and times included, and
/// looking at it changes nothing in it.
fn museum(backend: Backend) {
    let mut museum = Museum::open(backend);
    museum.server.conformance("museum");
    museum.server.stop();
    let before = Museum::records_of_lakefs();
    assert_eq!(of_repositories(museum.records()), of_repositories(before));
}

/// Without what a server notes of itself at its start, and its count of requests.
fn of_repositories(records: Records) -> Records {
    let of_server = |partition: &[u8]| matches!(partition, b"auth" | b"usage");
    let kept = records.into_iter();
    kept.filter(|((partition, _), _)| !of_server(partition))
        .collect()
}

#[test]
fn sqlite_answers_as_lakefs_in_setup_auth_and_main() {
    setup_auth_and_main(Backend::Sqlite);
}

#[test]
fn postgres_answers_as_lakefs_in_setup_auth_and_main() {
    setup_auth_and_main(Backend::Postgres);
}

#[test]
fn sqlite_runs_hooks_as_lakefs() {
    hooks(Backend::Sqlite);
}

#[test]
fn postgres_runs_hooks_as_lakefs() {
    hooks(Backend::Postgres);
}

#[test]
fn sqlite_reads_action_files_as_lakefs() {
    action_files(Backend::Sqlite);
}

#[test]
fn postgres_reads_action_files_as_lakefs() {
    action_files(Backend::Postgres);
}

#[test]
fn sqlite_keeps_versions_as_lakefs() {
    versioning(Backend::Sqlite);
}

#[test]
fn postgres_keeps_versions_as_lakefs() {
    versioning(Backend::Postgres);
}

#[test]
fn sqlite_keeps_objects_as_lakefs() {
    objects(Backend::Sqlite);
}

#[test]
fn postgres_keeps_objects_as_lakefs() {
    objects(Backend::Postgres);
}

#[test]
fn sqlite_speaks_s3_as_lakefs() {
    s3(Backend::Sqlite);
}

#[test]
fn postgres_speaks_s3_as_lakefs() {
    s3(Backend::Postgres);
}

#[test]
fn sqlite_tells_lakectl_what_lakefs_tells_it() {
    lakectl(Backend::Sqlite);
}

#[test]
fn postgres_tells_lakectl_what_lakefs_tells_it() {
    lakectl(Backend::Postgres);
}

#[test]
fn sqlite_walks_history_as_lakefs() {
    log(Backend::Sqlite);
}

#[test]
fn postgres_walks_history_as_lakefs() {
    log(Backend::Postgres);
}

#[test]
fn sqlite_answers_from_an_installation_of_lakefs() {
    museum(Backend::Sqlite);
}

#[test]
fn postgres_answers_from_an_installation_of_lakefs() {
    museum(Backend::Postgres);
}
