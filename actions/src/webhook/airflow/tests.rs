//! Airflow hooks against a local test server.

use std::sync::Arc;
use std::time::Duration;

use base::ManualClock;
use graveler::EventKind;

use super::super::masking::SEARCHES_ON_THREAD;
use super::super::transcript::MAX_RESPONSE_BYTES;
use super::super::{Proxies, WebhookOptions, WebhookTargets};
use super::*;
use crate::action_file::{Action, HookKind};
use crate::computations::Computations;
use crate::env::Environment;
use crate::output::MAX_LOG_BYTES;
use crate::testing::{Seen, event, server};

/// The password as it is set in the server's environment.
const PASSWORD: &str = "pa55+w0rd";

fn hook(url: &str, dag_id: &str, more: &str) -> AirflowProperties {
    let yaml = format!(
        "name: gate\non: {{pre-commit: }}\nhooks:\n  - id: air\n    type: airflow\n    properties:\n      url: {url}\n      dag_id: '{dag_id}'\n      username: u\n      password: '{{{{ ENV.LAKEFSACTION_AIRFLOW }}}}'\n      dag_conf: {{z: 1, a: {{b: [1, two]}}}}\n{more}"
    );
    let action = Action::parse("a.yaml", yaml.as_bytes()).unwrap();
    match &action.hooks[0].kind {
        HookKind::Airflow(properties) => (**properties).clone(),
        kind => panic!("{kind:?}"),
    }
}

fn webhooks(options: WebhookOptions) -> Webhooks {
    let environment = Environment::new(true, "LAKEFSACTION_", |name| {
        (name == "LAKEFSACTION_AIRFLOW").then(|| PASSWORD.to_owned())
    });
    let clock = Arc::new(ManualClock::new(
        time::macros::datetime!(2026-03-04 05:06:07 UTC),
    ));
    Webhooks::with_proxies(
        environment,
        clock,
        options,
        Computations::new().unwrap(),
        Proxies::of_process(),
    )
    .unwrap()
}

fn polling(dag_poll_interval: Duration) -> WebhookOptions {
    WebhookOptions {
        dag_poll_interval,
        ..WebhookOptions::default()
    }
}

async fn run_with(
    hook: &AirflowProperties,
    options: WebhookOptions,
) -> (Result<(), HookFailure>, String) {
    let mut log = Output::new(MAX_LOG_BYTES);
    let (event, payload) = (
        event(EventKind::PreCommit),
        r#"{"event_type":"pre-commit"}"#,
    );
    let outcome = webhooks(options)
        .run_dag(
            hook,
            "lakeFS_hook_air_run1",
            &event,
            payload,
            &mut log,
            "/log",
        )
        .await;
    (outcome, String::from_utf8(log.finish(None)).unwrap())
}

async fn run(hook: &AirflowProperties) -> (Result<(), HookFailure>, String) {
    run_with(hook, polling(Duration::from_millis(1))).await
}

fn paths(seen: &Seen) -> Vec<String> {
    let seen = seen.lock().unwrap();
    seen.iter().map(|(uri, ..)| uri.clone()).collect()
}

const WAIT: &str = "      wait_for_dag: true\n";

#[tokio::test]
async fn dag_is_started_with_the_event_and_logged_as_in_lakefs() {
    let (url, seen) = server().await;
    let (outcome, log) = run(&hook(&url, "dag1", "")).await;
    assert_eq!(outcome, Ok(()));

    let (uri, headers, body) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(uri, "/api/v1/dags/dag1/dagRuns");
    let sent = r#"{"dag_run_id":"lakeFS_hook_air_run1","conf":{"a":{"b":[1,"two"]},"lakeFS_event":{"event_type":"pre-commit"},"z":1}}"#;
    assert_eq!(body, sent);
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let credentials = STANDARD.encode(format!("u:{PASSWORD}"));
    assert_eq!(header("authorization"), format!("Basic {credentials}"));
    assert_eq!(header("content-type"), "application/json");
    // The headers that identify requests caused by webhooks.
    assert_eq!(header("x-weir-run-id"), "run1");
    assert!(header("user-agent").ends_with(" run/run1 depth/0"));

    let (head, answer) = log.split_once("\nResponse:\n").unwrap();
    let expected = format!(
        "Request:\nPOST {url}/api/v1/dags/dag1/dagRuns\nUsername: u, Password: *******\nBody: {sent}\n\n\nRequest duration: 0s\n"
    );
    assert_eq!(head, expected);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{}"));
}

#[tokio::test]
async fn dag_name_is_a_single_path_segment() {
    let (url, seen) = server().await;
    for (dag_id, path) in [
        ("a/../b", "/base/api/v1/dags/a%2F..%2Fb/dagRuns"),
        ("%2e%2e", "/base/api/v1/dags/%252e%252e/dagRuns"),
        ("a?b#c d", "/base/api/v1/dags/a%3Fb%23c%20d/dagRuns"),
    ] {
        let hook = hook(&format!("{url}/base/"), dag_id, "");
        assert_eq!(run(&hook).await.0, Ok(()), "{dag_id}");
        assert_eq!(seen.lock().unwrap().pop().unwrap().0, path);
    }
    for dag_id in [".", ".."] {
        let refused = run(&hook(&url, dag_id, "")).await.0.unwrap_err();
        assert!(
            refused.message.ends_with("no DAG has this name"),
            "{refused:?}"
        );
    }
    assert!(paths(&seen).is_empty());
}

/// As in lakeFS, only status 200 counts.
#[tokio::test]
async fn rejected_dag_run_fails_the_hook_with_its_status() {
    let (url, seen) = server().await;
    for (dag_id, status, hint) in [
        ("fail", 400, None),
        ("unauthorized", 401, Some("'username' and 'password'")),
        ("created", 201, None),
    ] {
        let (outcome, log) = run(&hook(&url, dag_id, WAIT)).await;
        let failed = outcome.unwrap_err();
        assert_eq!(
            failed.message,
            format!("status code ({status}): airflow hook request failed")
        );
        let reported = failed.hint.unwrap();
        let log_at = "the service's answer is in the hook's log: GET /log";
        assert!(reported.contains(hint.unwrap_or(log_at)), "{reported}");
        assert!(reported.ends_with(log_at), "{reported}");
        assert!(log.contains(&format!("HTTP/1.1 {status} ")), "{log}");
    }
    assert_eq!(paths(&seen).len(), 3, "a rejected run must not be polled");
}

/// A client that follows a redirect to a login page turns the POST into a GET, which returns status
/// 200.
#[tokio::test]
async fn redirect_to_a_page_does_not_count_as_success() {
    let (url, seen) = server().await;
    let failed = run(&hook(&url, "login", "")).await.0.unwrap_err();
    assert_eq!(
        failed.message,
        "status code (303): airflow hook request failed"
    );
    assert!(failed.hint.unwrap().contains("starts no DAG"));
    assert_eq!(paths(&seen).len(), 1, "the page must not be requested");
}

#[tokio::test]
async fn hook_waits_until_its_dag_succeeds() {
    let (url, seen) = server().await;
    let (outcome, log) = run(&hook(&url, "succeeds", WAIT)).await;
    assert_eq!(outcome, Ok(()));
    let poll = "/api/v1/dags/succeeds/dagRuns/lakeFS_hook_air_run1";
    assert_eq!(
        paths(&seen),
        ["/api/v1/dags/succeeds/dagRuns", poll, poll, poll]
    );
    assert!(seen.lock().unwrap()[3].1.contains_key("authorization"));
    let (_, waiting) = log
        .split_once("\r\n\r\n{}\nWaiting for DAG to complete...\n")
        .unwrap();
    let head = format!(
        "Request:\nGET {url}{poll}\n\nRequest duration: 0s\n\nResponse:\nHTTP/1.1 200 OK\r\n"
    );
    assert!(waiting.starts_with(&head), "{waiting}");
    assert!(waiting.contains("\"}\nDAG completed with state: running\nRequest:\nGET "));
    assert!(
        waiting.ends_with("\nDAG completed with state: success\n"),
        "{waiting}"
    );
}

/// Regression test: the state was searched for secrets on the thread that serves requests.
#[tokio::test]
async fn no_serving_thread_searches_the_state_for_secrets() {
    let (url, _) = server().await;
    let (outcome, log) = run(&hook(&url, "succeeds", WAIT)).await;
    assert_eq!(outcome, Ok(()));
    assert!(log.contains("DAG completed with state: success"), "{log}");
    // This test has one thread for everything but blocking tasks.
    assert_eq!(SEARCHES_ON_THREAD.get(), 0);
}

#[tokio::test]
async fn hook_fails_if_its_dag_fails() {
    let (url, seen) = server().await;
    let (outcome, log) = run(&hook(&url, "fails", WAIT)).await;
    assert_eq!(outcome.unwrap_err().message, "airflow hook DAG failed");
    assert!(
        log.ends_with("\nDAG completed with state: failed\n"),
        "{log}"
    );
    assert_eq!(paths(&seen).len(), 4);
}

#[tokio::test]
async fn wait_ends_at_the_timeout() {
    let (url, _) = server().await;
    let more = format!("{WAIT}      timeout: 20ms\n");
    for dag_id in ["runs", "hangs"] {
        let failed = run(&hook(&url, dag_id, &more)).await.0.unwrap_err();
        assert_eq!(
            failed.message, "airflow hook DAG did not finish within 20ms",
            "{dag_id}"
        );
        assert!(failed.hint.unwrap().contains("'timeout'"));
    }
}

/// The wait is part of the change, so it ends with the change.
#[tokio::test]
async fn wait_ends_when_the_change_is_dropped() {
    let (url, seen) = server().await;
    let hook = hook(&url, "runs", WAIT);
    let waiting =
        tokio::spawn(async move { run_with(&hook, polling(Duration::from_hours(1))).await });
    while paths(&seen).len() < 2 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(paths(&seen).len(), 2);
}

#[tokio::test]
async fn response_without_state_fails_the_hook() {
    let (url, _) = server().await;
    for dag_id in ["garbage", "nested", "long-state", "no-state", "list"] {
        let (outcome, log) = run(&hook(&url, dag_id, WAIT)).await;
        assert_eq!(
            outcome.unwrap_err().message,
            "the description of the DAG run from airflow has no state",
            "{dag_id}"
        );
        assert!(log.len() < MAX_RESPONSE_BYTES + 4_000, "{dag_id}");
    }
    let (outcome, log) = run(&hook(&url, "huge", WAIT)).await;
    assert_eq!(
        outcome.unwrap_err().message,
        "the description of the DAG run from airflow exceeds 1048576 bytes"
    );
    assert!(
        log.ends_with("[response truncated at 65536 bytes]\n")
            && log.len() < MAX_RESPONSE_BYTES + 4_000
    );
}

/// A description that repeats a large configuration is truncated in the log but read completely.
#[tokio::test]
async fn state_after_the_logged_part_is_found() {
    let (url, _) = server().await;
    let (outcome, log) = run(&hook(&url, "large", WAIT)).await;
    assert_eq!(outcome, Ok(()));
    assert!(
        log.ends_with("[response truncated at 65536 bytes]\n\nDAG completed with state: success\n")
    );
}

#[tokio::test]
async fn echoed_password_is_masked() {
    let (url, _) = server().await;
    let mut hook = hook(&url, "echoes", WAIT);
    for password in ["{{ ENV.LAKEFSACTION_AIRFLOW }}", PASSWORD] {
        password.clone_into(&mut hook.password);
        let (outcome, log) = run(&hook).await;
        assert_eq!(outcome, Ok(()), "{log}");
        let credentials = STANDARD.encode(format!("u:{PASSWORD}"));
        assert!(
            !log.contains(PASSWORD) && !log.contains(&credentials),
            "{log}"
        );
        assert!(log.contains("Username: u, Password: *******\n"), "{log}");
        assert!(log.contains("you sent Basic *******"), "{log}");
        assert!(!format!("{hook:?}").contains(PASSWORD));
    }
}

#[tokio::test]
async fn variable_in_the_password_is_masked_by_itself() {
    let (url, _) = server().await;
    let mut hook = hook(&url, "tells-a-part", WAIT);
    hook.password = "prefix-{{ ENV.LAKEFSACTION_AIRFLOW }}".to_owned();
    let (outcome, log) = run(&hook).await;
    assert_eq!(outcome, Ok(()), "{log}");
    assert!(
        log.contains("the key is *******") && !log.contains(PASSWORD),
        "{log}"
    );
}

#[tokio::test]
async fn unset_password_variable_is_named() {
    let mut hook = hook("http://127.0.0.1:9", "dag1", "");
    hook.password = "{{ ENV.LAKEFSACTION_NONE }}".to_owned();
    assert_eq!(
        run(&hook).await.0.unwrap_err().message,
        "LAKEFSACTION_NONE not found: missing env var"
    );
}

#[tokio::test]
async fn airflow_respects_webhook_targets() {
    let refused = run(&hook("http://169.254.169.254", "dag1", "")).await.0;
    let message = refused.unwrap_err().message;
    assert!(message.contains("metadata service"), "{message}");
    let options = WebhookOptions {
        targets: WebhookTargets::parse(&["hooks.example".to_owned()], &[]).unwrap(),
        ..WebhookOptions::default()
    };
    let (url, seen) = server().await;
    let message = run_with(&hook(&url, "dag1", ""), options)
        .await
        .0
        .unwrap_err()
        .message;
    assert!(
        message.contains("is not in actions.webhook.allow"),
        "{message}"
    );
    assert!(paths(&seen).is_empty());
}
