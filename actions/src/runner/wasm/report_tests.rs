//! Tests of the format of a component's report.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::action_file::{Action, HookKind};
use crate::computations::{Blocked, Computations};
use crate::wasm::{Cause, CodeKey, Compiler, HostOptions};

fn finding(severity: &str, path: Option<&str>, message: &str) -> Finding {
    Finding {
        action: "gate".to_owned(),
        hook: "schema".to_owned(),
        severity: severity.to_owned(),
        rule: "retyped-column".to_owned(),
        message: message.to_owned(),
        path: path.map(str::to_owned),
        properties: BTreeMap::new(),
    }
}

fn report(verdict: Verdict, findings: Vec<Finding>) -> Report {
    Report {
        verdict,
        findings,
        undecided: None,
        ..Report::not_run(Failure::new(Cause::Trap, String::new()))
    }
}

#[test]
fn report_has_log_findings_verdict_and_usage() {
    let mut report = report(
        Verdict::Fail,
        vec![
            finding(
                "error",
                Some("tables/1.parquet"),
                "dep_delay: double was\nstring",
            ),
            finding("info", None, "x"),
        ],
    );
    report.findings[0]
        .properties
        .insert("column".to_owned(), "dep_delay".to_owned());
    report.log = b"hello".to_vec();
    report.summary = Some("1 table is broken\n".to_owned());
    report.metrics = vec![("rows".to_owned(), 12.0, "rows".to_owned())];
    report.findings_dropped = 2;
    (
        report.objects,
        report.read_bytes,
        report.peak_memory_bytes,
        report.fuel,
    ) = (1, 70_000, 1 << 20, 99);
    let mut log = Output::new(10_000);
    write_report(&mut log, &report);
    assert_eq!(
        String::from_utf8_lossy(&log.finish(None)),
        "hello\n\
         error tables/1.parquet retyped-column: dep_delay: double was string [column=dep_delay]\n\
         info retyped-column: x\n\
         (2 more findings were dropped at the limit)\n\
         1 table is broken\n\
         metric rows: 12 rows\n\
         verdict: fail (verdict_fail)\n\
         usage: 1 objects, 70000 bytes read, 1048576 bytes of memory at most, 99 units of work\n"
    );
}

#[test]
fn refusal_names_the_first_errors() {
    let findings = vec![
        finding("warning", Some("w"), "w"),
        finding("error", Some("a"), "1"),
        finding("error", Some("b"), "2"),
        finding("error", Some("c"), "3"),
        finding("error", Some("d"), "4"),
    ];
    assert_eq!(
        refusal(&report(Verdict::Fail, findings)),
        "verdict_fail: error a retyped-column: 1; error b retyped-column: 2; error c retyped-column: 3; and 1 more"
    );
    assert_eq!(
        refusal(&report(Verdict::Fail, vec![finding("warning", None, "w")])),
        "verdict_fail: warning retyped-column: w"
    );
    assert_eq!(
        refusal(&report(Verdict::Fail, Vec::new())),
        "verdict_fail: the hook gave no reason"
    );
}

fn properties(more: &str) -> WasmProperties {
    let text = format!(
        "name: gate\non: {{pre-commit: }}\nhooks:\n  - {{id: guard, type: wasm, properties: {{component: a.wasm, {more}}}}}"
    );
    let action = Action::parse("_lakefs_actions/gate.yaml", text.as_bytes()).unwrap();
    match &action.hooks[0].kind {
        HookKind::Wasm(wasm) => *wasm.clone(),
        other => panic!("{other:?}"),
    }
}

/// Regression test: if no thread was free to write a long report, the hook refused the change, whatever its
/// verdict and `on_failure`, and its log was lost.
#[tokio::test]
async fn verdict_stands_if_no_thread_is_free_for_a_long_report() {
    let dir = tempfile::tempdir().unwrap();
    let computations = Computations::waiting(Duration::from_millis(20)).unwrap();
    let key = CodeKey::new([1; 32]);
    let options = HostOptions::new(dir.path().to_owned(), key, Compiler::InProcess);
    let host = Host::with_computations(options, computations.clone()).unwrap();
    let _blocked = Blocked::start(&computations, "lake").await;
    let finish_report = async |verdict, properties: &WasmProperties| {
        let findings = vec![finding("error", Some("a"), "x"); 20];
        let mut report = report(verdict, findings);
        report.log = vec![b'x'; 20 << 10];
        finish(&host, "lake", report, properties, Output::new(1 << 20)).await
    };
    let block = properties("");
    assert!(finish_report(Verdict::Pass, &block).await.failure.is_none());
    let warn = properties("on_failure: warn");
    assert!(finish_report(Verdict::Fail, &warn).await.failure.is_none());
    let failed = finish_report(Verdict::Fail, &block).await;
    let message = failed.failure.unwrap().message;
    assert!(message.starts_with("verdict_fail: error a "), "{message}");
    assert_eq!(failed.findings.len(), FEW_FINDINGS);
    let log = String::from_utf8(failed.log.finish(None)).unwrap();
    assert!(
        log.contains("[log shortened: the server was busy]\n"),
        "{log}"
    );
    assert!(log.contains("(4 more findings were dropped"), "{log}");
}
