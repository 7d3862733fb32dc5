//! An object gate over many objects: order, isolation, and the combined report.

use std::time::Duration;

use actions::wasm::{Cause, Report, Select, Verdict};
use serde_json::json;

use super::hostile::replaced;
use super::{Memory, ReadFailure, error, findings, host, log, object_gate, request};

async fn run(base: &[(&str, &str)], candidate: &[(&str, &str)]) -> Report {
    host()
        .run(request(
            object_gate(),
            Memory::new(base, candidate),
            json!(null),
        ))
        .await
}

#[tokio::test]
async fn objects_are_reported_in_order() {
    let files: Vec<(String, String)> = (0..200)
        .map(|n| (format!("data/{n:03}"), format!("object {n}")))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(p, c)| (p.as_str(), c.as_str()))
        .collect();
    let mut request = request(object_gate(), Memory::new(&[], &files), json!(null));
    request.limits.findings = 500;
    request.parallelism = 16;
    let report = host().run(request).await;
    assert_eq!(
        (report.verdict.clone(), report.objects),
        (Verdict::Pass, 200)
    );
    let expected: Vec<String> = files
        .iter()
        .map(|(p, c)| format!("{p} saw: ChangeKind::Added {c}"))
        .collect();
    assert_eq!(findings(&report), expected);
    let bytes: usize = files.iter().map(|(_, c)| c.len()).sum();
    assert_eq!(report.read_bytes, bytes as u64);
}

/// Each instance grows its memory, looks for traces of other instances and leaves a mark.
#[tokio::test]
async fn instances_are_isolated() {
    let files: Vec<String> = (0..150).map(|n| format!("data/{n:03}")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|p| (p.as_str(), "x")).collect();
    for _ in 0..2 {
        let mut request = request(object_gate(), Memory::new(&[], &files), json!(null));
        request.limits.findings = 500;
        let report = host().run(request).await;
        assert_eq!(report.objects, 150);
        assert!(
            report.findings.iter().all(|f| f.rule == "saw"),
            "{:?}",
            findings(&report)
        );
        assert!(report.peak_memory_bytes > 4 << 20);
    }
}

const BASE: [(&str, &str); 3] = [
    ("data/changed", "old"),
    ("data/gone", "old"),
    ("data/same", "same"),
];
const CANDIDATE: [(&str, &str); 4] = [
    ("data/changed", "new"),
    ("data/large", "0123456789"),
    ("data/same", "same"),
    ("other", "new"),
];

#[tokio::test]
async fn default_selection_is_that_of_the_component() {
    assert_eq!(
        findings(&run(&BASE, &CANDIDATE).await),
        [
            "data/changed saw: ChangeKind::Changed new",
            "data/large saw: ChangeKind::Added 0123456789"
        ],
        "expected the component's default paths, added and changed"
    );
}

#[tokio::test]
async fn objects_are_selected_by_path_kind_and_size() {
    let mut request = request(object_gate(), Memory::new(&BASE, &CANDIDATE), json!(null));
    request.select = Select {
        paths: vec!["**".to_owned()],
        kinds: ["added", "removed"].map(str::to_owned).to_vec(),
        max_size_bytes: Some(9),
    };
    let report = host().run(request).await;
    assert_eq!(
        findings(&report),
        [
            "data/gone removed: ChangeKind::Removed data/gone",
            "other saw: ChangeKind::Added new"
        ]
    );
}

#[tokio::test]
async fn change_without_selected_objects_is_skipped() {
    let report = run(&BASE, &BASE).await;
    assert_eq!((report.verdict, report.objects), (Verdict::Skip, 0));
}

#[tokio::test]
async fn object_can_be_compared_with_its_base() {
    let report = run(&[("data/a", "before")], &[("data/a", "compare")]).await;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", findings(&report));
    assert_eq!(findings(&report)[1], "data/a before: before");
}

#[tokio::test]
async fn one_failing_object_fails_the_hook_and_all_findings_are_reported() {
    let report = run(
        &[],
        &[
            ("data/a", "fine"),
            ("data/b", "fail"),
            ("data/c", "err"),
            ("data/d", "fine"),
        ],
    )
    .await;
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(
        findings(&report),
        [
            "data/a saw: ChangeKind::Added fine",
            "data/b saw: ChangeKind::Added fail",
            "data/b bad: says fail",
            "data/c saw: ChangeKind::Added err",
            "data/c hook_error: hook could not decide: undecided",
            "data/d saw: ChangeKind::Added fine",
        ]
    );
    let undecided = (
        Cause::HookError,
        "data/c: hook could not decide: undecided".to_owned(),
    );
    let reported = report.undecided.map(|f| (f.cause, f.message));
    assert_eq!(reported, Some(undecided));
}

#[tokio::test]
async fn undecided_objects_are_counted() {
    let report = run(
        &[],
        &[("data/a", "err"), ("data/b", "skip"), ("data/c", "err")],
    )
    .await;
    assert_eq!(
        error(&report),
        "hook_error: data/a: hook could not decide: undecided (and 1 more)"
    );
    assert_eq!(report.objects, 3);
}

#[tokio::test]
async fn hook_stops_after_a_trap() {
    let report = run(
        &[],
        &[("data/a", "fine"), ("data/b", "panic"), ("data/c", "fine")],
    )
    .await;
    let message = error(&report);
    assert!(
        message.starts_with("trap: data/b: hook panicked: "),
        "{message}"
    );
    assert!(message.ends_with(": this object is cursed"), "{message}");
    let paths: Vec<_> = report
        .findings
        .iter()
        .map(|f| f.path.clone().unwrap())
        .collect();
    assert_eq!(paths, ["data/a", "data/b", "data/b"]);
    assert!(log(&report).starts_with("--- data/b\n"), "{}", log(&report));
}

/// Regression test: with `on_error: warn`, one object that trapped kept all later objects from
/// being checked.
#[tokio::test]
async fn keep_going_checks_objects_after_a_trap() {
    let files = [
        ("data/a", "panic"),
        ("data/b", "loop"),
        ("data/c", "fail"),
        ("data/d", "fine"),
    ];
    let mut request = request(object_gate(), Memory::new(&[], &files), json!(null));
    request.keep_going = true;
    request.limits.time_per_object = Duration::from_secs(2);
    let report = host().run(request).await;
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(report.objects, 4);
    let undecided = report.undecided.clone().unwrap();
    let (cause, message) = (undecided.cause, undecided.message);
    assert_eq!(cause, Cause::Trap);
    assert!(message.starts_with("data/a: hook panicked: "), "{message}");
    assert!(message.ends_with(" (and 1 more)"), "{message}");
    let found = findings(&report);
    assert!(
        found.contains(&"data/c bad: says fail".to_owned()),
        "{found:?}"
    );
}

#[tokio::test]
async fn keep_going_respects_the_timeout() {
    let files = [("data/a", "loop"), ("data/b", "fine")];
    let mut request = request(object_gate(), Memory::new(&[], &files), json!(null));
    request.keep_going = true;
    request.limits.timeout = Duration::from_millis(300);
    assert_eq!(
        error(&host().run(request).await),
        "limit_time: hook was stopped after 300ms (timeout)"
    );
}

#[tokio::test]
async fn time_of_one_object_is_limited() {
    // Every object here exceeds the limit. On a busy machine, a good object might exceed it too.
    let loops = Memory::new(&[], &[("data/b", "loop")]);
    let mut one = request(object_gate(), loops, json!(null));
    one.limits.time_per_object = Duration::from_millis(300);
    let report = host().run(one).await;
    assert_eq!(
        error(&report),
        "limit_time: data/b: hook was stopped after 300ms on one object (limits.time_per_object)"
    );
}

#[tokio::test]
async fn time_of_all_objects_is_limited() {
    let files = [("data/a", "fine"), ("data/b", "loop"), ("data/c", "fine")];
    let mut all = request(object_gate(), Memory::new(&[], &files), json!(null));
    all.limits.timeout = Duration::from_millis(500);
    let report = host().run(all).await;
    assert_eq!(
        error(&report),
        "limit_time: hook was stopped after 500ms (timeout)"
    );
}

#[tokio::test]
async fn storage_failure_stops_the_hook_and_names_the_path() {
    let trees = Memory::new(&[], &[("data/a", "x"), ("data/b", "x")])
        .with_read_failure("data/b", ReadFailure::Fails);
    let report = host().run(request(object_gate(), trees, json!(null))).await;
    let message = error(&report);
    assert!(
        message.starts_with("storage: data/b: hook could not decide: "),
        "{message}"
    );
}

#[tokio::test]
async fn log_of_a_hook_is_truncated_with_a_note() {
    let files: Vec<String> = (0..40).map(|n| format!("data/{n:03}")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|p| (p.as_str(), "speak")).collect();
    let mut request = request(object_gate(), Memory::new(&[], &files), json!(null));
    request.limits.log_bytes = 300;
    let report = host().run(request).await;
    assert_eq!(report.verdict, Verdict::Pass);
    assert!(
        log(&report).ends_with("\n... log truncated at 300B (limits.log)\n"),
        "{}",
        log(&report)
    );
    assert!(report.log.len() < 400);
}

#[tokio::test]
async fn invalid_glob_is_reported_before_anything_runs() {
    let mut request = request(
        object_gate(),
        Memory::new(&[], &[("data/a", "panic")]),
        json!(null),
    );
    request.select.paths = vec!["data/[".to_owned()];
    let message = error(&host().run(request).await);
    assert!(
        message.starts_with("hook_error: select.paths: "),
        "{message}"
    );
}

/// With the host's default kinds, a gate for removals would get no objects and pass.
#[tokio::test]
async fn component_can_set_its_default_kinds() {
    let removals = replaced(
        &object_gate(),
        br#""paths":["data/**"]"#,
        br#""kinds":["removed"]"#,
    );
    let trees = || Memory::new(&[("data/old", "x")], &[("data/new", "x")]);
    let report = host()
        .run(request(removals.clone().into(), trees(), json!(null)))
        .await;
    assert_eq!(report.objects, 1);
    assert_eq!(report.findings[0].path.as_deref(), Some("data/old"));
    // The action file takes precedence.
    let mut request_for_added = request(removals.into(), trees(), json!(null));
    request_for_added.select.kinds = vec!["added".to_owned()];
    let report = host().run(request_for_added).await;
    assert_eq!(report.findings[0].path.as_deref(), Some("data/new"));
}
