//! The main use case: flights are loaded through S3, committed and merged by Python clients, and
//! `main` is protected by a Wasm hook.
//!
//! `clients/story.py` runs and checks it.

use system_tests::{Backend, TestServer, hooks};

fn story(backend: Backend) {
    let server = TestServer::start(backend);
    let guard = hooks().join("parquet_guard.wasm");
    let transcript = server.python(
        "clients/story.py",
        &[guard.to_str().expect("the path is not UTF-8")],
    );
    // The script prints its last line after all checks have passed.
    assert!(
        transcript
            .trim_end()
            .ends_with("main holds 336,776 flights in 12 files."),
        "{transcript}"
    );
}

#[test]
fn hook_protects_main_on_sqlite() {
    story(Backend::Sqlite);
}

#[test]
fn hook_protects_main_on_postgres() {
    story(Backend::Postgres);
}
