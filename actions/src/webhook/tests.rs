//! Webhooks against a server on this machine.

use std::sync::Arc;
use std::time::Duration;

use base::ManualClock;

use super::{MAX_RESPONSE_BYTES, Webhooks};
use crate::action_file::{Target, WebhookProperties};
use crate::env::Environment;
use crate::output::{MAX_LOG_BYTES, Output};
use crate::testing::server;

fn hook(url: &str) -> WebhookProperties {
    WebhookProperties {
        target: Target::Url(url.parse().unwrap()),
        shown_url: url.to_owned(),
        timeout: Duration::from_secs(30),
        query_params: Vec::new(),
        headers: Vec::new(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

async fn run(hook: &WebhookProperties) -> (Result<(), String>, String) {
    let environment = Environment::new(true, "LAKEFSACTION_", |_| Some("s3cret".to_owned()));
    let clock = Arc::new(ManualClock::new(
        time::macros::datetime!(2026-03-04 05:06:07 UTC),
    ));
    let webhooks = Webhooks::new(environment, clock).unwrap();
    let mut log = Output::new(MAX_LOG_BYTES);
    let outcome = webhooks
        .run(hook, r#"{"event_type":"pre-commit"}"#, &mut log)
        .await;
    (outcome, String::from_utf8(log.finish(None)).unwrap())
}

#[tokio::test]
async fn a_delivery_carries_payload_parameters_and_headers_and_is_logged() {
    let (url, seen) = server().await;
    let mut hook = hook(&format!("{url}/tell"));
    hook.query_params = pairs(&[("one", "1"), ("many", "a"), ("many", "b")]);
    hook.headers = pairs(&[
        ("X-Own", "v"),
        ("X-Var", "Bearer {{ ENV.LAKEFSACTION_TOKEN }}"),
        ("X-Home", "{{ ENV.HOME }}"),
    ]);
    let (outcome, log) = run(&hook).await;
    assert_eq!(outcome, Ok(()));

    let (uri, headers, body) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(uri, "/tell?many=a&many=b&one=1");
    assert_eq!(body, r#"{"event_type":"pre-commit"}"#);
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(
        (header("x-own"), header("x-var"), header("x-home")),
        ("v".to_owned(), "Bearer s3cret".to_owned(), String::new())
    );

    let (head, answer) = log.split_once("\nResponse:\n").unwrap();
    let expected = format!(
        "Request:\nPOST {url}/tell\nQuery Params:\nmany: a\nmany: b\none: 1\nHeaders:\nContent-Type: application/json\nX-Home: *******\nX-Own: v\nX-Var: *******\nRequest Body:\n{{\"event_type\":\"pre-commit\"}}\n\n\nRequest duration: 0s\n"
    );
    assert_eq!(head, expected);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Type: text/plain; charset=utf-8\r\nDate: "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nchecked"), "{answer}");
}

#[tokio::test]
async fn a_refusal_fails_with_its_status() {
    let (url, _) = server().await;
    let (outcome, log) = run(&hook(&format!("{url}/fail"))).await;
    assert_eq!(
        outcome.unwrap_err(),
        "webhook request failed (status code: 400)"
    );
    assert!(
        log.contains("HTTP/1.1 400 Bad Request\r\n") && log.ends_with("checked"),
        "{log}"
    );
}

#[tokio::test]
async fn silence_ends_at_the_timeout() {
    let (url, _) = server().await;
    let mut hook = hook(&format!("{url}/slow"));
    hook.timeout = Duration::from_millis(50);
    let (outcome, log) = run(&hook).await;
    assert_eq!(
        outcome.unwrap_err(),
        format!(
            "Post \"{url}/slow\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )
    );
    assert!(log.ends_with("Request duration: 0s\n"), "{log}");
}

#[tokio::test]
async fn nobody_there_is_said_without_the_secrets_of_the_query() {
    // Bound and dropped: nobody listens there now.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut hook = hook(&format!("http://{free}/x"));
    hook.query_params = pairs(&[("token", "{{ ENV.LAKEFSACTION_TOKEN }}")]);
    let (outcome, log) = run(&hook).await;
    assert_eq!(
        outcome.unwrap_err(),
        format!("Post \"http://{free}/x\": dial tcp {free}: connect: connection refused")
    );
    assert!(
        !log.contains("s3cret") && log.contains("token: *******"),
        "{log}"
    );
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let (url, _) = server().await;
    let (outcome, log) = run(&hook(&format!("{url}/huge"))).await;
    assert_eq!(outcome, Ok(()));
    assert!(
        log.ends_with("[answer cut at 65536 bytes]\n") && log.len() < MAX_RESPONSE_BYTES + 2_000
    );
}

#[tokio::test]
async fn redirects_are_bounded_and_stay_on_their_host() {
    let (url, seen) = server().await;
    assert_eq!(run(&hook(&format!("{url}/moved"))).await.0, Ok(()));
    seen.lock().unwrap().clear();
    let error = run(&hook(&format!("{url}/loop"))).await.0.unwrap_err();
    assert_eq!(
        error,
        format!("Post \"{url}/loop\": stopped after 10 redirects")
    );
    assert_eq!(seen.lock().unwrap().len(), 11);
    let error = run(&hook(&format!("{url}/away"))).await.0.unwrap_err();
    assert_eq!(error, "webhook request failed (status code: 307)");
}

/// Whoever commits an action file could read the server's own credentials off the log.
#[tokio::test]
async fn the_metadata_service_of_a_cloud_is_not_called() {
    let (outcome, log) = run(&hook("http://169.254.169.254/latest/meta-data/")).await;
    assert_eq!(
        outcome.unwrap_err(),
        "Post \"http://169.254.169.254/latest/meta-data/\": 169.254.169.254 is a link-local address or a cloud's metadata service: webhooks may not go there"
    );
    assert!(!log.contains("Response:"), "{log}");
}

#[tokio::test]
async fn a_header_that_would_smuggle_is_refused() {
    let mut hook = hook("http://127.0.0.1:9/x");
    hook.headers = pairs(&[("X-A", "b\r\nX-C: d")]);
    assert_eq!(
        run(&hook).await.0.unwrap_err(),
        "the value of header \"X-A\" is not valid"
    );
}

#[test]
fn a_secret_goes_to_no_other_port_and_never_from_https_to_plain() {
    let same =
        |from: &str, to: &str| super::is_same_server(&from.parse().unwrap(), &to.parse().unwrap());
    assert!(same("https://a.example/x", "https://a.example:443/y"));
    assert!(same("http://a.example:8080/x", "http://a.example:8080/y"));
    assert!(same("http://a.example/x", "https://a.example/x"));
    assert!(!same("https://a.example/x", "http://a.example/x"));
    assert!(!same("http://a.example/x", "http://a.example:8080/x"));
    assert!(!same("http://a.example/x", "https://a.example:8443/x"));
    assert!(!same("https://a.example/x", "https://b.example/x"));
}
