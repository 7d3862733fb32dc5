//! The main job: flights loaded through S3, committed and merged by Python clients, `main` guarded by a Wasm hook.
//!
//! `clients/story.py` tells and checks the story.

use system_tests::{Backend, TestServer, hooks};

fn story(backend: Backend) {
    let server = TestServer::start(backend);
    let guard = hooks().join("parquet_guard.wasm");
    let transcript = server.python(
        "clients/story.py",
        &[guard.to_str().expect("a path of ours is text")],
    );
    // The last line is printed when every claim of the script was checked.
    assert!(
        transcript
            .trim_end()
            .ends_with("main holds 336,776 flights in 12 files."),
        "{transcript}"
    );
}

#[test]
fn a_guarded_main_on_sqlite() {
    story(Backend::Sqlite);
}

#[test]
fn a_guarded_main_on_postgres() {
    story(Backend::Postgres);
}
