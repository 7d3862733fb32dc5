//! Limits on the checks of action files that a change adds or edits.

use std::time::Duration;

use super::components::{GUEST, put_component};
use super::*;

const NO_LIMITS: preflight::Limits = preflight::Limits {
    errors: usize::MAX,
    hooks: usize::MAX,
    time: Duration::from_hours(1),
    compile_wait: Duration::from_hours(1),
};

async fn lake(limits: preflight::Limits, compiler: Compiler) -> Lake {
    Lake::limited(GatesSource::Both, limits, compiler).await
}

/// Returns an action with `count` Wasm hooks for an event that does not occur in these tests.
fn hooks(count: usize, component: &str, config: &str) -> String {
    let mut text = "name: gate\non: {post-delete-tag: }\nhooks:\n".to_owned();
    for n in 0..count {
        let _ = writeln!(
            text,
            "  - {{id: hook{n}, type: wasm, properties: {{component: {component}, config: {config}}}}}"
        );
    }
    text
}

fn never_ending_compiler() -> Compiler {
    Compiler::Child {
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), "sleep 600".to_owned()],
        limits: crate::wasm::CompileLimits::default(),
    }
}

/// Regression test: the checks, the description and the run of a hook each waited for the compiler
/// separately, so one commit waited three times as long as documented.
#[tokio::test]
async fn change_waits_for_compilations_once() {
    let wait = Duration::from_secs(2);
    let limits = preflight::Limits {
        compile_wait: wait,
        ..NO_LIMITS
    };
    let lake = lake(limits, never_ending_compiler()).await;
    put_component(&lake, "main", GUEST).await;
    let two = hooks(2, "hooks/gate.wasm", "{}").replace("post-delete-tag", "pre-commit");
    lake.gate("main", "gate.yaml", &two).await;
    let started = std::time::Instant::now();
    let message = lake.commit("main").await.unwrap_err().message;
    let waited = started.elapsed();
    assert!(message.contains("still being compiled"), "{message}");
    assert!((wait..2 * wait).contains(&waited), "{waited:?}");
}

/// Commits five hooks whose component is missing, and returns how many of them the refusal reports.
async fn reported_missing_components(limits: preflight::Limits) -> usize {
    let lake = lake(limits, Compiler::InProcess).await;
    let gate = hooks(5, "hooks/none.wasm", "{}");
    lake.gate("main", "gate.yaml", &gate).await;
    let message = lake.commit("main").await.unwrap_err().message;
    message.matches("not found on branch main").count()
}

#[tokio::test]
async fn number_of_reported_errors_is_limited() {
    for (errors, reported) in [(usize::MAX, 5), (3, 3), (1, 1)] {
        let limits = preflight::Limits {
            errors,
            ..NO_LIMITS
        };
        assert_eq!(reported_missing_components(limits).await, reported);
    }
}

/// One hook may have several errors.
#[tokio::test]
async fn errors_of_one_hook_count_separately() {
    let guest = include_bytes!("../../../tests/fixtures/test_object_gate.wasm");
    for (errors, reported) in [(usize::MAX, 3), (2, 2)] {
        let lake = lake(
            preflight::Limits {
                errors,
                ..NO_LIMITS
            },
            Compiler::InProcess,
        )
        .await;
        put_component(&lake, "main", guest).await;
        let yaml = hooks(1, "hooks/gate.wasm", "{forbid: [1, 2, 3]}");
        lake.gate("main", "gate.yaml", &yaml).await;
        let message = lake.commit("main").await.unwrap_err().message;
        assert_eq!(
            message.matches("config.forbid.").count(),
            reported,
            "{message}"
        );
    }
}

/// The remaining hooks are checked against their components when they run.
#[tokio::test]
async fn number_of_checked_hooks_is_limited() {
    for (hooks, reported) in [(usize::MAX, 5), (2, 2)] {
        let limits = preflight::Limits { hooks, ..NO_LIMITS };
        assert_eq!(reported_missing_components(limits).await, reported);
    }
}

/// The compiler in this test never finishes, so the change proceeds with a warning.
#[tokio::test]
async fn checks_have_a_time_limit() {
    let limits = preflight::Limits {
        time: Duration::from_millis(10),
        ..NO_LIMITS
    };
    let lake = lake(limits, never_ending_compiler()).await;
    put_component(&lake, "main", GUEST).await;
    lake.gate("main", "gate.yaml", &hooks(1, "hooks/gate.wasm", "{}"))
        .await;
    assert_eq!(
        lake.commit_with_gates("main").await.warnings,
        [
            "not all hooks were checked within 10ms: mistakes in the other hooks will be reported when they run"
        ]
    );
}

/// Parsing a short file with many aliases takes long, so it must not block a serving thread.
#[tokio::test]
async fn action_files_are_parsed_off_the_serving_threads() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {post-delete-tag: }\n")
        .await;
    lake.commit("main").await.unwrap();
    let loader = &lake.actions.executor.loader;
    let tree = loader
        .head(&lake.repository, "main")
        .await
        .unwrap()
        .unwrap();
    let set = loader
        .files(&event(EventKind::PreCommit), &tree)
        .await
        .unwrap();
    assert_eq!(set.files.len(), 1);
    // This runtime has one thread.
    assert_ne!(set.files[0].read_on, std::thread::current().id());
}
