//! Tests of the parser: accepted files, errors and warnings.

mod globs;
mod names;
mod no_effect;

use std::time::Duration;

use graveler::EventKind;

use super::wasm_properties::Reaction;
use super::{Action, EventFilter, HookKind, MAX_FILE_BYTES};

const GOOD_HOOK: &str =
    "hooks:\n  - id: aa\n    type: webhook\n    properties:\n      url: http://x\n";

fn parse(text: &str) -> Result<Action, String> {
    Action::parse("_lakefs_actions/gate.yaml", text.as_bytes()).map_err(|e| e.to_string())
}

#[track_caller]
fn check_refused(text: &str, reason: &str) {
    assert_eq!(
        parse(text).unwrap_err(),
        format!("parsing file _lakefs_actions/gate.yaml:{reason}"),
        "{text}"
    );
}

fn webhook(properties: &str) -> String {
    format!(
        "name: gate\non:\n  pre-commit:\nhooks:\n  - id: aa\n    type: webhook\n    properties:\n{properties}"
    )
}

fn wasm(properties: &str) -> String {
    format!(
        "name: gate\non:\n  pre-merge:\nhooks:\n  - id: aa\n    type: wasm\n    properties:\n      component: hooks/x.wasm\n{properties}"
    )
}

#[test]
fn action_file_has_events_branches_and_hooks() {
    let action = parse(
        "name: Tables gate\ndescription: d\non:\n  pre-merge:\n    branches: [main, \"release-*\"]\n    paths: ['tables/**']\n  post-commit:\nhooks:\n  - id: first\n    type: webhook\n    description: d\n    if: failure()\n    properties:\n      url: http://h/p\n      timeout: 1m30s\n      query_params:\n        one: '1'\n        many: [a, b]\n        number: 7\n      headers:\n        X-Own: v\n  - id: second\n    type: lua\n    properties: {script: print(1)}\n",
    )
    .unwrap();
    assert_eq!(action.name, "Tables gate");
    let on = EventFilter {
        branches: vec!["main".to_owned(), "release-*".to_owned()],
        paths: vec!["tables/**".to_owned()],
    };
    assert_eq!(action.on.get(&EventKind::PreMerge), Some(&on));
    assert_eq!(
        action.on.get(&EventKind::PostCommit),
        Some(&EventFilter::default())
    );
    assert!(action.hooks[0].condition.holds(true));
    let HookKind::Webhook(webhook) = &action.hooks[0].kind else {
        panic!("{:?}", action.hooks[0])
    };
    assert_eq!(webhook.timeout, Duration::from_secs(90));
    let params: Vec<_> = webhook
        .query_params
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(params, ["one=1", "many=a", "many=b", "number=7"]);
    assert!(matches!(action.hooks[1].kind, HookKind::Lua));
}

#[test]
fn password_in_url_is_masked() {
    for (url, shown) in [
        ("http://x", "http://x"),
        ("http://u:p@x/y", "http://u:xxxxx@x/y"),
    ] {
        let action = parse(&webhook(&format!("      url: {url}\n"))).unwrap();
        let HookKind::Webhook(webhook) = &action.hooks[0].kind else {
            panic!("{:?}", action.hooks[0])
        };
        assert_eq!(webhook.shown_url, shown);
    }
}

#[test]
fn files_that_lakefs_accepts_are_accepted() {
    parse(&format!(
        "name: gate\ncolour: red\non:\n  pre-commit:\n    colour: red\n{GOOD_HOOK}"
    ))
    .unwrap();
    assert!(
        parse("name: gate\non:\n  pre-commit:\n")
            .unwrap()
            .hooks
            .is_empty()
    );
    assert!(
        parse("name: gate\non:\n  pre-commit:\nhooks: []\n")
            .unwrap()
            .hooks
            .is_empty()
    );
    let airflow = "name: gate\non: {pre-commit: }\nhooks:\n  - id: dag\n    type: airflow\n    properties: {url: 'http://a', dag_id: d, username: u, password: '{{ ENV.P }}'}\n";
    assert!(matches!(
        parse(airflow).unwrap().hooks[0].kind,
        HookKind::Airflow(_)
    ));
}

/// Regression test: `hoks:` and `branchs:` were accepted without a warning, and the gate checked
/// nothing, or every branch.
#[test]
fn probable_mistakes_are_warnings() {
    for (text, expected) in [
        (
            "name: gate\non:\n  pre-commit:\nhoks: []\n".to_owned(),
            vec![
                "4:1: unknown key 'hoks' is ignored; did you mean 'hooks'?",
                "1:1: the file has no hooks, so it does nothing",
            ],
        ),
        (
            format!(
                "name: gate\ncolour: red\nx-anchor: 1\non:\n  pre-commit:\n    branchs: [main]\n{GOOD_HOOK}"
            ),
            vec![
                "2:1: unknown key 'colour' is ignored; known keys are name, description, on, hooks",
                "6:5: unknown key 'on.pre-commit.branchs' is ignored; did you mean 'branches'?",
            ],
        ),
        (
            format!(
                "name: gate\non:\n  pre-commit:\n{}",
                GOOD_HOOK.replace("    type", "    iff: failure()\n    type")
            ),
            vec!["6:5: unknown key 'hook[0].iff' is ignored; did you mean 'if'?"],
        ),
        (
            format!(
                "name: gate\non:\n  pre-commit:\n    branches: ['[', refs/heads/main, ok]\n{GOOD_HOOK}"
            ),
            vec![
                "4:16: 'branches': '[' is not a valid glob; every event that is matched against it is refused",
                "4:21: 'branches': 'refs/heads/main' can match no branch; name the branch only: 'main'",
            ],
        ),
        (
            format!(
                "name: gate\non:\n  pre-merge:\n    paths: ['/a/**', 'b/', 'lakefs://r/main/c', './d']\n{GOOD_HOOK}"
            ),
            vec![
                "4:13: 'paths': '/a/**' matches only paths that begin with '/'; write 'a/**'",
                "4:22: 'paths': 'b/' matches only paths that end in '/'; write 'b/**'",
                "4:28: 'paths': 'lakefs://r/main/c' matches only paths that begin with 'lakefs:'; write the path within the repository, without repository and branch",
                "4:49: 'paths': './d' matches only paths that begin with './'; write 'd'",
            ],
        ),
        (
            webhook("      url: ftp://x\n      timeout: 10\n      header: {a: b}\n"),
            vec![
                "10:7: hook[0] type 'webhook': unknown key 'properties.header' is ignored; did you mean 'headers'?",
                "8:12: hook[0] type 'webhook': 'url' 'ftp://x' cannot be called: unsupported protocol scheme \"ftp\"; write the whole URL, with its scheme: https://hooks.example.com/gate",
                "9:16: hook[0] type 'webhook': 'timeout' is not a string and is ignored, so 1m0s applies; write 10s, 1m30s or 500ms",
            ],
        ),
        (
            webhook("      url: http://x\n      timeout: -1s\n"),
            vec!["9:16: hook[0] type 'webhook': 'timeout' '-1s' is not positive, so 1m0s applies"],
        ),
        (
            webhook("      url: http://x\n      timeout: 2h\n"),
            vec!["9:16: hook[0] type 'webhook': 'timeout' '2h' is longer than 1h, so 1h applies"],
        ),
        (
            wasm("      timeout: 61m\n      limits: {time_per_object: 11m}\n"),
            vec![
                "10:33: hook[0] type 'wasm': 'limits.time_per_object' '11m' is longer than 10m, so 10m applies",
                "9:16: hook[0] type 'wasm': 'timeout' '61m' is longer than 1h, so 1h applies",
            ],
        ),
        (
            "name: gate\non: {pre-commit: }\nhooks: [null]\n".to_owned(),
            vec![
                "3:9: hook[0] is empty and ignored",
                "1:1: the file has no hooks, so it does nothing",
            ],
        ),
        (
            wasm("      select: {paths: ['/a']}\n      capabilities: {read: [b/]}\n"),
            vec![
                "9:24: hook[0] type 'wasm': 'select.paths': '/a' matches only paths that begin with '/'; write 'a'",
                "10:29: hook[0] type 'wasm': 'capabilities.read': 'b/' matches only paths that end in '/'; write 'b/**'",
            ],
        ),
    ] {
        assert_eq!(warnings(&text), expected, "{text}");
    }
    assert!(warnings(&format!("name: gate\non: {{pre-commit: }}\n{GOOD_HOOK}")).is_empty());
    let many: String = (0..1000).map(|n| format!("key{n}: 1\n")).collect();
    let text = format!("name: gate\non: {{pre-commit: }}\n{many}{GOOD_HOOK}");
    assert_eq!(warnings(&text).len(), 50, "bounded");
}

#[test]
fn lua_and_airflow_properties_are_validated_as_in_lakefs() {
    let hook = |kind: &str, properties: &str| {
        parse(&format!(
            "name: gate\non: {{pre-commit: }}\nhooks:\n  - id: aa\n    type: {kind}\n    properties: {properties}\n"
        ))
    };
    let air = |more: &str| {
        hook(
            "airflow",
            &format!("{{url: u, dag_id: d, username: n, password: p{more}}}"),
        )
    };
    for (read, reason) in [
        (
            hook("lua", "{args: {}}"),
            "'script' or 'script_path' is required",
        ),
        (hook("lua", "{script: 1}"), "'script' must be a string"),
        (
            hook("lua", "{script: ''}"),
            "'script' or 'script_path' is required",
        ),
        (
            hook("lua", "{script: print(1), args: [1]}"),
            "'args' must be a map",
        ),
        (
            hook("lua", "{script: print(1), args: null}"),
            "'args' must be a map",
        ),
        (
            hook("airflow", "{url: u, dag_id: d, username: n}"),
            "'password' is required",
        ),
        (
            hook("airflow", "{url: '', dag_id: d, username: n, password: p}"),
            "'url' is empty",
        ),
        (
            hook("airflow", "{url: u, dag_id: 1, username: n, password: p}"),
            "'dag_id' must be a string",
        ),
        (air(", dag_conf: [1]"), "'dag_conf' must be a map"),
        (air(", timeout: x"), "'timeout' 'x' is not a duration"),
    ] {
        let message = read.unwrap_err();
        assert!(message.contains(reason), "{reason}: {message}");
    }
    hook("lua", "{script_path: a.lua}").unwrap();
    air(", dag_conf: {a: b}, wait_for_dag: 'true', timeout: 1").unwrap();
}

fn warnings(text: &str) -> Vec<String> {
    let action = parse(text).unwrap();
    let reported = action.warnings.iter().map(|diagnostic| {
        let at = diagnostic.at.unwrap();
        format!("{}:{}: {}", at.line, at.column, diagnostic.reason)
    });
    reported.collect()
}

/// A Lua gate is never skipped, so its author is warned when the file is committed.
#[test]
fn lua_hook_is_accepted_with_a_warning() {
    let text = "name: gate\non: {pre-merge: }\nhooks:\n  - id: aa\n    type: lua\n    properties: {script: print(1)}\n";
    assert_eq!(
        warnings(text),
        [
            "6:17: hook[0] type 'lua': Lua hooks are not run by this version: the hook always fails, and a failing prepare- or pre- hook refuses the change; use wasm, webhook or airflow"
        ]
    );
}

#[test]
fn second_yaml_document_is_ignored_with_a_warning() {
    let one = "name: gate\non: {pre-merge: }\nhooks: [{id: aa, type: webhook, properties: {url: 'http://h'}}]\n";
    assert_eq!(
        warnings(&format!("{one}---\n{one}")),
        ["4:1: only the first YAML document is read; put each action into a separate file"]
    );
    assert!(warnings(&format!("---\n{one}---\n")).is_empty());
}

#[test]
fn url_without_scheme_is_accepted_with_a_warning() {
    let whole = "write the whole URL, with its scheme: https://hooks.example.com/gate";
    for (url, why) in [
        ("hooks.example.com/gate", "unsupported protocol scheme \"\""),
        ("'ftp://h/x'", "unsupported protocol scheme \"ftp\""),
        ("'http://h:port/'", "invalid port number"),
    ] {
        for properties in [
            format!("type: webhook, properties: {{url: {url}}}"),
            format!(
                "type: airflow, properties: {{url: {url}, dag_id: d, username: u, password: p}}"
            ),
        ] {
            let text =
                format!("name: gate\non: {{pre-merge: }}\nhooks: [{{id: aa, {properties}}}]\n");
            let [reported] = &warnings(&text)[..] else {
                panic!("{text}")
            };
            assert!(
                reported.contains(why) && reported.ends_with(whole),
                "{reported}"
            );
        }
    }
}

#[test]
fn branch_written_as_full_ref_is_a_warning() {
    let text = "name: gate\non: {pre-merge: {branches: [refs/heads/main, refs/heads/x/*]}}\nhooks: [{id: aa, type: webhook, properties: {url: 'http://h'}}]\n";
    assert_eq!(
        warnings(text),
        [
            "2:29: 'branches': 'refs/heads/main' can match no branch; name the branch only: 'main'",
            "2:46: 'branches': 'refs/heads/x/*' can match no branch; name the branch only: 'x/*'"
        ]
    );
}

#[test]
fn airflow_waits_only_for_true() {
    let hook = |waits: &str| {
        let text = format!(
            "name: gate\non: {{pre-merge: }}\nhooks:\n  - id: aa\n    type: airflow\n    properties: {{url: 'http://u:p@h/x', dag_id: d, username: n, password: p, wait_for_dag: {waits}}}\n"
        );
        let HookKind::Airflow(air) = parse(&text).unwrap().hooks[0].kind.clone() else {
            panic!("{text}")
        };
        assert_eq!(air.shown_runs, "http://h/x/api/v1/dags/d/dagRuns");
        (air.wait_for_dag, warnings(&text).len())
    };
    assert_eq!(hook("true"), (true, 0));
    assert_eq!(hook("false"), (false, 0));
    assert_eq!(hook("null"), (false, 0));
    assert_eq!(hook("'true'"), (true, 1));
    for other in ["'false'", "yes", "1", "[true]"] {
        assert_eq!(hook(other), (false, 1), "{other}");
    }
}

#[test]
fn variables_are_reported_with_their_positions() {
    let text = "name: gate\non: {pre-merge: }\nhooks:\n  - id: aa\n    type: webhook\n    properties:\n      url: 'http://h/{{ ENV.URL }}'\n      headers: {a: '{{ ENV.ONE }}{{ENV.TWO}}'}\n      query_params: {b: [x, '{{ ENV.ONE }}']}\n  - id: bb\n    type: airflow\n    properties: {url: 'http://h', dag_id: '{{ ENV.DAG }}', username: u, password: '{{ ENV.P }}'}\n";
    let action = parse(text).unwrap();
    let names = |hook: &super::Hook| -> Vec<(usize, String)> {
        let found = hook.variables.iter();
        found.map(|v| (v.at.line, v.name.clone())).collect()
    };
    let named = |found: &[(usize, &str)]| -> Vec<(usize, String)> {
        found.iter().map(|(l, n)| (*l, (*n).to_owned())).collect()
    };
    assert_eq!(names(&action.hooks[0]), named(&[(9, "ONE"), (8, "TWO")]));
    assert_eq!(names(&action.hooks[1]), named(&[(12, "P")]));
    let many: String = (0..200).fold(String::new(), |text, n| format!("{text}{{{{ENV.A{n}}}}}"));
    let text = format!(
        "name: gate\non: {{pre-merge: }}\nhooks: [{{id: aa, type: webhook, properties: {{url: 'http://h', headers: {{a: '{many}'}}}}}}]\n"
    );
    assert_eq!(
        parse(&text).unwrap().hooks[0].variables.len(),
        50,
        "bounded"
    );
}

const EVENT_LIST: &str = "the events are prepare-commit, pre-commit, post-commit, pre-merge, post-merge, pre-create-branch, post-create-branch, pre-delete-branch, post-delete-branch, pre-create-tag, post-create-tag, pre-delete-tag, post-delete-tag, pre-revert, post-revert, pre-cherry-pick, post-cherry-pick";

#[test]
fn errors_have_file_line_and_reason() {
    let name_rule = "'name' is invalid: use at least two characters, letters, digits, '_', '-', '.' and spaces, with a letter, digit or '_' first";
    for (text, reason) in [
        ("on:\n  pre-commit:\nhooks: []\n".to_owned(), "1:1: 'name' is required".to_owned()),
        (format!("name: a\non:\n  pre-commit:\n{GOOD_HOOK}"), format!("1:7: {name_rule}")),
        (format!("name: [a, b]\non:\n  pre-commit:\n{GOOD_HOOK}"), format!("1:7: {name_rule}")),
        (format!("name: gate\non:\n  pre-dance:\n{GOOD_HOOK}"), format!("3:3: event 'pre-dance' is not supported; {EVENT_LIST}")),
        (format!("name: gate\non:\n  pre-comit:\n{GOOD_HOOK}"), "3:3: event 'pre-comit' is not supported; did you mean 'pre-commit'?".to_owned()),
        (format!("name: gate\non:\n  schedule: {{cron: '0 3 * * *'}}\n{GOOD_HOOK}"), "3:3: event 'schedule' is not supported by this version".to_owned()),
        (format!("name: gate\n{GOOD_HOOK}"), "1:1: 'on' is required".to_owned()),
        (format!("name: gate\non: pre-commit\n{GOOD_HOOK}"), "2:5: 'on' must be a map from events to their filters".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - id: aa\n    type: shell\n".to_owned(), "6:11: hook[0] type 'shell' unknown; use wasm, webhook or airflow".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - id: aa\n    type: webhook\n".to_owned(), "5:5: hook[0] type 'webhook': missing hook properties".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - type: webhook\n    properties:\n      url: http://x\n".to_owned(), "5:5: hook[0] missing ID".to_owned()),
        (format!("name: gate\non:\n  pre-commit:\n{GOOD_HOOK}  - id: aa\n    type: webhook\n    properties:\n      url: http://x\n"), "9:9: hook[1] duplicate ID 'aa'".to_owned()),
        (format!("name: gate\non:\n  pre-create-tag:\n    branches: [a]\n{GOOD_HOOK}"), "4:15: 'branches' is not supported in tag event types".to_owned()),
        (format!("name: gate\non:\n  pre-commit:\n    branches: [main, {}]\n{GOOD_HOOK}", "b".repeat(1025)), format!("4:22: 'branches': '{}…' has more than 1024 bytes", "b".repeat(100))),
        (format!("name: gate\non:\n  pre-commit:\n    branches: main\n{GOOD_HOOK}"), "4:15: 'branches' must be a list".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - id: 1a\n    type: lua\n".to_owned(), "5:9: hook[0] ID '1a' is invalid: use a letter or '_', then one to 255 letters, digits, '-' or '_'".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - id: aa\n    if: maybe()\n    type: lua\n".to_owned(), "6:9: hook[0] 'if' 'maybe()': 'maybe' is not known; use success(), failure(), true, false, &&, || and !".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - id: aa\n    type: lua\n    properties: {args: {}}\n".to_owned(), "7:17: hook[0] type 'lua': 'script' or 'script_path' is required".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - id: aa\n    type: airflow\n    properties: {url: x}\n".to_owned(), "7:17: hook[0] type 'airflow': 'dag_id' is required".to_owned()),
        (webhook("      timeout: 1s\n"), "8:7: hook[0] type 'webhook': 'url' is required".to_owned()),
        (webhook("      url: 1\n"), "8:12: hook[0] type 'webhook': 'url' must be a string".to_owned()),
        (webhook("      url: http://x\n      timeout: soon\n"), "9:16: hook[0] type 'webhook': 'timeout' 'soon' is not a duration above zero and up to 1h; write 10s, 1m30s or 500ms".to_owned()),
        (wasm("      timeout: 100d\n"), "9:16: hook[0] type 'wasm': 'timeout' '100d' is not a duration above zero and up to 1h; write 10s, 1m30s or 500ms".to_owned()),
        (wasm("      timeout: 0s\n"), "9:16: hook[0] type 'wasm': 'timeout' '0s' is not a duration above zero and up to 1h; write 10s, 1m30s or 500ms".to_owned()),
        (wasm("      limits: {time_per_object: 1d}\n"), "9:33: hook[0] type 'wasm': 'limits.time_per_object' '1d' is not a duration above zero and up to 10m; write 10s, 1m30s or 500ms".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - id: aa\n    type: wasm\n    component: hooks/a.wasm\n".to_owned(), "5:5: hook[0] type 'wasm': missing hook properties; 'component' stands directly in the hook: move it below 'properties:'".to_owned()),
        ("name: gate\non:\n  pre-commit:\nhooks:\n  - id: aa\n    type: webhook\n    url: http://x\n    properties: {timeout: 1s}\n".to_owned(), "8:17: hook[0] type 'webhook': 'url' is required; 'url' stands directly in the hook: move it below 'properties:'".to_owned()),
        (format!("name: {}\non:\n  pre-commit:\n{GOOD_HOOK}", "n".repeat(1025)), "1:7: 'name' has 1025 bytes; it may have at most 1024".to_owned()),
        (webhook("      url: http://x\n      headers: [a]\n"), "9:16: hook[0] type 'webhook': 'headers' must be a map".to_owned()),
    ] {
        check_refused(&text, &reason);
    }
}

#[test]
fn number_of_hooks_per_action_is_limited() {
    let action = |hooks: usize| {
        let hooks: String = (0..hooks)
            .map(|n| {
                format!("  - {{id: hook{n}, type: webhook, properties: {{url: 'http://h/'}}}}\n")
            })
            .collect();
        parse(&format!(
            "name: many\non: {{pre-commit: }}\nhooks:\n{hooks}"
        ))
    };
    assert_eq!(action(100).unwrap().hooks.len(), 100);
    let refused = action(132).unwrap_err();
    assert!(
        refused.ends_with("132 hooks; an action may have at most 100"),
        "{refused}"
    );
}

#[test]
fn invalid_yaml_is_rejected() {
    let message = parse("name: [").unwrap_err();
    assert!(
        message.starts_with("parsing file _lakefs_actions/gate.yaml:1:8: ")
            && message.contains("not valid YAML"),
        "{message}"
    );
}

#[test]
fn file_that_is_not_utf8_is_rejected() {
    let parsed = Action::parse("_lakefs_actions/gate.yaml", b"name: x\n\xff\xfe");
    assert_eq!(
        parsed.unwrap_err().to_string(),
        "parsing file _lakefs_actions/gate.yaml:2:1: not UTF-8 text"
    );
}

#[test]
fn too_large_file_is_rejected() {
    let huge = vec![b'#'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1];
    let parsed = Action::parse("_lakefs_actions/gate.yaml", &huge);
    assert_eq!(
        parsed.unwrap_err().to_string(),
        "parsing file _lakefs_actions/gate.yaml: larger than 1048576 bytes"
    );
}

#[test]
fn wasm_properties_are_typed() {
    let digest = "AB".repeat(32);
    let action = parse(&wasm(&format!(
        "      sha256: {digest}\n      config:\n        forbid: [user_, ssn]\n        max: 3\n      select: {{ paths: ['**/*.parquet'], kinds: [added, changed], max_size: 20GiB }}\n      parallelism: 500\n      capabilities:\n        read: ['tables/**']\n      limits: {{ memory: 64MiB, time_per_object: 2s, read_bytes: 1GiB, findings: 10, log: 4KiB }}\n      timeout: 5m\n      on_failure: warn\n"
    )))
    .unwrap();
    let HookKind::Wasm(wasm) = &action.hooks[0].kind else {
        panic!("{:?}", action.hooks[0])
    };
    assert_eq!(wasm.component, "hooks/x.wasm");
    assert_eq!(wasm.sha256.as_deref(), Some("ab".repeat(32).as_str()));
    assert_eq!(
        wasm.config,
        serde_json::json!({"forbid": ["user_", "ssn"], "max": 3})
    );
    assert_eq!(wasm.select.max_size_bytes, Some(20 << 30));
    assert_eq!(wasm.parallelism, 64, "the server's ceiling");
    assert_eq!(
        (
            wasm.limits.memory_bytes,
            wasm.limits.findings,
            wasm.limits.log_bytes
        ),
        (64 << 20, 10, 4096)
    );
    assert_eq!(wasm.limits.timeout, Duration::from_secs(300));
    assert_eq!(
        (wasm.on_failure, wasm.on_error),
        (Reaction::Warn, Reaction::Block)
    );
}

#[test]
fn wasm_properties_are_strict() {
    for (properties, reason) in [
        (
            "      compnent: x\n",
            "9:7: hook[0] type 'wasm': unknown property 'compnent'; did you mean 'component'?",
        ),
        (
            "      retry: {attempts: 3}\n",
            "9:7: hook[0] type 'wasm': 'retry' is not supported by this version",
        ),
        (
            "      colour: red\n",
            "9:7: hook[0] type 'wasm': unknown property 'colour'; known properties are component, sha256, config, args, select, parallelism, capabilities, limits, timeout, on_failure, on_error",
        ),
        (
            "      limits: {memry: 1GiB}\n",
            "9:16: hook[0] type 'wasm': unknown property 'limits.memry'; did you mean 'memory'?",
        ),
        (
            "      limits: {memory: lots}\n",
            "9:24: hook[0] type 'wasm': 'limits.memory' 'lots' is not a size; write 256MiB, 20GiB or a number of bytes",
        ),
        (
            "      select: {kinds: [moved]}\n",
            "9:23: hook[0] type 'wasm': 'select.kinds': 'moved' is not one of added, changed, removed",
        ),
        (
            "      capabilities: {http: [x]}\n",
            "9:22: hook[0] type 'wasm': 'capabilities.http' is not supported by this version",
        ),
        (
            "      on_error: ignore\n",
            "9:17: hook[0] type 'wasm': 'on_error' must be block or warn",
        ),
        (
            "      sha256: abc\n",
            "9:15: hook[0] type 'wasm': 'sha256' must be 64 hex digits",
        ),
        (
            "      parallelism: 0\n",
            "9:20: hook[0] type 'wasm': 'parallelism' must be a whole number from 1",
        ),
        (
            "      config: {a: 1}\n      args: {a: 1}\n",
            "10:13: hook[0] type 'wasm': 'args' is an alias of 'config'; use only one of them",
        ),
    ] {
        check_refused(&wasm(properties), reason);
    }
    let oci = wasm("").replace("hooks/x.wasm", "oci://ghcr.io/a/b:1");
    check_refused(
        &oci,
        "8:18: hook[0] type 'wasm': components from oci:// are not supported by this version; commit the component to this repository and name its path",
    );
}

#[test]
fn every_example_is_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let action =
            Action::parse(&path.display().to_string(), &std::fs::read(&path).unwrap()).unwrap();
        assert!(!action.hooks.is_empty(), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "expected to find the examples");
}

/// Regression test: a thousand short files with aliases used gigabytes of memory, but only a few
/// megabytes were accounted for.
#[test]
fn weight_includes_expanded_aliases() {
    let mut text = "name: gate\non:\n  pre-commit:\nx-0: &a0 [xxxxxxxx, xxxxxxxx]\n".to_owned();
    for n in 1..12 {
        text.push_str(&format!("x-{n}: &a{n} [*a{0}, *a{0}]\n", n - 1));
    }
    let action = Action::parse("_lakefs_actions/gate.yaml", text.as_bytes()).unwrap();
    assert!(text.len() < 1000);
    assert!(
        action.weight_bytes > 500_000,
        "{} bytes",
        action.weight_bytes
    );
}
