//! Misbehaving hooks. Each is stopped with the right cause and a message for its author.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actions::wasm::{Cause, Report, Verdict};
use bytes::Bytes;
use serde_json::json;

use super::{Memory, error, findings, gate, host, limits, log, object_gate, request, run_mode};

async fn run_component(component: impl Into<Bytes>) -> Report {
    host()
        .run(request(
            component.into(),
            Memory::default(),
            json!({ "mode": "pass" }),
        ))
        .await
}

/// Runs a mode that only a time limit ends.
async fn run_briefly(mode: &str) -> Report {
    let mut request = request(gate(), Memory::default(), json!({ "mode": mode }));
    request.limits.time_per_object = Duration::from_millis(200);
    host().run(request).await
}

#[tokio::test]
async fn endless_loop_is_stopped_and_findings_are_kept() {
    let report = run_briefly("loop").await;
    assert_eq!(
        error(&report),
        "limit_time: hook was stopped after 200ms (limits.time_per_object)"
    );
    assert_eq!(findings(&report), ["before: found before the loop"]);
    assert!(report.fuel > 0);
}

#[tokio::test]
async fn endless_wait_is_stopped() {
    assert_eq!(
        error(&run_briefly("sleep").await),
        "limit_time: hook was stopped after 200ms (limits.time_per_object)"
    );
}

#[tokio::test]
async fn message_names_the_lower_time_limit() {
    let mut request = request(gate(), Memory::default(), json!({ "mode": "loop" }));
    request.limits.timeout = Duration::from_millis(100);
    assert_eq!(
        error(&host().run(request).await),
        "limit_time: hook was stopped after 100ms (timeout)"
    );
}

/// Runs other work on the same thread while a hook runs an endless mode. Returns the number of host
/// calls that the hook made meanwhile, and the hook's report after its time limit.
async fn serve_beside(mode: &str) -> (u64, Report) {
    let trees = Arc::new(Memory::default());
    let mut request = request(gate(), Memory::default(), json!({ "mode": mode }));
    request.trees = trees.clone();
    request.limits.time_per_object = Duration::from_secs(5);
    let host = host();
    let mut hook = std::pin::pin!(host.run(request));
    let others = async {
        trees.called.notified().await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        report = &mut hook => panic!("the hook ended first: {:?}", report.verdict),
        () = others => {}
    }
    let calls = trees.calls.load(Ordering::Relaxed);
    (calls, hook.await)
}

const STOPPED: &str = "limit_time: hook was stopped after 5s (limits.time_per_object)";

/// On a single thread, a hook that did not yield would block everything else forever.
#[tokio::test(flavor = "current_thread")]
async fn requests_are_served_while_a_hook_loops() {
    let (_, report) = serve_beside("loop").await;
    assert_eq!(error(&report), STOPPED);
}

/// Host calls cost no fuel, so a hook that mostly makes host calls must yield too.
#[tokio::test(flavor = "current_thread")]
async fn requests_are_served_while_a_hook_makes_endless_calls() {
    let (calls, report) = serve_beside("call").await;
    assert!(calls < 2_000, "{calls} host calls in 20 yields");
    assert_eq!(error(&report), STOPPED);
}

#[tokio::test]
async fn path_length_of_listings_is_limited() {
    let message = error(&run_mode("hoard-prefixes").await);
    assert_eq!(
        message,
        "hook_error: hook could not decide: budget: a prefix or path must not be longer than 4096 bytes"
    );
}

#[tokio::test]
async fn memory_is_limited() {
    let report = run_mode("allocate").await;
    assert_eq!(
        error(&report),
        "limit_memory: hook needed more than 16MiB of memory (limits.memory)"
    );
    assert!(
        report.peak_memory_bytes > 8 << 20 && report.peak_memory_bytes <= 16 << 20,
        "{}",
        report.peak_memory_bytes
    );
}

#[tokio::test]
async fn panic_message_is_reported() {
    let report = run_mode("panic").await;
    let message = error(&report);
    assert!(
        message.starts_with("trap: hook panicked: gate/src/lib.rs:"),
        "{message}"
    );
    assert!(message.ends_with(": no such column: delay"), "{message}");
    assert!(log(&report).contains("no such column: delay"));
}

#[tokio::test]
async fn unreachable_instruction_is_named() {
    assert_eq!(
        error(&run_mode("unreachable").await),
        "trap: hook trapped: wasm `unreachable` instruction executed"
    );
}

#[tokio::test]
async fn stack_overflow_is_named() {
    assert_eq!(
        error(&run_mode("descend").await),
        "trap: hook trapped: call stack exhausted"
    );
}

#[tokio::test]
async fn error_is_not_a_verdict() {
    assert_eq!(
        error(&run_mode("err").await),
        "hook_error: hook could not decide: the moon is in the wrong phase"
    );
}

async fn check_log_limit(mode: &str, line: &str) {
    let report = run_mode(mode).await;
    assert_eq!(
        error(&report),
        "limit_log: hook wrote more than 4KiB to its log (limits.log)"
    );
    assert!(
        log(&report).starts_with(line) && report.log.len() <= 4200,
        "{} bytes",
        report.log.len()
    );
}

#[tokio::test]
async fn log_lines_beyond_the_limit_stop_the_hook_and_the_log_is_kept() {
    check_log_limit("flood-log", "WARN tick tick").await;
}

#[tokio::test]
async fn printed_output_beyond_the_limit_stops_the_hook_and_the_log_is_kept() {
    check_log_limit("flood-stderr", "tock tock").await;
}

#[tokio::test]
async fn excess_findings_are_counted() {
    let report = run_mode("flood-findings").await;
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!((report.findings.len(), report.findings_dropped), (50, 50));
    assert_eq!(report.findings[49].message, "number 49");
    assert_eq!(report.summary.as_deref(), Some("50 refused"));
}

#[tokio::test]
async fn metrics_and_summary_are_limited() {
    let report = run_mode("flood-reports").await;
    assert_eq!(report.verdict, Verdict::Pass);
    assert_eq!(report.metrics.len(), 100);
    assert!(report.summary.unwrap().len() <= 64 << 10);
    let finding = &report.findings[0];
    assert!(finding.message.len() <= 4096 && finding.properties.len() <= 32);
    let bytes: usize = finding
        .properties
        .iter()
        .map(|(n, v)| n.len() + v.len())
        .sum();
    assert!(bytes > 4096 && bytes <= 8192, "{bytes}");
}

#[tokio::test]
async fn number_of_handles_is_limited() {
    let message = error(&run_mode("hoard-findings").await);
    assert_eq!(
        message,
        "trap: hook holds more than 1024 objects, listings or findings at once"
    );
}

#[tokio::test]
async fn number_of_open_scans_is_limited() {
    let trees = Memory::new(&[], &[("a", "0123456789")]);
    let report = host()
        .run(request(
            gate(),
            trees,
            json!({ "mode": "hoard-scans", "path": "a" }),
        ))
        .await;
    let message =
        "hook_error: hook could not decide: budget: a hook may have 16 scans under way at once";
    assert_eq!(error(&report), message);
}

#[tokio::test]
async fn size_of_a_host_call_is_limited() {
    let mut request = request(gate(), Memory::default(), json!({ "mode": "big-string" }));
    request.limits.memory_bytes = 256 << 20;
    let message = error(&host().run(request).await);
    assert_eq!(
        message,
        "limit_memory: hook passed more than 8MiB in one call (a fixed limit)"
    );
}

const MEMORY_LIMIT: &str = "limit_memory: hook needed more than 16MiB of memory (limits.memory)";

/// Regression test: only many small allocations were reported as a memory limit. A single large
/// allocation was reported as a trap or with the hook's own message.
#[tokio::test]
async fn allocation_of_more_than_the_limit_is_reported_as_memory_limit() {
    assert_eq!(error(&run_mode("allocate-once").await), MEMORY_LIMIT);
}

#[tokio::test]
async fn allocation_of_most_of_the_address_space_is_reported_as_memory_limit() {
    assert_eq!(error(&run_mode("allocate-most").await), MEMORY_LIMIT);
}

#[tokio::test]
async fn message_of_a_hook_that_caught_the_failed_allocation_follows_the_limit() {
    let caught = error(&run_mode("allocate-caught").await);
    let start = format!("{MEMORY_LIMIT}; hook could not decide: memory allocation failed");
    assert!(caught.starts_with(&start), "{caught}");
}

/// Checks that the error explains the failed access. Before the fix, a hook that could not open a
/// file reported only its language's error message, which did not say why.
async fn check_outside(mode: &str, start: &str) {
    let message = error(&run_mode(mode).await);
    assert!(
        message.starts_with(start) && message.ends_with(" (hooks have no files and no network)"),
        "{message}"
    );
}

#[tokio::test]
async fn message_explains_missing_files() {
    check_outside("read-file", "hook_error: hook could not decide: ").await;
}

#[tokio::test]
async fn message_explains_missing_files_after_a_panic() {
    check_outside("read-file-or-panic", "trap: hook panicked: ").await;
}

#[tokio::test]
async fn message_explains_missing_connections() {
    check_outside("connect", "hook_error: hook could not decide: ").await;
}

#[tokio::test]
async fn message_explains_missing_name_lookups() {
    check_outside("resolve", "hook_error: hook could not decide: ").await;
}

const NOT_A_COMPONENT: &str =
    "component_invalid: this is not a WebAssembly component: build for wasm32-wasip2";

#[tokio::test]
async fn script_is_rejected_with_a_build_hint() {
    let report = run_component(&b"#!/bin/sh\nexit 0\n"[..]).await;
    assert_eq!(error(&report), NOT_A_COMPONENT);
}

#[tokio::test]
async fn empty_object_is_rejected_with_a_build_hint() {
    assert_eq!(error(&run_component(&b""[..]).await), NOT_A_COMPONENT);
}

#[tokio::test]
async fn core_module_is_rejected_with_a_build_hint() {
    assert_eq!(
        error(&run_component(&b"\0asm\x01\0\0\0"[..]).await),
        "component_invalid: this is a core WebAssembly module, not a component: build for wasm32-wasip2"
    );
}

#[tokio::test]
async fn half_a_component_is_rejected() {
    let half = gate().slice(..gate().len() / 2);
    let message = error(&run_component(half).await);
    assert!(
        message.starts_with("component_invalid: component is not valid: "),
        "{message}"
    );
}

/// Damage to a component's data may not change its verdict. Other damage must be reported as an error
/// of the component or of the hook, or as an exceeded limit.
#[tokio::test]
async fn damaged_component_gives_a_verdict_or_a_cause() {
    let good = object_gate();
    let mut causes = BTreeMap::<&str, usize>::new();
    for at in (8..good.len()).step_by(good.len() / 23) {
        let mut bad = good.to_vec();
        bad[at] ^= 0x55;
        let trees = Memory::new(&[], &[("data/a", "x")]);
        let mut request = request(bad.into(), trees, json!(null));
        request.limits.time_per_object = Duration::from_millis(500);
        let report = host().run(request).await;
        let Verdict::Error(failure) = &report.verdict else {
            *causes.entry("verdict").or_default() += 1;
            continue;
        };
        *causes.entry(failure.cause.as_str()).or_default() += 1;
        let ended_by = match failure.cause {
            Cause::ComponentInvalid | Cause::ComponentAbi => "component",
            Cause::Trap | Cause::HookError => "hook",
            Cause::LimitTime => "(limits.time_per_object)",
            Cause::LimitMemory => "(limits.memory)",
            other => panic!("byte {at}: {other}: {failure}"),
        };
        assert!(failure.message.contains(ended_by), "byte {at}: {failure}");
    }
    assert!(causes.contains_key("component_invalid"), "{causes:?}");
}

#[tokio::test]
async fn version_mismatch_names_both_versions() {
    let newer = replaced(&gate(), b"@0.1.0", b"@0.3.0");
    assert_eq!(
        error(&run_component(newer).await),
        "component_abi: component requires weir:hooks 0.3.0, but this server has 0.1.0"
    );
}

/// An unknown patch version is accepted as long as the component uses only known functions.
#[tokio::test]
async fn unknown_patch_version_is_accepted() {
    let patch = replaced(&gate(), b"@0.1.0", b"@0.1.7");
    assert_eq!(run_component(patch).await.verdict, Verdict::Pass);
}

/// A newer function is reported as a mismatch; it does not crash.
#[tokio::test]
async fn unknown_function_is_reported_as_a_mismatch() {
    let unknown = replaced(&gate(), b"merge-source", b"merge-saucer");
    let message = error(&run_component(unknown).await);
    assert!(
        message.starts_with("component_abi: component does not fit weir:hooks 0.1.0: "),
        "{message}"
    );
    assert!(message.contains("merge-saucer"), "{message}");
}

pub(super) fn replaced(component: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = component.to_vec();
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0);
    bytes
}

#[tokio::test]
async fn read_limit_applies_to_the_whole_hook() {
    let trees = Memory::new(&[], &[("a", &"x".repeat(400))]);
    let mut request = request(gate(), trees, json!({ "mode": "read-all", "path": "a" }));
    request.limits = actions::wasm::Limits {
        read_bytes: 1000,
        ..limits()
    };
    let report = host().run(request).await;
    let message = "limit_read: hook could not decide: budget: this hook may read 1000B in total (limits.read_bytes)";
    assert_eq!(error(&report), message);
    assert_eq!(report.read_bytes, 800);
}
