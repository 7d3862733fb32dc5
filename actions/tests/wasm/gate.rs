//! A well-behaved gate: what it can see and report, and that runs are deterministic.

use std::sync::Arc;

use actions::wasm::{Cause, Component, Select, Verdict};
use bytes::Bytes;
use graveler::{CommitId, EventDetails, MetaRangeId, RepositoryId, TagChange, TagId};
use serde_json::json;
use tokio::sync::Barrier;

use super::components::EXPORTS;
use super::{
    Memory, ReadFailure, error, event_of, findings, gate, host, log, new_host, object_gate,
    request, run_mode,
};

#[tokio::test]
async fn passing_report_has_log_metrics_and_summary() {
    let report = run_mode("pass").await;
    assert_eq!(report.verdict, Verdict::Pass);
    assert_eq!(log(&report), "INFO looked at it rows=3\n");
    assert_eq!(
        report.metrics,
        [("rows".to_owned(), 3.0, "rows".to_owned())]
    );
    assert_eq!(report.summary.as_deref(), Some("all **good**"));
    assert_eq!((report.objects, report.undecided), (0, None));
}

#[tokio::test]
async fn failing_report_has_findings() {
    let report = run_mode("fail").await;
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(
        findings(&report),
        ["tables/a.csv null-ratio: too many nulls"]
    );
    let finding = &report.findings[0];
    assert_eq!(
        (
            finding.action.as_str(),
            finding.hook.as_str(),
            finding.severity.as_str()
        ),
        ("tables gate", "schema", "error")
    );
    let properties: Vec<String> = finding
        .properties
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(
        properties,
        [
            "column=delay",
            "length=20",
            "offset=10",
            "ratio=0.5",
            "row=8"
        ]
    );
}

#[tokio::test]
async fn gate_can_skip() {
    assert_eq!(run_mode("skip").await.verdict, Verdict::Skip);
}

#[tokio::test]
async fn hook_sees_the_event() {
    let config = json!({ "mode": "facts", "list": [1, { "a": "b" }] });
    let report = host().run(request(gate(), Memory::default(), config)).await;
    assert_eq!(
        findings(&report),
        [
            "kind: pre-merge",
            "run: run-1",
            r#"where: lake Some("main") None"#,
            "what: tables gate / schema",
            r#"who: ada from Some("ingest")"#,
            "when: 1700000123000",
            r#"commit: Some("merge") Some("load of May") [("job", "7")] ["p1", "p2"]"#,
            r#"config: {"list":[1,{"a":"b"}],"mode":"facts"}"#,
            r#"nested: Some("{\"a\":\"b\"}") None"#,
        ]
    );
}

#[tokio::test]
async fn events_about_tags_have_a_tag_and_its_commit() {
    let mut request = request(gate(), Memory::default(), json!({ "mode": "facts" }));
    request.event = Arc::new(event_of(EventDetails::PreCreateTag(TagChange {
        tag: TagId::trusted("v1"),
        commit_id: CommitId::trusted("c1"),
        meta_range_id: MetaRangeId::trusted("m"),
    })));
    let findings = findings(&host().run(request).await);
    assert!(
        findings.contains(&r#"where: lake None Some("v1")"#.to_owned())
            && findings.contains(&r#"commit: Some("c1") None [] []"#.to_owned()),
        "{findings:?}"
    );
}

/// Decision 0020 removed these functions before the first release.
#[tokio::test]
async fn components_that_import_an_unknown_function_are_refused() {
    for (interface, function) in [
        ("event", r#""attempt" (func (result u32))"#),
        ("event", r#""dry-run" (func (result bool))"#),
        (
            "event",
            r#""attribute" (func (param "name" string) (result (option string)))"#,
        ),
        (
            "config",
            r#""secret" (func (param "name" string) (result (result string (error string))))"#,
        ),
    ] {
        let text = format!(
            r#"(component
                (import "weir:hooks/{interface}@0.1.0" (instance (export {function})))
                (core module $m
                    (memory (export "memory") 1)
                    (func (export "check") (result i32) (i32.const 64))
                    (func (export "describe") (result i32)
                        (i32.store (i32.const 0) (i32.const 16))
                        (i32.store (i32.const 4) (i32.const 2))
                        (i32.const 0))
                    (data (i32.const 16) "{{}}"))
                (core instance $i (instantiate $m))
                {EXPORTS})"#
        );
        let component = wat::parse_str(text).unwrap();
        let report = host()
            .run(request(component.into(), Memory::default(), json!({})))
            .await;
        let error = error(&report);
        let name = function.split('"').nth(1).unwrap();
        assert!(
            error.starts_with("component_abi: component does not fit weir:hooks 0.1.0")
                && error.contains(name),
            "{error}"
        );
    }
}

#[tokio::test]
async fn objects_can_be_read_by_spans_tails_and_chunks() {
    let trees = Arc::new(Memory::new(&[], &[("tables/a", "0123456789")]));
    let mut request = request(
        gate(),
        Memory::default(),
        json!({ "mode": "read", "path": "tables/a" }),
    );
    request.trees = trees.clone();
    let report = host().run(request).await;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", findings(&report));
    assert_eq!(
        findings(&report),
        [
            "entry: tables/a 10 1700000000000",
            r#"type: Some("text/csv") [("owner", "ada")]"#,
            "read: 234",
            "tail: 6789",
            "long tail: 0123456789",
            "many: 67|0|",
            "beyond: out of range",
            "huge: out of range",
            "scan: 1234|5678|9",
            "scan end: Ok(true)",
            "scan at the end: true",
        ]
    );
    // `read-many` fetched the two nearby spans together, and the whole fetch was charged.
    let ranges: Vec<_> = trees
        .fetched
        .lock()
        .unwrap()
        .iter()
        .map(|(_, r)| r.clone())
        .collect();
    assert_eq!(ranges, [2..5, 6..10, 0..10, 0..8, 1..10]);
    assert_eq!(report.read_bytes, 3 + 4 + 10 + 8 + 9);
}

#[tokio::test]
async fn trees_are_listed_and_compared_in_pages() {
    let trees = Memory::new(
        &[("a/0", "x"), ("a/1", "x"), ("a/2", "xx"), ("b", "same")],
        &[
            ("a/0", "y"),
            ("a/2", "yyy"),
            ("a/3", "z"),
            ("b", "same"),
            ("c", ""),
        ],
    );
    let report = host()
        .run(request(gate(), trees, json!({ "mode": "look" })))
        .await;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", findings(&report));
    assert_eq!(
        findings(&report),
        [
            "tree: candidate-tree",
            "walk: a/0 a/2",
            "walk: a/3 b",
            "walk: c",
            "diff: ChangeKind::Removed a/1 1 -",
            "diff: ChangeKind::Changed a/2 2 3",
            "diff: ChangeKind::Added a/3 - 1",
            "diff: ChangeKind::Added c - 0",
        ]
    );
}

#[tokio::test]
async fn unreadable_paths_are_denied_and_not_listed() {
    let files = [("secret/a", "s"), ("schemas/a", "s"), ("tables/a", "t")];
    let run = |mode: &str, path: &str| {
        let mut request = request(
            gate(),
            Memory::new(&[], &files),
            json!({ "mode": mode, "path": path }),
        );
        request.select = Select {
            paths: vec!["tables/**".to_owned()],
            ..Select::default()
        };
        request.read = vec!["schemas/*".to_owned()];
        async move { host().run(request).await }
    };
    let denied = r#"denied: hook could not decide: denied: "secret/a" is neither selected nor in capabilities.read of this hook"#;
    assert_eq!(error(&run("stat", "secret/a").await), denied);
    assert_eq!(error(&run("read", "secret/a").await), denied);
    assert_eq!(run("stat", "schemas/a").await.verdict, Verdict::Pass);
    assert_eq!(
        error(&run("stat", "tables/none").await),
        "hook_error: hook could not decide: not found"
    );
    let report = run("look", "").await;
    let walked = findings(&report)
        .into_iter()
        .filter(|f| f.starts_with("walk"));
    assert_eq!(
        walked.collect::<Vec<_>>(),
        ["walk: schemas/a", "walk: tables/a"]
    );
    assert!(!findings(&report).iter().any(|f| f.contains("secret")));
}

#[tokio::test]
async fn storage_failure_is_reported_as_cause() {
    for (failure, words) in [
        (ReadFailure::Fails, "storage failed: "),
        (ReadFailure::Short, "storage has fewer bytes of \"a\""),
    ] {
        let trees = Memory::new(&[], &[("a", "0123456789")]).with_read_failure("a", failure);
        let report = host()
            .run(request(
                gate(),
                trees,
                json!({ "mode": "read", "path": "a" }),
            ))
            .await;
        let message = error(&report);
        assert!(
            message.starts_with("storage: hook could not decide: unavailable: ")
                && message.contains(words),
            "{message}"
        );
    }
}

#[tokio::test]
async fn environment_is_empty_and_deterministic() {
    let first = run_mode("surroundings").await;
    assert_eq!(first.verdict, Verdict::Pass, "{:?}", log(&first));
    let observed = findings(&first);
    let observed: Vec<&str> = observed.iter().map(String::as_str).collect();
    assert_eq!(observed[..2], ["clock: 1700000123000", "passed: 0"]);
    assert_eq!(
        observed[3..],
        [
            "environment: 0",
            "arguments: 0",
            "file: refused",
            "directory: refused",
            "network: refused"
        ]
    );
    assert_eq!(log(&first), "said on stdout\nsaid on stderr\n");
    let again = run_mode("surroundings").await;
    assert_eq!(
        (findings(&again), again.fuel),
        (findings(&first), first.fuel)
    );
    // A different config changes the random numbers.
    let config = json!({ "mode": "surroundings", "salt": 1 });
    let other = host().run(request(gate(), Memory::default(), config)).await;
    assert_ne!(findings(&other)[2], observed[2]);
}

#[tokio::test]
async fn fuel_is_deterministic() {
    let (first, again) = (run_mode("spin").await, run_mode("spin").await);
    assert_eq!(first.verdict, Verdict::Pass);
    assert_eq!(findings(&first), findings(&again));
    assert_eq!(first.fuel, again.fuel);
}

#[tokio::test]
async fn gate_is_described() {
    let component = Component::new(gate());
    let description = host().describe("lake", &component).await.unwrap();
    assert_eq!(description["name"], "test-gate");
}

#[tokio::test]
async fn object_gate_is_described_with_its_defaults() {
    let component = Component::new(object_gate());
    let description = host().describe("lake", &component).await.unwrap();
    assert_eq!(description["defaults"]["paths"], json!(["data/**"]));
}

#[tokio::test]
async fn object_that_is_no_component_is_not_described() {
    let component = Component::new(Bytes::from_static(b"junk"));
    let failure = host().describe("lake", &component).await.unwrap_err();
    assert_eq!(
        (failure.cause, failure.message.as_str()),
        (
            Cause::ComponentInvalid,
            "this is not a WebAssembly component: build for wasm32-wasip2"
        )
    );
}

/// All runs are inside the guest at the same time: each waits in its first storage call for the
/// others.
#[tokio::test]
async fn concurrent_runs_of_a_component_see_their_own_trees() {
    const RUNS: usize = 12;
    // Has its own host: in the shared one, other tests could delay one of the runs, and the others would
    // wait for it at the barrier until they time out.
    let host = new_host();
    let barrier = Arc::new(Barrier::new(RUNS));
    let runs = (0..RUNS).map(|n| {
        let path = format!("tables/{n}");
        let trees = Memory::new(&[], &[(&path, "x")]).with_barrier(&barrier);
        let mut request = request(gate(), trees, json!({ "mode": "look" }));
        // One repository cannot make this many storage calls at once.
        let repository = &mut Arc::make_mut(&mut request.event).repository;
        repository.id = RepositoryId::trusted(if n % 2 == 0 { "lake" } else { "sea" });
        let host = host.clone();
        async move { host.run(request).await }
    });
    let reports = futures::future::join_all(runs).await;
    for (n, report) in reports.iter().enumerate() {
        assert_eq!(
            findings(report),
            [
                "tree: candidate-tree".to_owned(),
                format!("walk: tables/{n}"),
                format!("diff: ChangeKind::Added tables/{n} - 1"),
            ]
        );
    }
}
