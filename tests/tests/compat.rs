//! What lakeFS answered, Weir answers: the recorded conversations, on both databases.
//!
//! Recordings and script are in `compat/conformance`, which is not edited here;
//! `compat/hooks_later.txt` names the steps of area `hooks` that wait for a feature.

use std::sync::{Mutex, PoisonError};

use system_tests::{Backend, Setup, TestServer};

/// The webhook receiver of area `hooks` listens on a port that is written in the recordings.
static HOOKS_PORT: Mutex<()> = Mutex::new(());

fn setup_auth_and_main(backend: Backend) {
    let server = TestServer::start_with(backend, Setup::Open);
    server.conformance("setup");
    server.conformance("auth,main");
}

fn hooks(backend: Backend) {
    let _alone = HOOKS_PORT.lock().unwrap_or_else(PoisonError::into_inner);
    let server = TestServer::start(backend);
    server.python("compat/check_hooks.py", &[&server.url()]);
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
