//! Components that were made to keep a thread or the compiler: written here as text, since no toolchain makes them.
//!
//! What is held against the clock has a generous bound: each of these ran for many seconds, or for ever, before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actions::wasm::{CompileLimits, Compiler, Host, HostOptions, Limits, Report, Request, Verdict};
use bytes::Bytes;
use serde_json::json;

use super::{Memory, child_compiler, error, gate, host, limits, request};

/// Far more than any of these takes when it is stopped, far less than when it is not.
const SOON: Duration = Duration::from_secs(20);

/// A gate whose `check` does this and then answers `pass`. It may use the memory, the table and
/// the local `$n`.
fn component(check: &str) -> Bytes {
    module(&format!(
        r#"
        (memory (export "memory") 16)
        (table 100 funcref)
        (func (export "check") (result i32) (local $n i32)
            {check}
            (i32.store8 (i32.const 64) (i32.const 0))
            (i32.store8 (i32.const 68) (i32.const 0))
            (i32.const 64))
        (func (export "describe") (result i32)
            (i32.store (i32.const 0) (i32.const 16))
            (i32.store (i32.const 4) (i32.const 2))
            (i32.const 0))"#
    ))
}

/// A gate of this module, which exports `memory`, `check` and `describe`.
fn module(fields: &str) -> Bytes {
    let text = format!(
        r#"(component
            (core module $m {fields} (data (i32.const 16) "{{}}"))
            (core instance $i (instantiate $m))
            {EXPORTS})"#
    );
    wat::parse_str(text).unwrap().into()
}

/// Turns the core instance `$i` into a gate.
pub(super) const EXPORTS: &str = r#"
    (type $verdict (enum "pass" "fail" "skip"))
    (func $describe (result string)
        (canon lift (core func $i "describe") (memory $i "memory")))
    (func $check (result (result $verdict (error string)))
        (canon lift (core func $i "check") (memory $i "memory")))
    (instance $describe-api (export "describe" (func $describe)))
    (instance $gate-api (export "verdict" (type $verdict)) (export "check" (func $check)))
    (export "weir:hooks/describe-api@0.1.0" (instance $describe-api))
    (export "weir:hooks/gate-api@0.1.0" (instance $gate-api))"#;

/// Two nested components: one passes a text of so many MiB to the other again and again, which has it in
/// UTF-16. Only the engine's adapter between them works.
fn passing_text(mib: u32) -> Bytes {
    let (bytes, pages) = (mib << 20, mib << 4);
    let twice = 2 * pages;
    let text = format!(
        r#"(component
            (component $taker
                (core module $m
                    (memory (export "memory") 1)
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                        (if (i32.eq (memory.size) (i32.const 1))
                            (then (drop (memory.grow (i32.const {twice})))))
                        (i32.const 0))
                    (func (export "take") (param i32 i32)))
                (core instance $i (instantiate $m))
                (func (export "take") (param "text" string)
                    (canon lift (core func $i "take") string-encoding=utf16
                        (memory $i "memory") (realloc (func $i "realloc")))))
            (component $giver
                (import "take" (func $take (param "text" string)))
                (core module $memory (memory (export "memory") 1)
                    (data (i32.const 16) "{{}}"))
                (core instance $memory (instantiate $memory))
                (core func $take (canon lower (func $take) (memory $memory "memory")))
                (core module $m
                    (import "" "memory" (memory 0))
                    (import "" "take" (func $take (param i32 i32)))
                    (func (export "check") (result i32)
                        (drop (memory.grow (i32.const {pages})))
                        (loop (call $take (i32.const 64) (i32.const {bytes})) (br 0))
                        (unreachable))
                    (func (export "describe") (result i32)
                        (i32.store (i32.const 0) (i32.const 16))
                        (i32.store (i32.const 4) (i32.const 2))
                        (i32.const 0)))
                (core instance $host
                    (export "memory" (memory $memory "memory")) (export "take" (func $take)))
                (core instance $main (instantiate $m (with "" (instance $host))))
                (core instance $i
                    (export "memory" (memory $memory "memory"))
                    (export "check" (func $main "check"))
                    (export "describe" (func $main "describe")))
                {EXPORTS})
            (instance $taker (instantiate $taker))
            (instance $giver (instantiate $giver (with "take" (func $taker "take"))))
            (export "weir:hooks/describe-api@0.1.0"
                (instance $giver "weir:hooks/describe-api@0.1.0"))
            (export "weir:hooks/gate-api@0.1.0" (instance $giver "weir:hooks/gate-api@0.1.0")))"#
    );
    wat::parse_str(text).unwrap().into()
}

/// So many loops in each other, around so many locals that live in all of them: what the compiler's allocation
/// of registers takes longest for, in a few KB.
fn nested_loops(loops: usize, locals: usize) -> Bytes {
    let mut body = String::new();
    for _ in 0..loops {
        body.push_str("(loop ");
    }
    for local in 0..locals {
        let next = (local + 1) % locals;
        body.push_str(&format!(
            "(local.set {local} (i32.add (local.get {local}) (local.get {next})))"
        ));
    }
    for _ in 0..loops {
        body.push_str("(br_if 0 (local.get 0)))");
    }
    let types = "i32 ".repeat(locals);
    module(&format!(
        r#"(memory (export "memory") 1)
        (func (export "describe") (result i32)
            (i32.store (i32.const 0) (i32.const 16))
            (i32.store (i32.const 4) (i32.const 2))
            (i32.const 0))
        (func (export "check") (result i32) (local {types}) {body} (i32.const 64))"#
    ))
}

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

/// Instructions that take long, each in a loop without end, and calls that the engine answers itself.
const LONG: &[(&str, &str)] = &[
    (
        "fill",
        "(drop (memory.grow (i32.const 2000))) (loop (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536))) (br 0))",
    ),
    (
        "copy",
        "(drop (memory.grow (i32.const 2000))) (loop (memory.copy (i32.const 1) (i32.const 0) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))) (br 0))",
    ),
    (
        "grow without success",
        "(loop (drop (memory.grow (i32.const 60000))) (br 0))",
    ),
    (
        "fill a table",
        "(drop (table.grow (ref.null func) (i32.const 30000))) (loop (table.fill (i32.const 0) (ref.null func) (table.size)) (br 0))",
    ),
    (
        "copy a table",
        "(drop (table.grow (ref.null func) (i32.const 30000))) (loop (table.copy (i32.const 0) (i32.const 1) (i32.sub (table.size) (i32.const 1))) (br 0))",
    ),
    (
        "count",
        "(loop (local.set $n (i32.add (local.get $n) (i32.const 1))) (br 0))",
    ),
];

#[tokio::test]
async fn long_instructions_are_stopped_in_time() {
    for (name, check) in LONG {
        let started = Instant::now();
        let report = host().run(attack(component(check), briefly(256))).await;
        assert_eq!(error(&report), STOPPED, "{name}");
        assert!(started.elapsed() < SOON, "{name}: {:?}", started.elapsed());
    }
}

/// The longest time in which a runtime with one thread did nothing else than `work`.
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

/// Two nested components that passed a text of 500 MB to each other ran for 9 s under a limit of 1 s, and nobody
/// else was answered for 12 s.
#[tokio::test(flavor = "current_thread")]
async fn text_between_nested_components_is_stopped_in_time() {
    let component = passing_text(100);
    // Compiled and described apart.
    let described = host().describe("lake", &component).await;
    assert_eq!(described.unwrap(), json!({}));
    let started = Instant::now();
    let host = host();
    let run = host.run(attack(component, briefly(400)));
    let (report, pause) = longest_pause(run).await;
    assert_eq!(error(&report), STOPPED);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert!(pause < Duration::from_secs(2), "{pause:?}");
}

/// The stuck thread of such a hook is counted, and free again: another hook of the repository that needs its
/// memory waits for it, and then runs.
#[tokio::test]
async fn a_stuck_hook_keeps_its_place_until_it_ends() {
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
        "limit_memory: hook wanted more than 100MiB of memory (limits.memory)"
    );
}

/// An instance that never comes to be, and a description without end.
#[tokio::test]
async fn what_runs_before_the_call_is_stopped_too() {
    let forever = "(loop (br 0))";
    let start = module(&format!(
        r#"(memory (export "memory") 1)
        (func $forever {forever})
        (start $forever)
        (func (export "check") (result i32) (unreachable))
        (func (export "describe") (result i32) (unreachable))"#
    ));
    let mut request = attack(start.clone(), briefly(16));
    // Nothing of its description is needed.
    request.select.paths = vec!["**".to_owned()];
    request.select.kinds = vec!["added".to_owned()];
    assert_eq!(error(&host().run(request).await), STOPPED);
    let (_, message) = host().describe("lake", &start).await.unwrap_err();
    assert_eq!(
        message,
        "component does not describe itself: hook was stopped after 1s of describe"
    );
}

/// What no hook needs can't be used: it would be one more way to keep a thread.
#[tokio::test]
async fn proposals_that_no_hook_needs_are_refused() {
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
            message.starts_with("component_invalid: component is not valid: "),
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
        ..HostOptions::new(dir.path().to_owned(), compiler)
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
async fn a_component_that_takes_too_long_to_compile_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_of(&dir, compiling(1, 4096));
    let report = host.run(attack(nested_loops(300, 3000), limits())).await;
    assert_eq!(
        error(&report),
        "component_invalid: compiling took more than 1 s of CPU time (actions.compile.cpu_time)"
    );
    // Known from then on: nothing is compiled again.
    let again = tokio::time::timeout(SOON, host.run(attack(nested_loops(300, 3000), limits())));
    assert_eq!(error(&again.await.unwrap()), error(&report));
    assert!(
        format!("{host:?}").contains("components_compiled: 1"),
        "{host:?}"
    );
}

#[tokio::test]
async fn a_component_that_takes_too_much_memory_to_compile_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_of(&dir, compiling(600, 64));
    let report = host.run(attack(nested_loops(300, 3000), limits())).await;
    assert_eq!(
        error(&report),
        "component_invalid: compiling took more than 64MiB of memory (actions.compile.memory_bytes)"
    );
}

/// Two components of 30 KB, which took the compiler half a minute each, held up every gate of every repository.
#[tokio::test]
async fn compilers_of_one_repository_hold_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_of(&dir, compiling(600, 4096));
    // As a first server did, before this one.
    let cached = of_repository("cached", super::object_gate());
    host.run(cached.clone()).await;
    let host = host_of(&dir, compiling(600, 4096));

    let hostile: Vec<_> = [300, 301]
        .map(|loops| {
            let (host, component) = (host.clone(), nested_loops(loops, 3000));
            tokio::spawn(async move { host.run(of_repository("hostile", component)).await })
        })
        .into();
    // Until the first is compiled.
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
        reports = &mut hostile => panic!("the hostile ones were first: {reports:?}"),
        () = others => {}
    }
}

/// Neither what the server was told nor what it has open is the compiler's.
#[tokio::test]
async fn the_compiler_inherits_nothing() {
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
    // The shell's own.
    let own = |line: &&str| {
        ["PWD=", "OLDPWD=", "SHLVL=", "_="]
            .iter()
            .any(|o| line.starts_with(o))
    };
    let inherited: Vec<&str> = environment.lines().filter(|line| !own(line)).collect();
    assert_eq!(inherited, ["/"]);
    // What others left open in this process as it was started is not ours to tell.
    assert!(
        files.contains("seen") && !files.contains("secret"),
        "{files}"
    );
}

/// The system tests drive a server with the same components, and have no means to make them.
#[test]
fn the_system_tests_have_these_components() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (name, component) in [
        ("nested_loops.wasm", nested_loops(300, 3000)),
        ("nested_text.wasm", passing_text(500)),
        ("long_fill.wasm", component(LONG[0].1)),
    ] {
        let path = folder.join(name);
        if std::env::var_os("WEIR_TEST_WRITE_FIXTURES").is_some() {
            std::fs::write(&path, &component).unwrap();
        }
        let committed = std::fs::read(&path).unwrap();
        assert!(
            committed == component,
            "{name} is another one: write it anew with WEIR_TEST_WRITE_FIXTURES=1"
        );
    }
}
