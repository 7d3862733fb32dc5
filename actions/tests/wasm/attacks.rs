//! Components that try to occupy a thread or the compiler. They are written as WAT because no
//! toolchain generates them.
//!
//! The tests allow much more time than a stopped component needs. Before the corresponding fixes,
//! each component ran for many seconds or forever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actions::wasm::{
    Cause, CompileLimits, Compiler, Component, Host, HostOptions, Limits, Report, Request, Verdict,
};
use bytes::Bytes;
use serde_json::json;

use super::components::{component, module, nested_loops, passing_text};
use super::{Memory, child_compiler, code_key, error, gate, host, limits, request};

/// Much longer than a component runs that is stopped in time, and much shorter than the others.
const SOON: Duration = Duration::from_secs(20);

fn attack(component: Bytes, limits: Limits) -> Request {
    Request {
        limits,
        ..request(component, Memory::default(), json!(null))
    }
}

fn briefly(memory_mib: u64) -> Limits {
    Limits {
        memory_bytes: memory_mib << 20,
        time_per_object: Duration::from_millis(500),
        ..limits()
    }
}

const STOPPED: &str = "limit_time: hook was stopped after 500ms (limits.time_per_object)";

const LONG_FILL: &str = "(drop (memory.grow (i32.const 2000))) (loop (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536))) (br 0))";

/// Runs an endless loop of instructions that take long, or of calls that the engine handles itself.
async fn check_long_instruction(check: &str) {
    let started = Instant::now();
    let report = host().run(attack(component(check), briefly(256))).await;
    assert_eq!(error(&report), STOPPED);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[tokio::test]
async fn endless_fill_of_memory_is_stopped_in_time() {
    check_long_instruction(LONG_FILL).await;
}

#[tokio::test]
async fn endless_copy_of_memory_is_stopped_in_time() {
    check_long_instruction(
        "(drop (memory.grow (i32.const 2000))) (loop (memory.copy (i32.const 1) (i32.const 0) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))) (br 0))",
    )
    .await;
}

#[tokio::test]
async fn endless_growth_without_success_is_stopped_in_time() {
    check_long_instruction("(loop (drop (memory.grow (i32.const 60000))) (br 0))").await;
}

#[tokio::test]
async fn endless_fill_of_a_table_is_stopped_in_time() {
    check_long_instruction(
        "(drop (table.grow (ref.null func) (i32.const 30000))) (loop (table.fill (i32.const 0) (ref.null func) (table.size)) (br 0))",
    )
    .await;
}

#[tokio::test]
async fn endless_copy_of_a_table_is_stopped_in_time() {
    check_long_instruction(
        "(drop (table.grow (ref.null func) (i32.const 30000))) (loop (table.copy (i32.const 0) (i32.const 1) (i32.sub (table.size) (i32.const 1))) (br 0))",
    )
    .await;
}

#[tokio::test]
async fn endless_count_is_stopped_in_time() {
    check_long_instruction("(loop (local.set $n (i32.add (local.get $n) (i32.const 1))) (br 0))")
        .await;
}

/// Measures the longest pause of a single-threaded runtime while it runs `work`.
async fn longest_pause<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let longest = Arc::new(AtomicU64::new(0));
    let ticks = {
        let longest = Arc::clone(&longest);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            let mut last = Instant::now();
            loop {
                ticks.tick().await;
                let pause = u64::try_from(last.elapsed().as_micros()).unwrap();
                longest.fetch_max(pause, Ordering::Relaxed);
                last = Instant::now();
            }
        })
    };
    let done = work.await;
    ticks.abort();
    (done, Duration::from_micros(longest.load(Ordering::Relaxed)))
}

/// Regression test: two nested components that passed a 500 MB string to each other ran for 9 s
/// despite a limit of 1 s, and blocked all other requests for 12 s.
#[tokio::test(flavor = "current_thread")]
async fn text_between_nested_components_is_stopped_in_time() {
    let component = passing_text(100);
    // Compilation and `describe` are not part of the measurement.
    let described = host()
        .describe("lake", &Component::new(component.clone()))
        .await;
    assert_eq!(described.unwrap(), json!({}));
    let started = Instant::now();
    let host = host();
    // In a separate repository, so that it does not wait for the memory of hooks in other tests.
    let run = host.run(Request {
        limits: briefly(400),
        ..of_repository("text", component)
    });
    let (report, pause) = longest_pause(run).await;
    assert_eq!(error(&report), STOPPED);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert!(pause < Duration::from_secs(2), "{pause:?}");
}

/// A stuck hook still counts toward the limits. Another hook of the repository that needs its
/// memory waits until the stuck hook ends, and then runs.
#[tokio::test]
async fn stuck_hook_keeps_its_admission_until_it_ends() {
    let report = host().run(attack(passing_text(60), briefly(1 << 11))).await;
    assert_eq!(error(&report), STOPPED);
    let next = Request {
        limits: briefly(1 << 11),
        ..request(gate(), Memory::default(), json!({ "mode": "pass" }))
    };
    assert_eq!(host().run(next).await.verdict, Verdict::Pass);
}

#[tokio::test]
async fn memory_is_counted_over_nested_components() {
    let report = host().run(attack(passing_text(50), briefly(100))).await;
    assert_eq!(
        error(&report),
        "limit_memory: hook needed more than 100MiB of memory (limits.memory)"
    );
}

/// Returns a component whose instances never finish starting.
fn never_starting() -> Bytes {
    let forever = "(loop (br 0))";
    module(&format!(
        r#"(memory (export "memory") 1)
        (func $forever {forever})
        (start $forever)
        (func (export "check") (result i32) (unreachable))
        (func (export "describe") (result i32) (unreachable))"#
    ))
}

#[tokio::test]
async fn endless_start_function_is_stopped() {
    let mut request = attack(never_starting(), briefly(16));
    // With these paths, the description is not needed.
    request.select.paths = vec!["**".to_owned()];
    request.select.kinds = vec!["added".to_owned()];
    assert_eq!(error(&host().run(request).await), STOPPED);
}

#[tokio::test]
async fn endless_start_function_is_stopped_in_describe() {
    let failure = host()
        .describe("lake", &Component::new(never_starting()))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.cause, failure.message.as_str()),
        (
            Cause::LimitTime,
            "component does not describe itself: hook was stopped after 1s of describe"
        )
    );
}

/// Unneeded WebAssembly features are disabled, because each may be another way to occupy a thread.
#[tokio::test]
async fn unneeded_wasm_features_are_rejected() {
    for (fields, what) in [
        ("(memory i64 1)", "memory64"),
        ("(memory 1 1 shared)", "threads"),
        ("(type (struct (field i32)))", "gc"),
        ("(tag)", "exceptions"),
        ("(memory 1 1 (pagesize 1))", "custom page sizes"),
    ] {
        let text = format!("(component (core module {fields}))");
        let component: Bytes = wat::parse_str(text).unwrap().into();
        let report = host().run(attack(component, briefly(16))).await;
        let message = error(&report);
        assert!(
            message.starts_with("component_invalid: component is not valid: ")
                && message.contains(what),
            "{what}: {message}"
        );
    }
}

fn compiling(cpu_seconds: u64, memory_mib: u64) -> Compiler {
    let Compiler::Child {
        program, arguments, ..
    } = child_compiler()
    else {
        panic!("tests compile in a child");
    };
    Compiler::Child {
        program,
        arguments,
        limits: CompileLimits {
            cpu_time: Duration::from_secs(cpu_seconds),
            memory_bytes: memory_mib << 20,
        },
    }
}

fn host_of(dir: &tempfile::TempDir, compiler: Compiler) -> Host {
    Host::new(HostOptions {
        compile_at_once: 2,
        ..HostOptions::new(dir.path().to_owned(), code_key(), compiler)
    })
    .unwrap()
}

fn of_repository(name: &str, component: Bytes) -> Request {
    let mut request = request(component, Memory::default(), json!({ "mode": "pass" }));
    let mut event = (*request.event).clone();
    event.repository.id = graveler::RepositoryId::trusted(name);
    event.repository.instance_uid = name.to_owned();
    request.event = Arc::new(event);
    request
}

#[tokio::test]
async fn compilation_is_stopped_at_the_cpu_limit() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_of(&dir, compiling(1, 4096));
    let report = host.run(attack(nested_loops(300, 3000), limits())).await;
    assert_eq!(
        error(&report),
        "component_invalid: compiling took more than 1 s of CPU time (actions.compile.cpu_time)"
    );
    // The failure is cached, so the component is not compiled again.
    let again = tokio::time::timeout(SOON, host.run(attack(nested_loops(300, 3000), limits())));
    assert_eq!(error(&again.await.unwrap()), error(&report));
    assert!(
        format!("{host:?}").contains("components_compiled: 1"),
        "{host:?}"
    );
}

#[tokio::test]
async fn compilation_is_stopped_at_the_memory_limit() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_of(&dir, compiling(600, 64));
    let report = host.run(attack(nested_loops(300, 3000), limits())).await;
    assert_eq!(
        error(&report),
        "component_invalid: compiling took more than 64MiB of memory (actions.compile.memory_bytes)"
    );
}

/// Regression test: two components of 30 KB, each compiling for half a minute, blocked every gate
/// of every repository.
#[tokio::test]
async fn slow_compilations_do_not_block_other_repositories() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_of(&dir, compiling(600, 4096));
    // Compiled by an earlier host, so that it is in the disk cache.
    let cached = of_repository("cached", super::object_gate());
    let report = host.run(cached.clone()).await;
    assert_eq!(report.verdict, Verdict::Skip, "{report:?}");
    let host = host_of(&dir, compiling(600, 4096));

    let hostile: Vec<_> = [300, 301]
        .map(|loops| {
            let (host, component) = (host.clone(), nested_loops(loops, 3000));
            tokio::spawn(async move { host.run(of_repository("hostile", component)).await })
        })
        .into();
    // Wait until the first component is compiled.
    while !format!("{host:?}").contains("components_compiled: 1") {
        tokio::task::yield_now().await;
    }
    let others = async {
        let report: Report = host.run(cached).await;
        assert_eq!(report.verdict, Verdict::Skip, "{report:?}");
        let report = host.run(of_repository("other", gate())).await;
        assert_eq!(report.verdict, Verdict::Pass, "{report:?}");
    };
    let mut hostile = futures::future::join_all(hostile);
    tokio::select! {
        reports = &mut hostile => panic!("the hostile components finished first: {reports:?}"),
        () = others => {}
    }
}

/// The compiler process has neither the server's environment nor its open files.
#[tokio::test]
async fn compiler_process_inherits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (seen, secret) = (dir.path().join("seen"), dir.path().join("secret"));
    let _open = std::fs::File::create(&secret).unwrap();
    let spy = Compiler::Child {
        program: "/bin/sh".into(),
        arguments: vec![
            "-c".to_owned(),
            "exec >$0; pwd; env; echo --; ls -l /proc/$$/fd; exit 9".to_owned(),
            seen.to_str().unwrap().to_owned(),
        ],
        limits: CompileLimits::default(),
    };
    let report = host_of(&dir, spy).run(attack(gate(), limits())).await;
    assert_eq!(
        error(&report),
        "component_invalid: the compiler failed on this component: see the server's log"
    );
    let seen = std::fs::read_to_string(seen).unwrap();
    let (environment, files) = seen.split_once("--\n").unwrap();
    // Files opened by the shell itself.
    let own = |line: &&str| {
        ["PWD=", "OLDPWD=", "SHLVL=", "_="]
            .iter()
            .any(|o| line.starts_with(o))
    };
    let inherited: Vec<&str> = environment.lines().filter(|line| !own(line)).collect();
    assert_eq!(inherited, ["/"]);
    // Files that this test process inherited are not the compiler's concern.
    assert!(
        files.contains("seen") && !files.contains("secret"),
        "{files}"
    );
}

/// The system tests send the same components to a server, but cannot generate them.
#[test]
fn fixtures_of_the_system_tests_are_current() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (name, component) in [
        ("nested_loops.wasm", nested_loops(300, 3000)),
        ("nested_text.wasm", passing_text(500)),
        ("long_fill.wasm", component(LONG_FILL)),
    ] {
        let path = folder.join(name);
        if std::env::var_os("WEIR_TEST_WRITE_FIXTURES").is_some() {
            std::fs::write(&path, &component).unwrap();
        }
        let committed = std::fs::read(&path).unwrap();
        assert!(
            committed == component,
            "{name} is outdated: regenerate it with WEIR_TEST_WRITE_FIXTURES=1"
        );
    }
}
